"""How relevant an earlier study is to the one that is coming: a score, with the reason for each of its points."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date

from gurney.transfer.prefetch.regions import Located, Regions, Side, Source

__all__ = ["ASPECTS", "Candidate", "Current", "Judged", "Reason", "Relevance", "rank"]

ASPECTS = ("region", "modality_group", "laterality", "age")
"""What a prior can be judged by."""

# Points: the region decides, then the kind of images, then the age; the side breaks ties of paired organs.
_REGION = {Source.PROCEDURE_CODE: 40, Source.DESCRIPTION: 40, Source.BODY_PART: 30}
_UNKNOWN_REGION = 10
_SAME_MODALITY, _KIN = 30, 20
_SAME_SIDE, _SIDE_UNSAID = 10, 5
_NEW = 20
_OLD_DAYS = 3652  # without max_age, what is ten years old has no points left for its age


@dataclass(frozen=True, slots=True)
class Current:
    """The study that priors are wanted for, as far as it is known: perhaps only that its patient comes on a day."""

    day: date
    study_instance_uid: str = ""
    accession_number: str = field(default="", repr=False)
    description: str = field(default="", repr=False)
    procedure_codes: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()
    body_parts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Candidate:
    """An earlier study at ``source``, a remote's name; ``instances`` by modality, None where nobody says."""

    study_instance_uid: str
    source: str
    study_date: date | None = None
    accession_number: str = field(default="", repr=False)
    description: str = field(default="", repr=False)
    procedure_codes: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()
    body_parts: tuple[str, ...] = ()
    series: int | None = None
    instances: int | None = None
    instances_of: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Relevance:
    """What a rule holds relevant. ``max_age`` is in days, None for any age."""

    aspects: frozenset[str] = frozenset(ASPECTS)
    max_age: int | None = None
    always_include: frozenset[str] = frozenset({"SR", "KO", "PR"})
    takes_unknown_region: bool = True


@dataclass(frozen=True, slots=True)
class Reason:
    """One line of an explanation: what was looked at, the points for it, and why."""

    aspect: str
    points: int
    words: str

    def __str__(self) -> str:
        return f"{self.aspect} {self.points:+d}: {self.words}"


@dataclass(frozen=True, slots=True)
class Judged:
    """A candidate with its score; ``refusal`` says why it is none at all. ``is_extra``: beyond the count of priors."""

    candidate: Candidate
    reasons: tuple[Reason, ...] = ()
    refusal: str = ""
    is_extra: bool = False

    @property
    def score(self) -> int:
        """The sum of the reasons' points."""
        return sum(reason.points for reason in self.reasons)


def rank(candidates: Iterable[Candidate], current: Current, relevance: Relevance, regions: Regions) -> list[Judged]:
    """Judge candidates and put the most relevant first; equal ones by date, the newest first, then by UID."""
    judged = [_judge(candidate, current, relevance, regions) for candidate in candidates]
    return sorted(judged, key=_order)


def _order(judged: Judged) -> tuple[bool, int, int, str]:
    day = judged.candidate.study_date
    return bool(judged.refusal), -judged.score, -(day.toordinal() if day else 0), judged.candidate.study_instance_uid


def _judge(candidate: Candidate, current: Current, relevance: Relevance, regions: Regions) -> Judged:
    refusal = _is_none(candidate, current, relevance)
    if refusal:
        return Judged(candidate, refusal=refusal)
    is_extra = bool(candidate.modalities) and set(candidate.modalities) <= relevance.always_include
    wanted = _located(regions, current)
    found = _located(regions, candidate)
    reasons = []
    if "region" in relevance.aspects:
        reason, refusal = _region(wanted, found, relevance, regions)
        reasons.append(reason)
    if "modality_group" in relevance.aspects:
        reasons.append(_modality(candidate, current, wanted.regions | found.regions, regions))
    if "laterality" in relevance.aspects:
        reasons.append(_laterality(regions.side(current.description), regions.side(candidate.description)))
    if "age" in relevance.aspects:
        reasons.append(_age(candidate, current, relevance.max_age))
    if is_extra:
        reasons.append(Reason("always_include", 0, f"{', '.join(sorted(candidate.modalities))} come along"))
        refusal = ""
    return Judged(candidate, tuple(reasons), refusal, is_extra)


def _is_none(candidate: Candidate, current: Current, relevance: Relevance) -> str:
    """Say why a study is no prior at all, whatever it shows."""
    if candidate.study_instance_uid == current.study_instance_uid:
        return "is the current study"
    if current.accession_number and candidate.accession_number == current.accession_number:
        return "has the accession number of the current study"
    if candidate.study_date is None:
        return ""
    days = (current.day - candidate.study_date).days
    if days < 0:
        return "is later than the current study"
    if relevance.max_age is not None and days > relevance.max_age:
        return f"is older than max_age: {days} days of {relevance.max_age}"
    return ""


def _located(regions: Regions, study: Current | Candidate) -> Located:
    return regions.locate(codes=study.procedure_codes, description=study.description, body_parts=study.body_parts)


def _region(wanted: Located, found: Located, relevance: Relevance, regions: Regions) -> tuple[Reason, str]:
    if not wanted.regions:
        return Reason("region", _UNKNOWN_REGION, "that of the current study is unknown"), ""
    if found.regions and regions.overlap(wanted, found):
        points = min(_REGION[wanted.source], _REGION[found.source])
        return Reason("region", points, f"{found}, wanted is {wanted}"), ""
    # BodyPartExamined is wrong too often to turn a study away, or to be the reason why one is.
    if found.regions and Source.BODY_PART not in {wanted.source, found.source}:
        return Reason("region", 0, f"{found}, wanted is {wanted}"), f"shows another region: {found}"
    refusal = "" if relevance.takes_unknown_region else f"its region is not known for certain: {found}"
    return Reason("region", _UNKNOWN_REGION, f"not known for certain: {found}, wanted is {wanted}"), refusal


def _modality(candidate: Candidate, current: Current, seen: Collection[str], regions: Regions) -> Reason:
    if not current.modalities or not candidate.modalities:
        return Reason("modality_group", 0, "nobody says which")
    same = sorted(set(current.modalities) & set(candidate.modalities))
    if same:
        return Reason("modality_group", _SAME_MODALITY, f"{', '.join(same)}, as now")
    pairs = [(one, other) for one in sorted(set(current.modalities)) for other in sorted(set(candidate.modalities))]
    for one, other in pairs:
        if regions.are_kin(one, other, seen):
            return Reason("modality_group", _KIN, f"{other} is compared with {one}")
    return Reason("modality_group", 0, f"{', '.join(sorted(candidate.modalities))} is another kind of images")


def _laterality(wanted: Side, found: Side) -> Reason:
    if wanted is Side.UNSAID or found is Side.UNSAID:
        return Reason("laterality", _SIDE_UNSAID, "no side is said")
    if wanted is found or Side.BOTH in {wanted, found}:
        return Reason("laterality", _SAME_SIDE, f"{found}, wanted is {wanted}")
    return Reason("laterality", 0, f"{found}, the other side")


def _age(candidate: Candidate, current: Current, max_age: int | None) -> Reason:
    if candidate.study_date is None:
        return Reason("age", 0, "it has no date")
    days, span = (current.day - candidate.study_date).days, max_age or _OLD_DAYS
    return Reason("age", round(_NEW * max(0.0, 1 - days / span)), "1 day" if days == 1 else f"{days} days")
