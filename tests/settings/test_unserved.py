"""What this version does not serve is refused, not taken in silence."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gurney.settings import Settings

REMOTE = '[[remote]]\nname = "archive"\nae_title = "ORTHANC"\nhost = "127.0.0.1"\nport = 4242\n'


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        (REMOTE + "commitment = 'after_study'\n", 6, "remote[archive].commitment"),
    ],
)
def test_refuses_what_would_promise_something(
    mistakes: Callable[..., list[tuple[int, str, str]]], text: str, line: int, key: str
) -> None:
    found = mistakes(text)
    assert [(each[0], each[1]) for each in found] == [(line, key)]
    assert "is not served by this version" in found[0][2]


def test_takes_what_promises_nothing(load_text: Callable[..., Settings]) -> None:
    load_text(REMOTE + "commitment = 'none'\n")
