"""A remote as a worker knows it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal
from zoneinfo import ZoneInfo

from gurney.pacs import RemoteAE
from gurney.transfer.windows import ALWAYS, Window

__all__ = ["Peer"]

_UTC = ZoneInfo("UTC")


@dataclass(frozen=True, slots=True)
class Peer:
    """A remote and how it is called."""

    remote: RemoteAE
    calling_ae_title: str
    fast_path: bool
    retrieve: Literal["move", "get"] = "move"
    retrieves_at_once: int = 1
    window: Window = ALWAYS
    stat_passes: bool = True
    zone: ZoneInfo = _UTC
    bytes_per_second: float | None = None
    instances_per_minute: int = 0

    @property
    def is_shut(self) -> bool:
        """Whether the clock says that it is to be left alone now."""
        return not self.window.stand(time.time(), self.zone).is_open
