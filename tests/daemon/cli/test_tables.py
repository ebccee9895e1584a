"""Words from outside on a terminal: whatever a modality or a peer writes stays on its line."""

from __future__ import annotations

import pytest
from rich.console import Console

from gurney_daemon.cli.tables import counts, duration, legible, table


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("plain name.dcm", "plain name.dcm"),
        ("Zoë 超音波 🩻", "Zoë 超音波 🩻"),
        ("two\nlines\r\t", r"two\nlines\r\t"),
        ("\x1b[2J\x1b]0;title\x07", r"\x1b[2J\x1b]0;title\x07"),
        ("gnp.\u202efdp", r"gnp.\u202efdp"),
        ("\x9b31m\u2028", r"\x9b31m\u2028"),
        (b"caf\xe9\xff", r"caf\xe9\xff"),
        (b"caf\xc3\xa9", "café"),
        (r"back\slash", r"back\\slash"),
        ("\ud800 alone", r"\ud800 alone"),
    ],
)
def test_what_is_not_printable_is_spelled_out(written: str | bytes, shown: str) -> None:
    assert legible(written) == shown
    assert legible(written).isprintable()


def test_no_two_names_look_the_same() -> None:
    names = ["a\nb", r"a\nb", b"a\\x0ab", "a\\\nb"]
    assert len({legible(name) for name in names}) == len(names)


def test_markup_in_a_cell_is_text() -> None:
    out = Console(width=200, color_system=None)
    with out.capture() as capture:
        out.print(table(("WHY", "N"), [("[red]no[/red] [link=x]", 12), (None, 3), (b"\x1b[0m", 4)]))
    lines = [line.rstrip() for line in capture.get().splitlines()]
    assert lines == [
        "WHY                      N",
        "[red]no[/red] [link=x]  12",
        "                         3",
        r"\x1b[0m                  4",
    ]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, ""), (0.0, "0 s"), (119.0, "119 s"), (120.0, "2 min"), (7_300.0, "2 h"), (400_000.0, "5 d")],
)
def test_durations_have_one_unit(seconds: float | None, words: str) -> None:
    assert duration(seconds) == words


def test_counts_leave_out_what_is_not_there() -> None:
    assert counts({"ready": 0, "done": 3, "failed": 1, "id": 9}) == "3 done, 1 failed"
    assert counts({"ready": 0}) == "nothing"
