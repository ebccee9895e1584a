"""Compare the counts that everybody is shown with the items themselves: a count that is wrong once stays wrong."""

from __future__ import annotations

from collections.abc import Sequence

from gurney.ledger import tally
from gurney.ledger.database import Ledger
from gurney.ledger.tally import Discrepancy
from gurney.observability import get_logger
from gurney.transfer.states import ItemState

__all__ = ["check_counts"]

# One mistake may have touched every study: some of them tell as much as all.
_TOLD = 20

log = get_logger(__name__)


def check_counts(ledger: Ledger) -> Sequence[Discrepancy]:
    """Tell the log of counts that differ from the items; return them. Nothing is written, so nobody waits."""
    with ledger.read() as conn:
        wrong = tally.discrepancies(conn)
    for one in wrong[:_TOLD]:
        log.error(
            "count_wrong",
            destination=one.destination_id,
            # A destination's total has none.
            transfer=None if one.transfer_id == tally.WHOLE else one.transfer_id,
            state=ItemState(one.state).name.lower(),
            counted=one.counted,
            items=one.found,
        )
    if wrong:
        log.error("counts_differ", places=len(wrong))
    else:
        log.info("counts_agree")
    return wrong
