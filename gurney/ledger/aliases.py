"""Which patient IDs are one patient's, as messages have told. Nothing is ever taken apart by us: archives keep both."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from sqlalchemy import Connection, func, select, update

from gurney.ledger.database import Transaction
from gurney.ledger.models import PatientAlias

__all__ = ["are_one", "join", "known_ids"]


def join(tx: Transaction, patient_ids: Collection[str]) -> bool:
    """Note that some IDs are one patient's, and with them all IDs that were known of each; false: nothing new."""
    ids = sorted(set(patient_ids))
    if len(ids) < 2:
        return False
    known = dict(
        tx.conn.execute(
            select(PatientAlias.patient_id, PatientAlias.person)
            .where(PatientAlias.patient_id.in_(ids))
            .order_by(PatientAlias.patient_id)
            .with_for_update()
        ).all()
    )
    persons = set(known.values())
    if len(known) == len(ids) and len(persons) == 1:
        return False
    person = min(persons) if persons else (tx.conn.scalar(select(func.max(PatientAlias.person))) or 0) + 1
    if persons - {person}:
        tx.conn.execute(update(PatientAlias).where(PatientAlias.person.in_(persons - {person})).values(person=person))
    for patient_id in ids:
        if patient_id not in known:
            tx.conn.execute(
                tx.upsert(PatientAlias)
                .values(patient_id=patient_id, person=person)
                .on_conflict_do_update(index_elements=[PatientAlias.patient_id], set_={"person": person})
            )
    return True


def are_one(conn: Connection, patient_ids: Collection[str]) -> bool:
    """Tell whether some IDs are known as one patient's."""
    persons = select(PatientAlias.person).where(PatientAlias.patient_id.in_(patient_ids))
    found = conn.scalars(persons).all()
    return len(found) == len(set(patient_ids)) and len(set(found)) == 1


def known_ids(conn: Connection, patient_ids: Iterable[str]) -> tuple[str, ...]:
    """Return these IDs, then all others that are known of the same patients."""
    given = tuple(dict.fromkeys(patient_ids))
    persons = select(PatientAlias.person).where(PatientAlias.patient_id.in_(given))
    others = conn.scalars(
        select(PatientAlias.patient_id).where(PatientAlias.person.in_(persons)).order_by(PatientAlias.patient_id)
    )
    return tuple(dict.fromkeys((*given, *others)))
