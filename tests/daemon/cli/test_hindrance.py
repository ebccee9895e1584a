"""What a destination waits for, in words."""

from __future__ import annotations

import pytest

from gurney.transfer.breaker import Shown
from gurney_daemon.cli.hindrance import hindrance


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (Shown.PAUSED, "pacs is paused by ann: it waits until `gurney resume pacs`"),
        (Shown.HELD, "pacs is held (our AE title): it waits until a probe succeeds, the next in 5 min"),
        (Shown.OPEN, "pacs is down (refused): it waits until a probe succeeds, the next in 5 min"),
        (Shown.HALF_OPEN, "pacs is being probed: it waits for the answer"),
        (Shown.CLOSED, ""),
    ],
)
def test_it_says_who_or_what_ends_it(state: Shown, words: str) -> None:
    told = {"state": state.value, "paused_by": "ann", "hold_reason": "our AE title", "last_error": "refused"}
    assert hindrance("pacs", {**told, "next_probe_seconds": 300.0}) == words


@pytest.mark.parametrize("due", [None, 0.0])
def test_a_probe_that_is_due_is_not_waited_for(due: float | None) -> None:
    state = {"state": "open", "last_error": "refused", "next_probe_seconds": due}
    assert hindrance("pacs", state).endswith("the next at once")
