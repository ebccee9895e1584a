"""Read what the ledger of the demo says, instance by instance."""

from __future__ import annotations

from functools import cached_property
from types import TracebackType
from typing import Self

from sqlalchemy import select

from gurney.errors import LedgerError
from gurney.ledger.database import Ledger
from gurney.ledger.models import Instance, Item
from gurney.ledger.schema import check_schema
from gurney.transfer.states import ItemState
from gurney_daemon.demo.comparison import Entry

__all__ = ["LedgerReader"]


class LedgerReader:
    """A reader beside the processes that write."""

    def __init__(self, url: str) -> None:
        """Prepare; nothing is opened yet, and ``gurney up`` may not have made the ledger."""
        self._url = url

    def is_ready(self) -> bool:
        """Tell whether the ledger has its schema, so that it can be read."""
        try:
            check_schema(self._ledger)
        except LedgerError:
            return False
        return True

    @cached_property
    def _ledger(self) -> Ledger:
        # A ledger that is not there yet raises, and is looked for again at the next call.
        return Ledger(self._url)

    def entries(self) -> dict[str, Entry]:
        """Give what is said of every SOP instance."""
        query = select(Instance.sop_instance_uid, Instance.transfer_syntax_uid, Item.state, Item.last_words).outerjoin(
            Item, Item.instance_id == Instance.id
        )
        with self._ledger.read() as conn:
            rows = conn.execute(query).all()
        return {
            row.sop_instance_uid: Entry(
                row.transfer_syntax_uid, None if row.state is None else ItemState(row.state), row.last_words or ""
            )
            for row in rows
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if "_ledger" in self.__dict__:
            self._ledger.dispose()
