"""Which items an operator means: by transfer, study, destination or state, counted before anything is done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, select

from gurney.ledger.models import Destination, Item, Transfer
from gurney.ledger.models.predicates import item_is
from gurney.transfer.states import ItemState

__all__ = ["Selection"]


@dataclass(frozen=True, slots=True)
class Selection:
    """A filter over items; what is left out is not asked for. All empty means every item."""

    transfer_id: int | None = None
    study_instance_uid: str = ""
    destination: str = ""
    states: Sequence[ItemState] = ()
    series_id: int | None = None
    held_for: Sequence[str] = ()

    def conditions(self, *states: ItemState) -> list[ColumnElement[bool]]:
        """Return the conditions on Item, for the given states or those of the filter that are among them."""
        wanted = [state for state in states if not self.states or state in self.states]
        found: list[ColumnElement[bool]] = [item_is(*wanted)]
        if self.transfer_id is not None:
            found.append(Item.transfer_id == self.transfer_id)
        if self.series_id is not None:
            found.append(Item.series_id == self.series_id)
        if self.held_for:
            found.append(Item.held_for.in_(self.held_for))
        if self.study_instance_uid:
            of_study = select(Transfer.id).where(Transfer.study_instance_uid == self.study_instance_uid)
            found.append(Item.transfer_id.in_(of_study))
        if self.destination:
            found.append(Item.destination_id.in_(select(Destination.id).where(Destination.name == self.destination)))
        return found
