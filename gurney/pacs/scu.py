"""What every service class user has: who it is, its events, how it associates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypedDict, TypeVar, Unpack

from gurney.dicom.ae_titles import check_ae_title
from gurney.dicom.presentation import MAX_CONTEXTS, ContextProposal
from gurney.pacs.association import Association
from gurney.pacs.connection import connect
from gurney.pacs.engine import DicomEngine
from gurney.pacs.errors import AssociationFailure, EngineError
from gurney.pacs.events import AfterAssociateRequest, AfterConnect, BeforeAssociateRequest, BeforeConnect, Events
from gurney.pacs.negotiation import (
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    Identity,
    Negotiated,
    negotiate,
)
from gurney.pacs.progress import Progress
from gurney.pacs.remote import RemoteAE
from gurney.pacs.response import EchoResult
from gurney.pacs.terms import AssociationTerms, Role, UserIdentity

__all__ = ["VERIFICATION", "Scu", "Who"]

A = TypeVar("A", bound=Association)

VERIFICATION = ContextProposal("1.2.840.10008.1.1", "1.2.840.10008.1.2")


class Who(TypedDict, total=False):
    """How an SCU introduces itself, besides its AE title (PS3.7 D.3.3.2, D.3.3.7)."""

    user_identity: UserIdentity | None
    implementation_class_uid: str
    implementation_version_name: str


class Scu:
    """A service class user. Use it inside a :class:`~gurney.pacs.DicomEngine`.

    By itself it verifies, and associates for whatever :meth:`Association.converse` is to ask; the others add methods
    for their services. A ``user_identity`` goes with every association.
    """

    def __init__(self, calling_ae_title: str = "GURNEY", **who: Unpack[Who]) -> None:
        self._identity = Identity(
            check_ae_title(calling_ae_title),
            who.get("implementation_class_uid", IMPLEMENTATION_CLASS_UID),
            who.get("implementation_version_name", IMPLEMENTATION_VERSION_NAME),
        )
        self._user_identity = who.get("user_identity")
        self.events = Events()

    def verify(self, remote: RemoteAE) -> EchoResult:
        """Ask whether a remote AE answers: associate, C-ECHO, release.

        Raises a refinement of AssociationFailure.
        """
        with self._associate(remote, AssociationTerms((VERIFICATION,)), Association) as association:
            return association.verify()

    def associate(
        self, remote: RemoteAE, proposals: Sequence[ContextProposal], *, roles: Sequence[Role] = ()
    ) -> Association:
        """Associate for any service, proposing 1 to 128 contexts (PS3.8 7.1).

        Raises a refinement of :class:`~gurney.pacs.errors.AssociationFailure`, EngineError without an engine,
        ValueError for a wrong number of contexts, and whatever a listener of a before-event raises.
        """
        return self._associate(remote, AssociationTerms(tuple(proposals), tuple(roles)), Association)

    def _associate(
        self,
        remote: RemoteAE,
        terms: AssociationTerms,
        make: Callable[[RemoteAE, Negotiated, Events, Progress], A],
        progress: Progress | None = None,
    ) -> A:
        """Associate on these terms, or what listeners make of them."""
        DicomEngine.require()
        progress = progress or Progress()
        self.events.before_connect.ask(BeforeConnect(remote), lambda event, _: event)
        if terms.user_identity is None:
            terms = terms.with_identity(self._user_identity)
        terms = self.events.before_associate_request.ask(
            BeforeAssociateRequest(remote, terms), lambda event, changed: BeforeAssociateRequest(event.remote, changed)
        ).terms
        if not 1 <= len(terms.proposals) <= MAX_CONTEXTS:
            raise ValueError(f"an association proposes 1 to {MAX_CONTEXTS} contexts, not {len(terms.proposals)}")
        try:
            connection = connect(remote)
        except AssociationFailure as error:
            self.events.after_connect.tell(AfterConnect(remote, error))
            raise
        self.events.after_connect.tell(AfterConnect(remote))
        try:
            negotiated = negotiate(connection, remote, self._identity, terms)
        except AssociationFailure as error:
            self.events.after_associate_request.tell(AfterAssociateRequest(remote, error=error))
            raise
        try:
            association = make(remote, negotiated, self.events, progress)
        except EngineError:
            # It was shut down meanwhile.
            negotiated.assoc.end()
            raise
        self.events.after_associate_request.tell(AfterAssociateRequest(remote, negotiated.contexts.all))
        return association
