"""What can go wrong with an association, each with the event that decides what follows.

GurneyError
├── OperationFailed             the peer answered an operation with a failure
├── InvalidQuery                a key or a retrieve that no peer could answer; nothing was sent
├── InvalidAttributes           attributes that a SOP class does not allow, or lacks; nothing was sent
├── StepIsFinal                 a performed procedure step that has ended and can't be changed
├── EngineError                 an SCU was used without an engine, or across a fork
├── AssociationBusy             an association was asked for another thing before it was through with the first
├── ListenerError               the port to listen on can't be had
├── FolderFailed                our folder, mostly its disk, can't keep what a peer sends
├── InstanceTooLong             a peer sent instances longer than we let it
├── TlsSetupError               our certificate, key, password, CA or CRL can't be used
└── AssociationError            (gurney.errors)
    └── AssociationFailure      carries ``event`` for :func:`gurney.transfer.retry.decide`
        ├── ConnectFailed       no TCP connection: name, refusal, route, timeout
        ├── TlsFailed           no trust over TLS: ``problem`` tells what is wrong, of ours or of the peer's
        ├── ClosedAtRequest     closed, aborted or answered with something else in place of A-ASSOCIATE-AC
        ├── AssociationRejected A-ASSOCIATE-RJ
        ├── AcseTimeout         no answer to A-ASSOCIATE-RQ in time
        ├── AssociationAborted  A-ABORT by the peer
        ├── AssociationLost     reset, closed or released by the peer without being asked
        ├── DimseTimeout        no response, or no byte taken, in time
        ├── BadResponse         a response that answers nothing we asked, or no DICOM at all
        ├── ContextRefused      a service that the peer does not offer: Verification
        └── AssociationEnded    ended by us: ``abort()``, a file that failed in mid-message, use after the end
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from enum import StrEnum

from gurney.dicom.status import Service, describe
from gurney.errors import AssociationError, GurneyError
from gurney.transfer.outcomes import Event, EventKind

__all__ = [
    "AcseTimeout",
    "AssociationAborted",
    "AssociationBusy",
    "AssociationEnded",
    "AssociationFailure",
    "AssociationLost",
    "AssociationRejected",
    "BadResponse",
    "ClosedAtRequest",
    "ConnectFailed",
    "ContextRefused",
    "DimseTimeout",
    "EngineError",
    "FolderFailed",
    "InstanceTooLong",
    "InvalidAttributes",
    "InvalidQuery",
    "ListenerError",
    "OperationFailed",
    "StepIsFinal",
    "TlsFailed",
    "TlsProblem",
    "TlsSetupError",
]


class EngineError(GurneyError):
    """Report an SCU that was used outside its engine."""

    permanent = True


class AssociationBusy(GurneyError, RuntimeError):
    """Report an association that is asked for another thing while somebody still iterates over the first."""

    permanent = True


class TlsSetupError(GurneyError):
    """Report a TLS identity or trust of ours that can't be used: ``path`` is the file, the words say what to do."""

    permanent = True

    def __init__(self, path: str, words: str) -> None:
        super().__init__(f"{path} {words}")
        self.path = path


class ListenerError(GurneyError):
    """Report a listener that could not be started."""

    permanent = True


class FolderFailed(GurneyError, OSError):
    """Report a folder of ours that can't keep what a peer sends; the peer was told that we have no room (A700).

    ``errno`` is the system's, ``filename`` the folder. What has arrived before is safe there.
    """

    def __init__(self, folder: str | os.PathLike[str], error: OSError) -> None:
        name = os.fspath(folder)
        super().__init__(
            f"{name!r} can't keep what arrives ({error.strerror or error}): "
            f"{_REMEDIES.get(error.errno or 0, 'see to its disk')}, and ask again for what is missing"
        )
        self.errno, self.strerror, self.filename = error.errno, error.strerror, name

    def __str__(self) -> str:
        # An OSError's own words leave out what to do.
        return str(self.args[0])


_REMEDIES = {
    errno.ENOSPC: "make room there or name another folder",
    errno.EDQUOT: "have the quota raised or name another folder",
    errno.EFBIG: "allow longer files (ulimit -f), or name a folder on a filesystem that does",
    errno.EACCES: "let this process write there or name another folder",
    errno.EROFS: "mount it so that it can be written or name another folder",
    errno.EMFILE: "allow this process more open files (ulimit -n)",
}


class InstanceTooLong(GurneyError):
    """Report instances that were refused (A700) for their length; all others were kept.

    ``count`` is how many, ``limit`` what was allowed, in bytes of the data set.
    """

    permanent = True

    def __init__(self, count: int, limit: int) -> None:
        super().__init__(
            f"{count} instance{'s were' if count > 1 else ' was'} longer than max_instance_bytes={limit} and refused: "
            "allow more and ask again for what is missing"
        )
        self.count = count
        self.limit = limit


class OperationFailed(GurneyError):
    """Report an operation that the peer answered with a failure; the association goes on.

    ``comment`` is the peer's Error Comment (0000,0902). It is not in the text, which may end in a log: it may name a
    patient.
    """

    def __init__(self, service: Service, status: int, comment: str = "", *, error_id: int | None = None) -> None:
        super().__init__(f"{service} failed: {describe(status, service)}")
        self.status = status
        self.comment = comment
        self.error_id = error_id
        """The peer's own code for what went wrong, or the SOP class's (PS3.7 C.4.2)."""


class InvalidAttributes(GurneyError, ValueError):
    """Refuse attributes before anything is sent: of what, and all that is wrong with them, by keyword.

    Values are not repeated: they may name a patient.
    """

    permanent = True

    def __init__(self, what: str, problems: Sequence[str]) -> None:
        super().__init__(f"{what} can't be sent like this: {'; '.join(problems)}")
        self.problems = tuple(problems)


class StepIsFinal(GurneyError):
    """Report a performed procedure step that is completed or discontinued: begin another one (PS3.4 F.7.2.2.2)."""

    permanent = True

    def __init__(self, sop_instance_uid: str, status: str = "") -> None:
        how = status or "ended, as the peer says,"
        super().__init__(f"procedure step {sop_instance_uid} is {how} and can't be changed any more: begin a new one")
        self.sop_instance_uid = sop_instance_uid


class InvalidQuery(GurneyError, ValueError):
    """Refuse a query or a retrieve before anything is sent: which field, what is wrong with it, what to do.

    ``field`` is the key's path or the argument's name. The value is not repeated: it may name a patient.
    """

    permanent = True

    def __init__(self, field: str, problem: str, remedy: str) -> None:
        super().__init__(f"{field!r} {problem}: {remedy}")
        self.field = field
        self.problem = problem
        self.remedy = remedy


class AssociationFailure(AssociationError):
    """Report an association that could not be made or kept, with the event to decide on.

    ``event.in_flight`` is always False here: the instance that was on the wire has a result of its own.
    """

    kind = EventKind.RESET

    def __init__(
        self,
        words: str,
        *,
        result: int | None = None,
        source: int | None = None,
        reason: int | None = None,
    ) -> None:
        super().__init__(words)
        self.event = Event(self.kind, result=result, source=source, reason=reason, detail=words)


class ConnectFailed(AssociationFailure):
    """Report that no TCP connection came about."""

    kind = EventKind.CONNECT_FAILED


class TlsProblem(StrEnum):
    """What kept a TLS connection from being trusted, by us or by the peer."""

    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    UNKNOWN_CA = "unknown_ca"
    WRONG_HOST = "wrong_host"
    REVOKED = "revoked"
    CRL = "crl"  # the revocation list is out of date, or there is none of that CA
    WEAK = "weak"  # a key or a signature that the profile does not allow
    CERTIFICATE_WANTED = "certificate_wanted"  # the peer requires a certificate of ours
    CERTIFICATE_REFUSED = "certificate_refused"  # the peer does not take the one that we have shown
    VERSION = "version"
    CIPHER = "cipher"
    NO_TLS = "no_tls"  # the peer speaks something else
    OURS = "ours"  # our own files can't be used
    OTHER = "other"


class TlsFailed(AssociationFailure):
    """Report a connection that TLS did not let us trust, or did not let the peer trust us (PS3.15 B.12)."""

    kind = EventKind.TLS_FAILED

    def __init__(self, problem: TlsProblem, words: str, *, is_lost: bool = False) -> None:
        if is_lost:
            # A peer that restarts ends a handshake as one does that speaks no TLS: it is worth another try.
            self.kind = EventKind.CONNECT_FAILED
        super().__init__(words)
        self.problem = problem


class ClosedAtRequest(AssociationFailure):
    """Report a peer that ended the connection in place of answering the association request."""

    kind = EventKind.CLOSED_AT_REQUEST

    def __init__(self, peer: str, what: str, usually: str) -> None:
        super().__init__(f"{peer}: {what} in place of an answer to the association request: usually {usually}")


class AssociationRejected(AssociationFailure):
    """Report an A-ASSOCIATE-RJ with its result, source and reason in numbers and in words (PS3.8 9.3.4)."""

    kind = EventKind.REJECTED

    def __init__(self, result: int, source: int, reason: int, *, peer: str = "") -> None:
        words = _rejection_words(result, source, reason)
        super().__init__(
            f"{peer}{': ' if peer else ''}association rejected ({result}/{source}/{reason}): {words}",
            result=result,
            source=source,
            reason=reason,
        )
        self.result = result
        self.source = source
        self.reason = reason


class AcseTimeout(AssociationFailure):
    """Report that the association request was not answered in time."""

    kind = EventKind.ACSE_TIMEOUT


class AssociationAborted(AssociationFailure):
    """Report an A-ABORT by the peer with its source and reason (PS3.8 9.3.8)."""

    kind = EventKind.ABORTED

    def __init__(self, source: int, reason: int) -> None:
        super().__init__(f"association aborted {_abort_words(source, reason)}", source=source, reason=reason)


class AssociationLost(AssociationFailure):
    """Report a connection that the peer reset, closed or released during an association."""

    kind = EventKind.RESET


class DimseTimeout(AssociationFailure):
    """Report a peer that took no byte, or gave no response, in time."""

    kind = EventKind.DIMSE_TIMEOUT


class BadResponse(AssociationFailure):
    """Report bytes in place of a response that answer nothing we asked."""

    kind = EventKind.BAD_RESPONSE


class ContextRefused(AssociationFailure):
    """Report a service whose presentation context the peer did not accept."""

    kind = EventKind.NO_CONTEXT


class AssociationEnded(AssociationFailure):
    """Report an association that we ended ourselves."""

    kind = EventKind.CANCELLED


_RESULTS = {1: "permanently", 2: "for now"}
_SOURCES = {1: "by the peer's application", 2: "by its association layer", 3: "by its presentation layer"}
_REASONS = {
    (1, 1): "no reason given",
    (1, 2): "application context name not supported",
    (1, 3): "it does not know our calling AE title",
    (1, 7): "it does not answer to the called AE title",
    (2, 1): "no reason given",
    (2, 2): "protocol version not supported",
    (3, 1): "temporary congestion",
    (3, 2): "its limit of associations is reached",
}


def _rejection_words(result: int, source: int, reason: int) -> str:
    """Say an A-ASSOCIATE-RJ in words (PS3.8 table 9-21)."""
    return ", ".join(
        (
            _RESULTS.get(result, f"result {result}"),
            _SOURCES.get(source, f"source {source}"),
            _REASONS.get((source, reason), f"reason {reason}"),
        )
    )


_ABORT_REASONS = {
    0: "reason not specified",
    1: "unrecognized PDU",
    2: "unexpected PDU",
    4: "unrecognized PDU parameter",
    5: "unexpected PDU parameter",
    6: "invalid PDU parameter value",
}


def _abort_words(source: int, reason: int) -> str:
    """Say an A-ABORT in words (PS3.8 table 9-26): only the service provider gives a reason."""
    if source == 2:
        return f"by the peer's association layer: {_ABORT_REASONS.get(reason, f'reason {reason}')}"
    return "by the peer's application" if source == 0 else f"by the peer (source {source})"
