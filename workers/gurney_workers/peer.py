"""A remote as a worker knows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gurney.pacs import RemoteAE

__all__ = ["Peer"]


@dataclass(frozen=True, slots=True)
class Peer:
    """A remote and how it is called."""

    remote: RemoteAE
    calling_ae_title: str
    fast_path: bool
    retrieve: Literal["move", "get"] = "move"
    retrieves_at_once: int = 1
