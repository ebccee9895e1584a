"""The TLS handshake on a connection of ours, within a deadline, and what its failures mean."""

from __future__ import annotations

import select
import ssl
import time
from collections.abc import Callable

from gurney.pacs.errors import AssociationFailure, ConnectFailed, TlsFailed, TlsProblem
from gurney.pacs.remote import RemoteAE
from gurney.pacs.secure_socket import SecureSocket
from gurney.pacs.tls import PeerCertificate, SecureLink
from gurney.pacs.transport import PlainSocket

__all__ = ["secure"]


def secure(
    connection: PlainSocket, context: ssl.SSLContext, remote: RemoteAE, deadline: float
) -> tuple[SecureSocket, SecureLink]:
    """Shake hands with a remote AE until ``deadline`` (``time.monotonic``), and take the connection over.

    Raises :class:`~gurney.pacs.errors.TlsFailed`, or ConnectFailed for a peer that says nothing in time; then the
    connection is closed.
    """
    tls = remote.tls
    name = (tls.server_name if tls is not None else None) or remote.host
    try:
        secured = context.wrap_socket(connection, server_hostname=name, do_handshake_on_connect=False)
    except (OSError, ValueError) as error:
        connection.close()
        raise TlsFailed(TlsProblem.OTHER, f"{remote}: TLS can't begin: {error}") from error
    try:
        _shake(secured, deadline)
    except TimeoutError as error:
        secured.close()
        raise ConnectFailed(
            f"{remote}: no TLS handshake in time; a port without TLS may be silent like this"
        ) from error
    except OSError as error:
        failure = _failure(secured, error, remote)
        secured.close()
        raise failure from error
    has_certificate = tls is not None and tls.identity is not None
    return SecureSocket(secured, _late(remote, has_certificate=has_certificate)), link_of(secured)


def link_of(secured: ssl.SSLSocket) -> SecureLink:
    """Read what a handshake came to."""
    suite, _, bits = secured.cipher() or ("", "", 0)
    decoded, encoded = secured.getpeercert(), secured.getpeercert(binary_form=True)
    certificate = PeerCertificate.read(decoded, encoded) if decoded and encoded else None
    return SecureLink(secured.version() or "", suite, bits or 0, certificate)


def _shake(secured: ssl.SSLSocket, deadline: float) -> None:
    while True:
        poll = select.poll()
        try:
            secured.do_handshake()
        except ssl.SSLWantReadError:
            poll.register(secured, select.POLLIN)
        except ssl.SSLWantWriteError:
            poll.register(secured, select.POLLOUT)
        else:
            return
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise TimeoutError


def _failure(secured: ssl.SSLSocket, error: OSError, remote: RemoteAE) -> TlsFailed:
    """Say what ended a handshake."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _distrust(error, remote)
    reason = getattr(error, "reason", None) or ""
    if reason in _NO_TLS or isinstance(error, ssl.SSLEOFError | ConnectionError):
        what = "closed the connection in place of" if reason not in _NO_TLS else "sent something else in place of"
        return TlsFailed(TlsProblem.NO_TLS, f"{remote} {what} a TLS handshake: usually a port without TLS")
    if reason in _ALERTS_OF_VERSION:
        return TlsFailed(
            TlsProblem.VERSION,
            f"{remote} and we share no version of TLS: 1.2 at least, 1.3 where both can (PS3.15 B.12)",
        )
    has_certificate = remote.tls is not None and remote.tls.identity is not None
    # With a suite chosen, what the peer can still miss is a certificate.
    if reason in _ALERTS_OF_CIPHER and secured.cipher() is None:
        return TlsFailed(TlsProblem.CIPHER, f"{remote} and we share no cipher suite, or no signature algorithm")
    if reason in _ALERTS_OF_CIPHER and not has_certificate:
        return _wanted(remote)
    return _refused(reason, remote, has_certificate=has_certificate)


def _late(remote: RemoteAE, *, has_certificate: bool) -> Callable[[ssl.SSLError], AssociationFailure]:
    """Explain what comes from the peer's TLS in place of its first byte: it did not like what we showed."""
    return lambda error: _refused(error.reason or "", remote, has_certificate=has_certificate)


def _refused(reason: str, remote: RemoteAE, *, has_certificate: bool) -> TlsFailed:
    """Read an alert about our certificate (RFC 8446 6.2)."""
    alert = next((word for word in _ALERTS if word in reason), None)
    if "CERTIFICATE_REQUIRED" in reason or (alert is not None and not has_certificate):
        return _wanted(remote)
    if alert is not None:
        return TlsFailed(TlsProblem.CERTIFICATE_REFUSED, f"{remote} refused our certificate: {_ALERTS[alert]}")
    said = reason.replace("_", " ").lower() or "no reason given"
    return TlsFailed(TlsProblem.OTHER, f"{remote}: TLS handshake failed: {said}")


def _wanted(remote: RemoteAE) -> TlsFailed:
    return TlsFailed(
        TlsProblem.CERTIFICATE_WANTED,
        f"{remote} requires a certificate of ours: give its Tls an identity whose CA the peer trusts",
    )


def _distrust(error: ssl.SSLCertVerificationError, remote: RemoteAE) -> TlsFailed:
    """Read the result of the verification (X509_V_ERR_* of OpenSSL's x509_vfy.h)."""
    problem, words = _VERIFICATION.get(error.verify_code, (TlsProblem.OTHER, f"is not trusted: {error.verify_message}"))
    return TlsFailed(problem, f"{remote}: its certificate {words}")


_UNKNOWN = (TlsProblem.UNKNOWN_CA, "is vouched for by no CA that we trust: see ca of its Tls")
_WRONG_HOST = (
    TlsProblem.WRONG_HOST,
    "is for another host: connect by a name that it holds, or give that as server_name",
)
_NO_CRL = (TlsProblem.CRL, "can't be looked up: there is no revocation list of its CA in crl")
_OLD_CRL = (TlsProblem.CRL, "can't be looked up: the revocation list is out of date; fetch the CA's next one")
_WEAK = (TlsProblem.WEAK, "has a key or a signature that is too weak (PS3.15 B.12): RSA 2048, SHA-256 at least")

_VERIFICATION = {
    2: _UNKNOWN,  # issuer not found
    3: _NO_CRL,
    9: (TlsProblem.NOT_YET_VALID, "is not valid yet: look at both clocks"),
    10: (TlsProblem.EXPIRED, "has expired"),
    11: _OLD_CRL,  # not valid yet
    12: _OLD_CRL,
    18: _UNKNOWN,  # self-signed
    19: _UNKNOWN,  # self-signed, in the chain
    20: _UNKNOWN,  # the local issuer not found
    21: _UNKNOWN,  # the first certificate can't be verified
    23: (TlsProblem.REVOKED, "is revoked"),
    62: _WRONG_HOST,
    64: _WRONG_HOST,  # an address
    66: _WEAK,
    67: _WEAK,
    68: _WEAK,
}

_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"})
_ALERTS_OF_VERSION = frozenset(
    {"TLSV1_ALERT_PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL", "UNEXPECTED_MESSAGE", "VERSION_TOO_LOW"}
)
_ALERTS_OF_CIPHER = frozenset(
    {"SSLV3_ALERT_HANDSHAKE_FAILURE", "TLSV1_ALERT_INSUFFICIENT_SECURITY", "NO_SHARED_CIPHER", "WRONG_CIPHER_RETURNED"}
)
_ALERTS = {
    "CERTIFICATE_EXPIRED": "it has expired",
    "CERTIFICATE_REVOKED": "it is revoked",
    "CERTIFICATE_UNKNOWN": "it did not say why",
    "UNSUPPORTED_CERTIFICATE": "it is of a kind that it does not take",
    "BAD_CERTIFICATE": "it could not be read or verified",
    "UNKNOWN_CA": "it does not know the CA",
    "ACCESS_DENIED": "it is good, but not for this peer",
    "DECRYPT_ERROR": "its signature could not be verified",
}
