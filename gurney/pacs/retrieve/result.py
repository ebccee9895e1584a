"""What came of a retrieve as a whole, and what to ask for again (PS3.4 C.4.2, C.4.3)."""

from __future__ import annotations

from dataclasses import dataclass

from gurney.errors import GurneyError
from gurney.pacs.retrieve.inventory import Inventory
from gurney.pacs.retrieve.reconciliation import Reconciliation, Verdict
from gurney.pacs.retrieve.retrieval import Retrieval, SubOperations

__all__ = ["RetrieveResult"]


@dataclass(frozen=True, slots=True)
class RetrieveResult:
    """A retrieve that is over: what should have come, what came, what the peer said last, what ended it early.

    ``error`` is the failure that the peer answered, the association's, or that of our own folder or length limit,
    ``is_cancelled`` whether somebody stopped it; instances that came before are here.
    """

    inventory: Inventory
    reconciliation: Reconciliation
    progress: SubOperations | None = None
    error: GurneyError | None = None
    is_cancelled: bool = False

    @property
    def verdict(self) -> Verdict:
        """Tell what the UIDs prove; what the peer says of itself counts for nothing."""
        return self.reconciliation.verdict

    @property
    def is_complete(self) -> bool:
        """Tell whether all that should come is proved to be here."""
        return self.verdict is Verdict.COMPLETE

    @property
    def again(self) -> tuple[Retrieval, ...]:
        """What to ask for to get the missing, and nothing else; empty where that is nothing, or not known."""
        return self.inventory.retrievals(self.reconciliation.missing)
