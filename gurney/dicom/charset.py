"""Decode text by Specific Character Set (0008,0005), whatever stands in it (PS3.5 6.1, PS3.3 C.12.1.1.2).

pydicom knows which Python codec reads which defined term and escape sequence; its own decoder warns and raises on the
character sets that broken devices declare, and here nothing may do either.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from pydicom.charset import CODES_TO_ENCODINGS, python_encoding

__all__ = ["check_character_set", "decode", "encodings_of"]

_ESCAPE: Final = b"\x1b"
# PS3.5 6.1.2.5.3: behind these the character set is the first one again.
_DELIMITERS: Final = re.compile(rb"[\\^=\r\n\f\t]")
# Python's codecs for these want the escape sequences left in.
_STATEFUL: Final = frozenset({"iso2022_jp", "iso2022_jp_2"})
# Two bytes a character, either of which may look like a delimiter.
_WIDE: Final = _STATEFUL | {"iso-2022-jp", "iso2022_jp_3"}
_FALLBACK: Final = "iso8859"


@lru_cache(maxsize=256)
def encodings_of(character_set: bytes) -> tuple[str, ...]:
    """Give the Python codecs of a raw Specific Character Set, the default first; unknown terms are left out."""
    terms = character_set.decode("latin-1").split("\\")
    names = [python_encoding.get(term.strip(" \0")) for term in terms]
    return tuple(name for name in names if name) or (_FALLBACK,)


def check_character_set(term: str) -> str:
    """Return a defined term of Specific Character Set (PS3.3 C.12.1.1.2). Raises ValueError for what is none."""
    if not isinstance(term, str) or python_encoding.get(term) is None or not term:
        known = ", ".join(sorted(one for one in python_encoding if one.startswith(("ISO_IR", "GB"))))
        raise ValueError(f"{term!r} is no defined term of a character set: take one of {known} (PS3.3 C.12.1.1.2)")
    return term


def decode(value: bytes, character_set: bytes) -> str:
    """Decode a value; what can't be decoded becomes U+FFFD."""
    codec = encodings_of(character_set)[0]
    if _ESCAPE not in value:
        return value.decode(codec, "replace")
    first, *parts = value.split(_ESCAPE)
    return first.decode(codec, "replace") + "".join(_decode_escaped(part, codec) for part in parts)


def _decode_escaped(part: bytes, default: str) -> str:
    """Decode what follows one ESC: the rest of an escape sequence, text in its character set, perhaps a delimiter."""
    for size in (3, 2):
        codec = CODES_TO_ENCODINGS.get(_ESCAPE + part[:size])
        if codec is not None:
            break
    else:
        return part.decode(default, "replace")
    if codec in _WIDE:
        return (_ESCAPE + part).decode(codec, "replace")
    text = part[size:]
    delimiter = _DELIMITERS.search(text)
    end = delimiter.start() if delimiter else len(text)
    return text[:end].decode(codec, "replace") + text[end:].decode(default, "replace")
