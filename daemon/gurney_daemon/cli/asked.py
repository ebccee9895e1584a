"""What people name on a command line: states, priorities, destinations, studies. Unknown names say which are known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TypeVar

import typer

from gurney.dicom.uids import is_valid_uid
from gurney.errors import GurneyError
from gurney.settings import Remote, Settings
from gurney.transfer.states import ItemState, Priority

__all__ = ["Unknown", "destination", "item_state", "known_name", "priority", "remote", "study_instance_uid"]

_Enum = TypeVar("_Enum", ItemState, Priority)


class Unknown(GurneyError):
    """Report a name that nothing has."""

    permanent = True


def item_state(word: str) -> ItemState:
    """Return the state of that name. Raises a usage error that lists them."""
    return _member(ItemState, word, "state")


def priority(word: str) -> Priority:
    """Return the priority of that name. Raises a usage error that lists them."""
    return _member(Priority, word, "priority")


def _member(kind: type[_Enum], word: str, what: str) -> _Enum:
    found = {member.name.lower(): member for member in kind}.get(word.lower())
    if found is None:
        raise typer.BadParameter(f"{word!r} is no {what}; one of {', '.join(member.name.lower() for member in kind)}")
    return found


def study_instance_uid(text: str) -> str:
    """Return a UID that can be one (PS3.5 9.1). Raises a usage error: a mistyped one would only be "not known"."""
    if not is_valid_uid(text):
        raise typer.BadParameter(f"{text!r} is no UID: digits and dots, at most 64 characters")
    return text


def known_name(name: str, known: Iterable[str], what: str) -> str:
    """Return a name that is among the known ones. Raises Unknown, with the nearest and all of them."""
    names = sorted(known)
    if name in names:
        return name
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise Unknown(f"no {what} is called {name!r}{hint} Known: {', '.join(names) or 'none'}" if hint else
                  f"no {what} is called {name!r}. Known: {', '.join(names) or 'none'}")


def remote(settings: Settings, name: str) -> Remote:
    """Return the configured remote of that name. Raises Unknown."""
    return settings.remote_named(known_name(name, (remote.name for remote in settings.remote), "[[remote]]"))
