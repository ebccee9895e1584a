"""Secrets that stand in files of their own: ``url_file = "/run/secrets/ledger"`` is ``url``, read from there."""

from __future__ import annotations

import os
import stat

from gurney.settings.layers import Layers
from gurney.settings.problems import KeyPath, Origin, Problem, Severity

__all__ = ["SECRETS", "has_password", "is_open", "mask", "read_secrets", "rivals"]

SECRETS: tuple[tuple[str, str], ...] = (("ledger", "url"), ("broker", "url"))
"""Keys that may hold a password, each with a twin that ends in ``_file``."""

_LONGEST = 64 * 1024
# Container platforms mount secrets readable by all, into a folder that only the container sees.
_MOUNTED_SECRETS = "/run/secrets/"


def rivals(path: KeyPath) -> list[KeyPath]:
    """Return the keys that a later layer's ``path`` replaces: ``url`` and ``url_file`` stand for one value."""
    return [other for secret in SECRETS if path in (pair := (secret, _twin(secret))) for other in pair if other != path]


def read_secrets(layers: Layers, base: str) -> None:
    """Put each secret that is named by a file in the place of the file's name; paths count from ``base``."""
    for secret in SECRETS:
        table = layers.values.get(secret[0])
        if not isinstance(table, dict):
            continue
        twin = _twin(secret)
        name = ".".join(twin)
        if twin[1] in table:
            path = table.pop(twin[1])
            origin = layers.origins.pop(twin, Origin("?"))
            if secret[1] in table:
                layers.error(origin, name, f"is set beside {secret[1]}", "Keep one of the two.")
            elif not isinstance(path, str):
                layers.error(origin, name, "is not a path", "Name the file that holds the secret.")
            else:
                _read(layers, secret, name, os.path.join(base, path), origin)
        elif has_password(table.get(secret[1])):
            origin = layers.origins[secret]
            if origin.line and _is_open_to_all(os.stat(origin.source)):
                _warn_open(layers, origin, ".".join(secret), origin.source)


def has_password(url: object) -> bool:
    """Say whether a URL carries a password, or a query that may."""
    return isinstance(url, str) and mask(url) != url


def is_open(path: str) -> bool:
    """Say whether everyone on this host can read a file that holds a secret."""
    try:
        return _is_open_to_all(os.stat(path)) and not path.startswith(_MOUNTED_SECRETS)
    except OSError:
        return False


def mask(url: str) -> str:
    """Return ``url`` with its password, and its query (PostgreSQL takes ``?password=``), replaced by asterisks.

    Cut by hand: a password with a ``/`` or ``#`` in it is a mistake that a parser would let through unmasked.
    """
    scheme, separator, rest = url.partition("://")
    place, _, query = rest.partition("?") if "@" not in rest.partition("?")[2] else (rest, "", "")
    account, at, host = place.rpartition("@")
    user, colon, _ = account.partition(":")
    return f"{scheme}{separator}{user}{':***' if colon else ''}{at}{host}{'?***' if query else ''}"


def _read(layers: Layers, secret: tuple[str, str], name: str, path: str, origin: Origin) -> None:
    remedy = "Name a file that this user can read and that holds the secret alone."
    try:
        with open(path, encoding="utf-8") as file:
            if _is_open_to_all(os.fstat(file.fileno())) and not path.startswith(_MOUNTED_SECRETS):
                _warn_open(layers, origin, name, path)
            text = file.read(_LONGEST).strip()
    except OSError as error:
        layers.error(origin, name, f"{path} can't be read: {error.strerror}", remedy)
        return
    except UnicodeDecodeError:
        layers.error(origin, name, f"{path} is not UTF-8 text", remedy)
        return
    if not text:
        layers.error(origin, name, f"{path} is empty", remedy)
        return
    layers.put(secret, text, origin)


def _warn_open(layers: Layers, origin: Origin, name: str, path: str) -> None:
    message = f"holds a secret, and everyone on this host can read {path}"
    layers.problems.append(Problem(Severity.WARNING, origin, name, message, f"chmod o-rwx {path}"))


def _is_open_to_all(status: os.stat_result) -> bool:
    return bool(status.st_mode & stat.S_IROTH)


def _twin(secret: tuple[str, str]) -> tuple[str, str]:
    return (secret[0], f"{secret[1]}_file")
