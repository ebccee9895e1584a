"""What every service class user has: who it is, its events, how it associates."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import ClassVar, TypedDict, TypeVar, Unpack

from gurney.dicom.presentation import MAX_CONTEXTS, ContextProposal
from gurney.dicom.uids import IMPLICIT_VR_LITTLE_ENDIAN, VERIFICATION_SOP_CLASS
from gurney.pacs.association.association import Association
from gurney.pacs.association.connection import connect
from gurney.pacs.association.engine import DicomEngine
from gurney.pacs.association.events import (
    AfterAssociateRequest,
    AfterClose,
    AfterConnect,
    AfterResolve,
    AfterSecureLinkReady,
    BeforeAssociateRequest,
    BeforeClose,
    BeforeConnect,
    Events,
    PrivateKeyPassword,
)
from gurney.pacs.association.handshake import secure
from gurney.pacs.association.negotiation import Identity, Negotiated, negotiate
from gurney.pacs.errors import AssociationEnded, AssociationFailure, EngineError, TlsFailed, TlsProblem, TlsSetupError
from gurney.pacs.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from gurney.pacs.kinds import of_kind
from gurney.pacs.progress import Progress
from gurney.pacs.remote import RemoteAE
from gurney.pacs.terms import AssociationTerms, Role, UserIdentity
from gurney.pacs.tls.contexts import client_context
from gurney.pacs.wire.response import EchoResult
from gurney.pacs.wire.transport import Transport
from gurney.pacs.wire_log.log import WireLog

__all__ = ["VERIFICATION", "Scu", "Who"]

A = TypeVar("A", bound=Association)

VERIFICATION = ContextProposal(VERIFICATION_SOP_CLASS, IMPLICIT_VR_LITTLE_ENDIAN)


class Who(TypedDict, total=False):
    """How an SCU introduces itself, besides its AE title (PS3.7 D.3.3.2, D.3.3.7), and what it logs of the wire."""

    user_identity: UserIdentity | None
    implementation_class_uid: str
    implementation_version_name: str
    wire_log: WireLog | None


class Scu:
    """A service class user. Use it inside a :class:`~gurney.pacs.DicomEngine`.

    By itself it verifies, and associates for any service by :meth:`Association.converse`; its subclasses add methods
    for theirs. A ``user_identity`` goes with every association; a ``wire_log`` tells what passes on each.
    """

    _hooks: ClassVar[type[Events]] = Events

    def __init__(self, calling_ae_title: str = "GURNEY", **who: Unpack[Who]) -> None:
        for unknown in who.keys() - Who.__annotations__.keys():
            # As Python does for any function: with a misspelt ``wire_log`` the log would otherwise just stay empty.
            raise TypeError(f"{type(self).__name__}() got an unexpected keyword argument {unknown!r}")
        self._identity = Identity(
            calling_ae_title,
            who.get("implementation_class_uid", IMPLEMENTATION_CLASS_UID),
            who.get("implementation_version_name", IMPLEMENTATION_VERSION_NAME),
        )
        self._user_identity = who.get("user_identity")
        if self._user_identity is not None:
            of_kind(self._user_identity, UserIdentity, "user_identity")
        self._wire_log = who.get("wire_log")
        if self._wire_log is not None:
            of_kind(self._wire_log, WireLog, "wire_log")
        self.events = self._hooks()

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
        of_kind(remote, RemoteAE, "the remote AE")
        progress = progress or Progress()
        if terms.user_identity is None:
            terms = terms.with_identity(self._user_identity)
        _check_number(terms)
        self.events.before_connect.ask(BeforeConnect(remote), lambda event, _: event)
        connection = self._connect(remote)
        with self._closing_if_in_vain(connection, remote):
            terms = self.events.before_associate_request.ask(
                BeforeAssociateRequest(remote, terms),
                lambda event, changed: BeforeAssociateRequest(event.remote, changed),
            ).terms
            _check_number(terms)
            try:
                negotiated = negotiate(connection, remote, self._identity, terms)
            except AssociationFailure as error:
                self.events.after_associate_request.tell(AfterAssociateRequest(remote, error=error))
                raise
        try:
            association = make(remote, negotiated, self.events, progress)
        except EngineError:
            # The engine was shut down meanwhile.
            negotiated.assoc.end()
            raise
        self.events.after_associate_request.tell(AfterAssociateRequest(remote, negotiated.contexts.all))
        return association

    @contextmanager
    def _closing_if_in_vain(self, connection: Transport, remote: RemoteAE) -> Iterator[None]:
        """Close a connection when the block raises: the peer's refusal, or a listener's objection."""
        try:
            yield
        except BaseException as error:
            failure = error if isinstance(error, AssociationFailure) else AssociationEnded(f"{remote}: not requested")
            self.events.before_close.tell(BeforeClose(remote, failure))
            connection.close()
            self.events.after_close.tell(AfterClose(remote, failure))
            raise

    def _connect(self, remote: RemoteAE) -> Transport:
        """Connect, and secure the connection where the remote AE asks for it, all within one timeout."""
        deadline = time.monotonic() + remote.timeouts.connect

        def resolved(addresses: tuple[str, ...]) -> None:
            self.events.after_resolve.tell(AfterResolve(remote, addresses))

        try:
            # Before anything else: a peer is not to be bothered by files of ours that can't be used.
            context = self._tls_context(remote)
            connection = connect(remote, deadline, resolved)
        except AssociationFailure as error:
            self.events.after_connect.tell(AfterConnect(remote, error))
            raise
        self.events.after_connect.tell(AfterConnect(remote))
        if context is None:
            return self._overheard(connection, remote)
        try:
            secured, link = secure(connection, context, remote, deadline)
        except AssociationFailure as error:
            self.events.after_secure_link_ready.tell(AfterSecureLinkReady(remote, error=error))
            raise
        self.events.after_secure_link_ready.tell(AfterSecureLinkReady(remote, link))
        return self._overheard(secured, remote, f"{link.protocol} with {link.cipher}")

    def _overheard(self, connection: Transport, remote: RemoteAE, secured: str = "") -> Transport:
        return self._wire_log.overhear(connection, str(remote), secured) if self._wire_log is not None else connection

    def _tls_context(self, remote: RemoteAE) -> ssl.SSLContext | None:
        if remote.tls is None:
            return None
        try:
            return client_context(remote.tls, self._ask_password if self.events.private_key_password else None)
        except TlsSetupError as error:
            raise TlsFailed(TlsProblem.OURS, f"{remote}: {error}") from error

    def _ask_password(self, key_file: str) -> str | bytes | None:
        asked = PrivateKeyPassword(key_file)
        return self.events.private_key_password.ask(asked, lambda event, found: replace(event, password=found)).password


def _check_number(terms: AssociationTerms) -> None:
    if not 1 <= len(terms.proposals) <= MAX_CONTEXTS:
        raise ValueError(f"an association proposes 1 to {MAX_CONTEXTS} contexts, not {len(terms.proposals)}")
