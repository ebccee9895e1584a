"""Text by Specific Character Set: the standard's own examples, and what broken devices declare."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gurney.dicom.charset import decode, encodings_of


@pytest.mark.parametrize(
    ("character_set", "raw", "text"),
    [
        (b"", b"Doe^Jane", "Doe^Jane"),
        (b"ISO_IR 100", b"\xc4neas^R\xfcdiger", "Äneas^Rüdiger"),
        (b"ISO_IR 144", "Люкceмбypг".encode("iso8859_5"), "Люкceмбypг"),
        (b"ISO_IR 192", "Wang^XiaoDong=王^小東".encode(), "Wang^XiaoDong=王^小東"),
        (b"GB18030", "Wang^XiaoDong=王^小东".encode("gb18030"), "Wang^XiaoDong=王^小东"),
        # PS3.5 H.3.1, I.2, H.3.2, and K.2
        (
            b"\\ISO 2022 IR 87",
            b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
            "Yamada^Tarou=山田^太郎=やまだ^たろう",
        ),
        (
            b"ISO 2022 IR 13\\ISO 2022 IR 87",
            b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J",
            "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎",
        ),
        (
            b"\\ISO 2022 IR 149",
            b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
            "Hong^Gildong=洪^吉洞=홍^길동",
        ),
        (
            b"\\ISO 2022 IR 58",
            b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=",
            "Zhang^XiaoDong=张^小东=",
        ),
        (b"ISO 2022 IR 100\\ISO 2022 IR 144", b"\xe4 \x1b-L\xbb\xee\xda\\\xe4", "ä Люк\\ä"),
    ],
)
def test_text_reads_as_it_was_written(character_set: bytes, raw: bytes, text: str) -> None:
    assert decode(raw, character_set) == text


@pytest.mark.parametrize(
    "character_set", [b"ISO_IR 999", b"\\\\\\", b"utf-8", b"\xff\xfe", b"ISO_IR 192\\ISO 2022 IR 87"]
)
def test_a_character_set_that_is_none_still_gives_text(character_set: bytes) -> None:
    assert decode(b"Doe^Jane", character_set) == "Doe^Jane"
    assert decode(b"\x1b$ZDoe", character_set)


def test_an_unknown_term_is_left_out() -> None:
    assert encodings_of(b"ISO_IR 999\\ISO 2022 IR 100") == ("latin_1",)


@given(st.sampled_from([b"", b"ISO_IR 192", b"\\ISO 2022 IR 87", b"ISO 2022 IR 13\\ISO 2022 IR 159"]), st.binary())
def test_no_bytes_raise(character_set: bytes, raw: bytes) -> None:
    decode(raw, character_set)
    decode(raw.replace(b"\0", b"\x1b$B").replace(b"\1", b"\x1b$(D").replace(b"\2", b"\x1b)I"), character_set)
