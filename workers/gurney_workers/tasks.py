"""The one task: answer a ring. What to do stands in the ledger; the message names a destination and a spool."""

from __future__ import annotations

from celery import shared_task

from gurney.jobs import SERVE_TASK
from gurney.observability import get_logger
from gurney_workers import process

__all__ = ["serve"]

log = get_logger(__name__)


@shared_task(name=SERVE_TASK)  # type: ignore[untyped-decorator]  # Celery is untyped
def serve(destination: str, spool: str) -> None:
    """Claim one batch for a destination and carry it."""
    slot = process.slot()
    if slot is None:
        log.error("slot_closed", destination=destination)
        return
    slot.serve(destination, spool)
