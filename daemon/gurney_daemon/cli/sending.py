"""``send``: files and folders into the ledger for one destination, and, if asked, wait until they are there."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated

import typer

from gurney.dicom.errors import Reason
from gurney.errors import GurneyError
from gurney.ledger import destinations, reports
from gurney.ledger.database import Ledger
from gurney.ledger.destinations import DestinationSpec
from gurney.ledger.following import Followed, items_to, look_at
from gurney.transfer.states import SETTLED, ItemState, Priority
from gurney_daemon.cli.asked import AsJson, Urgency, configured_remote
from gurney_daemon.cli.bars import Bar, bar
from gurney_daemon.cli.edge import Edge, print_json
from gurney_daemon.cli.hindrance import hindrance
from gurney_daemon.cli.standing import somebody_sends
from gurney_daemon.cli.tables import console, counts, legible, table
from gurney_daemon.configured import destination_spec, spool_of
from gurney_daemon.ingest.importing import Imported, import_paths

__all__ = ["register"]

_ARRIVED = frozenset({ItemState.DONE, ItemState.WARNED})
# What a folder has beside images. Named by itself, even such a file was meant to be sent.
_STRANGERS = frozenset({Reason.NOT_DICOM, Reason.MEDIA_DIRECTORY})
# How instances stand that were given, as scripts and as people read it.
_STANDINGS = {
    "new": "to be sent",
    "waiting": "waiting since earlier",
    "there": "there already",
    "given_up": "given up earlier",
}
_SHORTEST_PAUSE = 0.25
# Looking shall take this part of the time at most, however many items are followed.
_SHARE = 4
_SHOWN = 50


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("send")(send)


def send(
    ctx: typer.Context,
    paths: Annotated[list[bytes], typer.Argument(metavar="PATH...", parser=os.fsencode, help="Files or folders.")],
    to: Annotated[str, typer.Option("--to", metavar="NAME", help="The [[remote]].")],
    priority: Urgency = Priority.ROUTINE,
    wait: Annotated[bool, typer.Option("--wait", help="Until all are there; exit 0 only then.")] = False,
    as_json: AsJson = False,
) -> None:
    """Send files, or whole folders, to a remote. No rule is asked; what is there already is not sent again."""
    edge: Edge = ctx.obj
    remote = destination_spec(edge.settings, configured_remote(edge.settings, to))
    sending = _Sending(to, frozenset(os.path.realpath(path) for path in paths))
    with edge.ledger() as ledger:
        _introduce(ledger, remote, edge.actor)
        _take_in(edge, ledger, sending, paths, priority)
        if sending.is_due:
            _look_at_way(ledger, sending)
        if wait:
            _wait(ledger, sending)
    if as_json:
        print_json(sending.document(waited=wait))
    else:
        _show(sending, waited=wait)
    if sending.failed:
        raise typer.Exit(1)


@dataclass(slots=True)
class _Sending:
    """What was given to one command, the paths that were ``named`` in it, and what has become of it.

    ``given_up`` are the studies of which something was given up before; a dict for its order.
    """

    destination: str
    named: frozenset[bytes] = field(repr=False)
    outcomes: Counter[str] = field(default_factory=Counter)
    left_out: list[Imported] = field(default_factory=list)
    studies: dict[str, None] = field(default_factory=dict)
    items: dict[int, str] = field(default_factory=dict)
    given_up: dict[str, None] = field(default_factory=dict)
    pruned: int = 0
    hindrance: str = ""
    settled: list[Followed] = field(default_factory=list)

    def note(self, imported: Sequence[Imported]) -> list[str]:
        """Count what became of some files; return the instances that were taken in."""
        group = [self._judge(one) for one in imported]
        self.outcomes.update(one.outcome for one in group)
        self.left_out.extend(one for one in group if one.outcome in {"refused", "ignored"})
        taken = [one for one in group if one.outcome in {"accepted", "known"}]
        self.studies.update(dict.fromkeys(one.study_instance_uid for one in taken))
        return [one.sop_instance_uid for one in taken]

    def _judge(self, one: Imported) -> Imported:
        """Ignore strangers in a folder: folders hold viewers and notes."""
        stranger = one.outcome == "refused" and one.reason in _STRANGERS and one.path not in self.named
        return replace(one, outcome="ignored") if stranger else one

    def note_items(self, found: Sequence[Followed], taken: int, begun: float) -> None:
        """Tell apart what this command sends to the destination from what the ledger had for it before.

        An instance without an item was there so long ago that it was pruned.
        """
        self.pruned += taken - len(found)
        for one in found:
            standing = self.items.setdefault(one.item_id, _standing(one, begun))
            if standing == "given_up":
                self.given_up[one.study_instance_uid] = None

    @property
    def standings(self) -> dict[str, int]:
        """How many instances go now, wait since earlier, are there, and were given up earlier."""
        counted = Counter(self.items.values())
        counted["there"] += self.pruned
        return {standing: counted[standing] for standing in _STANDINGS}

    @property
    def is_due(self) -> bool:
        """Whether anything of this is still to be sent."""
        return bool(self.standings["new"] or self.standings["waiting"])

    @property
    def lost(self) -> list[Followed]:
        """The items that are settled, but not there."""
        return [one for one in self.settled if one.state not in _ARRIVED]

    @property
    def failed(self) -> bool:
        """Whether anything was refused or not stored, or nothing was found."""
        return bool(self.outcomes["refused"] or self.lost or not self.studies)

    def document(self, *, waited: bool) -> dict[str, object]:
        """Return the outcome for scripts."""
        told: dict[str, object] = {
            "destination": self.destination,
            **{outcome: self.outcomes[outcome] for outcome in ("accepted", "known", "ignored", "refused")},
            "instances": self.standings,
            "hindrance": self.hindrance,
            "studies": list(self.studies),
            "files": [
                {"file": legible(one.path), "outcome": one.outcome, "reason": one.reason, "detail": one.detail}
                for one in self.left_out
            ],
        }
        if waited:
            told["items"] = dict(_by_state(self.settled))
            told["failed"] = [
                {
                    "item": one.item_id,
                    "transfer": one.transfer_id,
                    "study_instance_uid": one.study_instance_uid,
                    "sop_instance_uid": one.sop_instance_uid,
                    "state": one.state.name.lower(),
                    "words": one.words,
                }
                for one in self.lost
            ]
        return told


def _standing(item: Followed, begun: float) -> str:
    """Say how an item stood when the command began."""
    if item.created_at >= begun:
        return "new"
    if item.state not in SETTLED:
        return "waiting"
    return "there" if item.state in _ARRIVED else "given_up"


def _introduce(ledger: Ledger, remote: DestinationSpec, actor: str) -> None:
    """Tell the ledger of the remote, if no daemon has done so yet; the others are for the daemon to tell of."""
    with ledger.read() as conn:
        known = reports.destination_names(conn, retired=False)
    if remote.name not in known:
        ledger.transact(destinations.introduce, remote, actor)


def _take_in(edge: Edge, ledger: Ledger, sending: _Sending, paths: Sequence[bytes], priority: Priority) -> None:
    begun = ledger.now()
    groups = import_paths(
        paths,
        sending.destination,
        ledger=ledger,
        spool=spool_of(edge.settings, ledger),
        ring=partial(edge.ring, ledger),
        actor=edge.actor,
        priority=priority,
    )
    with bar("taking in") as shown:
        for group in groups:
            taken = set(sending.note(group))
            with ledger.read() as conn:
                items = look_at(conn, items_to(conn, sending.destination, list(taken)))
            sending.note_items(items, len(taken), begun)
            shown.show(sum(sending.outcomes.values()), _counted(sending.outcomes))


def _wait(ledger: Ledger, sending: _Sending) -> None:
    """Follow the items until each is settled. Raises GurneyError when interrupted: the work goes on without us."""
    try:
        with bar("sending", total=len(sending.items)) as shown:
            _follow(ledger, sending, shown)
    except KeyboardInterrupt:
        raise GurneyError(
            "interrupted: what was taken in is sent all the same; `gurney transfers` shows how it goes"
        ) from None


def _follow(ledger: Ledger, sending: _Sending, shown: Bar) -> None:
    pending = list(sending.items)
    while True:
        begun = time.monotonic()
        now = ledger.now()
        with ledger.read() as conn:
            looks = look_at(conn, pending)
            place = reports.destination_states(conn, now)[sending.destination]
        sending.settled += [one for one in looks if one.state in SETTLED]
        pending = [one.item_id for one in looks if one.state not in SETTLED]
        standing = "" if place["state"] == "closed" else f"; {sending.destination} is {place['state']}"
        shown.show(len(sending.settled), counts(_by_state([*sending.settled, *looks])) + standing)
        if not pending:
            return
        time.sleep(max(_SHORTEST_PAUSE, _SHARE * (time.monotonic() - begun)))


def _by_state(followed: Sequence[Followed]) -> Counter[str]:
    states = {one.item_id: one.state.name.lower() for one in followed}
    return Counter(states.values())


def _look_at_way(ledger: Ledger, sending: _Sending) -> None:
    """Warn of what keeps the work waiting: a pause, a destination that is down, nobody who sends."""
    now = ledger.now()
    with ledger.read() as conn:
        is_served = somebody_sends(conn, now)
        place = reports.destination_states(conn, now)[sending.destination]
    sending.hindrance = hindrance(sending.destination, place)
    if sending.hindrance:
        typer.echo(legible(sending.hindrance), err=True)
    if not is_served:
        typer.echo("no worker runs: it waits in the ledger until `gurney up` is started", err=True)


def _show(sending: _Sending, *, waited: bool) -> None:
    if sending.left_out:
        rows = ((one.outcome, one.reason, one.detail, one.path) for one in sending.left_out[:_SHOWN])
        console(to_stderr=True).print(table(("NOT SENT", "REASON", "DETAIL", "FILE"), rows))
        _say_rest(len(sending.left_out))
    if sending.lost:
        alike = Counter((one.transfer_id, one.state.name.lower(), one.words) for one in sending.lost)
        lost = ((n, *what) for what, n in alike.most_common(_SHOWN))
        console(to_stderr=True).print(table(("INSTANCES", "TRANSFER", "STATE", "WHY"), lost))
        _say_rest(len(alike))
        typer.echo("each of them: `gurney transfer ID`", err=True)
    typer.echo(f"files: {_counted(sending.outcomes) or 'none'}")
    standings = sending.standings
    told = ", ".join(f"{n} {_STANDINGS[standing]}" for standing, n in standings.items() if n)
    typer.echo(f"{sending.destination}: {told or 'nothing to send'}")
    for study in list(sending.given_up)[:_SHOWN]:
        typer.echo(
            f"what was given up goes again by `gurney retry --to {sending.destination} --study {study}`", err=True
        )
    _say_rest(len(sending.given_up))
    if waited and sending.settled:
        refused = f", {sending.outcomes['refused']} refused" if sending.outcomes["refused"] else ""
        typer.echo(f"{sending.destination}: {counts(_by_state(sending.settled))}{refused}")


def _say_rest(n: int) -> None:
    if n > _SHOWN:
        typer.echo(f"and {n - _SHOWN} more", err=True)


def _counted(outcomes: Counter[str]) -> str:
    return ", ".join(f"{n} {outcome}" for outcome, n in sorted(outcomes.items()))
