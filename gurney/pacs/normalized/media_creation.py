"""What goes on a medium, and how far its making has come (PS3.4 annex S, PS3.3 C.22)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field
from enum import StrEnum

from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from gurney.pacs.display import text_at, texts_at
from gurney.pacs.normalized.attributes import UTF_8, attribute_list, references, require

__all__ = ["ExecutionStatus", "MediaCreationRequest", "MediaCreationState", "RequestPriority"]

_REQUEST = "a media creation request"


class ExecutionStatus(StrEnum):
    """Execution Status (2100,0020) of a media creation request."""

    IDLE = "IDLE"
    PENDING = "PENDING"
    CREATING = "CREATING"
    DONE = "DONE"
    FAILURE = "FAILURE"


class RequestPriority(StrEnum):
    """Request Priority (2200,0020)."""

    HIGH = "HIGH"
    MED = "MED"
    LOW = "LOW"


@dataclass(frozen=True, slots=True)
class MediaCreationRequest:
    """Instances that a medium shall hold, as pairs of SOP Class UID and SOP Instance UID; the peer must have them.

    What is left out, or None, is left to the peer. ``profile`` is a media application profile (PS3.11), such as
    ``STD-GEN-CD``, for all of them.
    """

    instances: Sequence[tuple[str, str]] = field(repr=False)
    _: KW_ONLY
    profile: str = ""
    label_from_instances: bool | None = None
    label_text: str = field(default="", repr=False)
    disposition: str = field(default="", repr=False)
    file_set_id: str = ""
    allow_splitting: bool | None = None
    allow_lossy_compression: bool | None = None
    include_display_application: bool | None = None
    character_set: str = UTF_8
    sop_instance_uid: str = field(default_factory=generate_uid)

    def attributes(self) -> Dataset:
        """Return the attribute list of the N-CREATE. Raises InvalidAttributes that names all that it lacks."""
        items = references(_REQUEST, self.instances)
        if self.profile:
            for item in items:
                item.update(attribute_list(_REQUEST, RequestedMediaApplicationProfile=self.profile))
        made = attribute_list(
            _REQUEST,
            SpecificCharacterSet=self.character_set,
            LabelUsingInformationExtractedFromInstances=_yes_or_no(self.label_from_instances),
            LabelText=self.label_text or None,
            MediaDisposition=self.disposition or None,
            StorageMediaFileSetID=self.file_set_id or None,
            AllowMediaSplitting=_yes_or_no(self.allow_splitting),
            AllowLossyCompression=_yes_or_no(self.allow_lossy_compression),
            IncludeDisplayApplication=_yes_or_no(self.include_display_application),
            ReferencedSOPSequence=items,
        )
        require(_REQUEST, made, ("ReferencedSOPSequence",))
        return made


@dataclass(frozen=True, slots=True)
class MediaCreationState:
    """How far a peer has come with a request. ``status`` is its own word where it is none of the standard's.

    ``info`` is its Execution Status Info, such as ``NO_INSTANCE`` or ``OUT_OF_SUPPLIES`` (PS3.3 C.22.1.1).
    ``failed`` are the SOP Instance UIDs that are not on the medium.
    """

    status: ExecutionStatus | str
    info: str = ""
    pieces: int | None = None
    failed: tuple[str, ...] = ()
    attributes: Dataset | None = field(default=None, repr=False)

    @property
    def is_over(self) -> bool:
        """Tell whether nothing more will happen."""
        return self.status in (ExecutionStatus.DONE, ExecutionStatus.FAILURE)

    @property
    def is_complete(self) -> bool:
        """Tell whether the media are there, with every instance on them."""
        return self.status is ExecutionStatus.DONE and not self.failed

    @classmethod
    def of(cls, attributes: Dataset | None) -> MediaCreationState:
        """Read what an N-GET told; what is missing in it is unknown."""
        told = attributes if attributes is not None else Dataset()
        status = text_at(told, "ExecutionStatus")
        pieces = text_at(told, "TotalNumberOfPiecesOfMediaCreated")
        return cls(
            ExecutionStatus(status) if status in {*ExecutionStatus} else status,
            text_at(told, "ExecutionStatusInfo"),
            int(pieces) if pieces.isdecimal() else None,
            tuple(texts_at(told, "FailedSOPSequence.ReferencedSOPInstanceUID")),
            attributes,
        )


def _yes_or_no(wish: bool | None) -> str | None:
    return None if wish is None else "YES" if wish else "NO"
