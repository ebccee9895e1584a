"""Who we talk to: a remote Application Entity and how long we wait for it."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

from gurney.dicom.ae_titles import check_ae_title
from gurney.pacs.kinds import of_kind
from gurney.pacs.tls.options import Tls

__all__ = ["RemoteAE", "Timeouts"]

_OF_URLS = frozenset("/\\@?#[]")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds to wait for a remote AE, each counted from its own last progress.

    connect: for the TCP connection, over all addresses that the name resolves to, and the TLS handshake on it.
    acse: for the answer to an association request, a release or a C-ECHO.
    store: for the peer to take the next bytes of an instance, and then for its C-STORE response.
    find: for the next match of a query; the first may take an archive long.
    move: for the next sign of life from a C-MOVE or C-GET: an archive may have to fetch from tape.
    normalized: for the answer to a DIMSE-N request, such as an N-CREATE; a printer may think before it takes a job.
    network: an association on which nothing happens is aborted after it.
    """

    connect: float = 10.0
    acse: float = 30.0
    store: float = 300.0
    find: float = 120.0
    move: float = 600.0
    normalized: float = 120.0
    network: float = 60.0

    @property
    def longest_wait(self) -> float:
        """The longest silence that keeps within all of these.

        The name, the connection and the answer to the request follow each other without a sign in between.
        """
        return max(self.connect + self.acse, self.store)

    def __post_init__(self) -> None:
        for name in ("connect", "acse", "store", "find", "move", "normalized", "network"):
            seconds = getattr(self, name)
            if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < float("inf"):
                raise ValueError(f"timeout {name!r} must be a positive number of seconds, not {seconds!r}")


@dataclass(frozen=True, slots=True)
class RemoteAE:
    """A remote Application Entity: its AE title and where it listens.

    The host may be a name, an IPv4 or an IPv6 address; names are resolved at each connection, so that an archive that
    moves is found again. ``max_pdu`` is the longest PDU that we take from it (PS3.8 D.1), 0 for no limit.

    ``relational`` proposes to it that queries may have keys of any level at any level (PS3.4 C.5.1.1.1).

    With ``tls`` every connection is secured, or refused (PS3.15 B.12); without it, none is.
    """

    ae_title: str
    host: str
    port: int
    timeouts: Timeouts = field(default_factory=Timeouts)
    max_pdu: int = 131072
    relational: bool = False
    tls: Tls | None = None

    def __post_init__(self) -> None:
        check_ae_title(self.ae_title)
        if not isinstance(self.host, str) or not _is_host(self.host):
            raise ValueError(
                "host must be a name such as pacs.example.org, or an address such as 10.0.0.5 or ::1, "
                f"not {self.host!r}"
            )
        if not _is_number(self.port) or not 1 <= self.port <= 65535:
            raise ValueError(f"port must be 1-65535, not {self.port!r}")
        of_kind(self.timeouts, Timeouts, "timeouts")
        if self.tls is not None:
            of_kind(self.tls, Tls, "tls")
        if not _is_number(self.max_pdu) or (self.max_pdu and not 1024 <= self.max_pdu <= 0xFFFFFFFF):
            raise ValueError(f"max_pdu must be 0, or 1024 to 4294967295, not {self.max_pdu!r}")

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.ae_title} at {host}:{self.port}"


def _is_host(text: str) -> bool:
    """Tell a name or an address from a URL, a host with its port, or an address in brackets."""
    if ":" not in text:
        return bool(text) and text.isprintable() and not any(one.isspace() or one in _OF_URLS for one in text)
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
