"""What is told of the DIMSE-N services: N-CREATE, N-SET, N-GET, N-ACTION, N-DELETE (PS3.7 10.1)."""

from __future__ import annotations

from dataclasses import dataclass, field

from pydicom.dataset import Dataset

from gurney.dicom.status import Category, Service, categorise, describe
from gurney.pacs.remote import RemoteAE

__all__ = ["AfterNormalized", "BeforeNormalized", "NormalizedChange", "NormalizedResult"]


@dataclass(frozen=True, slots=True)
class NormalizedResult:
    """What a peer answered to an operation that did not fail: with success or with a warning.

    ``attributes`` is the attribute list, or the action reply, decoded; None where the peer sent none.
    ``attribute_tags`` are those that it says it did not take (PS3.7 10.1.5.1.8).
    """

    service: Service
    status: int
    sop_class_uid: str
    sop_instance_uid: str
    attributes: Dataset | None = field(default=None, repr=False)
    comment: str = field(default="", repr=False)
    attribute_tags: tuple[int, ...] = ()

    @property
    def category(self) -> Category:
        """The status's category: success or warning."""
        return categorise(self.status)

    @property
    def words(self) -> str:
        """Return the status in words."""
        return describe(self.status, self.service)


@dataclass(frozen=True, slots=True)
class BeforeNormalized:
    """An operation on a SOP instance is about to be asked for. A listener may return other attributes.

    Raising prevents it. ``attributes`` is the attribute list of an N-CREATE, the modification list of an N-SET, the
    action information of an N-ACTION; None where there is none. ``sop_instance_uid`` is empty where the peer is to make
    one.
    """

    remote: RemoteAE
    service: Service
    sop_class_uid: str
    sop_instance_uid: str
    attributes: Dataset | None = field(default=None, repr=False)
    action_type_id: int | None = None


@dataclass(frozen=True, slots=True)
class NormalizedChange:
    """The change that a listener of a before-event of a DIMSE-N service returns."""

    attributes: Dataset = field(repr=False)


@dataclass(frozen=True, slots=True)
class AfterNormalized:
    """An operation on a SOP instance has its answer; ``status`` is None where none came."""

    remote: RemoteAE
    service: Service
    sop_class_uid: str
    sop_instance_uid: str
    status: int | None
    attributes: Dataset | None = field(default=None, repr=False)
    action_type_id: int | None = None
