from __future__ import annotations

import pytest

from gurney.pacs.wire.pdu import LONGEST_FRAGMENT, fragment_length


@pytest.mark.parametrize(
    ("max_pdu", "expected"),
    [
        (0, LONGEST_FRAGMENT),
        (8, 2),
        (9, 2),
        (16384, 16378),
        (16383, 16376),
        (131072, 131066),
        (0xFFFFFFFF, LONGEST_FRAGMENT),
    ],
)
def test_fragments_fit_and_are_even(max_pdu: int, expected: int) -> None:
    assert fragment_length(max_pdu) == expected
