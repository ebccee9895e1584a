"""What kind of filesystem a folder lies on: how long files settle there, whether hints come, whether it is there."""

from __future__ import annotations

import os
from typing import Final

from gurney.settings.mounts import MOUNTINFO, mount_of, network_filesystem

__all__ = ["SETTLE_LOCAL", "SETTLE_NETWORK", "is_mounted", "is_network"]

# Seconds. A share shows sizes and times late, and its writers stall for longer.
SETTLE_LOCAL: Final = 2.0
SETTLE_NETWORK: Final = 30.0


def is_network(path: bytes, mountinfo: str = MOUNTINFO) -> bool:
    """Tell whether a folder lies on a share, from where no notifications come."""
    return network_filesystem(os.fsdecode(path), mountinfo) is not None


def is_mounted(path: bytes, mountinfo: str = MOUNTINFO) -> bool:
    """Tell whether a folder is a mount point or lies on a share, and not merely where one should be mounted.

    An automounter's own mount does not count: it is there before the share is.
    """
    folder = os.path.normpath(os.fsdecode(path))
    mount_point, kind = mount_of(folder, mountinfo)
    if kind == "autofs":
        return False
    return mount_point == folder or network_filesystem(folder, mountinfo) is not None
