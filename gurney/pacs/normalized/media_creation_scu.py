"""Media Creation Management SCU: have discs made of instances that a peer holds (PS3.4 annex S)."""

from __future__ import annotations

import time
from collections.abc import Iterator

from pydicom.datadict import tag_for_keyword

from gurney.pacs.association.normalized_events import NormalizedResult
from gurney.pacs.errors import BadResponse
from gurney.pacs.normalized.attributes import at_least_one, attribute_list, check_instance, one_of
from gurney.pacs.normalized.media_creation import MediaCreationRequest, MediaCreationState, RequestPriority
from gurney.pacs.normalized.scu import NormalizedScu
from gurney.pacs.remote import RemoteAE

__all__ = ["MEDIA_CREATION_MANAGEMENT", "MediaCreation", "MediaCreationManagementScu"]

MEDIA_CREATION_MANAGEMENT = "1.2.840.10008.5.1.1.33"

_REQUEST = "a media creation request"
_INITIATE, _CANCEL = 1, 2
_POLL_SECONDS = 5.0
_STATE = tuple(
    tag_for_keyword(keyword) or 0
    for keyword in (
        "SpecificCharacterSet",
        "FailedSOPSequence",
        "ExecutionStatus",
        "ExecutionStatusInfo",
        "TotalNumberOfPiecesOfMediaCreated",
        "ReferencedStorageMediaSequence",
    )
)


class MediaCreationManagementScu(NormalizedScu):
    """Request media of remote AEs, and follow how they come about.

    Each message goes on an association of its own: a disc takes minutes.
    """

    def create(self, remote: RemoteAE, request: MediaCreationRequest) -> MediaCreation:
        """Place a request (N-CREATE, PS3.4 S.3.2.1). Nothing is made before it is initiated.

        Raises InvalidAttributes, before anything is sent, for a request that lacks something, and otherwise as
        :class:`~gurney.pacs.NormalizedServices` and :meth:`gurney.pacs.Scu.associate` do.
        """
        attributes = request.attributes()
        check_instance(_REQUEST, request.sop_instance_uid)
        with self.services(remote, MEDIA_CREATION_MANAGEMENT) as services:
            services.n_create(MEDIA_CREATION_MANAGEMENT, request.sop_instance_uid, attributes)
        return MediaCreation(self, remote, request.sop_instance_uid)

    def resume(self, remote: RemoteAE, sop_instance_uid: str) -> MediaCreation:
        """Take up a request that was placed before, perhaps by another process. Nothing is sent.

        Raises InvalidAttributes for what is no UID.
        """
        check_instance(_REQUEST, sop_instance_uid)
        return MediaCreation(self, remote, sop_instance_uid)


class MediaCreation:
    """A request for media that a peer has. Every method raises as :meth:`MediaCreationManagementScu.create` does."""

    def __init__(self, scu: MediaCreationManagementScu, remote: RemoteAE, sop_instance_uid: str) -> None:
        self.remote = remote
        self.sop_instance_uid = sop_instance_uid
        self._scu = scu

    def initiate(self, *, copies: int = 1, priority: RequestPriority = RequestPriority.MED) -> NormalizedResult:
        """Have the media made, ``copies`` of them and 1 at least (N-ACTION, PS3.4 S.3.2.2).

        Raises InvalidAttributes, before anything is sent, for less than one copy or a priority that is none.
        """
        information = attribute_list(
            _REQUEST,
            NumberOfCopies=at_least_one(_REQUEST, "NumberOfCopies", copies),
            RequestPriority=one_of(_REQUEST, "RequestPriority", RequestPriority, priority),
        )
        with self._scu.services(self.remote, MEDIA_CREATION_MANAGEMENT) as services:
            return services.n_action(MEDIA_CREATION_MANAGEMENT, self.sop_instance_uid, _INITIATE, information)

    def cancel(self) -> NormalizedResult:
        """Cancel the request, after which the peer knows it no more (N-ACTION, PS3.4 S.3.2.3)."""
        with self._scu.services(self.remote, MEDIA_CREATION_MANAGEMENT) as services:
            return services.n_action(MEDIA_CREATION_MANAGEMENT, self.sop_instance_uid, _CANCEL)

    def state(self) -> MediaCreationState:
        """Ask how far it has come (N-GET, PS3.4 S.3.2.4)."""
        with self._scu.services(self.remote, MEDIA_CREATION_MANAGEMENT) as services:
            return MediaCreationState.of(
                services.n_get(MEDIA_CREATION_MANAGEMENT, self.sop_instance_uid, _STATE).attributes
            )

    def watch(self, every: float = _POLL_SECONDS) -> Iterator[MediaCreationState]:
        """Ask every so many seconds, and yield each answer, until it is over. Leave the iteration to stop asking.

        Raises ValueError for a negative number of seconds, and BadResponse for a peer that does not say how far it is.
        """
        if every < 0:
            raise ValueError(f"{every:g} s can't be waited between two questions: give seconds, 0 or more")
        while True:
            state = self.state()
            yield state
            if not state.status:
                raise BadResponse("a request for media without an Execution Status: nobody can tell when it is over")
            if state.is_over:
                return
            time.sleep(every)
