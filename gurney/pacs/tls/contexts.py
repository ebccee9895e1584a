"""OpenSSL contexts out of what :mod:`gurney.pacs.tls.options` describes, and clear words for files that can't be used.

A context is kept as long as none of its files has changed: a worker connects often, and reads them once. One whose
password comes from listeners is not, since they may think otherwise the next time.
"""

from __future__ import annotations

import logging
import os
import ssl
import stat
from collections.abc import Callable
from typing import TypeAlias

from gurney.pacs.errors import TlsSetupError
from gurney.pacs.tls.options import InboundTls, PathName, Tls, TlsIdentity, TlsProfile

__all__ = ["AskPassword", "check_files", "cipher_suites", "client_context", "files_of", "server_context"]

AskPassword: TypeAlias = "Callable[[str], str | bytes | None]"
"""Given a key file, returns its password, or None to leave that to the identity's own source."""

_log = logging.getLogger(__name__)

# Forward secrecy and authenticated encryption only (RFC 9325 4.2). Level 2 wants RSA and DH keys of 2048 bits, curves
# of 224, and no signature by SHA-1; OpenSSL itself offers no curve below 253 bits. Suites of TLS 1.3 can't be chosen
# from Python: OpenSSL's own three are all allowed by both profiles.
_SUITES: dict[TlsProfile, tuple[str, ...]] = {
    TlsProfile.BCP_195: (
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        "ECDHE-RSA-CHACHA20-POLY1305",
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256",
    ),
}
_SUITES[TlsProfile.MODIFIED_BCP_195] = (
    *_SUITES[TlsProfile.BCP_195],
    "ECDHE-ECDSA-AES256-CCM",
    "ECDHE-ECDSA-AES128-CCM",
)
_LEVEL = "@SECLEVEL=2"

# PKCS #8, and the older form of OpenSSL (RFC 1421 4.6.1.1).
_LOCKED = (b"-----BEGIN ENCRYPTED PRIVATE KEY-----", b"Proc-Type: 4,ENCRYPTED")

_MOST_KEPT = 256
# Without a lock: a thread of the parent may hold one when a worker is forked, and its child would wait for it for ever.
# Each access is one step of the dictionary's own; two threads that make the same context at once have made it twice.
_kept: dict[object, tuple[object, ssl.SSLContext]] = {}


def cipher_suites(profile: TlsProfile) -> tuple[str, ...]:
    """Return the suites of TLS 1.2 that a profile allows, by OpenSSL's names, the preferred first."""
    return _SUITES[profile]


def client_context(tls: Tls, ask: AskPassword | None = None) -> ssl.SSLContext:
    """Return the context for connections that we make. Raises :class:`~gurney.pacs.errors.TlsSetupError`."""
    return _context(tls, ask, lambda: _make_client(tls, ask))


def server_context(tls: InboundTls, ask: AskPassword | None = None) -> ssl.SSLContext:
    """Return the context for connections that others make. Raises :class:`~gurney.pacs.errors.TlsSetupError`."""
    return _context(tls, ask, lambda: _make_server(tls, ask))


def files_of(tls: Tls | InboundTls) -> tuple[str, ...]:
    """Return every file that is read for it."""
    named = [tls.ca, tls.crl]
    if tls.identity is not None:
        named += [tls.identity.certificate, tls.identity.key_file]
        if isinstance(tls.identity.password, os.PathLike):
            named.append(tls.identity.password)
    return tuple(os.fspath(name) for name in named if name is not None)


def check_files(tls: Tls) -> None:
    """Raise what :func:`client_context` would, and keep nothing."""
    _make_client(tls, None)


def _context(tls: Tls | InboundTls, ask: AskPassword | None, make: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    if ask is not None:
        return make()
    # Stamped before it is read: what changes meanwhile is read once more.
    stamp = tuple(_stamp(path) for path in files_of(tls))
    found = _kept.get(tls)
    if found is not None and found[0] == stamp:
        return found[1]
    context = make()
    if tls.identity is not None:
        _warn_open(tls.identity.key_file)
    if len(_kept) >= _MOST_KEPT:
        _kept.clear()
    _kept[tls] = (stamp, context)
    return context


def _stamp(path: str) -> object:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def _make_client(tls: Tls, ask: AskPassword | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _apply(context, tls.profile)
    context.check_hostname = tls.check_host
    if tls.ca is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        _trust(context, tls.ca)
    if tls.crl is not None:
        _revoke(context, tls.crl, whole_chain=tls.crl_chain)
    if tls.identity is not None:
        _identify(context, tls.identity, ask)
    return context


def _make_server(tls: InboundTls, ask: AskPassword | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _apply(context, tls.profile)
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    if tls.ca is not None:
        _trust(context, tls.ca)
        context.verify_mode = ssl.CERT_OPTIONAL if tls.optional else ssl.CERT_REQUIRED
    if tls.crl is not None:
        _revoke(context, tls.crl, whole_chain=tls.crl_chain)
    _identify(context, tls.identity, ask)
    return context


def _apply(context: ssl.SSLContext, profile: TlsProfile) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(":".join((*_SUITES[profile], _LEVEL)))
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION


def _trust(context: ssl.SSLContext, ca: PathName) -> None:
    path = os.fspath(ca)
    if os.path.isdir(path):
        context.load_verify_locations(capath=path)
        return
    if b"-----BEGIN" not in _read(path, "the CA certificates"):
        raise TlsSetupError(path, "holds no CA certificate in PEM: convert it with openssl x509 -inform DER")
    try:
        context.load_verify_locations(cafile=path)
    except (ssl.SSLError, OSError) as error:
        raise TlsSetupError(path, f"holds no CA certificate that can be read: {_reason(error)}") from error


def _revoke(context: ssl.SSLContext, crl: PathName, *, whole_chain: bool) -> None:
    path = os.fspath(crl)
    content = _read(path, "the revocation list")
    if b"-----BEGIN X509 CRL-----" not in content:
        raise TlsSetupError(path, "holds no revocation list in PEM: convert it with openssl crl -inform DER")
    if b"CERTIFICATE-----" in content:
        # It would be trusted as a CA.
        raise TlsSetupError(path, "holds a certificate beside revocation lists: leave the lists alone in it")
    try:
        context.load_verify_locations(cafile=path)
    except (ssl.SSLError, OSError) as error:
        raise TlsSetupError(path, f"holds no revocation list that can be read: {_reason(error)}") from error
    context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN if whole_chain else ssl.VERIFY_CRL_CHECK_LEAF


def _identify(context: ssl.SSLContext, identity: TlsIdentity, ask: AskPassword | None) -> None:
    certificate, key = os.fspath(identity.certificate), identity.key_file
    if b"-----BEGIN CERTIFICATE-----" not in _read(certificate, "our certificate"):
        raise TlsSetupError(certificate, "holds no certificate in PEM: convert it with openssl x509 or pkcs12")
    content = _read(key, "our private key")
    if b"PRIVATE KEY-----" not in content:
        raise TlsSetupError(key, "holds no private key in PEM: name the file that does")
    is_locked = any(mark in content for mark in _LOCKED)
    # Never without a password: OpenSSL would ask at the terminal.
    password = _password(identity, key, ask) if is_locked else ""
    try:
        context.load_cert_chain(certificate, key, password)
    except (ssl.SSLError, OSError) as error:
        if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
            raise TlsSetupError(
                key,
                f"holds a private key that does not belong to the first certificate in {certificate}: "
                "the certificate of our own stands first, those of its CAs below",
            ) from error
        if is_locked:
            raise TlsSetupError(key, "holds a private key that the password does not open") from error
        raise TlsSetupError(certificate, f"and {key} can't be used: {_reason(error)}") from error


def _password(identity: TlsIdentity, key: str, ask: AskPassword | None) -> str | bytes:
    found = ask(key) if ask is not None else None
    if found is not None:
        return found
    source = identity.password
    if source is None:
        raise TlsSetupError(
            key,
            "holds a private key with a password: give that by a callable, a file, or a listener of "
            "private_key_password",
        )
    if callable(source):
        return source()
    return _read(os.fspath(source), "the password of our private key").rstrip(b"\r\n")


def _read(path: str, what: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise TlsSetupError(path, f"can't be read for {what}: {error.strerror or error}") from error


def _warn_open(path: str) -> None:
    if os.stat(path).st_mode & stat.S_IROTH:
        _log.warning("private_key_readable_by_all path=%s remedy='chmod o-rwx'", path)


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", None)
    return reason.replace("_", " ").lower() if reason else getattr(error, "strerror", None) or type(error).__name__
