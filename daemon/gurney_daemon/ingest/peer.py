"""Who brought an instance over the network; of what lay in a folder nobody is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["NO_PEER", "Peer"]


@dataclass(frozen=True, slots=True)
class Peer:
    """The AE title that called, the one that it called, and from which address."""

    calling_ae_title: str = ""
    called_ae_title: str = ""
    address: str = ""


NO_PEER: Final = Peer()
