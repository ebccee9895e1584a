"""What a ``[[prefetch]]`` says that can't be: remotes that are not there, no source of appointments, or two."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from gurney.settings.model import Settings
from gurney.settings.prefetch import Prefetch
from gurney.settings.problems import KeyPath
from gurney.settings.regions import read_regions
from gurney.settings.schema import suggest
from gurney.transfer.prefetch.regions import InvalidRegions

__all__ = ["PrefetchFinding", "check_prefetch"]


class PrefetchFinding(NamedTuple):
    """One mistake, or a warning, with what to do."""

    key: KeyPath
    message: str
    remedy: str
    is_error: bool = True


def check_prefetch(settings: Settings) -> Iterator[PrefetchFinding]:
    """Yield what is wrong or unwise in the rules of prefetch, in their order."""
    for index, rule in enumerate(settings.prefetch):
        yield from _remotes(settings, index, rule)
        yield from _triggers(index, rule)
        if rule.hl7 and settings.hl7 is None:
            message = "is done by hand only: nothing listens for messages"
            yield PrefetchFinding(("prefetch", index, "hl7"), message, "Add a table [hl7].", is_error=False)
        try:
            read_regions(rule.regions)
        except InvalidRegions as error:
            yield PrefetchFinding(("prefetch", index, "regions"), str(error), "Begin with a copy of the built-in one.")


def _remotes(settings: Settings, index: int, rule: Prefetch) -> Iterator[PrefetchFinding]:
    known = [remote.name for remote in settings.remote]
    named: list[tuple[KeyPath, str]] = [
        *((("prefetch", index, "from", position), name) for position, name in enumerate(rule.sources)),
        *((("prefetch", index, "to", position), name) for position, name in enumerate(rule.to)),
    ]
    if rule.worklist:
        named.append((("prefetch", index, "worklist"), rule.worklist))
    for key, name in named:
        if name not in known:
            yield PrefetchFinding(key, f'there is no remote "{name}"', suggest(name, known))
    for position, name in enumerate(rule.to):
        if name in rule.sources:
            key = ("prefetch", index, "to", position)
            yield PrefetchFinding(key, f'"{name}" is in from as well', "Name another target.")


def _triggers(index: int, rule: Prefetch) -> Iterator[PrefetchFinding]:
    here: KeyPath = ("prefetch", index)
    told = [key for key in ("worklist", "hl7", "patients") if getattr(rule, key)]
    if not told:
        yield PrefetchFinding(here, "nothing tells who comes", "Set one of worklist, hl7 and patients.")
    for key in told[1:]:
        message = f"{told[0]} tells who comes already"
        yield PrefetchFinding((*here, key), message, f"Keep one of {' and '.join(told)}; write a rule for each.")
    if told == ["hl7"]:
        for key in ("schedule", "every"):
            if getattr(rule, key):
                yield PrefetchFinding((*here, key), "has no effect: hl7 tells of each as it comes", "Remove it.")
    elif told and not rule.schedule and rule.every is None:
        message = "is done by hand only: it has neither schedule nor every"
        yield PrefetchFinding(here, message, 'Set schedule = "0 20 * * *", or every = "15m".', is_error=False)
