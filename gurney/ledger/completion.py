"""When a study rests: nothing of it has come for a while and nothing is on its way, so that what waited for it may go.

Like :mod:`gurney.ledger.reconciling` it goes by the ledger's own rows, so it may run twice, late, or after any crash.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, ScalarSelect, exists, func, insert, select, update

from gurney.ledger import trail
from gurney.ledger.database import Ledger, Transaction
from gurney.ledger.forwarding import Bell
from gurney.ledger.models import Completion, Instance, Item, Transfer
from gurney.ledger.models.predicates import item_is
from gurney.ledger.operations import release_held
from gurney.ledger.proving.errands import want
from gurney.ledger.selection import Selection
from gurney.transfer.states import ItemState

__all__ = ["complete_quiet"]

_UNTIL_COMPLETE = ("series_complete", "study_complete")
_UNDER_WAY = (ItemState.READY, ItemState.RUNNING, ItemState.RETRY)


def complete_quiet(ledger: Ledger, quiet: float, max_wait: float, actor: str) -> list[Bell]:
    """Let go what waited until nothing had come for ``quiet`` seconds, and note the transfers that rest.

    A transfer rests when nothing of its study has come for that long, wherever it was sent, and nothing of the transfer
    is on its way. What a study or series to which instances trickle in holds back waits ``max_wait`` seconds at most.
    Return whom to ring.
    """
    now = ledger.now()
    with ledger.read() as conn:
        resting = conn.scalars(
            select(Transfer.id).where(*_rests(now - quiet)).order_by(Transfer.last_arrival_at).limit(200)
        ).all()
        held = conn.execute(
            select(
                Item.transfer_id,
                Item.series_id,
                func.max(Item.created_at).label("latest"),
                func.min(Item.created_at).label("earliest"),
                func.max(Transfer.last_arrival_at).label("last_arrival_at"),
                _newest_of_study().label("newest"),
            )
            .join(Transfer, Transfer.id == Item.transfer_id)
            .where(item_is(ItemState.HELD), Item.held_for.in_(_UNTIL_COMPLETE))
            .group_by(Item.transfer_id, Item.series_id, Transfer.study_id)
        ).all()
    selections: list[Selection] = []
    for row in held:
        if row.earliest <= now - max_wait or max(row.last_arrival_at, row.newest) <= now - quiet:
            selections.append(Selection(transfer_id=row.transfer_id, held_for=_UNTIL_COMPLETE))
        elif row.latest <= now - quiet:
            series = Selection(transfer_id=row.transfer_id, series_id=row.series_id, held_for=("series_complete",))
            selections.append(series)
    for transfer_id in resting:
        ledger.transact(_complete, transfer_id, quiet, actor)
    wanted: dict[Bell, None] = {}
    for selection in selections:
        wanted |= dict.fromkeys(release_held(ledger, selection, actor)[1])
    return list(wanted)


def _rests(since: float) -> list[ColumnElement[bool]]:
    """Match transfers to whose study nothing has come since a time, and that have nothing under way."""
    return [
        Transfer.quiet_since.is_(None),
        Transfer.last_arrival_at <= since,
        ~exists().where(Instance.study_id == Transfer.study_id, Instance.created_at > since).correlate(Transfer),
        ~_is_under_way(),
    ]


def _newest_of_study() -> ScalarSelect[float]:
    newest = select(func.max(Instance.created_at)).where(Instance.study_id == Transfer.study_id)
    return newest.correlate(Transfer).scalar_subquery()


def _is_under_way() -> ColumnElement[bool]:
    """Match transfers of which something is still to be sent. What is held back waits for this very rest."""
    return exists().where(Item.transfer_id == Transfer.id, item_is(*_UNDER_WAY)).correlate(Transfer)


def _complete(tx: Transaction, transfer_id: int, quiet: float, actor: str) -> None:
    """Write one quiet period, for what it covers that none before it did; unless something came in the meantime.

    What is let go only now is covered by the next one, when it has been sent; and from now on what comes late goes at
    once, even where there is nothing to be covered yet.
    """
    restless = select(Transfer.__table__).where(Transfer.id == transfer_id, *_rests(tx.now - quiet))
    transfer = tx.conn.execute(restless.with_for_update()).one_or_none()
    if transfer is None:
        return
    covered = (
        tx.conn.scalar(select(func.max(Completion.last_item_id)).where(Completion.transfer_id == transfer_id)) or 0
    )
    waiting = tx.conn.scalar(
        select(func.min(Item.id)).where(
            Item.transfer_id == transfer_id, item_is(ItemState.HELD), Item.held_for.in_(_UNTIL_COMPLETE)
        )
    )
    settled = select(func.max(Item.id).label("last"), func.count().label("n")).where(
        Item.transfer_id == transfer_id, Item.id > covered
    )
    new = tx.conn.execute(settled if waiting is None else settled.where(Item.id < waiting)).one()
    tx.conn.execute(update(Transfer).where(Transfer.id == transfer_id).values(quiet_since=tx.now))
    want(tx, transfer_id)
    if new.n or waiting is not None:
        tx.conn.execute(
            insert(Completion).values(
                transfer_id=transfer_id, at=tx.now, reason="quiet", last_item_id=new.last or covered, instances=new.n
            )
        )
        trail.record(
            tx,
            actor,
            "transfer.quiet",
            study_instance_uid=transfer.study_instance_uid,
            destination_id=transfer.destination_id,
            transfer=transfer_id,
            instances=new.n,
        )
