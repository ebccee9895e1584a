"""Plan what is fetched for a patient: sources are asked in their order, and targets what they have already."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from gurney.errors import GurneyError
from gurney.prefetch.archive import Archive
from gurney.settings import Prefetch, Settings
from gurney.settings.regions import read_regions
from gurney.transfer.prefetch import Candidate, Current, Judged, Limits, Presence, Regions, Relevance, Selected, rank
from gurney.transfer.prefetch.regions import Source
from gurney.transfer.prefetch.selection import Verdict, leading, select

__all__ = ["Plan", "Planner", "Unanswered"]


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A remote that could not be asked, and why. Of a target it is assumed that it has nothing."""

    remote: str
    words: str
    is_source: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """Every study that was looked at, the most relevant first, with what becomes of it and why."""

    rule: str
    current: Current
    selected: tuple[Selected, ...]
    unanswered: tuple[Unanswered, ...] = ()

    @property
    def to_fetch(self) -> tuple[Selected, ...]:
        """What is fetched."""
        return tuple(one for one in self.selected if one.verdict is Verdict.FETCH)

    @property
    def is_whole(self) -> bool:
        """Whether every source was asked: else there may be more to fetch, and it is worth planning again."""
        return not any(one.is_source for one in self.unanswered)

    @property
    def trouble(self) -> str:
        """Say which sources could not be asked, and why."""
        return "; ".join(sorted({f"{one.remote}: {one.words}" for one in self.unanswered if one.is_source}))


class Planner:
    """Plans by the rules of a configuration. Use it inside a :class:`gurney.pacs.DicomEngine`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def plan(self, rule: Prefetch, patient_ids: Collection[str], current: Current) -> Plan:
        """Find a patient's studies under all of their IDs and choose. Remotes that fail are in the plan, not raised.

        Raises InvalidRegions, and ValueError where there is no ID: an empty one would match everybody (PS3.4
        C.2.2.2.3).
        """
        ids = list(dict.fromkeys(stripped for one in patient_ids if (stripped := one.strip())))
        if not ids:
            raise ValueError("there is no patient ID to ask for")
        regions = read_regions(rule.regions)
        relevance = _relevance(rule)
        unanswered: list[Unanswered] = []
        candidates: list[Candidate] = []
        for name in rule.sources:
            try:
                found, current = self._ask(name, ids, candidates, current, rule, regions)
            except GurneyError as error:
                unanswered.append(Unanswered(name, str(error), is_source=True))
            else:
                candidates += found
        ranked = rank(candidates, current, relevance, regions)
        if rule.max_instances is not None or rule.max_bytes is not None:
            ranked = self._counted(ranked, rule.priors)
        presence = self._presence(leading(ranked, rule.priors), rule.to, unanswered)
        limits = Limits(rule.priors, rule.max_instances, rule.max_bytes)
        selected = select(ranked, rule.to, presence, limits, regions)
        return Plan(rule.name, current, tuple(selected), tuple(unanswered))

    def _ask(
        self,
        name: str,
        ids: Sequence[str],
        known: Sequence[Candidate],
        current: Current,
        rule: Prefetch,
        regions: Regions,
    ) -> tuple[list[Candidate], Current]:
        """Return what a source has that none before it had, and what it told of the current study."""
        before = {candidate.study_instance_uid for candidate in known}
        with Archive(self._settings, name).asked() as source:
            found = [study for study in source.studies_of(ids) if study.study_instance_uid not in before]
            for study in found:
                if _is_current(study, current):
                    current = _completed(current, source.with_series(study))
            refused = {
                judged.candidate.study_instance_uid
                for judged in rank(found, replace(current, description=""), _relevance(rule), regions)
                if judged.refusal
            }
            asked = [
                source.with_series(study)
                if study.study_instance_uid not in refused and _needs_series(study, rule, regions)
                else study
                for study in found
            ]
        return asked, current

    def _counted(self, ranked: Sequence[Judged], priors: int) -> list[Judged]:
        """Count the instances of what may be fetched where its source tells no counts: a limit is to hold even so."""
        uncounted = {id(one) for one in leading(ranked, priors) if one.candidate.instances is None}
        return [self._with_count(one) if id(one) in uncounted else one for one in ranked]

    def _with_count(self, judged: Judged) -> Judged:
        candidate = judged.candidate
        try:
            held = Archive(self._settings, candidate.source).instances(candidate.study_instance_uid)
        except GurneyError:
            return judged  # it answered a moment ago; the retrieval says what is wrong if it still is
        return replace(judged, candidate=replace(candidate, instances=None if held is None else len(held)))

    def _presence(
        self, judged: Sequence[Judged], targets: Sequence[str], unanswered: list[Unanswered]
    ) -> dict[str, frozenset[str]]:
        there: dict[str, set[str]] = {one.candidate.study_instance_uid: set() for one in judged}
        for name in targets if judged else ():
            target = Archive(self._settings, name)
            try:
                with target.asked() as conversation:
                    held = {uid: conversation.study(uid) for uid in there}
                for one in judged:
                    candidate = one.candidate
                    copy = held[candidate.study_instance_uid]
                    if copy is not None and self._is_all_of(candidate, copy, target):
                        there[candidate.study_instance_uid].add(name)
            except GurneyError as error:
                unanswered.append(Unanswered(name, str(error), is_source=False))
        presence: Presence = {uid: frozenset(names) for uid, names in there.items()}
        return dict(presence)

    def _is_all_of(self, candidate: Candidate, copy: Candidate, target: Archive) -> bool:
        """Compare a copy with its source by counts, where both tell them, else by the UIDs of their instances."""
        if candidate.instances and copy.instances is not None:
            return copy.instances >= candidate.instances
        wanted = Archive(self._settings, candidate.source).instances(candidate.study_instance_uid)
        held = target.instances(candidate.study_instance_uid)
        return bool(wanted) and held is not None and wanted is not None and wanted <= held


def _relevance(rule: Prefetch) -> Relevance:
    return Relevance(
        frozenset(rule.relevance), rule.max_age, frozenset(rule.always_include), rule.unknown_region == "include"
    )


def _is_current(study: Candidate, current: Current) -> bool:
    if study.study_instance_uid == current.study_instance_uid:
        return True
    return bool(current.accession_number) and study.accession_number == current.accession_number


def _completed(current: Current, study: Candidate) -> Current:
    """Take from an archive what the appointment did not say of the study that is coming."""
    return replace(
        current,
        study_instance_uid=current.study_instance_uid or study.study_instance_uid,
        accession_number=current.accession_number or study.accession_number,
        description=current.description or study.description,
        procedure_codes=current.procedure_codes or study.procedure_codes,
        modalities=current.modalities or study.modalities,
        body_parts=current.body_parts or study.body_parts,
    )


def _needs_series(study: Candidate, rule: Prefetch, regions: Regions) -> bool:
    located = regions.locate(codes=study.procedure_codes, description=study.description)
    return (
        located.source is Source.NOTHING
        or not study.modalities
        or study.instances is None
        or (rule.max_bytes is not None and not study.instances_of)
    )
