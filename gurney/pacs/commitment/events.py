"""What is told of a storage commitment (PS3.4 annex J)."""

from __future__ import annotations

from dataclasses import dataclass

from gurney.pacs.association.events import Events
from gurney.pacs.commitment.commitment import CommitmentRequest, CommitmentResult
from gurney.pacs.commitment.report import Discrepancy
from gurney.pacs.hooks import AfterHook, BeforeHook
from gurney.pacs.remote import RemoteAE

__all__ = [
    "BeforeStorageCommitment",
    "CommitmentEvents",
    "CommitmentWait",
    "StorageCommitmentResult",
    "StorageCommitmentWait",
]


@dataclass(frozen=True, slots=True)
class CommitmentWait:
    """Seconds to wait for answers: on the association that asked, then, after its release, at the listener.

    On the association they are counted anew with each answer that comes.
    """

    on_association: float = 5.0
    at_listener: float = 60.0

    def __post_init__(self) -> None:
        for name in ("on_association", "at_listener"):
            seconds = getattr(self, name)
            if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < float("inf"):
                raise ValueError(f"wait {name!r} must be a number of seconds, not {seconds!r}")


@dataclass(frozen=True, slots=True)
class BeforeStorageCommitment:
    """A transaction is about to be asked for: keep its UID now. Nothing can be changed; raising prevents it."""

    remote: RemoteAE
    request: CommitmentRequest


@dataclass(frozen=True, slots=True)
class StorageCommitmentWait:
    """These transactions are about to be asked for, and to be waited for. A listener may return another wait."""

    remote: RemoteAE
    transaction_uids: tuple[str, ...]
    wait: CommitmentWait


@dataclass(frozen=True, slots=True)
class StorageCommitmentResult:
    """An answer has come, from ``sender``, however late; ``discrepancies`` did not count. Only to be looked at.

    ``remote`` is who was asked. ``result`` is what is known now; an answer of another sender does not change it.
    """

    remote: RemoteAE
    sender: str
    result: CommitmentResult
    discrepancies: frozenset[Discrepancy] = frozenset()


class CommitmentEvents(Events):
    """The hooks of an SCU that asks for storage commitment."""

    def __init__(self) -> None:
        super().__init__()
        self.before_storage_commitment: BeforeHook[BeforeStorageCommitment, None] = BeforeHook(
            "before_storage_commitment"
        )
        self.storage_commitment_wait: BeforeHook[StorageCommitmentWait, CommitmentWait] = BeforeHook(
            "storage_commitment_wait", CommitmentWait
        )
        self.storage_commitment_result: AfterHook[StorageCommitmentResult] = AfterHook("storage_commitment_result")
