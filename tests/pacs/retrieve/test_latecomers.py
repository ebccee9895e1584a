"""Whether a move to ourselves waits for more, by what is known of it."""

from __future__ import annotations

import pytest

from gurney.pacs import SubOperations
from gurney.pacs.retrieve.latecomers import Latecomers
from gurney.pacs.retrieve.retrieval import Progression

SUCCESS, WARNING, PENDING, CANCEL, FAILURE = 0x0000, 0xB000, 0xFF00, 0xFE00, 0xA702
ON_THE_WAY = SubOperations(PENDING, remaining=1, completed=1, failed=1, warning=0)


def latecomers(
    last: SubOperations | None,
    arrived: int,
    expected: frozenset[str] | None = None,
    before: SubOperations | None = None,
) -> Latecomers:
    """Those of a move whose final response is ``last``, where instances 1 to ``arrived`` are here."""
    made = Latecomers(Progression(last=last, expected=expected))
    for report in (before, last):
        if report is not None:
            made.note_report(report)
    for number in range(1, arrived + 1):
        made.note_arrival(str(number))
    return made


@pytest.mark.parametrize(
    ("last", "arrived", "expected", "before", "are_due"),
    [
        # What the final response counts is believed, and nothing else asked.
        (SubOperations(SUCCESS, completed=2), 1, None, None, True),
        (SubOperations(SUCCESS, completed=2), 2, None, None, False),
        (SubOperations(SUCCESS, completed=1, warning=1), 1, None, None, True),
        (SubOperations(SUCCESS, warning=2), 1, None, None, True),
        (SubOperations(WARNING, completed=2, failed=2), 2, frozenset("1234"), None, False),
        (SubOperations(FAILURE, completed=2), 1, None, None, True),
        # Without counts: what should come.
        (SubOperations(SUCCESS), 1, frozenset("12"), None, True),
        (SubOperations(SUCCESS), 2, frozenset("12"), ON_THE_WAY, False),
        (SubOperations(SUCCESS), 2, frozenset("13"), None, True),
        (SubOperations(WARNING, failed_sop_instance_uids=("2",)), 1, frozenset("12"), None, False),
        (SubOperations(SUCCESS), 0, frozenset(), None, False),
        # Else what was announced.
        (SubOperations(SUCCESS), 1, None, ON_THE_WAY, True),
        (SubOperations(SUCCESS), 2, None, ON_THE_WAY, False),
        # Else there may be more for ever.
        (SubOperations(SUCCESS), 1000, None, None, True),
        (SubOperations(WARNING), 0, None, SubOperations(PENDING), True),
        # What ended otherwise has nothing on its way, unless it says so.
        (SubOperations(CANCEL), 0, frozenset("1"), None, False),
        (SubOperations(FAILURE), 0, None, None, False),
        (SubOperations(PENDING), 0, None, None, False),
        (None, 0, frozenset("1"), None, False),
    ],
)
def test_whether_more_is_due(
    last: SubOperations | None,
    arrived: int,
    expected: frozenset[str] | None,
    before: SubOperations | None,
    are_due: bool,
) -> None:
    assert latecomers(last, arrived, expected, before).are_due is are_due


def test_nothing_is_due_to_who_wants_no_more() -> None:
    progression = Progression(last=SubOperations(SUCCESS, completed=5))
    waiting = Latecomers(progression)
    assert waiting.are_due
    progression.cancellation.cancel()
    assert not waiting.are_due
