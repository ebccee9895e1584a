"""The nouns of routing: a rule, where an instance came from, and what was decided."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from gurney.transfer.states import Priority, Routing

__all__ = [
    "FOLLOWERS",
    "Action",
    "Door",
    "Provenance",
    "RouteRule",
    "RoutingDecision",
    "RuleExplanation",
    "Scope",
    "Send",
    "Verdict",
    "When",
]

Scope = Literal["study", "instance"]
Action = Literal["send", "hold", "drop"]
When = Literal["immediately", "series_complete", "study_complete"]

FOLLOWERS = frozenset({"SR", "KO", "PR"})
"""Modalities whose instances follow their study: reports, key object selections and presentation states."""


class Door(StrEnum):
    """The ways by which an instance can come in."""

    WATCH = "watch"
    RECEIVE = "receive"
    RETRIEVE = "retrieve"
    IMPORT = "import"
    API = "api"


@dataclass(frozen=True, slots=True)
class RouteRule:
    """One ``[[route]]`` of the configuration. An empty ``when`` matches everything."""

    name: str
    when: str = ""
    send_to: tuple[str, ...] = ()
    scope: Scope = "study"
    send: When = "immediately"
    action: Action = "send"
    stop: bool = False
    priority: Priority = Priority.ROUTINE


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where an instance came from, and its identifiers: what rules may ask besides its tags.

    ``source`` is the name of the watch or receiver. What a door does not know is empty.
    """

    door: Door
    source: str = ""
    calling_ae_title: str = ""
    called_ae_title: str = ""
    peer_address: str = ""
    study_instance_uid: str = ""
    series_instance_uid: str = ""
    sop_instance_uid: str = ""
    sop_class_uid: str = ""
    transfer_syntax_uid: str = ""


class Verdict(StrEnum):
    """What became of one rule for one instance."""

    MATCHED = "matched"
    NOT_MATCHED = "not_matched"
    FOLLOWED = "followed"  # did not match itself, but belongs to a study that did
    ERROR = "error"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class RuleExplanation:
    """What became of one rule, and why. ``why`` holds tag values only where they were asked for."""

    rule: str
    verdict: Verdict
    why: str = ""


@dataclass(frozen=True, slots=True)
class Send:
    """One destination, with the first rule that names it ("" for the door's own), and when to send."""

    destination: str
    rule: str
    when: When
    priority: Priority


@dataclass(frozen=True, slots=True)
class RoutingDecision:
    """What the rules say of one instance.

    ``matched_study_rules`` are the rules of scope "study" that this instance matched, to be remembered for its study.
    ``look_back`` are those of them that the study had not matched before: instances of :data:`FOLLOWERS` that arrived
    earlier in the study are to be decided again. In state HELD, ``sends`` is what a release would send. In state
    ERROR, ``sends`` is what no failed rule could have prevented.
    """

    state: Routing
    sends: tuple[Send, ...]
    matched_study_rules: frozenset[str]
    look_back: frozenset[str]
    explanations: tuple[RuleExplanation, ...]
