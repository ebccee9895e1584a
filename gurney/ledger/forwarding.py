"""Turn what the rules said into items: one per instance and destination, in the study's transfer, at most once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, bindparam, exists, select, update

from gurney.ledger import bells, sendable
from gurney.ledger.database import Transaction
from gurney.ledger.models import (
    Completion,
    Destination,
    File,
    Instance,
    Item,
    Series,
    Study,
    Tombstone,
    Transfer,
)
from gurney.ledger.models.predicates import item_is
from gurney.ledger.tally import Tally
from gurney.transfer.routing import FOLLOWERS, RoutingDecision, Send
from gurney.transfer.states import ItemState, Priority, Routing

__all__ = ["FORWARD", "Bell", "Content", "Forwarding", "let_through", "words"]

# The origin of everything that is passed on because it arrived: watch folders, rules and `send` share it, so that an
# instance that two of them want at one destination is sent once.
FORWARD = "forward"
# Says of an item, and to us, that it was taken back before anybody claimed it: it may be wanted again.
_WITHDRAWN = "withdrawn: its file was written again, and the rules do not send it there now"
_NOWHERE = (int(Routing.PENDING), int(Routing.NO_ROUTE), int(Routing.FILTERED))


# Made once: for small groups, making them took longer than SQLite does.
_DESTINATION = select(Destination.id).where(Destination.name == bindparam("name"))
_TRANSFER = select(Transfer.id).where(
    Transfer.study_instance_uid == bindparam("study"),
    Transfer.destination_id == bindparam("destination"),
    Transfer.origin == FORWARD,
    Transfer.generation == 1,
)
_ARRIVED = (
    update(Transfer)
    .where(Transfer.id.in_(bindparam("transfers", expanding=True)))
    .values(last_arrival_at=bindparam("now"), quiet_since=None)
)
_COMPLETE = select(exists().where(Completion.transfer_id == bindparam("transfer")))


@dataclass(frozen=True, slots=True)
class Bell:
    """Whom to ring, once the transaction is committed."""

    destination: str
    spool_id: int
    lane: str


@dataclass(frozen=True, slots=True)
class Content:
    """Where an instance stands in the ledger."""

    instance_id: int
    file_id: int
    series_id: int
    study_id: int


def words(decision: RoutingDecision) -> str:
    """Say in a line why an instance was not simply sent: the names of the rules, never values."""
    if decision.state is Routing.ROUTED:
        return ""
    telling = [told for told in decision.explanations if told.verdict in {"error", "matched"}]
    return "; ".join(f"{told.rule}: {told.why}" if told.why else told.rule for told in telling)[:400]


def let_through(tx: Transaction, instance_id: int, decision: RoutingDecision, source: str) -> None:
    """Note of an instance that was sent nowhere that a file from ``source`` has brought it a way.

    Files of other doors stay where they lie, as they do when they come second. ERROR stays as well: until its own rules
    are asked again, nobody knows where else it was to go.
    """
    if not decision.sends:
        return
    changed = (
        update(Instance)
        .where(Instance.id == instance_id, Instance.routing.in_(_NOWHERE))
        .values(routing=int(decision.state), routing_detail=words(decision))
        .returning(Instance.id)
    )
    if tx.conn.scalar(changed) is not None:
        tx.conn.execute(update(File).where(File.instance_id == instance_id, File.source != source).values(after="keep"))


class Forwarding:
    """Items to be added in one transaction, and the bells that they ask for."""

    def __init__(self, tx: Transaction, actor: str) -> None:
        """Start with nothing to add."""
        self.tx, self.actor = tx, actor
        self.tally = Tally()
        self.added = 0
        self._destinations: dict[str, int] = {}
        self._transfers: dict[tuple[str, int], tuple[int, bool]] = {}
        self._wanted: dict[tuple[int, int, str], str] = {}
        self._fresh: list[dict[str, Any]] = []
        self._touched: set[int] = set()

    def add(
        self,
        decision: RoutingDecision,
        content: Content,
        *,
        study_instance_uid: str,
        spool_id: int,
        size: int,
        fresh: bool = False,
    ) -> None:
        """Add an item for each destination that the rules named, unless the instance has one there already.

        ``fresh``: the instance was made in this transaction, so it can have none.
        """
        for send in decision.sends:
            held_for = "rule" if decision.state is Routing.HELD else ""
            row = self._row(send, held_for, content, study_instance_uid, spool_id=spool_id, size=size)
            if fresh:
                self._fresh.append(row)
                self._added(row, send)
            elif self._restore(row):
                self.tally.add(row["destination_id"], row["transfer_id"], ItemState.CANCELLED, -1)
                self._added(row, send)
            elif not self._is_known(content.instance_id, row["destination_id"]) and self._insert(row):
                self._added(row, send)

    def withdraw(self, instance_id: int, *, failed: bool = False) -> None:
        """Cancel what waits to be sent of a content that was written again; :meth:`add` restores what is to go still.

        Nobody may have claimed any of it, and its destinations must be locked. What a person cancelled stays so.
        ``failed``: so it is with what failed, since there was nothing left to send.
        """
        waits = item_is(ItemState.READY) | item_is(ItemState.HELD) | (item_is(ItemState.FAILED) & Item.refused)
        if failed:
            waits |= item_is(ItemState.FAILED)
        rows = self.tx.conn.execute(
            select(Item.id, Item.destination_id, Item.transfer_id, Item.state)
            .join(Transfer, Transfer.id == Item.transfer_id)
            .where(Item.instance_id == instance_id, waits, Transfer.origin == FORWARD, Transfer.generation == 1)
        ).all()
        self.tx.conn.execute(
            update(Item)
            .where(Item.id.in_([row.id for row in rows]))
            .values(state=int(ItemState.CANCELLED), held_for="", refused=False)
            .values(last_words=_WITHDRAWN, settled_at=self.tx.now)
        )
        for row in rows:
            self.tally.move(row.destination_id, row.transfer_id, ItemState(row.state), ItemState.CANCELLED)

    def look_back(self, study_id: int, decision: RoutingDecision, route: str) -> None:
        """Send what came before its study matched a rule, and follows it."""
        sends = [send for send in decision.sends if send.rule == route]
        if not sends:
            return
        self._write_fresh()  # what of this group follows may go there by itself
        rows = self.tx.conn.execute(
            select(Instance.id, Instance.series_id, Instance.size, Study.study_instance_uid)
            .join(Series, Series.id == Instance.series_id)
            .join(Study, Study.id == Instance.study_id)
            .where(Instance.study_id == study_id, Series.modality.in_(sorted(FOLLOWERS)))
            .order_by(Instance.id)
        ).all()
        files = sendable.secure(self.tx, [row.id for row in rows])
        for row in rows:
            if row.id not in files:
                continue
            file = files[row.id][-1]
            self.add(
                replace(decision, state=Routing.ROUTED, sends=tuple(sends)),
                Content(row.id, file.file_id, row.series_id, study_id),
                study_instance_uid=row.study_instance_uid,
                spool_id=file.spool_id,
                size=row.size,
            )
            self.tx.conn.execute(
                update(Instance)
                .where(Instance.id == row.id, Instance.routing.in_([int(Routing.NO_ROUTE), int(Routing.PENDING)]))
                .values(routing=int(Routing.ROUTED), routing_detail="")
            )

    def close(self) -> list[Bell]:
        """Write what was added and its counts, and take the right to ring; return whom to ring after the commit."""
        self._write_fresh()
        if self._touched:
            self.tx.conn.execute(_ARRIVED, {"transfers": sorted(self._touched), "now": self.tx.now})
        self.tally.write(self.tx)
        return [
            Bell(destination, spool_id, lane)
            for (destination_id, spool_id, lane), destination in self._wanted.items()
            if bells.claim_ring(self.tx, destination_id, spool_id, lane)
        ]

    def _write_fresh(self) -> None:
        if self._fresh:
            self.tx.insert_rows(Item, self._fresh)
            self._fresh.clear()

    def _insert(self, row: dict[str, Any]) -> bool:
        """Add an item unless its transfer has one of its instance."""
        # Not rowcount: of an INSERT, PostgreSQL's driver does not tell it.
        added = self.tx.upsert(Item).values(row).on_conflict_do_nothing().returning(Item.id)
        return self.tx.conn.scalar(added) is not None

    def _restore(self, row: dict[str, Any]) -> bool:
        """Let an item of its transfer that was withdrawn stand as it would if it were added now."""
        restored = (
            update(Item)
            .where(Item.transfer_id == row["transfer_id"], Item.instance_id == row["instance_id"], _is_withdrawn())
            .values(**row, last_words="", settled_at=None)
            .returning(Item.id)
        )
        return self.tx.conn.scalar(restored) is not None

    def _row(
        self, send: Send, held_for: str, content: Content, study_instance_uid: str, *, spool_id: int, size: int
    ) -> dict[str, Any]:
        destination_id = self._destination(send.destination)
        transfer_id, complete = self._transfer(content.study_id, study_instance_uid, destination_id)
        if not held_for and send.when != "immediately" and not complete:
            held_for = send.when
        return {
            "transfer_id": transfer_id,
            "destination_id": destination_id,
            "instance_id": content.instance_id,
            "file_id": content.file_id,
            "series_id": content.series_id,
            "spool_id": spool_id,
            "size": size,
            "priority": int(send.priority),
            "state": int(ItemState.HELD if held_for else ItemState.READY),
            "held_for": held_for,
            "created_at": self.tx.now,
        }

    def _added(self, row: dict[str, Any], send: Send) -> None:
        state = ItemState(row["state"])
        self.added += 1
        self.tally.add(row["destination_id"], row["transfer_id"], state)
        self._touched.add(row["transfer_id"])
        if state is ItemState.READY:
            lane = "stat" if send.priority is Priority.STAT else "work"
            self._wanted[row["destination_id"], row["spool_id"], lane] = send.destination

    def _destination(self, name: str) -> int:
        found = self._destinations.get(name)
        if found is None:
            found = self.tx.conn.scalars(_DESTINATION, {"name": name}).one()
            self._destinations[name] = found
        return found

    def _is_known(self, instance_id: int, destination_id: int) -> bool:
        """Whether the instance has an item there, of any generation (a resend brought it), or had one once."""
        item = exists().where(Item.instance_id == instance_id, Item.destination_id == destination_id, ~_is_withdrawn())
        pruned = exists().where(Tombstone.instance_id == instance_id, Tombstone.destination_id == destination_id)
        return bool(self.tx.conn.scalar(select(item | pruned)))

    def _transfer(self, study_id: int, study_instance_uid: str, destination_id: int) -> tuple[int, bool]:
        """Find or make the study's transfer; tell whether it has been complete before, so that the late go at once."""
        key = (study_instance_uid, destination_id)
        found = self._transfers.get(key)
        if found is None:
            which = {"study": study_instance_uid, "destination": destination_id}
            transfer_id = self.tx.conn.scalar(_TRANSFER, which)
            if transfer_id is None:
                upsert = self.tx.upsert(Transfer)
                self.tx.conn.execute(
                    upsert.values(
                        study_id=study_id,
                        study_instance_uid=study_instance_uid,
                        destination_id=destination_id,
                        origin=FORWARD,
                        generation=1,
                        requested_by=self.actor[:64],
                        created_at=self.tx.now,
                        last_arrival_at=self.tx.now,
                    ).on_conflict_do_nothing()
                )
                transfer_id = self.tx.conn.scalars(_TRANSFER, which).one()
            complete = bool(self.tx.conn.scalar(_COMPLETE, {"transfer": transfer_id}))
            found = self._transfers[key] = (transfer_id, complete)
        return found


def _is_withdrawn() -> ColumnElement[bool]:
    return item_is(ItemState.CANCELLED) & (Item.last_words == _WITHDRAWN)
