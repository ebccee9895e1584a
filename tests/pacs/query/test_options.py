from __future__ import annotations

import pytest

from gurney.pacs import QueryOptions


@pytest.mark.parametrize(
    ("options", "information"),
    [
        (QueryOptions(), b""),
        (QueryOptions(relational=True), b"\1"),
        (QueryOptions(combined=True), b"\0\1"),
        (QueryOptions(relational=True, fuzzy_names=True), b"\1\0\1"),
        (QueryOptions(timezones=True, enhanced=True), b"\0\0\0\1\1"),
    ],
)
def test_each_option_is_a_byte(options: QueryOptions, information: bytes) -> None:
    assert options.encode() == information
    assert QueryOptions.decode(information) == options


def test_what_an_answer_leaves_out_or_does_not_define_is_not_agreed_to() -> None:
    assert QueryOptions.decode(b"\2\1") == QueryOptions(combined=True)
    assert QueryOptions.decode(b"\1\0\0\0\0\1\1") == QueryOptions(relational=True)
