"""Whether an answer matches what was asked (PS3.4 C.2.2.2).

Archives ignore keys that they don't know, and some ignore all keys and answer with everything they hold. An answer is
not refused for what it leaves out or says illegibly, nor where the standard lets an archive match more loosely than
letter by letter: case and accents of names, and how much of a time is written.
"""

from __future__ import annotations

import fnmatch
import re
import unicodedata
from collections.abc import Mapping
from datetime import date, time

from pydicom.dataset import Dataset

from gurney.pacs.display import text_at, texts_at
from gurney.pacs.query.key_rules import WILDCARD_VRS, is_date, is_time
from gurney.pacs.query.keys import Range, Wanted, is_moment, side_of, vr_of_key
from gurney.pacs.query.options import QueryOptions

__all__ = ["answers", "judgeable", "keys_of_template"]

# Free text, and moments with an offset from UTC: what is a match there only the archive knows.
_UNJUDGED = frozenset({"LT", "ST", "UT", "UC", "DT", "SQ"})
_UNREADABLE = "\ufffd"


# How a query is asked, not what for.
_OF_THE_QUERY = frozenset({"SpecificCharacterSet", "QueryRetrieveLevel", "TimezoneOffsetFromUTC"})


def keys_of_template(template: Dataset) -> dict[str, Wanted]:
    """Return what a template asks for by a value, as keys; one of several is any of them."""
    keys: dict[str, Wanted] = {}
    for element in template:
        if not element.keyword or element.keyword in _OF_THE_QUERY:
            continue
        if element.VR == "SQ":
            for item in element.value[:1]:
                keys |= {f"{element.keyword}.{path}": wanted for path, wanted in keys_of_template(item).items()}
        elif values := [text for text in text_at(template, element.keyword).split("\\") if text]:
            keys[element.keyword] = values
    return keys


def judgeable(keys: Mapping[str, Wanted], made: Dataset, sent: Dataset, agreed: QueryOptions) -> dict[str, Wanted]:
    """Return the keys that a match can be judged by: the caller's, and what a listener asks in place of some.

    A key that a listener emptied, as for an archive that stumbles over it, still counts as the caller asked it.

    ``made`` is the identifier of the keys, ``sent`` the one that went out. Where it was agreed that the peer matches
    more loosely, by the sound of names or across time zones (PS3.4 C.5.1.1), only the peer knows what is a match.
    """
    loose = ({"PN"} if agreed.fuzzy_names else set()) | ({"DA", "TM"} if agreed.timezones else set())

    def is_judged(path: str) -> bool:
        return all(vr_of_key(one.rpartition(".")[2], path) not in loose for one in _attributes(path))

    def is_changed(path: str) -> bool:
        return any(any(texts_at(sent, one)) and texts_at(made, one) != texts_at(sent, one) for one in _attributes(path))

    of_caller = {path: wanted for path, wanted in keys.items() if wanted and is_judged(path) and not is_changed(path)}
    of_listeners = {
        path: wanted for path, wanted in keys_of_template(sent).items() if is_judged(path) and is_changed(path)
    }
    return of_caller | of_listeners


def answers(dataset: Dataset, keys: Mapping[str, Wanted]) -> bool:
    """Tell whether a match has what was asked for."""
    return all(_answers(dataset, path, wanted) for path, wanted in keys.items() if wanted)


def _attributes(path: str) -> list[str]:
    """Give the path of each attribute that a key is made of: of a moment there are two."""
    *sequences, last = path.split(".")
    return [".".join([*sequences, keyword]) for keyword in last.split("+")]


def _answers(dataset: Dataset, path: str, wanted: Wanted) -> bool:
    if is_moment(path):
        return not isinstance(wanted, Range) or _is_within(dataset, path, wanted)
    vr = vr_of_key(path.rpartition(".")[2], path)
    found = [text for text in texts_at(dataset, path) if text]
    if not found or vr in _UNJUDGED:
        return True
    values = [value.strip() for text in found for value in text.split("\\")]
    if isinstance(wanted, Range):
        sides = side_of(wanted.first, vr, path), side_of(wanted.last, vr, path)
        return any(_is_between(value, *sides, vr) for value in values)
    patterns = [side_of(wanted, vr, path)] if isinstance(wanted, str | date | time) else list(wanted)
    return any(_fits(value, pattern, vr) for value in values for pattern in patterns)


def _fits(value: str, pattern: str, vr: str) -> bool:
    if vr in {"DA", "TM"}:
        first, hyphen, last = pattern.partition("-")
        return _is_between(value, first, last if hyphen else first, vr)
    if vr in {"IS", "DS"}:
        return _number(value) == _number(pattern)
    if _UNREADABLE in value:
        return True
    if vr == "PN":
        return _is_name(value, pattern)
    return _is_like(value, pattern.strip(), vr)


def _is_like(value: str, pattern: str, vr: str) -> bool:
    if vr in WILDCARD_VRS and re.search(r"[*?]", pattern):
        # Only * and ? are wildcards of DICOM.
        return fnmatch.fnmatchcase(_folded(value), _folded(pattern).replace("[", "[[]"))
    return value == pattern or _folded(value) == _folded(pattern)


def _is_name(value: str, pattern: str) -> bool:
    """Compare person names: any of the groups may match, and what a group does not say matches (PS3.5 6.2.1)."""
    groups, parts = ([group for one in text.split("=") if (group := one.rstrip("^ "))] for text in (value, pattern))
    # A family name alone finds all who have it: many archives take it so, and nobody minds.
    return not (groups and parts) or any(
        _is_like(group, part, "PN") or _is_like(group, f"{part}^*", "PN") for group in groups for part in parts
    )


def _is_between(value: str, first: str, last: str, vr: str) -> bool:
    """Compare dates or times; what is none can't be judged. A shorter one stands for all that begins so."""
    value = value.replace(".", "", 2).replace("-", "") if vr == "DA" else value.replace(":", "")
    if not (is_date(value) if vr == "DA" else is_time(value)):
        return True
    return (not first or value >= first[: len(value)]) and (not last or value[: len(last)] <= last)


def _is_within(dataset: Dataset, path: str, wanted: Range) -> bool:
    """Compare a date and its time, as one moment; without the time, the date decides."""
    day, hour = (next(iter(texts_at(dataset, one)), "").replace(":", "").replace("-", "") for one in _attributes(path))
    if not is_date(day):
        return True
    moment = day + (hour if is_time(hour) else "")
    first, last = (side_of(side, "DT", path)[:14] for side in (wanted.first, wanted.last))
    return (not first or moment >= first[: len(moment)]) and (not last or moment[: len(last)] <= last)


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _folded(text: str) -> str:
    """Leave out what archives may take for the same: case, accents, width, and how many spaces there are."""
    plain = "".join(one for one in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(one))
    return " ".join(plain.split())
