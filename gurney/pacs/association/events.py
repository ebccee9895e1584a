"""What every SCU tells of its associations: one frozen event for each moment, and what a before-event may change."""

from __future__ import annotations

from dataclasses import dataclass, field

from gurney.pacs.association.event_reports import EventReport
from gurney.pacs.association.normalized_events import AfterNormalized, BeforeNormalized, NormalizedChange
from gurney.pacs.contexts import NegotiatedContext
from gurney.pacs.errors import AssociationFailure
from gurney.pacs.hooks import AfterHook, BeforeHook
from gurney.pacs.remote import RemoteAE
from gurney.pacs.terms import AssociationTerms
from gurney.pacs.tls.options import SecureLink

__all__ = [
    "Aborted",
    "AfterAssociateRequest",
    "AfterCEcho",
    "AfterClose",
    "AfterConnect",
    "AfterRelease",
    "AfterResolve",
    "AfterSecureLinkReady",
    "BeforeAssociateRequest",
    "BeforeCEcho",
    "BeforeClose",
    "BeforeConnect",
    "BeforeRelease",
    "Events",
    "PrivateKeyPassword",
]


@dataclass(frozen=True, slots=True)
class BeforeConnect:
    """A TCP connection is about to be made. Nothing can be changed; raising prevents it."""

    remote: RemoteAE


@dataclass(frozen=True, slots=True)
class AfterResolve:
    """The name of a remote AE's host was resolved to these addresses, in the order in which they are tried."""

    remote: RemoteAE
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AfterConnect:
    """A TCP connection was made, or ``error`` says why not."""

    remote: RemoteAE
    error: AssociationFailure | None = None


@dataclass(frozen=True, slots=True)
class PrivateKeyPassword:
    """A private key of ours is locked. A listener may return its password; raising prevents the connection.

    Asked for each connection. Where nobody answers, the identity's own source of the password is used.
    """

    key_file: str
    password: str | bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class AfterSecureLinkReady:
    """A connection was secured by TLS as ``link`` says, or ``error`` says why not."""

    remote: RemoteAE
    link: SecureLink | None = None
    error: AssociationFailure | None = None


@dataclass(frozen=True, slots=True)
class BeforeAssociateRequest:
    """An association is about to be requested. A listener may return other terms: contexts, roles, user identity.

    ``dataclasses.replace(event.terms, ...)`` changes some; there may be 128 proposals at most. Raising prevents it.
    """

    remote: RemoteAE
    terms: AssociationTerms


@dataclass(frozen=True, slots=True)
class AfterAssociateRequest:
    """An association was accepted with these contexts, or ``error`` says why not."""

    remote: RemoteAE
    contexts: tuple[NegotiatedContext, ...] = ()
    error: AssociationFailure | None = None


@dataclass(frozen=True, slots=True)
class BeforeCEcho:
    """A C-ECHO-RQ is about to be sent. Nothing can be changed; raising prevents it."""

    remote: RemoteAE


@dataclass(frozen=True, slots=True)
class AfterCEcho:
    """A C-ECHO has ended after so many seconds: with a status, or ``error`` says why there is none."""

    remote: RemoteAE
    status: int | None
    seconds: float
    error: AssociationFailure | None = None


@dataclass(frozen=True, slots=True)
class BeforeRelease:
    """An association is about to be released. Nothing can be changed; raising aborts it instead."""

    remote: RemoteAE


@dataclass(frozen=True, slots=True)
class AfterRelease:
    """An association was released; ``confirmed`` tells whether the peer agreed in time."""

    remote: RemoteAE
    confirmed: bool


@dataclass(frozen=True, slots=True)
class Aborted:
    """An association ended without release; ``error`` says who ended it and why."""

    remote: RemoteAE
    error: AssociationFailure


@dataclass(frozen=True, slots=True)
class BeforeClose:
    """A connection is about to be closed, for a release or for ``error``. Nobody can prevent it."""

    remote: RemoteAE
    error: AssociationFailure | None = None


@dataclass(frozen=True, slots=True)
class AfterClose:
    """A connection is closed, of an association or of one that never came about. Nothing more is told of it.

    Only the after-event of what was being asked on it may still follow. ``error`` is None after a release.
    """

    remote: RemoteAE
    error: AssociationFailure | None = None


class Events:
    """The hooks that every SCU has."""

    def __init__(self) -> None:
        self.before_connect: BeforeHook[BeforeConnect, None] = BeforeHook("before_connect")
        self.after_resolve: AfterHook[AfterResolve] = AfterHook("after_resolve")
        self.after_connect: AfterHook[AfterConnect] = AfterHook("after_connect")
        self.private_key_password: BeforeHook[PrivateKeyPassword, str | bytes] = BeforeHook(
            "private_key_password", str, bytes
        )
        self.after_secure_link_ready: AfterHook[AfterSecureLinkReady] = AfterHook("after_secure_link_ready")
        self.before_associate_request: BeforeHook[BeforeAssociateRequest, AssociationTerms] = BeforeHook(
            "before_associate_request", AssociationTerms
        )
        self.after_associate_request: AfterHook[AfterAssociateRequest] = AfterHook("after_associate_request")
        self.before_c_echo: BeforeHook[BeforeCEcho, None] = BeforeHook("before_c_echo")
        self.after_c_echo: AfterHook[AfterCEcho] = AfterHook("after_c_echo")
        # One pair of types serves all services: the hook tells which.
        self.before_n_create: BeforeHook[BeforeNormalized, NormalizedChange] = BeforeHook(
            "before_n_create", NormalizedChange
        )
        """An N-CREATE-RQ is about to be sent. A listener may return another attribute list; raising prevents it."""
        self.after_n_create: AfterHook[AfterNormalized] = AfterHook("after_n_create")
        """An N-CREATE has its answer; ``status`` is None where none came."""
        self.before_n_set: BeforeHook[BeforeNormalized, NormalizedChange] = BeforeHook("before_n_set", NormalizedChange)
        """An N-SET-RQ is about to be sent. A listener may return another modification list; raising prevents it."""
        self.after_n_set: AfterHook[AfterNormalized] = AfterHook("after_n_set")
        """An N-SET has its answer; ``status`` is None where none came."""
        self.before_n_get: BeforeHook[BeforeNormalized, NormalizedChange] = BeforeHook("before_n_get", NormalizedChange)
        """An N-GET-RQ is about to be sent. Nothing can be changed, and a change is refused; raising prevents it."""
        self.after_n_get: AfterHook[AfterNormalized] = AfterHook("after_n_get")
        """An N-GET has its answer; ``status`` is None where none came."""
        self.before_n_action: BeforeHook[BeforeNormalized, NormalizedChange] = BeforeHook(
            "before_n_action", NormalizedChange
        )
        """An N-ACTION-RQ is about to be sent. A listener may return other action information; raising prevents it."""
        self.after_n_action: AfterHook[AfterNormalized] = AfterHook("after_n_action")
        """An N-ACTION has its answer; ``status`` is None where none came."""
        self.before_n_delete: BeforeHook[BeforeNormalized, NormalizedChange] = BeforeHook(
            "before_n_delete", NormalizedChange
        )
        """An N-DELETE-RQ is about to be sent. Nothing can be changed, and a change is refused; raising prevents it."""
        self.after_n_delete: AfterHook[AfterNormalized] = AfterHook("after_n_delete")
        """An N-DELETE has its answer; ``status`` is None where none came."""
        self.event_report: BeforeHook[EventReport, EventReport] = BeforeHook("event_report", EventReport)
        self.before_release_request: BeforeHook[BeforeRelease, None] = BeforeHook("before_release_request")
        self.after_release_request: AfterHook[AfterRelease] = AfterHook("after_release_request")
        self.aborted: AfterHook[Aborted] = AfterHook("aborted")
        self.before_close: AfterHook[BeforeClose] = AfterHook("before_close")
        self.after_close: AfterHook[AfterClose] = AfterHook("after_close")
