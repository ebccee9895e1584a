"""The weight of regular expressions, before they cost anything."""

from __future__ import annotations

import pytest

from gurney.transfer.routing.patterns import HEAVIEST, weigh


@pytest.mark.parametrize(
    ("pattern", "weight"),
    [
        ("abc", 3),
        ("^CT", 3),
        ("a{10}", 10),
        ("a{2,10}", 10),
        ("a{5,}", 5),
        ("(ab){10}", 20),
        ("((ab){10}c){10}", 210),
        ("[a-z]{4}", 4),
        (r"\{10}", 4),
        (r"\w", 6),
        (r"\w{10}", 60),
        (r"\pL{10}", 60),
        (r"\p{Greek}{10}", 60),
        (".{10}", 60),
        ("[^a]{10}", 60),
        (r"[\w]{10}", 60),
        ("(?:ab){3}", 6),
        ("(?P<x>ab){3}", 6),
        ("(?i)ab", 2),
        ("a)b(c", 4),
    ],
)
def test_weight(pattern: str, weight: int) -> None:
    assert weigh(pattern) == weight


@pytest.mark.parametrize(
    "pattern", [r"(?i)^chest( |_)(pa|ap|lat)$", r"^\d{8}$", "(a+)+$", r"[0-9]{4}-[0-9]{2}", ".*CT.*"]
)
def test_what_people_write_is_light(pattern: str) -> None:
    assert weigh(pattern) <= HEAVIEST


@pytest.mark.parametrize("pattern", [r"\w{51}", r"(\w{10}){6}", "a{1000}", "((a{10}){10}){10}"])
def test_what_compiles_long_is_heavy(pattern: str) -> None:
    assert weigh(pattern) > HEAVIEST
