"""The TLS handshake, on a connection that we made or a peer did, within a deadline; and what its failures mean."""

from __future__ import annotations

import select
import socket
import ssl
import threading
import time
from contextlib import suppress
from typing import NamedTuple

from gurney.pacs.errors import ConnectFailed, TlsFailed, TlsProblem
from gurney.pacs.remote import RemoteAE
from gurney.pacs.tls.options import PeerCertificate, SecureLink
from gurney.pacs.tls.secure_socket import SecureSocket
from gurney.pacs.wire.transport import PlainSocket

__all__ = ["Caller", "secure"]


def secure(
    connection: PlainSocket, context: ssl.SSLContext, remote: RemoteAE, deadline: float
) -> tuple[SecureSocket, SecureLink]:
    """Shake hands with a remote AE until ``deadline`` (``time.monotonic``), and take the connection over.

    Raises :class:`~gurney.pacs.errors.TlsFailed`, or ConnectFailed for a peer that says nothing in time; then the
    connection is closed.
    """
    tls = remote.tls
    peer = _Peer(str(remote), tls is not None and tls.identity is not None)
    name = (tls.server_name if tls is not None else None) or remote.host
    try:
        secured = context.wrap_socket(connection, server_hostname=name, do_handshake_on_connect=False)
    except (OSError, ValueError) as error:
        connection.close()
        is_lost = isinstance(error, OSError) and not isinstance(error, ssl.SSLError)
        raise TlsFailed(TlsProblem.OTHER, f"{remote}: TLS can't begin: {error}", is_lost=is_lost) from error
    try:
        _shake(secured, deadline)
    except TimeoutError as error:
        secured.close()
        words = "no TLS handshake in time; a port without TLS may be silent like this"
        raise ConnectFailed(f"{remote}: {words}") from error
    except OSError as error:
        failure = _failure(secured, error, peer)
        secured.close()
        raise failure from error
    # What comes from the peer's TLS in place of its first byte is what it thinks of our certificate.
    return SecureSocket(secured, lambda error: _refused(error.reason or "", peer)), link_of(secured)


class Caller:
    """A connection that a peer has made, and on which it has yet to shake hands. Another thread may drop it."""

    has_requested = False

    def __init__(self, connection: PlainSocket) -> None:
        self._connection: socket.socket = connection
        self._guard = threading.Lock()
        try:
            self.address = str(connection.getpeername()[0])
        except OSError:
            self.address = "a peer that is gone"

    def secure(self, context: ssl.SSLContext, deadline: float) -> SecureSocket:
        """Shake hands until ``deadline`` (``time.monotonic``). Raises TlsFailed, TimeoutError, or another OSError."""
        with self._guard:
            secured = context.wrap_socket(self._connection, server_side=True, do_handshake_on_connect=False)
            self._connection = secured
        try:
            _shake(secured, deadline)
        except TimeoutError:
            raise
        except OSError as error:
            raise _failure(secured, error, _Peer(self.address, has_certificate=True)) from error
        return SecureSocket(secured)

    def drop(self) -> None:
        """End the connection under whoever uses it."""
        with self._guard, suppress(OSError):
            socket.socket.shutdown(self._connection, socket.SHUT_RDWR)

    def dispose(self) -> None:
        """Close the connection."""
        with self._guard:
            self._connection.close()


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
        left = deadline - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            raise TimeoutError("no handshake in time")


class _Peer(NamedTuple):
    """Whom to speak of, and whether we have a certificate to show."""

    name: str
    has_certificate: bool


def _failure(secured: ssl.SSLSocket, error: OSError, peer: _Peer) -> TlsFailed:  # noqa: PLR0911 - one for each cause
    """Say what ended a handshake."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _distrust(error, peer)
    reason = getattr(error, "reason", None) or ""
    if reason in _NO_TLS:
        return TlsFailed(
            TlsProblem.NO_TLS, f"{peer.name} sent something else in place of a TLS handshake: usually no TLS there"
        )
    # OpenSSL has no word of its own where the connection went in the middle of a record.
    if isinstance(error, ssl.SSLEOFError) or not isinstance(error, ssl.SSLError) or not reason:
        return TlsFailed(
            TlsProblem.NO_TLS,
            f"{peer.name} closed the connection in place of a TLS handshake: usually no TLS there",
            is_lost=True,
        )
    if reason in _NO_VERSION:
        return TlsFailed(
            TlsProblem.VERSION,
            f"{peer.name} and we share no version of TLS: 1.2 at least, 1.3 where both can (PS3.15 B.12)",
        )
    # With a suite chosen, what the peer can still miss is a certificate.
    if reason in _NO_CIPHER and secured.cipher() is None:
        return TlsFailed(TlsProblem.CIPHER, f"{peer.name} and we share no cipher suite, or no signature algorithm")
    if reason in _NO_CIPHER and not peer.has_certificate:
        return _wanted(peer)
    if reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
        return TlsFailed(TlsProblem.CERTIFICATE_WANTED, f"{peer.name} showed no certificate, and we require one")
    return _refused(reason, peer)


def _refused(reason: str, peer: _Peer) -> TlsFailed:
    """Read an alert about our certificate (RFC 8446 6.2)."""
    alert = next((word for word in _ALERTS if word in reason), None)
    if "CERTIFICATE_REQUIRED" in reason or (alert is not None and not peer.has_certificate):
        return _wanted(peer)
    if alert is not None:
        return TlsFailed(TlsProblem.CERTIFICATE_REFUSED, f"{peer.name} refused our certificate: {_ALERTS[alert]}")
    said = reason.replace("_", " ").lower() or "no reason given"
    return TlsFailed(TlsProblem.OTHER, f"{peer.name}: TLS handshake failed: {said}")


def _wanted(peer: _Peer) -> TlsFailed:
    return TlsFailed(
        TlsProblem.CERTIFICATE_WANTED,
        f"{peer.name} requires a certificate of ours: give its Tls an identity whose CA the peer trusts",
    )


def _distrust(error: ssl.SSLCertVerificationError, peer: _Peer) -> TlsFailed:
    """Read the result of the verification (X509_V_ERR_* of OpenSSL's x509_vfy.h)."""
    problem, words = _VERIFICATION.get(error.verify_code, (TlsProblem.OTHER, f"is not trusted: {error.verify_message}"))
    return TlsFailed(problem, f"{peer.name}: its certificate {words}")


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
_NO_VERSION = frozenset({"TLSV1_ALERT_PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL", "VERSION_TOO_LOW"})
_NO_CIPHER = frozenset(
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
