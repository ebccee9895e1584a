"""Send a study again: a new generation of its transfer, since history is never rewritten."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, insert, select

from gurney.ledger import bells, sendable, trail
from gurney.ledger.database import Transaction
from gurney.ledger.forwarding import FORWARD, Bell
from gurney.ledger.leases import lock_destination
from gurney.ledger.models import Destination, Instance, Item, Study, Transfer
from gurney.ledger.tally import Tally
from gurney.transfer.states import ItemState, Priority

__all__ = ["Resent", "resend"]


@dataclass(frozen=True, slots=True)
class Resent:
    """A new generation of a transfer."""

    transfer_id: int
    generation: int
    instances: int
    without_file: int
    bells: list[Bell]


def resend(
    tx: Transaction, study_instance_uid: str, destination: str, actor: str, priority: Priority = Priority.ROUTINE
) -> Resent | None:
    """Send a study again: a new generation with every instance whose file we still have. None: not known here.

    A file that was missed when it was to be sent counts as gone, until a retry has asked for it once more.
    """
    study_id = tx.conn.scalar(select(Study.id).where(Study.study_instance_uid == study_instance_uid))
    destination_id = tx.conn.scalar(select(Destination.id).where(Destination.name == destination))
    if study_id is None or destination_id is None:
        return None
    lock_destination(tx, destination_id)  # two at once would make the same generation
    which = (
        Transfer.study_instance_uid == study_instance_uid,
        Transfer.destination_id == destination_id,
        Transfer.origin == FORWARD,
    )
    generation = (tx.conn.scalar(select(func.max(Transfer.generation)).where(*which)) or 0) + 1
    transfer_id = tx.conn.execute(
        insert(Transfer)
        .values(
            study_id=study_id,
            study_instance_uid=study_instance_uid,
            destination_id=destination_id,
            origin=FORWARD,
            generation=generation,
            requested_by=actor[:64],
            created_at=tx.now,
            last_arrival_at=tx.now,
        )
        .returning(Transfer.id)
    ).scalar_one()
    newest = (
        select(Instance.sop_instance_uid, func.max(Instance.version).label("version"))
        .where(Instance.study_id == study_id)
        .group_by(Instance.sop_instance_uid)
        .subquery()
    )
    rows = tx.conn.execute(
        select(Instance.id, Instance.series_id, Instance.size)
        .join(
            newest,
            (newest.c.sop_instance_uid == Instance.sop_instance_uid) & (newest.c.version == Instance.version),
        )
        .order_by(Instance.id)
    ).all()
    files = sendable.secure(tx, [row.id for row in rows])
    present = [(row, files[row.id][-1]) for row in rows if row.id in files and not files[row.id][-1].missed]
    if present:
        tx.conn.execute(
            insert(Item),
            [
                {
                    "transfer_id": transfer_id,
                    "destination_id": destination_id,
                    "instance_id": row.id,
                    "file_id": file.file_id,
                    "series_id": row.series_id,
                    "spool_id": file.spool_id,
                    "size": row.size,
                    "priority": int(priority),
                    "state": int(ItemState.READY),
                    "created_at": tx.now,
                }
                for row, file in present
            ],
        )
    tally = Tally()
    tally.add(destination_id, transfer_id, ItemState.READY, len(present))
    tally.write(tx)
    trail.record(
        tx,
        actor,
        "study.resent",
        study_instance_uid=study_instance_uid,
        destination_id=destination_id,
        generation=generation,
        instances=len(present),
    )
    lane = "stat" if priority is Priority.STAT else "work"
    rung = [
        Bell(destination, spool_id, lane)
        for spool_id in sorted({file.spool_id for _, file in present})
        if bells.claim_ring(tx, destination_id, spool_id, lane)
    ]
    return Resent(transfer_id, generation, len(present), len(rows) - len(present), rung)
