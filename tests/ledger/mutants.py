"""Ledgers with one mistake each: what the machine of :mod:`tests.ledger.machine` must notice.

Each mutant is a function that patches one thing; its name says what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import bindparam, insert, update

from gurney.ledger import batches, changes, claims, leases, operations, settlement
from gurney.ledger.database import Transaction
from gurney.ledger.errors import LeaseLost
from gurney.ledger.models import Attempt, Item, Lease
from gurney.ledger.models.idlist import among
from gurney.ledger.models.predicates import is_live, item_is
from gurney.ledger.tally import Tally
from gurney.transfer import breaker
from gurney.transfer.breaker import Admission, Admit
from gurney.transfer.states import ItemState, Priority

__all__ = ["MUTANTS", "Mutant"]

Patch = pytest.MonkeyPatch
Mutant = Callable[[Patch], None]


def settle_without_a_live_lease(patch: Patch) -> None:
    patch.setattr(settlement, "assert_live", _asserting(lambda row, now: True))


def settle_after_the_lease_ran_out(patch: Patch) -> None:
    patch.setattr(settlement, "assert_live", _asserting(lambda row, now: row.state == "live"))


def settle_after_release(patch: Patch) -> None:
    patch.setattr(settlement, "assert_live", _asserting(lambda row, now: row.until > now))


def _asserting(is_live: Callable[[Any, float], bool]) -> Callable[[Any, Any], Any]:
    def assert_live(tx: Any, ticket: Any) -> Any:
        row = tx.conn.execute(leases._LOOK, {"id": ticket.id}).one()
        if not is_live(row, tx.now):
            raise LeaseLost("gone")
        return row

    return assert_live


def settle_without_the_fence(patch: Patch) -> None:
    settle_without_a_live_lease(patch)
    stored = (
        update(Item)
        .where(among(Item.id, "ids"), item_is(ItemState.RUNNING))
        .values(state=int(ItemState.DONE), lease_id=None, settled_at=bindparam("now"))
        .returning(Item.id, Item.transfer_id)
    )
    patch.setattr(settlement, "_STORE", stored)
    patch.setattr(settlement._Batch, "_may_change", lambda self, item, decision: True)


def settle_twice(patch: Patch) -> None:
    patch.setattr(settlement._Batch, "_was_settled", lambda self, item: False)
    patch.setattr(settlement._Batch, "_insert_attempts", _insert_or_ignore)


def _insert_or_ignore(batch: Any, attempts: Any) -> None:
    for result, outcome, _ in attempts:
        row = {"item_id": result.item_id, "fence": batch.ticket.fence, "lease_id": batch.ticket.id, "endpoint": ""}
        row |= {"outcome": int(outcome), "settled_at": batch.tx.now}
        batch.tx.conn.execute(insert(Attempt).prefix_with("OR IGNORE"), row)


def settle_without_an_attempt(patch: Patch) -> None:
    patch.setattr(settlement._Batch, "_insert_attempts", lambda self, attempts: None)


def settle_without_counting(patch: Patch) -> None:
    patch.setattr(settlement, "Tally", _Forgetful)


def charge_without_refund(patch: Patch) -> None:
    patch.setattr(settlement._Batch, "_refund", lambda self, refund, histories: None)


def renew_without_the_fence(patch: Patch) -> None:
    same = (Lease.id == bindparam("lease"), is_live(), Lease.until > bindparam("now"))
    patch.setattr(leases, "_RENEW", update(Lease).where(*same).values(until=bindparam("new_until")))


def renew_what_has_run_out(patch: Patch) -> None:
    patch.setattr(leases, "_RENEW", update(Lease).where(*leases._OURS).values(until=bindparam("new_until")))


def renew_what_was_lost(patch: Patch) -> None:
    same = (Lease.id == bindparam("lease"), Lease.fence == bindparam("our_fence"))
    patch.setattr(leases, "_RENEW", update(Lease).where(*same).values(until=bindparam("new_until")))


def release_a_lost_lease(patch: Patch) -> None:
    same = (Lease.id == bindparam("lease"), Lease.fence == bindparam("our_fence"))
    ended = update(Lease).where(*same).values(state="released", ended_at=bindparam("now"))
    patch.setattr(leases, "_RELEASE", ended)


def release_and_forget_the_items(patch: Patch) -> None:
    patch.setattr(leases, "_return_items", lambda tx, lease_id, destination_id: 0)


def release_without_counting(patch: Patch) -> None:
    patch.setattr(leases, "Tally", _Forgetful)


def claim_without_counting_associations(patch: Patch) -> None:
    patch.setattr(claims, "_live_leases", lambda tx, destination_id: [])


def claim_what_others_hold(patch: Patch) -> None:
    patch.setattr(batches, "_READY", (*batches._READY[:2], item_is(ItemState.READY, ItemState.RUNNING)))


def claim_what_is_done(patch: Patch) -> None:
    patch.setattr(batches, "_READY", (*batches._READY[:2], item_is(ItemState.READY, ItemState.DONE)))


def claim_without_raising_the_fence(patch: Patch) -> None:
    real = claims._take

    def same_fence(tx: Any, row: Any, *more: Any, **named: Any) -> Any:
        return real(tx, _Row(row, fence=max(0, row.fence - 1)), *more, **named)  # type: ignore[arg-type]

    patch.setattr(claims, "_take", same_fence)


def claim_before_it_is_due(patch: Patch) -> None:
    real = batches.promote

    def promote_all(tx: Transaction, destination_id: int) -> None:
        real(Transaction(tx.conn, tx.clock, tx.now + 3_600.0), destination_id)

    patch.setattr(batches, "promote", promote_all)


def claim_while_paused(patch: Patch) -> None:
    patch.setattr(breaker, "may_claim", lambda gate, now: Admission(Admit.FULL))


def begin_one_study_twice(patch: Patch) -> None:
    patch.setattr(batches, "studies_begun", lambda tx, row, live: [])


def mix_priorities(patch: Patch) -> None:
    real = batches._fill

    def of_any(tx: Any, row: Any, claimant: Any, head: Any, limits: Any, *, alone: bool) -> list[Any]:
        wanted = sorted(Priority, key=lambda priority: priority != head.priority)
        heads = [_Row(head, priority=int(priority)) for priority in wanted]
        found = [item for one in heads for item in real(tx, row, claimant, one, limits, alone=alone)]  # type: ignore[arg-type]
        return found[: limits.instances]

    patch.setattr(batches, "_fill", of_any)


def lose_a_lease_and_charge_for_it(patch: Patch) -> None:
    patch.setattr(leases, "ALONE_AFTER", 0)
    patch.setattr(leases, "_CRASHES_ALONE", 4)


def lose_a_lease_and_keep_its_row_alive(patch: Patch) -> None:
    patch.setattr(leases, "_LOSE", leases._LOSE.values(state="live"))


def lose_a_lease_and_its_items(patch: Patch) -> None:
    patch.setattr(leases, "_expire_items", lambda tx, lease_id, destination_id, end: 0)


def change_without_counting(patch: Patch) -> None:
    patch.setattr(changes, "Tally", _Forgetful)


def retry_what_is_done(patch: Patch) -> None:
    patch.setattr(operations, "RETRYABLE", (*operations.RETRYABLE, ItemState.DONE))


def retry_what_is_on_the_wire(patch: Patch) -> None:
    patch.setattr(operations, "RETRYABLE", (*operations.RETRYABLE, ItemState.RUNNING))


class _Forgetful(Tally):
    """Counts nothing."""

    def write(self, tx: Any) -> None:
        pass


class _Row:
    """A row with other values in some columns."""

    def __init__(self, row: Any, **other: Any) -> None:
        self._row = row
        self.__dict__.update(other)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._row, name)


MUTANTS: tuple[Mutant, ...] = (
    settle_without_a_live_lease,
    settle_after_the_lease_ran_out,
    settle_after_release,
    settle_without_the_fence,
    settle_twice,
    settle_without_an_attempt,
    settle_without_counting,
    charge_without_refund,
    renew_without_the_fence,
    renew_what_has_run_out,
    renew_what_was_lost,
    release_a_lost_lease,
    release_and_forget_the_items,
    release_without_counting,
    claim_without_counting_associations,
    claim_what_others_hold,
    claim_what_is_done,
    claim_without_raising_the_fence,
    claim_before_it_is_due,
    claim_while_paused,
    begin_one_study_twice,
    mix_priorities,
    lose_a_lease_and_charge_for_it,
    lose_a_lease_and_keep_its_row_alive,
    lose_a_lease_and_its_items,
    change_without_counting,
    retry_what_is_done,
    retry_what_is_on_the_wire,
)
