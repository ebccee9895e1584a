"""What is wrong with the table ``tls`` of a remote: what contradicts itself, and files that this host can't use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from gurney.settings.model import Tls
from gurney.settings.mounts import network_filesystem
from gurney.settings.secrets import is_open

__all__ = ["TLS_FILES", "TlsFinding", "check_tls"]

TLS_FILES = ("ca", "certificate", "key", "key_password_file", "crl")
"""Keys that name files."""


class TlsFinding(NamedTuple):
    """What is wrong with one key of the table; ``is_error`` where nothing may start with it."""

    key: str
    message: str
    remedy: str
    is_error: bool


def check_tls(tls: Tls, mountinfo: str) -> Iterator[TlsFinding]:
    """Tell what is wrong or unwise.

    Files that can't be used are a warning: without them nothing goes to this remote, which is held with the same words,
    and everything goes to the others.
    """
    files = {key: str(getattr(tls, key)) for key in TLS_FILES if getattr(tls, key)}
    found = list(_contradictions(tls))
    # A dead share would block.
    if not found and not any(network_filesystem(path, mountinfo) for path in files.values()):
        found = [*_unusable(tls, files)] or [*_open(tls, files)]
    yield from found


def _open(tls: Tls, files: dict[str, str]) -> Iterator[TlsFinding]:
    for key in ("key" if tls.key else "certificate", "key_password_file"):
        if key in files and is_open(files[key]):
            message = f"holds a secret, and everyone on this host can read {files[key]}"
            yield TlsFinding(key, message, f"chmod o-rwx {files[key]}", is_error=False)


def _contradictions(tls: Tls) -> Iterator[TlsFinding]:
    for key, other in (("key", "certificate"), ("key_password_file", "certificate"), ("crl_chain", "crl")):
        if getattr(tls, key) and not getattr(tls, other):
            yield TlsFinding(key, f"has no effect without {other}", f"Set {other}, or remove it.", is_error=True)


def _unusable(tls: Tls, files: dict[str, str]) -> Iterator[TlsFinding]:
    # Only a configuration that has such a table loads the network stack for it.
    from gurney.pacs.errors import TlsSetupError
    from gurney.pacs.tls.contexts import check_files
    from gurney.settings.remotes import tls_of

    try:
        check_files(tls_of(tls))
    except TlsSetupError as error:
        key = next((key for key, path in files.items() if path == error.path), "certificate")
        yield TlsFinding(key, str(error), "Until then nothing is sent to this remote.", is_error=False)
