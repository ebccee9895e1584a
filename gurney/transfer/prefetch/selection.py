"""Of ranked priors, those that are fetched: as many as a rule wants, within its limits, where they are not yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from gurney.transfer.prefetch.regions import Regions
from gurney.transfer.prefetch.relevance import Candidate, Judged

__all__ = ["Limits", "Presence", "Selected", "Verdict", "estimated_bytes", "leading", "select"]

Presence = Mapping[str, frozenset[str]]
"""By Study Instance UID, the targets that have all of a study."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of one patient is fetched; None for any amount. Bytes are estimated: no archive tells them."""

    priors: int = 3
    max_instances: int | None = None
    max_bytes: int | None = None


class Verdict(StrEnum):
    """What becomes of a candidate."""

    FETCH = "fetch"
    PRESENT = "present"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Selected:
    """A candidate with what becomes of it; ``targets`` are those that lack it."""

    judged: Judged
    verdict: Verdict
    words: str = ""
    targets: tuple[str, ...] = ()


def leading(ranked: Sequence[Judged], priors: int) -> list[Judged]:
    """Return those that count: the first ``priors``, and each that comes along."""
    taken, left = [], priors
    for judged in ranked:
        if judged.refusal or (not judged.is_extra and not left):
            continue
        left -= not judged.is_extra
        taken.append(judged)
    return taken


def select(
    ranked: Sequence[Judged], targets: Sequence[str], presence: Presence, limits: Limits, regions: Regions
) -> list[Selected]:
    """Say of each candidate what becomes of it, in the order of their relevance.

    A prior that is at every target counts as one of the priors and costs nothing; one that would pass a limit makes
    room for the next.
    """
    counted = {id(judged) for judged in leading(ranked, limits.priors)}
    instances = size = 0
    selected = []
    for judged in ranked:
        candidate = judged.candidate
        present = presence.get(candidate.study_instance_uid, frozenset())
        lacking = tuple(target for target in targets if target not in present)
        more, bytes_more = candidate.instances or 0, estimated_bytes(candidate, regions)
        if judged.refusal:
            selected.append(Selected(judged, Verdict.REJECTED, judged.refusal))
        elif id(judged) not in counted:
            selected.append(Selected(judged, Verdict.REJECTED, f"{limits.priors} others are more relevant"))
        elif not lacking:
            selected.append(Selected(judged, Verdict.PRESENT, f"is at {', '.join(targets)} already"))
        elif limits.max_instances is not None and instances + more > limits.max_instances:
            words = f"its {more} instances would pass max_instances = {limits.max_instances}"
            selected.append(Selected(judged, Verdict.REJECTED, words))
        elif limits.max_bytes is not None and size + bytes_more > limits.max_bytes:
            words = f"its {bytes_more} bytes, as estimated, would pass max_bytes = {limits.max_bytes}"
            selected.append(Selected(judged, Verdict.REJECTED, words))
        else:
            instances, size = instances + more, size + bytes_more
            selected.append(Selected(judged, Verdict.FETCH, targets=lacking))
    return selected


def estimated_bytes(candidate: Candidate, regions: Regions) -> int:
    """Estimate a study's bytes by the modalities of its instances; 0 where nobody says how many there are."""
    if candidate.instances_of:
        return sum(count * regions.instance_bytes(modality) for modality, count in candidate.instances_of.items())
    largest = max((regions.instance_bytes(modality) for modality in candidate.modalities), default=0)
    return (candidate.instances or 0) * (largest or regions.instance_bytes("default"))
