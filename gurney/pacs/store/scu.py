"""Storage SCU: the entrance for applications (PS3.4 annex B)."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Sequence
from functools import partial
from typing import Unpack

from gurney.dicom.policy import FINISHED, ReadPolicy
from gurney.dicom.presentation import ContextProposal
from gurney.pacs.association.scu import Who
from gurney.pacs.commitment.scu import StorageCommitmentScu
from gurney.pacs.kinds import of_kind
from gurney.pacs.progress import Progress
from gurney.pacs.remote import RemoteAE
from gurney.pacs.several import several
from gurney.pacs.store.association import StoreAssociation
from gurney.pacs.store.compression import NATIVE, Compression
from gurney.pacs.store.events import AfterCStore, StoreEvents
from gurney.pacs.store.folders import files_in
from gurney.pacs.store.lookahead import LOOK_AHEAD, Feed, LookAhead, plan_ahead
from gurney.pacs.store.sources import BESIDE_INSTANCES, Requests, Source, request_for
from gurney.pacs.store.storing import Storing
from gurney.pacs.terms import AssociationTerms, Role
from gurney.pacs.throttle import Throttle
from gurney.pacs.wire.instance import StoreResult

__all__ = ["StoreScu"]


class StoreScu(StorageCommitmentScu):
    """Store instances at remote AEs, and ask for their commitment. Use it inside a :class:`~gurney.pacs.DicomEngine`.

    ``compression`` says what may become of an instance that the peer does not take as it is: nothing, unless it is said
    here or at a call. ``fast_path=False`` lets pynetdicom carry the messages: slower, with the same bytes and results.
    """

    events: StoreEvents
    _hooks = StoreEvents

    def __init__(
        self,
        calling_ae_title: str = "GURNEY",
        *,
        fast_path: bool = True,
        compression: Compression = NATIVE,
        **who: Unpack[Who],
    ) -> None:
        super().__init__(calling_ae_title, **who)
        self._fast_path = fast_path
        self._compression = of_kind(compression, Compression, "compression")

    def associate(
        self,
        remote: RemoteAE,
        proposals: Sequence[ContextProposal],
        progress: Progress | None = None,
        *,
        roles: Sequence[Role] = (),
        compression: Compression | None = None,
        throttle: Throttle | None = None,
    ) -> StoreAssociation:
        """Associate with a remote AE, proposing 1 to 128 contexts (PS3.8 7.1).

        A peer that refuses them all gives an association that is not usable, but answers each request with its
        refusal. ``progress`` is marked whenever something moves, for whoever watches the association from outside.
        ``throttle`` limits the bytes a second, of this association or of all that share it in turns.
        To transcode, propose what ``compression.wishes(transfer_syntax_uid)`` gives for each SOP class.

        Raises as :meth:`gurney.pacs.Scu.associate` does.
        """
        return self._associate(
            remote,
            AssociationTerms(tuple(proposals), tuple(roles)),
            lambda remote, negotiated, _, progress: StoreAssociation(
                remote,
                negotiated,
                self.events,
                progress,
                fast_path=self._fast_path,
                compression=compression or self._compression,
                throttle=throttle,
            ),
            progress,
        )

    def store(
        self,
        remote: RemoteAE,
        instance: Source,
        *,
        policy: ReadPolicy = FINISHED,
        compression: Compression | None = None,
    ) -> StoreResult:
        """Store one file, or one data set whose ``file_meta`` names its transfer syntax, on an association of its own.

        What the peer makes of it, a context that it refuses included, is in the result: look at ``is_stored``. Raises a
        refinement of AssociationFailure; DicomFileError for what should not be sent, OSError for a file that can't be
        opened.
        """
        (result,) = self._run(remote, Requests([request_for(instance, policy=policy)]), compression, 1)
        return result

    def store_many(
        self,
        remote: RemoteAE,
        items: Iterable[Source],
        *,
        policy: ReadPolicy = FINISHED,
        compression: Compression | None = None,
        look_ahead: int = LOOK_AHEAD,
    ) -> Storing:
        """Store files and data sets, and give the result of each; what can't be sent has a result that says why.

        The items are taken lazily, up to ``look_ahead`` of them (fewer of data sets) before they are sent: their
        headers tell what contexts to propose. One association goes on as long as its contexts cover what comes; what
        they don't cover waits for the next, so that results come in the order of the items up to there.

        After a listener's ``Skip.ALL`` the rest has results that ``is_skipped``, and no file is looked into. A
        collection is told to its end; from a generator or another iterator, which may be endless, nothing more is
        taken.

        Raises TypeError at once for one path or data set in place of several. Later a refinement of AssociationFailure;
        what was not sent then has no result. What ``items`` itself raises is raised after the results of all that it
        gave before.
        """
        several(items, "store_many", "use store() for one instance, store_folder() for a folder")
        return Storing(self._run(remote, Requests(items, policy=policy), compression, look_ahead))

    def store_folder(
        self,
        remote: RemoteAE,
        folder: str | os.PathLike[str],
        *,
        recursive: bool = True,
        policy: ReadPolicy = FINISHED,
        compression: Compression | None = None,
    ) -> Storing:
        """Store every instance in a folder, in the order of the names, as :meth:`store_many` does.

        What lies beside them (text, a DICOMDIR, links, devices, and ``.incoming-*``: what a retrieve has not finished)
        has a result that ``is_skipped``; links are not followed. Raises OSError if the folder can't be listed.
        """
        found = files_in(folder, recursive=recursive)
        requests = Requests(found, policy=policy, skip=BESIDE_INSTANCES, has_end=True)
        return Storing(self._run(remote, requests, compression, LOOK_AHEAD))

    def _run(
        self,
        remote: RemoteAE,
        requests: Requests,
        compression: Compression | None,
        look_ahead: int,
    ) -> Generator[StoreResult]:
        """Store what comes, over as many associations as its contexts need."""
        compression = compression or self._compression
        ahead = LookAhead(requests, look_ahead)
        told = partial(self._told, remote)
        while ahead.fill():
            yield from map(told, ahead.leading_results())
            proposals, covered = plan_ahead(ahead.pairs(), compression)
            if not proposals:
                continue
            feed = Feed(ahead, covered)
            with self.associate(remote, proposals, compression=compression) as association:
                while True:
                    yield from map(told, ahead.leading_results())
                    feed.is_paused = False
                    for result in association.store(feed):
                        yield result
                        # They were met while its response was awaited.
                        yield from map(told, feed.take_aside())
                    yield from map(told, feed.take_aside())
                    if not feed.is_paused:
                        break
            if not feed.is_over:
                # A listener held back all that is left.
                yield from map(told, ahead.hold_back())
                yield from map(told, requests.hold_back())
                return

    def _told(self, remote: RemoteAE, result: StoreResult) -> StoreResult:
        """Tell of what never came to an association; that tells of the others."""
        self.events.after_c_store.tell(AfterCStore(remote, result))
        return result
