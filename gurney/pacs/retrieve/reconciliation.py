"""Whether a retrieve brought what it should: by the UIDs that arrived, not by what the peer says of itself.

A C-MOVE or C-GET may be answered with success while instances are missing, its counters may be wrong or left out
(PS3.4 C.4.2.1.6 makes them optional in all but pending responses). Only the set of instances that arrived proves it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Reconciliation", "Verdict", "reconcile"]


class Verdict(StrEnum):
    """What the UIDs prove."""

    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    ABSENT = "absent"  # the peer holds nothing of what was asked
    UNPROVEN = "unproven"  # nobody knows what should have come


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What should have come against what came, as SOP Instance UIDs.

    ``expected`` is None where it is not known: then nothing is missing or unexpected as far as we can tell.
    ``duplicates`` came more than once. Neither they nor what came unexpectedly make a retrieve incomplete.
    """

    expected: frozenset[str] | None
    arrived: frozenset[str]
    duplicates: frozenset[str] = frozenset()

    @property
    def missing(self) -> frozenset[str]:
        """What should have come and did not."""
        return (self.expected or frozenset()) - self.arrived

    @property
    def unexpected(self) -> frozenset[str]:
        """What came and should not have."""
        return self.arrived - self.expected if self.expected is not None else frozenset()

    @property
    def verdict(self) -> Verdict:
        """Tell what is proved."""
        if self.expected is None:
            return Verdict.UNPROVEN
        if not self.expected:
            return Verdict.ABSENT
        return Verdict.INCOMPLETE if self.missing else Verdict.COMPLETE


def reconcile(expected: Iterable[str] | None, arrivals: Iterable[str]) -> Reconciliation:
    """Compare what should come, None if that is not known, with each arrival; one that came twice is there twice."""
    counted = Counter(arrivals)
    return Reconciliation(
        frozenset(expected) if expected is not None else None,
        frozenset(counted),
        frozenset(uid for uid, times in counted.items() if times > 1),
    )
