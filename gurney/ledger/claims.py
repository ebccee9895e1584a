"""Claim a batch: one destination, one association, one short transaction that raises the fence.

Three index seeks and never an OR: expire dead leases, promote what is due for a retry, take the head of what is ready.
The head picks priority and study; what stands behind it in the index fills the batch. So priorities never mix, an
association is one study's unless the destination is configured otherwise, and the cost does not grow with the ledger.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlalchemy import bindparam, exists, func, insert, select, update

from gurney.ledger import batches, bells, destinations
from gurney.ledger.database import AnyRow, Transaction
from gurney.ledger.leases import LeaseTicket, expire
from gurney.ledger.models import Destination, Item, Lease, Transfer
from gurney.ledger.models.idlist import among
from gurney.ledger.models.predicates import is_live
from gurney.ledger.tally import Tally
from gurney.ledger.terms import BatchLimits, Claim, Claimant, Denied, Work
from gurney.transfer import breaker
from gurney.transfer.breaker import Admit, Breaker, Gate
from gurney.transfer.states import ItemState, Priority

__all__ = ["claim"]


# Statements are made once, here: making one anew for each claim would take longer than running it.
_STUDY = select(Transfer.study_instance_uid, Transfer.first_stored_at).where(Transfer.id == bindparam("transfer"))
_LIVE = select(Lease.transfer_id, Lease.host).where(Lease.destination_id == bindparam("destination"), is_live())
_LEASE = insert(Lease).returning(Lease.id)
_TAKE = (
    update(Item)
    .where(among(Item.id, "ids"))
    .values(state=int(ItemState.RUNNING), lease_id=bindparam("lease"), fence=bindparam("new_fence"))
)


def claim(
    tx: Transaction,
    destination: str,
    claimant: Claimant,
    limits: BatchLimits = BatchLimits(),  # noqa: B008 - frozen
) -> Claim | Denied:
    """Claim the next batch for a destination, or say why there is none.

    Locks the destination's row, so that concurrency is counted exactly. An empty claim changes nothing that matters.
    """
    row = destinations.lock(tx, destination)
    if row is None or row.retired:
        return Denied("not in the configuration")
    bells.answer(tx, row.id, claimant.spool_id)
    gate = _expire_leases(tx, row)
    admission = breaker.may_claim(gate, tx.now)
    if admission.admit is Admit.DENIED:
        return Denied(admission.reason, admission.next_at)
    probe = admission.admit is Admit.PROBE
    live = _live_leases(tx, row.id)
    if len(live) >= (1 if probe else gate.concurrency):
        return _wait_for_a_slot(tx, row.id, claimant)
    if not probe and _over_its_share(tx, row.id, live, claimant):
        return Denied("the other slots of this host are for other destinations")
    batches.promote(tx, row.id)
    begun = batches.studies_begun(tx, row, live)
    batch = batches.next_batch(tx, row, claimant, begun, limits, probe=probe)
    if not batch:
        return Denied("nothing is due", batches.next_due(tx, row.id))
    if probe:
        gate = breaker.begin_probe(gate, tx.now)
    ticket = _take(tx, row, gate, claimant, batch, limits, probe=probe)
    slots_left = 0 if probe else gate.concurrency - len(live) - 1
    study = tx.conn.execute(_STUDY, {"transfer": batch[0].transfer_id}).one()
    return Claim(
        ticket=ticket,
        destination=row.name,
        transfer_id=batch[0].transfer_id,
        study_instance_uid=study.study_instance_uid,
        priority=Priority(batch[0].priority),
        work=tuple(batch),
        probe=probe,
        ring_on=slots_left > 0 and batches.has_due_work(tx.conn, row.id, claimant.spool_id, tx.now),
        is_first=study.first_stored_at is None and row.association != "batch",
    )


def _expire_leases(tx: Transaction, row: AnyRow) -> Gate:
    """Take back what dead workers held; a probe that died with its worker has told nothing."""
    gate = destinations.gate_of(row)
    if expire(tx, row.id) and gate.breaker is Breaker.HALF_OPEN:
        probing = exists().where(Lease.destination_id == row.id, is_live(), Lease.probe)
        if not tx.conn.scalar(select(probing)):
            gate = breaker.on_nothing_learned(gate, tx.now)
            destinations.store_gate(tx, row, gate)
    return gate


def _live_leases(tx: Transaction, destination_id: int) -> Sequence[AnyRow]:
    return tx.conn.execute(_LIVE, {"destination": destination_id}).all()


def _wait_for_a_slot(tx: Transaction, destination_id: int, claimant: Claimant) -> Denied:
    """Every association is in use; where STAT waits, the batches on the wire stop at their next instance."""
    if batches.has_stat_work(tx.conn, destination_id, claimant.spool_id):
        tx.conn.execute(
            update(Destination)
            .where(Destination.id == destination_id, Destination.stat_waiting_at.is_(None))
            .values(stat_waiting_at=tx.now)
        )
    return Denied("every association that it allows is in use")


def _over_its_share(tx: Transaction, destination_id: int, live: Sequence[AnyRow], claimant: Claimant) -> bool:
    """Whether it holds half of this host's slots while another destination could use one."""
    held = sum(lease.host == claimant.host for lease in live)
    if held < max(1, (claimant.host_slots + 1) // 2):
        return False
    leases = (
        select(func.count())
        .select_from(Lease)
        .where(Lease.destination_id == Destination.id, is_live())
        .correlate(Destination)
        .scalar_subquery()
    )
    others = tx.conn.scalars(
        select(Destination.id).where(
            Destination.id != destination_id,
            Destination.retired.is_(False),
            Destination.breaker == "closed",
            Destination.paused_by == "",
            (Destination.probe_at.is_(None)) | (Destination.probe_at <= tx.now),
            leases < Destination.effective_concurrency,
        )
    ).all()
    return any(batches.has_due_work(tx.conn, other, claimant.spool_id, tx.now) for other in others)


def _take(
    tx: Transaction,
    row: AnyRow,
    gate: Gate,
    claimant: Claimant,
    batch: list[Work],
    limits: BatchLimits,
    *,
    probe: bool,
) -> LeaseTicket:
    """Write the lease and put the batch under it."""
    fence = row.fence + 1
    transfers = Counter(item.transfer_id for item in batch)
    lease = {
        "destination_id": row.id,
        "transfer_id": batch[0].transfer_id if len(transfers) == 1 else None,
        "worker": claimant.worker,
        "host": claimant.host,
        "priority": batch[0].priority,
        "fence": fence,
        "items": len(batch),
        "probe": probe,
        "acquired_at": tx.now,
        "until": tx.now + limits.ttl,
    }
    lease_id = tx.conn.execute(_LEASE, lease).scalar_one()
    tx.conn.execute(_TAKE, {"ids": [item.item_id for item in batch], "lease": lease_id, "new_fence": fence})
    tally = Tally()
    for transfer_id, n in transfers.items():
        tally.move(row.id, transfer_id, ItemState.READY, ItemState.RUNNING, n)
    tally.write(tx)
    more: dict[str, Any] = {"fence": fence, "claims": row.claims + 1}
    if row.stat_waiting_at is not None and (
        batch[0].priority == Priority.STAT or not batches.has_stat_work(tx.conn, row.id, claimant.spool_id)
    ):
        more["stat_waiting_at"] = None  # served, or cancelled in the meantime
    destinations.store_gate(tx, row, gate, **more)
    return LeaseTicket(lease_id, fence, row.id)
