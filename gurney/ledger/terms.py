"""The terms of a claim: who asks, how much goes on one association, what is handed out or why not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from gurney.ledger.leases import LEASE_SECONDS, LeaseTicket
from gurney.transfer.states import Priority

__all__ = ["BatchLimits", "Claim", "Claimant", "Denied", "Work"]


@dataclass(frozen=True, slots=True)
class Claimant:
    """Who asks: a worker, the host whose slots are shared fairly, the spool that it can read, its lane."""

    worker: str
    host: str
    host_slots: int
    spool_id: int
    stat_only: bool = False


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """How much goes over one association. ``contexts`` is PS3.8's 128 (9.3.2.2: odd identifiers of one byte)."""

    instances: int = 200
    size: int = 4 << 30
    contexts: int = 128
    ttl: float = LEASE_SECONDS


class Work(NamedTuple):
    """One item as a worker needs it: what to send, where it lies, and what it must look like there.

    ``suspect`` and ``crash_suspect`` are what is held against it, which keeps it from going in company. A tuple because
    a claim makes hundreds at once.
    """

    item_id: int
    file_id: int
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    dataset_offset: int
    path: bytes
    size: int
    mtime_ns: int
    spool_path: str
    transfer_id: int
    priority: int
    suspect: int
    crash_suspect: int

    def __repr__(self) -> str:
        # Not the path, which may name a patient.
        return f"Work(item_id={self.item_id!r}, file_id={self.file_id!r}, sop_instance_uid={self.sop_instance_uid!r})"


@dataclass(frozen=True, slots=True)
class Claim:
    """A batch under its lease.

    ``ring_on``: another association is allowed and there is work for it. ``is_first``: nothing of its study is stored
    there yet, so that another association can't take of the same until something is.
    """

    ticket: LeaseTicket
    destination: str
    transfer_id: int
    study_instance_uid: str
    priority: Priority
    work: tuple[Work, ...]
    probe: bool
    ring_on: bool
    is_first: bool


@dataclass(frozen=True, slots=True)
class Denied:
    """Why there was nothing to claim. ``retry_at`` is when asking again makes sense, in ledger seconds."""

    reason: str
    retry_at: float | None = None
