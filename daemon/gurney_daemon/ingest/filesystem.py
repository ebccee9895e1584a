"""What kind of filesystem a folder lies on: how long files settle there, whether hints come, whether it is there."""

from __future__ import annotations

import os
from typing import Final

from gurney.settings import mounts
from gurney.settings.mounts import MOUNTINFO, network_filesystem

__all__ = ["SETTLE_LOCAL", "SETTLE_NETWORK", "is_mounted", "is_network"]

# Seconds. A share shows sizes and times late, and its writers stall for longer.
SETTLE_LOCAL: Final = 2.0
SETTLE_NETWORK: Final = 30.0


def is_network(path: bytes, mountinfo: str = MOUNTINFO) -> bool:
    """Tell whether a folder lies on a share, from where no notifications come."""
    return network_filesystem(os.fsdecode(path), mountinfo) is not None


def is_mounted(path: bytes, mountinfo: str = MOUNTINFO) -> bool:
    """Tell whether a folder is a mount point or lies on a share, and not merely where one should be mounted."""
    return mounts.is_mounted(os.fsdecode(path), mountinfo)
