"""How fast a message must come."""

from __future__ import annotations

import pytest

from gurney.pacs.wire.pace import is_overdue


@pytest.mark.parametrize(
    ("seconds", "received", "overdue"),
    [(59, 0, False), (61, 0, True), (61, 2048, False), (600, 540 * 1024, False), (600, 539 * 1024, True)],
)
def test_a_message_must_bring_something(seconds: float, received: int, overdue: bool) -> None:
    assert is_overdue(seconds, received, 60) is overdue
