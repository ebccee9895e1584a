"""Destinations as the ledger keeps them: what the configuration says, and the gate of ``gurney.transfer.breaker``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from sqlalchemy import Update, bindparam, insert, select, update

from gurney.ledger import refusals, trail
from gurney.ledger.database import AnyRow, Transaction
from gurney.ledger.models import Destination
from gurney.transfer import breaker
from gurney.transfer.breaker import Breaker, Gate

__all__ = [
    "DestinationSpec",
    "gate_of",
    "introduce",
    "lock",
    "lock_by_id",
    "pause",
    "probe_now",
    "resume",
    "store_gate",
    "sync",
]


@dataclass(frozen=True, slots=True)
class DestinationSpec:
    """What the configuration says of a remote, as far as the ledger needs it."""

    name: str
    ae_title: str
    calling_ae_title: str
    max_associations: int = 1
    association: str = "study"
    duplicate_ok: bool = True
    commitment: str = "none"
    verify: bool = False


def sync(tx: Transaction, specs: Iterable[DestinationSpec], actor: str) -> None:
    """Copy the configuration's remotes into the ledger; what is gone from it is retired, its items stay and are seen.

    A destination that comes back is as it was. Refusals are forgotten: the peer may have been taught since.
    """
    known = {row.name: row for row in tx.conn.execute(select(Destination).order_by(Destination.id))}
    wanted = {spec.name: spec for spec in specs}
    for name, spec in wanted.items():
        _put(tx, known.get(name), spec, actor)
    for name, row in known.items():
        if name not in wanted and not row.retired:
            tx.conn.execute(update(Destination).where(Destination.id == row.id).values(retired=True))
            trail.record(tx, actor, "destination.retired", destination_id=row.id, destination=name)


def introduce(tx: Transaction, spec: DestinationSpec, actor: str) -> None:
    """Copy one remote into the ledger, a new one or one that comes back; nothing is said of the others."""
    _put(tx, lock(tx, spec.name), spec, actor)


def _put(tx: Transaction, row: AnyRow | None, spec: DestinationSpec, actor: str) -> None:
    values = {
        "ae_title": spec.ae_title,
        "calling_ae_title": spec.calling_ae_title,
        "max_associations": spec.max_associations,
        "association": spec.association,
        "duplicate_ok": spec.duplicate_ok,
        "commitment": spec.commitment,
        "verify": spec.verify,
        "retired": False,
    }
    if row is None:
        tx.conn.execute(
            insert(Destination).values(name=spec.name, effective_concurrency=spec.max_associations, **values)
        )
        trail.record(tx, actor, "destination.added", destination=spec.name)
        return
    if row.max_associations != spec.max_associations:
        values["effective_concurrency"] = spec.max_associations
    if any(getattr(row, column) != value for column, value in values.items()):
        tx.conn.execute(update(Destination).where(Destination.id == row.id).values(**values))
        trail.record(tx, actor, "destination.changed", destination_id=row.id, destination=spec.name)
    refusals.clear(tx, row.id)


# SQLite's dialect leaves FOR UPDATE out: its writer has the whole file. FOR NO KEY UPDATE keeps out whoever locks the
# same way, not those who insert items: their foreign key only asks that the row stays (FOR KEY SHARE).
_BY_NAME = select(Destination.__table__).where(Destination.name == bindparam("name")).with_for_update(key_share=True)
_BY_ID = select(Destination.__table__).where(Destination.id == bindparam("id")).with_for_update(key_share=True)


def lock(tx: Transaction, name: str) -> AnyRow | None:
    """Lock a destination's row by name and return it; None when there is none."""
    return tx.conn.execute(_BY_NAME, {"name": name}).one_or_none()


def lock_by_id(tx: Transaction, destination_id: int) -> AnyRow:
    """Lock a destination's row and return it."""
    return tx.conn.execute(_BY_ID, {"id": destination_id}).one()  # destinations are never deleted


# Most transactions ask twice of the same row: before they decide, and when they write what changed.
@lru_cache(32)
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


# What of a gate is kept, and how it is written where that differs from how it is held.
_GATE: Mapping[str, Callable[[Any], object] | None] = {
    "effective_concurrency": None,
    "breaker": lambda state: state.value,
    "faults": None,
    "opened_at": None,
    "probe_at": None,
    "probes": None,
    "hold_reason": lambda reason: reason[:400],
    "hold_since": None,
    "paused_by": None,
    "streak": lambda streak: ",".join(map(str, streak)),
    "permanent_rejects": None,
    "last_failed_item_id": None,
    "last_success_at": None,
}


@cache
def _change_of(*columns: str) -> Update:
    """Make the UPDATE of some columns once: there are few sets of columns that change together."""
    return (
        update(Destination)
        .where(Destination.id == bindparam("which"))
        .values({name: bindparam(f"new_{name}") for name in columns})
    )


def store_gate(tx: Transaction, row: AnyRow, gate: Gate, **more: object) -> None:
    """Write what changed of a gate, with other columns of the same row; a change of its shown state is audited."""
    before = gate_of(row)
    values: dict[str, Any] = dict(more)
    if gate != before:
        values |= {
            name: value if column is None else column(value)
            for name, column in _GATE.items()
            if (value := getattr(gate, name)) != getattr(before, name)
        }
    if values:
        tx.conn.execute(_change_of(*sorted(values)), {"which": row.id, **{f"new_{n}": v for n, v in values.items()}})
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
