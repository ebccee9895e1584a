"""What a Query/Retrieve SCU tells besides what every SCU tells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydicom.dataset import Dataset

from gurney.dicom.presentation import ContextProposal
from gurney.dicom.status import Service
from gurney.pacs.association.events import Events
from gurney.pacs.errors import AssociationFailure
from gurney.pacs.hooks import AfterHook, BeforeHook
from gurney.pacs.kinds import of_kind
from gurney.pacs.query.matches import Match
from gurney.pacs.remote import RemoteAE
from gurney.pacs.retrieve.retrieval import SubOperations
from gurney.pacs.wire.command import DimsePriority
from gurney.pacs.wire.inbound import Received

__all__ = [
    "AfterCFind",
    "AfterCGet",
    "AfterCMove",
    "BeforeCFind",
    "BeforeCGet",
    "BeforeCMove",
    "FindChange",
    "InstanceReceived",
    "MatchFound",
    "OptionalKeysIgnored",
    "QueryEvents",
    "RetrieveChange",
]


@dataclass(frozen=True, slots=True)
class BeforeCFind:
    """A C-FIND-RQ is about to be sent. A listener may return another SOP class, identifier or priority.

    Raising prevents it: whoever takes the next match gets what was raised.
    """

    remote: RemoteAE
    sop_class_uid: str
    identifier: Dataset = field(repr=False)
    priority: DimsePriority = DimsePriority.MEDIUM


@dataclass(frozen=True, slots=True)
class FindChange:
    """The change that a listener of ``before_c_find`` returns. Another SOP class must have an accepted context."""

    sop_class_uid: str | None = None
    identifier: Dataset | None = field(default=None, repr=False)
    priority: DimsePriority | None = None

    def __post_init__(self) -> None:
        _check(self.identifier, self.priority)


@dataclass(frozen=True, slots=True)
class MatchFound:
    """A match has come, and is about to be given out. A listener that returns ``event.enough()`` makes it the last.

    Raising ends the search before: whoever takes this match gets what was raised in place of it.
    """

    remote: RemoteAE
    match: Match[Any] = field(repr=False)
    stop: bool = False

    def enough(self) -> MatchFound:
        """Return the same event with the wish to stop."""
        return replace(self, stop=True)


@dataclass(frozen=True, slots=True)
class OptionalKeysIgnored:
    """A peer does not support some optional key of what was asked; told once for each operation (PS3.4 C.4.1.1.4).

    It does not say which: those that are missing in its matches, or that it has not matched by.
    """

    remote: RemoteAE
    service: Service


@dataclass(frozen=True, slots=True)
class AfterCFind:
    """A search has ended: its status, None where it was cancelled by ending the association, and how many matched.

    Where the association failed, ``error`` says how.
    """

    remote: RemoteAE
    status: int | None
    matches: int
    filtered: int
    error: AssociationFailure | None = None


@dataclass(frozen=True, slots=True)
class BeforeCMove:
    """A C-MOVE-RQ is about to be sent. A listener may return another identifier or priority; raising prevents it."""

    remote: RemoteAE
    destination: str
    identifier: Dataset = field(repr=False)
    priority: DimsePriority = DimsePriority.MEDIUM


@dataclass(frozen=True, slots=True)
class RetrieveChange:
    """The change that a listener of ``before_c_move`` or ``before_c_get`` returns; ``contexts`` are for a C-GET."""

    identifier: Dataset | None = field(default=None, repr=False)
    priority: DimsePriority | None = None
    contexts: Sequence[ContextProposal] | None = None

    def __post_init__(self) -> None:
        _check(self.identifier, self.priority)


@dataclass(frozen=True, slots=True)
class AfterCMove:
    """A response to a C-MOVE-RQ has come; the final one says so. Or the association failed, as ``error`` says.

    ``progress`` is then what was reported last, if anything was.
    """

    remote: RemoteAE
    destination: str
    progress: SubOperations | None
    error: AssociationFailure | None = None


@dataclass(frozen=True, slots=True)
class BeforeCGet:
    """A C-GET-RQ is about to be sent. A listener may return another identifier or priority; raising prevents it.

    Instances may come in ``contexts``. Where the association is made for this C-GET, by :meth:`QueryRetrieveScu.get`
    or :meth:`QueryRetrieveScu.retrieve`, the listener is asked first and may return others.
    """

    remote: RemoteAE
    identifier: Dataset = field(repr=False)
    priority: DimsePriority = DimsePriority.MEDIUM
    contexts: tuple[ContextProposal, ...] = ()


@dataclass(frozen=True, slots=True)
class AfterCGet:
    """A response to a C-GET-RQ has come; the final one says so. Or the association failed, as ``error`` says.

    ``progress`` is then what was reported last, if anything was.
    """

    remote: RemoteAE
    progress: SubOperations | None
    error: AssociationFailure | None = None


@dataclass(frozen=True, slots=True)
class InstanceReceived:
    """An instance has arrived, by C-GET (``received``) or by C-MOVE to ourselves (``moved``), and is safe."""

    remote: RemoteAE
    received: Received


class QueryEvents(Events):
    """The hooks of a Query/Retrieve SCU. ``match_patient`` and its like hear of the matches at their level only."""

    def __init__(self) -> None:
        super().__init__()
        self.before_c_find: BeforeHook[BeforeCFind, FindChange] = BeforeHook("before_c_find", FindChange)
        self.match_found: BeforeHook[MatchFound, MatchFound] = BeforeHook("match_found", MatchFound)
        self.match_patient: BeforeHook[MatchFound, MatchFound] = BeforeHook("match_patient", MatchFound)
        """As ``match_found``, behind it, for each match at the level of a patient."""
        self.match_study: BeforeHook[MatchFound, MatchFound] = BeforeHook("match_study", MatchFound)
        """As ``match_found``, behind it, for each match at the level of a study."""
        self.match_series: BeforeHook[MatchFound, MatchFound] = BeforeHook("match_series", MatchFound)
        """As ``match_found``, behind it, for each match at the level of a series."""
        self.match_instance: BeforeHook[MatchFound, MatchFound] = BeforeHook("match_instance", MatchFound)
        """As ``match_found``, behind it, for each match at the level of an instance."""
        self.optional_keys_ignored: AfterHook[OptionalKeysIgnored] = AfterHook("optional_keys_ignored")
        self.after_c_find: AfterHook[AfterCFind] = AfterHook("after_c_find")
        self.before_c_move: BeforeHook[BeforeCMove, RetrieveChange] = BeforeHook("before_c_move", RetrieveChange)
        self.after_c_move: AfterHook[AfterCMove] = AfterHook("after_c_move")
        self.before_c_get: BeforeHook[BeforeCGet, RetrieveChange] = BeforeHook("before_c_get", RetrieveChange)
        self.after_c_get: AfterHook[AfterCGet] = AfterHook("after_c_get")
        self.received: AfterHook[InstanceReceived] = AfterHook("received")
        """An instance has arrived by C-GET, whole, and is safe on disk where that was asked for."""
        self.moved: AfterHook[InstanceReceived] = AfterHook("moved")
        """An instance of a C-MOVE to ourselves has arrived, whole and safe on disk."""


def _check(identifier: Dataset | None, priority: DimsePriority | None) -> None:
    if identifier is not None:
        of_kind(identifier, Dataset, "identifier")
    if priority is not None:
        of_kind(priority, DimsePriority, "priority")
