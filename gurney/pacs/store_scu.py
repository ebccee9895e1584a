"""Storage SCU: the entrance for applications (PS3.4 annex B)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Unpack, overload

from pydicom.dataset import Dataset

from gurney.dicom.part10 import read_part10
from gurney.dicom.policy import STRICT, ReadPolicy
from gurney.dicom.presentation import ContextProposal, plan_contexts
from gurney.pacs.commitment_scu import StorageCommitmentScu
from gurney.pacs.instance import FileSignature, StoreRequest, StoreResult
from gurney.pacs.progress import Progress
from gurney.pacs.remote import RemoteAE
from gurney.pacs.scu import Who
from gurney.pacs.store_association import StoreAssociation
from gurney.pacs.terms import AssociationTerms, Role

__all__ = ["StoreScu", "request_for_file"]


class StoreScu(StorageCommitmentScu):
    """Store instances at remote AEs, and ask them to keep those. Use it inside a :class:`~gurney.pacs.DicomEngine`.

    ``fast_path=False`` lets pynetdicom carry the messages: slower, with the same bytes and results.
    """

    def __init__(self, calling_ae_title: str = "GURNEY", *, fast_path: bool = True, **who: Unpack[Who]) -> None:
        super().__init__(calling_ae_title, **who)
        self._fast_path = fast_path

    def associate(
        self,
        remote: RemoteAE,
        proposals: Sequence[ContextProposal],
        progress: Progress | None = None,
        *,
        roles: Sequence[Role] = (),
    ) -> StoreAssociation:
        """Associate with a remote AE, proposing 1 to 128 contexts (PS3.8 7.1).

        A peer that refuses them all gives an association that is not usable, but answers each request with its
        refusal. ``progress`` is marked whenever something moves, for whoever watches the association from outside.

        Raises as :meth:`gurney.pacs.Scu.associate` does.
        """
        make = partial(StoreAssociation, fast_path=self._fast_path)
        return self._associate(remote, AssociationTerms(tuple(proposals), tuple(roles)), make, progress)

    @overload
    def store(self, remote: RemoteAE, instance: str | os.PathLike[str]) -> StoreResult: ...
    @overload
    def store(self, remote: RemoteAE, instance: Dataset) -> StoreResult: ...
    def store(self, remote: RemoteAE, instance: str | os.PathLike[str] | Dataset) -> StoreResult:
        """Store one file, or one data set whose ``file_meta`` names its transfer syntax, on an association of its own.

        Raises a refinement of AssociationFailure, or DicomFileError for a file that should not be sent.
        """
        request = _request_for_dataset(instance) if isinstance(instance, Dataset) else request_for_file(instance)
        (result,) = self._store([request], remote)
        return result

    def store_many(
        self, remote: RemoteAE, paths: Iterable[str | os.PathLike[str]], *, policy: ReadPolicy = STRICT
    ) -> Iterator[StoreResult]:
        """Store files and yield the result of each.

        All headers are read first, to propose what the files need: one association, or several one after another
        where they need more than 128 contexts. Raises as :meth:`store` does; what was not sent then has no result.
        """
        yield from self._store([request_for_file(path, policy=policy) for path in paths], remote)

    def _store(self, requests: Sequence[StoreRequest], remote: RemoteAE) -> Iterator[StoreResult]:
        pairs = dict.fromkeys((request.sop_class_uid, request.transfer_syntax_uid) for request in requests)
        for proposals in plan_contexts(pairs):
            covered = {(proposal.sop_class_uid, proposal.transfer_syntax_uid) for proposal in proposals}
            with self.associate(remote, proposals) as association:
                yield from association.store(
                    request for request in requests if (request.sop_class_uid, request.transfer_syntax_uid) in covered
                )


def request_for_file(path: str | os.PathLike[str], *, policy: ReadPolicy = STRICT) -> StoreRequest:
    """Read a Part 10 file's header into a request. Raises DicomFileError for one that should not be sent."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        part10 = read_part10(fd, wanted=frozenset(), policy=policy)
        signature = FileSignature.of(os.fstat(fd))
    finally:
        os.close(fd)
    return StoreRequest(
        os.fspath(path),
        part10.sop_class_uid,
        part10.sop_instance_uid,
        part10.transfer_syntax_uid,
        part10.dataset_offset,
        signature,
    )


def _request_for_dataset(dataset: Dataset) -> StoreRequest:
    return StoreRequest(
        "",
        str(dataset.SOPClassUID),
        str(dataset.SOPInstanceUID),
        str(dataset.file_meta.TransferSyntaxUID),
        dataset=dataset,
    )
