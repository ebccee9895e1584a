"""All rules together: what they say of one instance.

Every rule that matches applies, in the order of the configuration, until one says ``stop`` or drops the
instance. A rule that fails is never taken for one that does not match: the instance is then in state ERROR, and
only what the failed rule could not have prevented is sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace

from gurney.transfer.errors import ExpressionError, RouteMistake, RouteTableError
from gurney.transfer.routing.explain import Detail, why_not
from gurney.transfer.routing.program import Facts, Program, Truth
from gurney.transfer.routing.rules import (
    FOLLOWERS,
    Door,
    Provenance,
    RouteRule,
    RoutingDecision,
    RuleExplanation,
    Send,
    Verdict,
    When,
)
from gurney.transfer.routing.tags import MODALITY, Tag, Tags
from gurney.transfer.states import Priority, Routing

__all__ = ["RouteTable", "compile_routes"]

_SOONEST: dict[When, int] = {"immediately": 0, "series_complete": 1, "study_complete": 2}


def compile_routes(rules: Sequence[RouteRule]) -> RouteTable:
    """Check and compile rules. Raises :class:`RouteTableError`, which lists every mistake, its rule and position."""
    mistakes: list[RouteMistake] = []
    compiled: list[_Compiled] = []
    names: set[str] = set()
    for rule in rules:
        mistakes += [RouteMistake(rule.name, None, words) for words in _mistakes(rule, names)]
        names.add(rule.name)
        try:
            compiled.append(_Compiled(rule, Program(rule.when) if rule.when.strip() else None))
        except ExpressionError as error:
            mistakes.append(RouteMistake(rule.name, error.position, error.words))
    if mistakes:
        raise RouteTableError(mistakes)
    return RouteTable(compiled)


def _mistakes(rule: RouteRule, names: Set[str]) -> Iterable[str]:
    if not rule.name:
        yield "needs a name"
    if rule.name in names:
        yield "another rule has the same name"
    if rule.action == "send" and not rule.send_to:
        yield "sends nowhere: give send_to, or another action"
    if rule.action == "drop" and rule.send_to:
        yield "drops, and so can't send: leave send_to out"


@dataclass(frozen=True, slots=True)
class _Compiled:
    rule: RouteRule
    program: Program | None

    @property
    def asks_for_door(self) -> bool:
        return self.program is not None and "door" in self.program.expression.variables


class RouteTable:
    """Compiled rules; made by :func:`compile_routes`. Stateless, so threads may share one."""

    def __init__(self, compiled: Sequence[_Compiled]) -> None:
        self._compiled = tuple(compiled)
        self._tags: dict[str, Tag] = {MODALITY.keyword: MODALITY}
        for one in compiled:
            if one.program is not None:
                self._tags.update(one.program.tags)

    @property
    def rules(self) -> tuple[RouteRule, ...]:
        """The rules in their order."""
        return tuple(one.rule for one in self._compiled)

    @property
    def wanted(self) -> Mapping[str, int]:
        """The tags to read of every instance, by keyword."""
        return {keyword: tag.number for keyword, tag in self._tags.items()}

    @property
    def wanted_tags(self) -> frozenset[int]:
        """The tags to read of every instance."""
        return frozenset(tag.number for tag in self._tags.values())

    def decide(
        self,
        values: Mapping[str, object],
        provenance: Provenance,
        study_matched: Set[str] = frozenset(),
        *,
        default_send_to: Sequence[str] = (),
        default_priority: Priority = Priority.ROUTINE,
    ) -> RoutingDecision:
        """Decide where one instance goes.

        ``values`` has int, float, str or a list of them by keyword; what is missing is absent or None.
        ``study_matched`` names the rules that its study has matched before. ``default_send_to`` is the door's
        own: it is sent to unless a rule drops.
        """
        return self._decide(values, provenance, study_matched, default_send_to, default_priority, Detail.NONE)

    def explain(
        self,
        values: Mapping[str, object],
        provenance: Provenance,
        study_matched: Set[str] = frozenset(),
        *,
        default_send_to: Sequence[str] = (),
        default_priority: Priority = Priority.ROUTINE,
        show_values: bool = False,
    ) -> RoutingDecision:
        """Decide, and say of each rule that did not match which condition failed.

        With ``show_values`` the words hold tag values, which may be patient data: for a person who asked, never
        for a log.
        """
        detail = Detail.VALUES if show_values else Detail.CONDITIONS
        return self._decide(values, provenance, study_matched, default_send_to, default_priority, detail)

    def _decide(
        self,
        values: Mapping[str, object],
        provenance: Provenance,
        study_matched: Set[str],
        default_send_to: Sequence[str],
        default_priority: Priority,
        detail: Detail,
    ) -> RoutingDecision:
        facts = Facts(Tags.of(self._tags, values), provenance)
        result = _Result([Send(name, "", "immediately", default_priority) for name in default_send_to])
        follows = facts.tags.present.get(MODALITY.keyword) in FOLLOWERS
        for one in self._compiled:
            if result.ended:
                explanation = RuleExplanation(one.rule.name, Verdict.SKIPPED, result.ended)
            elif provenance.door is Door.RETRIEVE and not one.asks_for_door:
                explanation = RuleExplanation(
                    one.rule.name, Verdict.SKIPPED, "what a retrieve brings meets only rules that ask for its door"
                )
            elif follows and _may_be_followed(one.rule) and one.rule.name in study_matched:
                explanation = RuleExplanation(one.rule.name, Verdict.FOLLOWED, "its study matched before")
            else:
                explanation = _try(one, facts, detail)
            result.take(one.rule, explanation)
        return result.decision(study_matched)


def _may_be_followed(rule: RouteRule) -> bool:
    """Let reports follow what is sent. A rule that drops or holds speaks of what it matches, and of nothing else."""
    return rule.scope == "study" and rule.action == "send"


def _try(one: _Compiled, facts: Facts, detail: Detail) -> RuleExplanation:
    name = one.rule.name
    if one.program is None:
        return RuleExplanation(name, Verdict.MATCHED, "matches everything")
    answer = one.program.answer(facts)
    match answer.truth:
        case Truth.TRUE:
            return RuleExplanation(name, Verdict.MATCHED)
        case Truth.ERROR:
            return RuleExplanation(name, Verdict.ERROR, answer.words)
        case _:
            why = answer.words if detail is Detail.NONE else why_not(one.program, facts, detail)
            return RuleExplanation(name, Verdict.NOT_MATCHED, why)


class _Result:
    """What the rules have said so far."""

    def __init__(self, sends: Sequence[Send]) -> None:
        self.ended = ""
        self._sends = {send.destination: send for send in sends}
        self._matched: set[str] = set()
        self._explanations: list[RuleExplanation] = []
        self._held = self._dropped = self._failed = self._in_doubt = False

    def take(self, rule: RouteRule, explanation: RuleExplanation) -> None:
        self._explanations.append(explanation)
        match explanation.verdict:
            case Verdict.MATCHED | Verdict.FOLLOWED:
                self._apply(rule)
                if explanation.verdict is Verdict.MATCHED and _may_be_followed(rule):
                    self._matched.add(rule.name)
            case Verdict.ERROR:
                self._failed = True
                self._in_doubt = self._in_doubt or rule.action != "send"
                if rule.stop:
                    self.ended = f"rule {rule.name!r} has stop, and failed"

    def _apply(self, rule: RouteRule) -> None:
        if rule.action == "drop":
            self._dropped = True
            self.ended = f"rule {rule.name!r} dropped it"
            return
        self._held = self._held or rule.action == "hold"
        for destination in rule.send_to:
            self._add(Send(destination, rule.name, rule.send, rule.priority))
        if rule.stop:
            self.ended = f"rule {rule.name!r} has stop"

    def _add(self, send: Send) -> None:
        """Keep one send for each destination: the soonest, with the most urgent priority."""
        known = self._sends.get(send.destination, send)
        self._sends[send.destination] = replace(
            known,
            when=min(known.when, send.when, key=_SOONEST.__getitem__),
            priority=min(known.priority, send.priority),
        )

    def _state(self) -> Routing:
        if self._failed:
            return Routing.ERROR
        if self._dropped:
            return Routing.FILTERED
        if self._held:
            return Routing.HELD
        return Routing.ROUTED if self._sends else Routing.NO_ROUTE

    def decision(self, study_matched: Set[str]) -> RoutingDecision:
        state = self._state()
        nothing = self._dropped or (state is Routing.ERROR and (self._in_doubt or self._held))
        matched = frozenset(self._matched)
        return RoutingDecision(
            state=state,
            sends=() if nothing else tuple(self._sends.values()),
            matched_study_rules=matched,
            look_back=matched - study_matched,
            explanations=tuple(self._explanations),
        )
