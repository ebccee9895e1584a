from __future__ import annotations

import pytest

from gurney.pacs.wire.command import encode_command
from gurney.pacs.wire_log.command_words import command_words


def test_a_response_is_told_with_its_counts() -> None:
    encoded = encode_command(
        {0x0100: 0x8021, 0x0120: 5, 0x0800: 0x0101, 0x0900: 0xB000, 0x1021: 3, 0x1022: 1, 0x0902: b"PLANTED"}
    )
    assert command_words(encoded) == (
        "C-MOVE-RSP, to message ID 5, completed 3, failed 1, "
        "status B000 completed, with failed or warned sub-operations (warning), error comment 7 bytes [redacted]"
    )
    assert command_words(encoded, reveal=True).endswith("error comment PLANTED")


@pytest.mark.parametrize(
    ("field", "name"),
    [
        (0x0FFF, "C-CANCEL-RQ"),
        (0x8100, "N-EVENT-REPORT-RSP"),
        (0x0140, "N-CREATE-RQ"),
        (0x7777, "a message of type 7777"),
    ],
)
def test_messages_have_their_names(field: int, name: str) -> None:
    assert command_words(encode_command({0x0100: field, 0x0800: 0x0101})) == name


def test_what_is_unknown_is_named_and_not_shown() -> None:
    words = command_words(encode_command({0x0100: 1, 0x0800: 0x0101, 0x5110: b"PLANTED"}))
    assert words == "C-STORE-RQ, and (0000,5110)"
