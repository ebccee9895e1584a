"""What is still on its way to us when a peer says that it is done moving (PS3.4 C.4.2.1.6).

The counts in the final response of a C-MOVE are optional, and some peers send it before the last instance is here.
"""

from __future__ import annotations

from gurney.dicom.status import Category, categorise
from gurney.pacs.retrieve.retrieval import Progression, SubOperations

__all__ = ["Latecomers"]


class Latecomers:
    """Decides whether more is to be waited for, by the best that is known of it.

    That is the counts of the final response; where it has none, the instances that should come, if we know them; else
    what the peer had announced on the way. Where nobody has said anything there may always be more.
    """

    def __init__(self, progression: Progression) -> None:
        self._progression = progression
        self._arrived: set[str] = set()
        self._count = 0
        self._announced: int | None = None

    def note_report(self, report: SubOperations) -> None:
        """Hear what the peer reports."""
        if report.remaining is not None:
            self._announced = report.remaining + (report.completed or 0) + (report.warning or 0)

    def note_arrival(self, sop_instance_uid: str) -> None:
        """Count an instance that is here."""
        self._count += 1
        self._arrived.add(sop_instance_uid)

    @property
    def are_due(self) -> bool:
        """Tell whether something that the peer has sent, as far as we know, is not here."""
        last = self._progression.last
        if last is None or self._progression.cancellation.is_wanted:
            return False
        if last.completed is not None or last.warning is not None:
            return self._count < (last.completed or 0) + (last.warning or 0)
        if categorise(last.status) not in {Category.SUCCESS, Category.WARNING}:
            return False
        if self._progression.expected is not None:
            return bool(self._progression.expected - self._arrived - {*last.failed_sop_instance_uids})
        return self._announced is None or self._count < self._announced
