"""What people name on a command line. For an unknown name the answer is which names there are."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Collection, Iterable
from typing import Annotated, TypeVar

import typer
from sqlalchemy import Connection

from gurney.errors import GurneyError
from gurney.ledger import reports
from gurney.settings import Remote, Settings
from gurney.transfer.states import ItemState, Priority, Routing

__all__ = [
    "AsJson",
    "FilePath",
    "State",
    "Unknown",
    "Urgency",
    "configured_remote",
    "known_destination",
    "known_name",
    "known_source",
    "routing_among",
]

_Word = TypeVar("_Word", ItemState, Priority)


class Unknown(GurneyError):
    """Report a name that nothing has."""

    permanent = True


def _state(word: str) -> ItemState:
    return _parse(ItemState, word, "state")


def _priority(word: str | Priority) -> Priority:
    # Typer has an option's default parsed as well.
    return word if isinstance(word, Priority) else _parse(Priority, word, "priority")


def _parse(kind: type[_Word], word: str, what: str) -> _Word:
    """Return the member of that name. Raises a usage error that lists them."""
    known = {member.name.lower(): member for member in kind}
    found = known.get(word.lower())
    if found is None:
        raise typer.BadParameter(f"{word!r} is no {what}: use {', '.join(known)}")
    return found


def routing_among(states: Collection[Routing]) -> Callable[[str], Routing]:
    """Make the parser of an option that takes one of these routing states. It raises a usage error that lists them."""
    known = {state.name.lower(): state for state in states}

    def parse(word: str) -> Routing:
        if word.lower() not in known:
            raise typer.BadParameter(f"{word!r} is none of {', '.join(known)}")
        return known[word.lower()]

    return parse


def known_name(name: str, known: Iterable[str], what: str) -> str:
    """Return a name that is among the known ones. Raises Unknown, with what was perhaps meant and with all of them."""
    names = sorted(known)
    if name in names:
        return name
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else "."
    raise Unknown(f"no {what} is called {name!r}{hint} There are: {', '.join(names) or 'none'}")


def configured_remote(settings: Settings, name: str) -> Remote:
    """Return the remote that the configuration calls so. Raises Unknown."""
    return settings.remote_named(known_name(name, (remote.name for remote in settings.remote), "[[remote]]"))


def known_destination(conn: Connection, name: str) -> str:
    """Return the name of a destination that the ledger knows, retired ones included. Raises Unknown."""
    return known_name(name, reports.destination_names(conn), "destination")


def known_source(conn: Connection, settings: Settings, name: str) -> str:
    """Return the name of a door that is configured, or has brought something once. Raises Unknown."""
    watched, receiving = [watch.name for watch in settings.watch], [receiver.name for receiver in settings.receiver]
    return known_name(name, {*watched, *receiving, *reports.source_states(conn)}, "source")


AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
State = Annotated[
    ItemState | None,
    typer.Option("--state", metavar="STATE", parser=_state, help="Only items in this state, such as failed."),
]
Urgency = Annotated[
    Priority,
    typer.Option("--priority", metavar="PRIORITY", parser=_priority, help="stat, high, routine or bulk."),
]
# Bytes: modalities write names that are not UTF-8.
FilePath = Annotated[bytes, typer.Argument(metavar="FILE", parser=os.fsencode, help="The file.")]
