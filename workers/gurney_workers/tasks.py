"""The two tasks: answer a ring, to send or to retrieve. What is to be done stands in the ledger, not in the message."""

from __future__ import annotations

from celery import shared_task

from gurney.jobs import RETRIEVE_TASK, SERVE_TASK
from gurney.observability import get_logger
from gurney_workers import process

__all__ = ["retrieve", "serve"]

log = get_logger(__name__)


@shared_task(name=SERVE_TASK)  # type: ignore[untyped-decorator]  # Celery is untyped
def serve(destination: str, spool: str) -> None:
    """Claim one batch for a destination and carry it."""
    slot = process.slot()
    if slot is None:
        log.error("slot_closed", destination=destination)
        return
    slot.serve(destination, spool)


@shared_task(name=RETRIEVE_TASK)  # type: ignore[untyped-decorator]  # Celery is untyped
def retrieve(destination: str, spool: str) -> None:
    """Claim one retrieval from a source, which the message calls a destination as every other, and go on with it."""
    slot = process.slot()
    if slot is None:
        log.error("slot_closed", destination=destination)
        return
    slot.retrieve(destination, spool)
