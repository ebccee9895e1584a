"""Ask today's rules about instances that they sent nowhere before: ``gurney route again``.

The header is read anew from the file that we have: what the ledger keeps of it is cut for people to search by, and
rules may ask for any tag.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy.exc import IntegrityError

from gurney.dicom.errors import FORGIVABLE, Part10Error
from gurney.dicom.part10 import Part10
from gurney.dicom.policy import ReadPolicy
from gurney.ledger import rerouting
from gurney.ledger.arrivals import matched_routes
from gurney.ledger.database import Ledger
from gurney.ledger.errors import StaleRead
from gurney.ledger.forwarding import Bell, words
from gurney.ledger.rerouting import KnownCopy, Redecided, Rerouted, Unrouted, UnroutedFilter
from gurney.ledger.spools import SpoolPlace, known_spools
from gurney.transfer.states import Routing
from gurney_daemon.ingest.errors import FileChanged
from gurney_daemon.ingest.peer import Peer
from gurney_daemon.ingest.reading import opened, read_header
from gurney_daemon.ingest.routes import DoorRoutes, RetrieveRoutes, check_destinations
from gurney_daemon.ingest.signature import Signature

__all__ = ["RoutedAgain", "route_again"]

# Rows that one transaction changes at most.
_ROWS: Final = 200
_TRIES: Final = 8
# It was accepted once; what was overlooked then is overlooked now.
_POLICY: Final = ReadPolicy(forgive=FORGIVABLE)


@dataclass(slots=True)
class RoutedAgain:
    """What became of them: instances by what the rules say now, or by why they could not be asked; items added.

    ``why`` has the rules' words for what is still not routed, by state.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    why: Counter[tuple[Routing, str]] = field(default_factory=Counter)
    items: int = 0


def route_again(
    which: UnroutedFilter,
    *,
    ledger: Ledger,
    doors: Mapping[str, DoorRoutes | RetrieveRoutes],
    ring: Callable[[Sequence[Bell]], None],
    actor: str,
) -> RoutedAgain:
    """Decide on instances again, a group at a time, each by the rules for the door that brought it first.

    ``doors`` are the configured ones by name. Instances that can't be decided on are counted and left as they are:
    ``no_door`` (it is configured no longer), ``gone`` (no file is left), ``unreadable`` (not from here, or not now),
    ``changed`` (somebody else was faster). Raises NoSuchDestination where rules send to what the ledger does not know,
    and what the ledger raises.
    """
    remotes = {name for routes in doors.values() for name in routes.destinations}
    check_destinations(ledger, remotes)
    with ledger.read() as conn:
        spools = {place.name: place for place in known_spools(conn)}
    again = _Again(ledger, doors, spools, actor)
    for group in _groups(ledger, which, max(1, _ROWS // (1 + len(remotes)))):
        if bells := again.decide(group):
            ring(bells)
    return again.report


def _groups(ledger: Ledger, which: UnroutedFilter, size: int) -> Iterator[list[Unrouted]]:
    """Yield what is meant, state by state, up to the newest instance of this moment."""
    with ledger.read() as conn:
        last = rerouting.newest_instance(conn)
    for routing in which.states:
        after_id = 0
        while after_id < last:
            with ledger.read() as conn:
                group = rerouting.unrouted(conn, which, routing, after_id, size)
            if not group:
                break
            after_id = group[-1].instance_id
            yield group


class _Again:
    """One run in progress."""

    def __init__(
        self,
        ledger: Ledger,
        doors: Mapping[str, DoorRoutes | RetrieveRoutes],
        spools: Mapping[str, SpoolPlace],
        actor: str,
    ) -> None:
        self._ledger, self._doors, self._spools, self._actor = ledger, doors, spools, actor
        self.report = RoutedAgain()
        self._seen: set[int] = set()

    def decide(self, group: Sequence[Unrouted]) -> list[Bell]:
        """Decide on a group and write it; return whom to ring."""
        # What the rules now say of one may be another of the states that were asked for: once is enough.
        fresh = [one for one in group if one.instance_id not in self._seen]
        parts = [(one, part) for one in fresh if (part := self._read(one)) is not None]
        for last in range(_TRIES, -1, -1):
            decided = self._ask(parts)
            try:
                written = self._ledger.transact(rerouting.route_again, decided, self._actor)
                break
            except (StaleRead, IntegrityError):
                # A door has brought more of the same study in between: ask again.
                if not last:
                    raise
        self._note(decided, written)
        return written.bells

    def _ask(self, parts: Sequence[tuple[Unrouted, Part10]]) -> list[Redecided]:
        with self._ledger.read() as conn:
            matched = matched_routes(conn, sorted({one.study_instance_uid for one, _ in parts}))
        return [
            Redecided(
                one.instance_id,
                self._doors[one.source].decide(part, matched[one.study_instance_uid], _peer_of(one)),
                matched[one.study_instance_uid],
            )
            for one, part in parts
        ]

    def _note(self, decided: Sequence[Redecided], written: Rerouted) -> None:
        for one in decided:
            if one.instance_id not in written.states:
                self.report.outcomes["changed"] += 1
                continue
            state = written.states[one.instance_id]
            if state is not Routing.ROUTED:
                self._seen.add(one.instance_id)
            self.report.outcomes[state.name.lower()] += 1
            if state is not Routing.ROUTED:
                self.report.why[state, words(one.decision)] += 1
        self.report.items += written.items

    def _read(self, one: Unrouted) -> Part10 | None:
        """Read the header of an instance that can be decided on; count the others."""
        routes = self._doors.get(one.source)
        if routes is None or routes.door != one.door:
            self.report.outcomes["no_door"] += 1
            return None
        away = False
        for copy in one.copies:
            try:
                part = self._read_copy(copy, routes.wanted)
            except FileNotFoundError:
                away |= not self._is_here(copy)
            except (FileChanged, OSError, Part10Error):
                away = True
            else:
                if part.sop_instance_uid == one.sop_instance_uid:
                    return part
                away = True
        self.report.outcomes["unreadable" if away else "gone"] += 1
        return None

    def _read_copy(self, copy: KnownCopy, wanted: frozenset[int]) -> Part10:
        place = copy.path
        if copy.spool_path:
            place = os.fsencode(os.path.join(self._spools[copy.spool].path, copy.spool_path))
        signature = Signature.of(os.lstat(place))
        if (signature.size, signature.mtime_ns) != (copy.size, copy.mtime_ns):
            raise FileChanged(signature)
        with opened(place, signature) as fd:
            return read_header(fd, wanted, _POLICY)

    def _is_here(self, copy: KnownCopy) -> bool:
        """Tell whether what is not found is gone, and not on another host or a disk that is not mounted."""
        return not copy.spool_path or self._spools[copy.spool].is_readable()


def _peer_of(one: Unrouted) -> Peer:
    return Peer(one.calling_ae_title, one.called_ae_title, one.peer_address)
