"""What follows a refusal or silence is bounded: sent again once, asked again a few times, then looked for."""

from __future__ import annotations

import pytest

from gurney.transfer.commitment import (
    MOST_ASKED,
    MOST_REFERENCES,
    Step,
    after_absence,
    after_failure,
    after_silence,
    ask_again_after,
    look_again_after,
)


@pytest.mark.parametrize(
    ("reason", "missed", "asked", "step"),
    [
        (0x0112, 1, 1, Step.SEND_AGAIN),
        (0x0112, 2, 2, Step.GIVE_UP),
        (0x0119, 1, 1, Step.GIVE_UP),
        (0x0122, 1, 1, Step.GIVE_UP),
        (0x0110, 1, 1, Step.ASK_AGAIN),
        (0x0213, 1, 1, Step.ASK_AGAIN),
        (0x0131, 1, 1, Step.ASK_AGAIN),
        (0x0110, 3, MOST_ASKED, Step.FIND),
        (None, 1, 1, Step.ASK_AGAIN),
        (0xC123, 1, 1, Step.ASK_AGAIN),
    ],
)
def test_each_failure_reason_has_its_step(reason: int | None, missed: int, asked: int, step: Step) -> None:
    assert after_failure(reason, missed, asked) is step


def test_silence_is_asked_again_and_then_looked_for() -> None:
    assert [after_silence(asked) for asked in (1, 2, 3, 4)] == [Step.ASK_AGAIN, Step.ASK_AGAIN, Step.FIND, Step.FIND]


def test_a_request_names_no_more_than_archives_take() -> None:
    assert MOST_REFERENCES <= 500


def test_what_a_query_does_not_name_is_looked_for_again_then_sent_once_more() -> None:
    assert [after_absence(looked, 1) for looked in (1, 2, 3)] == [Step.FIND] * 3
    assert [after_absence(4, stored) for stored in (1, 2, 3)] == [Step.SEND_AGAIN, Step.GIVE_UP, Step.GIVE_UP]


def test_each_wait_is_longer_than_the_one_before() -> None:
    asked = [ask_again_after(n) for n in range(1, MOST_ASKED + 1)]
    looked = [look_again_after(n) for n in range(1, 4)]
    assert asked == sorted(set(asked))
    assert looked == sorted(set(looked))
    assert (ask_again_after(99), look_again_after(99)) == (asked[-1], looked[-1])


def test_a_transaction_uid_that_was_used_is_replaced_at_once() -> None:
    assert ask_again_after(1, 0x0131) == 0.0
    assert ask_again_after(1, 0x0110) > 0.0
