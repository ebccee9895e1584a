"""The last line of defence against patient data in logs.

Nobody logs a patient's name on purpose. It comes along: in a field that someone found handy, in the text of another
library's error, in a data set passed as a value. So fields pass by name and by type, exceptions without their text
unless the text is ours, and secrets in URLs are cut. Where the code is at fault a strict guard raises, so that a test
finds it; in production the value is dropped and the event still written.
"""

from __future__ import annotations

import os
import re
import traceback
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Any

from gurney.errors import GurneyError

__all__ = ["DROPPED", "LeakError", "clean_fields", "clean_text", "describe_exception", "is_identifying"]

DROPPED = "[redacted]"
"""What stands in the place of a value that may not be written."""

_LONGEST_TEXT = 500
_LONGEST_CHAIN = 8
_MOST_FRAMES = 30

_IDENTIFYING_PARTS = ("patient", "birth", "accession", "physician", "description", "operatorsname", "institution")
# Whole names: the peer's own words, and containers of elements, may hold anything that the header holds.
_IDENTIFYING = frozenset(
    {
        "admissionid",
        "comment",
        "comments",
        "dataset",
        "dob",
        "ds",
        "element",
        "elements",
        "errorcomment",
        "filename",
        "header",
        "headers",
        "identifier",
        "imagecomments",
        "mrn",
        "protocolname",
        "studyid",
        "tags",
    }
)
_EVENT = re.compile(r"[a-z][a-z0-9]*(?:[_ .][a-z0-9]+)*")
_PASSWORD = re.compile(r"(?<=://)[^/@\s]*:[^/@\s]*@")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class LeakError(GurneyError):
    """Stop a log call that could write patient data; raised by the strict guard only."""

    permanent = True


def is_identifying(name: str) -> bool:
    """Say whether a field of that name, however it is spelt, is one that may identify a patient."""
    plain = "".join(char for char in name.lower() if char.isalnum())
    return plain in _IDENTIFYING or any(part in plain for part in _IDENTIFYING_PARTS)


def clean_fields(fields: Mapping[str, Any], *, strict: bool = False) -> dict[str, Any]:
    """Return the fields of one event as they may be written.

    :raises LeakError: when ``strict`` and a name is identifying, a value is no plain one, or the event is not a
        constant in lower-case words.
    """
    if strict and not _EVENT.fullmatch(str(fields.get("event", ""))):
        raise LeakError("an event is a constant in lower-case words; what varies goes into fields")
    clean: dict[str, Any] = {}
    for name, value in fields.items():
        if is_identifying(name):
            if strict:
                raise LeakError(f"the field {name!r} may identify a patient")
            clean[name] = DROPPED
        else:
            clean[name] = _clean_value(name, value, strict)
    return clean


def clean_text(text: str) -> str:
    """Return a text without control characters and passwords, and not too long."""
    text = _PASSWORD.sub("***@", text)
    text = _UNPRINTABLE.sub(lambda match: match[0].encode("unicode_escape").decode(), text)
    return text if len(text) <= _LONGEST_TEXT else text[:_LONGEST_TEXT] + "..."


def describe_exception(error: BaseException) -> list[str]:
    """Return lines that tell an exception's types, places and our own words, and no other library's.

    Messages are written of errors derived from GurneyError and, of the operating system's, the error's name; those of
    others may quote a value. Causes follow, the outermost first.
    """
    return [line for link in _chain(error) for line in _describe(link)]


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen and len(seen) < _LONGEST_CHAIN:
        seen.add(id(link))
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)


def _describe(error: BaseException) -> Iterator[str]:
    yield _summary(error)
    # Without lookup_lines and locals: names of code only.
    frames = traceback.StackSummary.extract(traceback.walk_tb(error.__traceback__), lookup_lines=False)
    for frame in frames[-_MOST_FRAMES:]:
        yield f"  {_short(frame.filename)}:{frame.lineno} in {frame.name}"


def _summary(error: BaseException) -> str:
    name = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
    if isinstance(error, GurneyError):
        return f"{name}: {clean_text(str(error))}"
    if isinstance(error, OSError) and error.errno is not None:
        return f"{name}: {os.strerror(error.errno)}"
    return name


def _short(path: str) -> str:
    # From the package on: where it is installed tells nothing, and a home folder may carry a name.
    return "/".join(path.split(os.sep)[-3:])


def _clean_value(name: str, value: Any, strict: bool) -> Any:
    if value is None or isinstance(value, bool | int | float | str | Enum):
        return _clean_scalar(value)
    if isinstance(value, BaseException):
        return _summary(value)
    if isinstance(value, Mapping):
        return {
            str(key): DROPPED if is_identifying(str(key)) else _clean_value(str(key), inner, strict)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean_value(name, inner, strict) for inner in _ordered(value)]
    if strict:
        raise LeakError(f"the field {name!r} holds a {type(value).__name__}, which is no plain value")
    return f"<{type(value).__name__}>"


def _clean_scalar(value: Any) -> Any:
    if isinstance(value, Enum):
        # Before the numbers and texts that it may be as well: the name says more.
        return value.name.lower()
    return clean_text(str(value)) if isinstance(value, str) else value


def _ordered(values: Sequence[Any] | set[Any] | frozenset[Any]) -> list[Any]:
    return sorted(values, key=str) if isinstance(values, set | frozenset) else list(values)
