"""What the service class users of DIMSE-N services have in common."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from gurney.dicom.presentation import ContextProposal
from gurney.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from gurney.pacs.association.scu import VERIFICATION, Scu
from gurney.pacs.normalized.operations import NormalizedServices
from gurney.pacs.remote import RemoteAE

__all__ = ["NormalizedScu"]


class NormalizedScu(Scu):
    """Manage SOP instances of remote AEs. Use it inside a :class:`~gurney.pacs.DicomEngine`.

    By itself it takes any SOP class; the others add methods for theirs.
    """

    @contextmanager
    def services(
        self, remote: RemoteAE, sop_class_uid: str, *, also: Sequence[str] = ()
    ) -> Iterator[NormalizedServices]:
        """Associate for a SOP class, or a Meta SOP class, for the length of the block.

        ``also`` are proposed besides; they may be refused. What is asked goes in the context of ``sop_class_uid``.
        Raises as :meth:`gurney.pacs.Scu.associate` does; ContextRefused comes with the first operation.
        """
        proposals = [
            ContextProposal(uid, syntax)
            for uid in (sop_class_uid, *also)
            for syntax in (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)
        ]
        with self.associate(remote, [*proposals, VERIFICATION]) as association:
            yield NormalizedServices(association, sop_class_uid)
