"""What a value representation allows in a key of a query (PS3.5 6.2, PS3.4 C.2.2.2).

A peer answers a malformed key with a failure that says little, with everything it holds, or with nothing. So what is
wrong is said before anything is sent. No message repeats a value: it may name a patient.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Final

from gurney.dicom.uids import is_valid_uid
from gurney.pacs.errors import InvalidQuery

__all__ = ["DATE_VRS", "WILDCARD_VRS", "check_key", "is_date", "is_time"]

DATE_VRS: Final = frozenset({"DA", "TM", "DT"})
WILDCARD_VRS: Final = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
"""PS3.4 C.2.2.2.4. There is no way to ask for a literal ``*`` or ``?``."""

_TEXTS: Final = frozenset({"LT", "ST", "UT"})
_LONGEST: Final = {"AE": 16, "CS": 16, "SH": 16, "LO": 64, "ST": 1024, "LT": 10240}
_LONGEST_GROUP: Final = 64
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_CONTROL_IN_TEXTS: Final = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")
_TIME: Final = re.compile(r"([01]\d|2[0-3])([0-5]\d(([0-5]\d|60)(\.\d{1,6})?)?)?", re.ASCII)
_MOMENT: Final = re.compile(r"\d{4}(\d\d){0,5}(\.\d{1,6})?([+-]\d{4})?", re.ASCII)
_CODE: Final = re.compile(r"[A-Z0-9 _*?]*")
_INTEGER: Final = re.compile(r" *[+-]?\d{1,12} *", re.ASCII)
_DECIMAL: Final = re.compile(r" *[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)? *", re.ASCII)
_AGE: Final = re.compile(r"\d{3}[DWMY]", re.ASCII)


def is_date(text: str) -> bool:
    """Tell whether this is a day of the calendar, as YYYYMMDD."""
    if not re.fullmatch(r"\d{8}", text, re.ASCII):
        return False
    try:
        datetime.strptime(text, "%Y%m%d")  # noqa: DTZ007  (a day has no time zone)
    except ValueError:
        return False
    return True


def is_time(text: str) -> bool:
    """Tell whether this is a time of day, as HH, HHMM, HHMMSS or HHMMSS.FFFFFF."""
    return _TIME.fullmatch(text) is not None


def check_key(text: str, vr: str, path: str) -> str:
    """Return a value that a key of this VR may have, else raise InvalidQuery. "" matches everything."""
    if not text:
        return text
    if _CONTROL_IN_TEXTS.search(text) if vr in _TEXTS else _CONTROL.search(text):
        raise InvalidQuery(path, "has control characters", "take them out")
    if "\\" in text and vr not in _TEXTS:
        raise InvalidQuery(path, "has a backslash, which divides values", "ask for one value, or a list of UIDs")
    if re.search(r"[*?]", text) and vr not in WILDCARD_VRS:
        raise InvalidQuery(
            path, f"has a wildcard, which {vr} does not have (PS3.4 C.2.2.2.4)", "leave it empty for all"
        )
    longest = _LONGEST.get(vr, len(text))
    if len(text.replace("*", "")) > longest:
        raise InvalidQuery(path, f"has more than the {longest} characters of a {vr}", "shorten it, or use a wildcard")
    if (rule := _RULES.get(vr)) is not None:
        is_right, problem, remedy = rule
        if not is_right(text):
            raise InvalidQuery(path, problem, remedy)
    return text


def _is_either(one: Callable[[str], bool]) -> Callable[[str], bool]:
    """Allow a range of what is allowed, open at one side perhaps."""

    def check(text: str) -> bool:
        first, hyphen, last = text.partition("-")
        if not hyphen:
            return one(first)
        return bool(first or last) and (not first or one(first)) and (not last or one(last))

    return check


def _is_name(text: str) -> bool:
    groups = text.split("=")
    return len(groups) <= 3 and all(len(group.replace("*", "")) <= _LONGEST_GROUP for group in groups)


def _is_moments(text: str) -> bool:
    if _MOMENT.fullmatch(text):
        return True
    # An offset from UTC may have the very sign that stands in the middle of a range.
    return len(text) > 1 and any(
        all(not side or _MOMENT.fullmatch(side) for side in (text[:at], text[at + 1 :]))
        for at, character in enumerate(text)
        if character == "-"
    )


# People meet these on the command line as well: what to write, and nothing of Python.
_RULES: Final[dict[str, tuple[Callable[[str], object], str, str]]] = {
    "UI": (is_valid_uid, "is no UID", "digits and dots, 64 characters at most, no component empty"),
    "DA": (_is_either(is_date), "is no date", "write YYYYMMDD, or two with a dash between"),
    "TM": (_is_either(is_time), "is no time", "write HHMMSS, or two with a dash between"),
    "DT": (_is_moments, "is no date and time", "write YYYYMMDDHHMMSS, or two with a dash between"),
    "CS": (_CODE.fullmatch, "is no code", "capital letters, digits, spaces and underscores only"),
    "PN": (_is_name, "is no person name", "three groups at most, of 64 characters each"),
    "IS": (_INTEGER.fullmatch, "is no integer", "digits, with a sign perhaps"),
    "DS": (_DECIMAL.fullmatch, "is no decimal number", "such as 1.5"),
    "AS": (_AGE.fullmatch, "is no age", "three digits and one of D, W, M and Y, such as 042Y"),
}
