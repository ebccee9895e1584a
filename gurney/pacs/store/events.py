"""What a Storage SCU tells besides: each instance before it goes out, and what became of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto

from pydicom.dataset import Dataset

from gurney.pacs.commitment.events import CommitmentEvents
from gurney.pacs.hooks import AfterHook, BeforeHook
from gurney.pacs.kinds import of_kind
from gurney.pacs.remote import RemoteAE
from gurney.pacs.wire.command import DimsePriority
from gurney.pacs.wire.instance import StoreRequest, StoreResult

__all__ = ["AfterCStore", "BeforeCStore", "Skip", "StoreChange", "StoreEvents"]


class Skip(Enum):
    """How much a listener of ``before_c_store`` holds back: nothing, this instance, or this and all behind it.

    What is held back has a result that ``is_skipped``, and has not failed. Behind ALL no listener is asked any more,
    and no file is looked into; from a generator, which may have no end, nothing more is taken.
    """

    NOTHING = auto()
    THIS = auto()
    ALL = auto()


@dataclass(frozen=True, slots=True)
class BeforeCStore:
    """An instance is about to be sent. A listener may return another data set or priority, or hold it or all back.

    Raising fails this instance, and no other; to hold it back is no failure (:class:`Skip`). Perhaps the one before it
    still awaits its response. ``decode`` reads the data set that would be sent, transcoded if it must be; its
    ``file_meta`` names the transfer syntax. Only then, and only if it is returned in a :class:`StoreChange`, are the
    bytes not sent as they are.
    """

    remote: RemoteAE
    request: StoreRequest
    context_id: int
    message_id: int
    priority: DimsePriority
    decode: Callable[[], Dataset] = field(repr=False)
    dataset: Dataset | None = field(default=None, repr=False)
    skip: Skip = Skip.NOTHING


@dataclass(frozen=True, slots=True)
class StoreChange:
    """The change that a listener of ``before_c_store`` returns.

    A data set is encoded in the transfer syntax that the instance goes out in and sent in place of the file's bytes;
    its SOP Class and SOP Instance UID are those that the request then names.
    """

    dataset: Dataset | None = field(default=None, repr=False)
    priority: DimsePriority | None = None
    skip: Skip = Skip.NOTHING

    def __post_init__(self) -> None:
        if self.dataset is not None:
            of_kind(self.dataset, Dataset, "dataset")
        if self.priority is not None:
            of_kind(self.priority, DimsePriority, "priority")
        of_kind(self.skip, Skip, "skip")


@dataclass(frozen=True, slots=True)
class AfterCStore:
    """An instance has its result, from the peer or from us."""

    remote: RemoteAE
    result: StoreResult


class StoreEvents(CommitmentEvents):
    """The hooks of a Storage SCU, which asks for storage commitment as well."""

    def __init__(self) -> None:
        super().__init__()
        self.before_c_store: BeforeHook[BeforeCStore, StoreChange] = BeforeHook("before_c_store", StoreChange)
        self.after_c_store: AfterHook[AfterCStore] = AfterHook("after_c_store")
