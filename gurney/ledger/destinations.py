"""Destinations as the ledger keeps them: what the configuration says, and the gate of ``gurney.transfer.breaker``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, select, update

from gurney.ledger import refusals, trail
from gurney.ledger.database import AnyRow, Transaction
from gurney.ledger.models import Destination
from gurney.transfer import breaker
from gurney.transfer.breaker import Breaker, Gate

__all__ = ["DestinationSpec", "gate_of", "lock", "lock_by_id", "pause", "probe_now", "resume", "store_gate", "sync"]


@dataclass(frozen=True, slots=True)
class DestinationSpec:
    """What the configuration says of a remote, as far as the ledger needs it."""

    name: str
    ae_title: str
    calling_ae_title: str
    max_associations: int = 1
    association: str = "study"
    duplicate_ok: bool = True


def sync(tx: Transaction, specs: Iterable[DestinationSpec], actor: str) -> None:
    """Copy the configuration's remotes into the ledger; what is gone from it is retired, its items stay and are seen.

    A destination that comes back is as it was. Refusals are forgotten: the peer may have been taught since.
    """
    known = {row.name: row for row in tx.conn.execute(select(Destination).order_by(Destination.id))}
    wanted = {spec.name: spec for spec in specs}
    for name, spec in wanted.items():
        values = {
            "ae_title": spec.ae_title,
            "calling_ae_title": spec.calling_ae_title,
            "max_associations": spec.max_associations,
            "association": spec.association,
            "duplicate_ok": spec.duplicate_ok,
            "retired": False,
        }
        row = known.get(name)
        if row is None:
            tx.conn.execute(
                insert(Destination).values(name=name, effective_concurrency=spec.max_associations, **values)
            )
            trail.record(tx, actor, "destination.added", destination=name)
            continue
        if row.max_associations != spec.max_associations:
            values["effective_concurrency"] = spec.max_associations
        if any(getattr(row, column) != value for column, value in values.items()):
            tx.conn.execute(update(Destination).where(Destination.id == row.id).values(**values))
            trail.record(tx, actor, "destination.changed", destination_id=row.id, destination=name)
        refusals.clear(tx, row.id)
    for name, row in known.items():
        if name not in wanted and not row.retired:
            tx.conn.execute(update(Destination).where(Destination.id == row.id).values(retired=True))
            trail.record(tx, actor, "destination.retired", destination_id=row.id, destination=name)


def lock(tx: Transaction, name: str) -> AnyRow | None:
    """Lock a destination's row by name and return it; None when there is none."""
    return _lock(tx, Destination.name == name)


def lock_by_id(tx: Transaction, destination_id: int) -> AnyRow:
    """Lock a destination's row and return it."""
    row = _lock(tx, Destination.id == destination_id)
    assert row is not None, "destinations are never deleted"  # noqa: S101
    return row


def _lock(tx: Transaction, which: Any) -> AnyRow | None:
    query = select(Destination.__table__).where(which)
    return tx.conn.execute(query.with_for_update() if tx.locks_rows else query).one_or_none()


def gate_of(row: AnyRow) -> Gate:
    """Read the gate from a destination's row."""
    return Gate(
        max_associations=row.max_associations,
        effective_concurrency=row.effective_concurrency,
        breaker=Breaker(row.breaker),
        faults=row.faults,
        opened_at=row.opened_at,
        probe_at=row.probe_at,
        probes=row.probes,
        hold_reason=row.hold_reason,
        hold_since=row.hold_since,
        paused_by=row.paused_by,
        streak=tuple(int(item) for item in row.streak.split(",") if item),
        permanent_rejects=row.permanent_rejects,
        last_failed_item_id=row.last_failed_item_id,
        last_success_at=row.last_success_at,
    )


def store_gate(tx: Transaction, row: AnyRow, gate: Gate, **more: object) -> None:
    """Write what changed of a gate, with other columns of the same row; a change of its shown state is audited."""
    before = gate_of(row)
    values: dict[str, Any] = dict(more)
    if gate != before:
        values |= {
            "effective_concurrency": gate.effective_concurrency,
            "breaker": gate.breaker.value,
            "faults": gate.faults,
            "opened_at": gate.opened_at,
            "probe_at": gate.probe_at,
            "probes": gate.probes,
            "hold_reason": gate.hold_reason[:400],
            "hold_since": gate.hold_since,
            "paused_by": gate.paused_by,
            "streak": ",".join(map(str, gate.streak)),
            "permanent_rejects": gate.permanent_rejects,
            "last_failed_item_id": gate.last_failed_item_id,
            "last_success_at": gate.last_success_at,
        }
    if values:
        tx.conn.execute(update(Destination).where(Destination.id == row.id).values(**values))
    if breaker.shown(gate) != breaker.shown(before):
        trail.record(
            tx,
            "ledger",
            "destination.state",
            destination_id=row.id,
            old=breaker.shown(before).value,
            new=breaker.shown(gate).value,
            reason=gate.hold_reason or str(more.get("last_error", "")),
        )


def pause(tx: Transaction, name: str, actor: str) -> bool:
    """Pause a destination: nothing more is claimed, running batches stop at the next instance. False: unknown name."""
    row = lock(tx, name)
    if row is None:
        return False
    store_gate(tx, row, breaker.on_pause(gate_of(row), actor), paused_at=tx.now)
    trail.record(tx, actor, "destination.paused", destination_id=row.id)
    return True


def resume(tx: Transaction, name: str, actor: str) -> bool:
    """Resume a destination, and probe it now if its breaker is open. False: unknown name."""
    row = lock(tx, name)
    if row is None:
        return False
    gate = breaker.release(breaker.on_resume(gate_of(row)), tx.now)
    store_gate(tx, row, gate, paused_at=None)
    trail.record(tx, actor, "destination.resumed", destination_id=row.id)
    return True


def probe_now(tx: Transaction, name: str) -> bool:
    """Forget refusals and let the next claim probe at once: somebody says that the cause is mended."""
    row = lock(tx, name)
    if row is None:
        return False
    store_gate(tx, row, breaker.release(gate_of(row), tx.now))
    refusals.clear(tx, row.id)
    return True
