"""What follows a refusal or silence is bounded: sent again once, asked again a few times, then looked for."""

from __future__ import annotations

import pytest

from gurney.transfer.commitment import MOST_ASKED, MOST_REFERENCES, Step, after_failure, after_silence


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
