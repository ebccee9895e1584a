"""Who may associate with a receiver, under which name, and what may be stored with it (PS3.8 9.3.4)."""

from __future__ import annotations

import ipaddress
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gurney.observability import get_logger
from gurney.pacs.listener.intake import Calling, Rejection

__all__ = ["Caller", "Doorkeeper", "TurnedAway"]

log = get_logger(__name__)

CALLING_NOT_RECOGNIZED: Final = Rejection(1, 1, 3)
CALLED_NOT_RECOGNIZED: Final = Rejection(1, 1, 7)
# Who tries all names there are shall not fill the memory, nor the trail.
_MOST_REMEMBERED: Final = 100


@dataclass(frozen=True, slots=True)
class Caller:
    """A peer that may call: by its AE title, its address or network, or both; what is empty may be anything."""

    ae_title: str = ""
    host: str = ""

    def is_meant_by(self, calling: Calling) -> bool:
        """Tell whether it is this one that calls."""
        if self.ae_title and self.ae_title != calling.calling_ae_title:
            return False
        return not self.host or _address(calling.address) in ipaddress.ip_network(self.host, strict=False)


@dataclass(frozen=True, slots=True)
class TurnedAway:
    """A peer that was not let in, and why."""

    calling: Calling
    reason: str


class Doorkeeper:
    """Decide for a receiver; an empty list lets in, or takes, whatever there is."""

    def __init__(
        self,
        name: str,
        called_ae_titles: Sequence[str],
        callers: Sequence[Caller] = (),
        sop_class_uids: Sequence[str] = (),
        transfer_syntax_uids: Sequence[str] = (),
    ) -> None:
        """Prepare; ``name`` is the receiver's."""
        self._name, self._called, self._callers = name, frozenset(called_ae_titles), tuple(callers)
        self._classes, self._syntaxes = frozenset(sop_class_uids), frozenset(transfer_syntax_uids)
        self._guard = threading.Lock()
        self._turned_away: Counter[TurnedAway] = Counter()

    def rejection(self, calling: Calling) -> Rejection | None:
        """Say with which words a peer is turned away; None lets it in."""
        if calling.called_ae_title not in self._called:
            return self._turn_away(calling, "called AE title not recognized", CALLED_NOT_RECOGNIZED)
        if self._callers and not any(caller.is_meant_by(calling) for caller in self._callers):
            return self._turn_away(calling, "calling AE title or address not accepted", CALLING_NOT_RECOGNIZED)
        return None

    def takes(self, sop_class_uid: str, transfer_syntax_uid: str) -> bool:
        """Tell whether instances of a SOP class may be stored in a transfer syntax."""
        return (not self._classes or sop_class_uid in self._classes) and (
            not self._syntaxes or transfer_syntax_uid in self._syntaxes
        )

    def turned_away(self) -> Counter[TurnedAway]:
        """Return, once, how often whom was turned away."""
        with self._guard:
            told, self._turned_away = self._turned_away, Counter()
        return told

    def _turn_away(self, calling: Calling, reason: str, rejection: Rejection) -> Rejection:
        log.warning(
            "association_rejected",
            source=self._name,
            calling=calling.calling_ae_title,
            called=calling.called_ae_title,
            address=calling.address,
            reason=reason,
        )
        with self._guard:
            one = TurnedAway(calling, reason)
            if one in self._turned_away or len(self._turned_away) < _MOST_REMEMBERED:
                self._turned_away[one] += 1
        return rejection


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Read a peer's address; one of IPv4 that came to a socket of IPv6 is what it was."""
    address = ipaddress.ip_address(text.partition("%")[0])
    return (address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else address
