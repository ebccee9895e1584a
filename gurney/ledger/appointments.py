"""Appointments: what is expected, which rules have seen to it, and what is withdrawn when it moves or is cancelled.

What is told again as it stands changes nothing and costs one look, however often that comes.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, and_, delete, exists, or_, select

from gurney.ledger.database import AnyRow, Transaction
from gurney.ledger.models import Appointment, AppointmentFetch, AppointmentPlan, Retrieval
from gurney.ledger.retrieving.requests import PREFETCH
from gurney.ledger.retrieving.requests import cancel as cancel_retrievals

__all__ = [
    "HL7",
    "Change",
    "Expected",
    "cancel",
    "due",
    "forget",
    "is_cancelled",
    "link",
    "note",
    "see_again",
    "seen_to",
    "stands",
    "try_again",
    "vanished",
]

HL7: Final = "hl7"
"""The origin of what messages tell; that of a rule's own worklist or list is the rule's."""


class Change(StrEnum):
    """What became of an appointment by what was told of it."""

    NEW = "new"
    CHANGED = "changed"
    SAME = "same"
    STALE = "stale"  # something newer was told before


@dataclass(frozen=True, slots=True)
class Expected:
    """An appointment as it was told; the IDs are as they stood there."""

    key: str
    patient_ids: tuple[str, ...] = field(repr=False)
    scheduled_at: float | None = None
    accession_number: str = field(default="", repr=False)
    study_instance_uid: str = ""
    procedure_code: str = ""
    description: str = field(default="", repr=False)  # people write names there
    modality: str = ""


_AT_ONCE: Final = 200
_FIELDS: Final = tuple(one.name for one in fields(Expected) if one.name not in ("key", "patient_ids"))


def stands(conn: Connection, origin: str, expected: Expected, told_at: float) -> bool:
    """Tell whether an appointment stands so already, or newer: then there is nothing to write."""
    row = conn.execute(_one(origin, expected.key)).one_or_none()
    return row is not None and (told_at < row.told_at or (row.cancelled_at is None and _is_same(row, expected)))


def is_cancelled(conn: Connection, origin: str, key: str, told_at: float) -> bool:
    """Tell whether an appointment is cancelled already, or something newer was told of it."""
    row = conn.execute(_one(origin, key)).one_or_none()
    return row is not None and (row.cancelled_at is not None or told_at < row.told_at)


def note(tx: Transaction, origin: str, expected: Expected, told_at: float, now: float, actor: str) -> Change:
    """Enter an appointment as it was told at ``told_at``; where it has changed, what it asked for is withdrawn."""
    row = tx.conn.execute(_one(origin, expected.key).with_for_update()).one_or_none()
    if row is not None and told_at < row.told_at:
        return Change.STALE
    if row is not None and row.cancelled_at is None and _is_same(row, expected):
        return Change.SAME
    values = _values(expected) | {"told_at": told_at, "cancelled_at": None, "noted_at": now}
    tx.conn.execute(
        tx.upsert(Appointment)
        .values(origin=origin, key=expected.key, **values)
        .on_conflict_do_update(index_elements=[Appointment.origin, Appointment.key], set_=values)
    )
    if row is None:
        return Change.NEW
    _withdraw(tx, origin, expected.key, actor)
    return Change.CHANGED


def cancel(tx: Transaction, origin: str, key: str, told_at: float, now: float, actor: str) -> list[int]:
    """Cancel an appointment, known or not: an older message must not bring it back. Return what was withdrawn."""
    row = tx.conn.execute(_one(origin, key).with_for_update()).one_or_none()
    if row is not None and (row.cancelled_at is not None or told_at < row.told_at):
        return []
    values = {"told_at": told_at, "cancelled_at": now, "noted_at": now}
    tx.conn.execute(
        tx.upsert(Appointment)
        .values(origin=origin, key=key, **values)
        .on_conflict_do_update(index_elements=[Appointment.origin, Appointment.key], set_=values)
    )
    return _withdraw(tx, origin, key, actor)


def due(conn: Connection, rule: str, begin: float, end: float, now: float, *, anew: bool = False) -> list[Expected]:
    """Return what messages told that is expected from ``begin`` until before ``end`` and a rule has yet to see to.

    The earliest first; what has no time counts as expected now. ``anew``: also what the rule has seen to.
    """
    seen = and_(
        AppointmentPlan.origin == Appointment.origin,
        AppointmentPlan.key == Appointment.key,
        AppointmentPlan.rule == rule,
        or_(AppointmentPlan.look_at.is_(None), AppointmentPlan.look_at > now),
    )
    expected = select(Appointment.__table__).where(
        Appointment.origin == HL7,
        Appointment.cancelled_at.is_(None),
        or_(
            and_(Appointment.scheduled_at >= begin, Appointment.scheduled_at < end),
            and_(Appointment.scheduled_at.is_(None), Appointment.noted_at >= begin - (end - begin)),
        ),
    )
    if not anew:
        expected = expected.where(~exists().where(seen))
    rows = conn.execute(expected.order_by(Appointment.scheduled_at, Appointment.key).limit(500))
    return [_expected(row) for row in rows]


def seen_to(tx: Transaction, origin: str, key: str, rule: str) -> None:
    """Note that a rule has seen to an appointment."""
    _plan(tx, origin, key, rule, {"look_at": None, "tries": 0})


def try_again(tx: Transaction, origin: str, key: str, rule: str, look_at: float) -> None:
    """Note that not all could be asked for an appointment, and when that is tried again."""
    row = tx.conn.execute(
        select(AppointmentPlan.tries).where(
            AppointmentPlan.origin == origin, AppointmentPlan.key == key, AppointmentPlan.rule == rule
        )
    ).one_or_none()
    _plan(tx, origin, key, rule, {"look_at": look_at, "tries": (row.tries if row is not None else 0) + 1})


def see_again(tx: Transaction, patient_ids: Collection[str], since: float) -> int:
    """Have rules see anew to what is expected of a patient from a moment on, because other IDs became known.

    Return how many appointments that is. What was asked for stays.
    """
    expected = tx.conn.execute(
        select(Appointment.key, Appointment.patient_ids).where(
            Appointment.origin == HL7,
            Appointment.cancelled_at.is_(None),
            or_(Appointment.scheduled_at.is_(None), Appointment.scheduled_at >= since),
        )
    )
    ids = set(patient_ids)
    keys = [row.key for row in expected if not ids.isdisjoint(json.loads(row.patient_ids))]
    for start in range(0, len(keys), _AT_ONCE):
        some = AppointmentPlan.key.in_(keys[start : start + _AT_ONCE])
        tx.conn.execute(delete(AppointmentPlan).where(AppointmentPlan.origin == HL7, some))
    return len(keys)


def link(tx: Transaction, origin: str, key: str, retrieval_ids: Iterable[int]) -> None:
    """Note which retrievals an appointment asked for."""
    rows = [{"origin": origin, "key": key, "retrieval_id": one} for one in sorted(set(retrieval_ids))]
    if rows:
        tx.conn.execute(tx.upsert(AppointmentFetch).on_conflict_do_nothing(), rows)


def vanished(conn: Connection, origin: str, keys: Collection[str], begin: float, end: float) -> list[str]:
    """Return what was expected from ``begin`` until before ``end``, and is not among those that are now."""
    known = conn.scalars(
        select(Appointment.key).where(
            Appointment.origin == origin,
            Appointment.cancelled_at.is_(None),
            Appointment.scheduled_at >= begin,
            Appointment.scheduled_at < end,
        )
    )
    return sorted(set(known) - set(keys))


def forget(tx: Transaction, before: float) -> int:
    """Forget what was expected, or told of without a time, before a moment of the wall; return how many."""
    old = (
        select(Appointment.origin, Appointment.key)
        .where(
            Appointment.noted_at < before,
            or_(Appointment.scheduled_at.is_(None), Appointment.scheduled_at < before),
        )
        .limit(200)
    )
    rows = tx.conn.execute(old).all()
    for model in (AppointmentFetch, AppointmentPlan, Appointment):
        for row in rows:
            tx.conn.execute(delete(model).where(model.origin == row.origin, model.key == row.key))
    return len(rows)


def _one(origin: str, key: str) -> Any:
    return select(Appointment.__table__).where(Appointment.origin == origin, Appointment.key == key)


def _values(expected: Expected) -> dict[str, Any]:
    told = asdict(expected)
    return {name: told[name] for name in _FIELDS} | {"patient_ids": json.dumps(expected.patient_ids)}


def _is_same(row: AnyRow, expected: Expected) -> bool:
    return all(getattr(row, name) == value for name, value in _values(expected).items())


def _expected(row: AnyRow) -> Expected:
    told = {name: getattr(row, name) for name in _FIELDS}
    return Expected(row.key, tuple(json.loads(row.patient_ids)), **told)


def _plan(tx: Transaction, origin: str, key: str, rule: str, values: dict[str, Any]) -> None:
    tx.conn.execute(
        tx.upsert(AppointmentPlan)
        .values(origin=origin, key=key, rule=rule, **values)
        .on_conflict_do_update(
            index_elements=[AppointmentPlan.origin, AppointmentPlan.key, AppointmentPlan.rule], set_=values
        )
    )


def _withdraw(tx: Transaction, origin: str, key: str, actor: str) -> list[int]:
    """Take back what an appointment asked for and nobody has begun, unless another one or a person wants it too."""
    here = and_(AppointmentFetch.origin == origin, AppointmentFetch.key == key)
    ids = set(tx.conn.scalars(select(AppointmentFetch.retrieval_id).where(here)))
    tx.conn.execute(delete(AppointmentFetch).where(here))
    tx.conn.execute(delete(AppointmentPlan).where(AppointmentPlan.origin == origin, AppointmentPlan.key == key))
    still = set(tx.conn.scalars(select(AppointmentFetch.retrieval_id).where(AppointmentFetch.retrieval_id.in_(ids))))
    mine = select(Retrieval.id).where(Retrieval.id.in_(ids - still), Retrieval.origin.startswith(PREFETCH))
    return cancel_retrievals(tx, tx.conn.scalars(mine).all(), actor, only_unstarted=True)
