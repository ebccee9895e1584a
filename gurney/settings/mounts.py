"""Which filesystem a path lies on, from the kernel's table, without touching the path: a dead share would block."""

from __future__ import annotations

import os
import re

__all__ = ["MOUNTINFO", "is_mounted", "mount_of", "network_filesystem", "real_path"]

MOUNTINFO = "/proc/self/mountinfo"

_NETWORK = frozenset(
    {"9p", "afs", "beegfs", "ceph", "cifs", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "smb3", "smbfs"}
    | {"fuse.ceph", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs", "fuse.smbnetfs", "fuse.sshfs"}
)
_OCTAL = re.compile(r"\\([0-7]{3})")


def network_filesystem(path: str, mountinfo: str = MOUNTINFO) -> str | None:
    """Return the type of the network filesystem that an absolute path lies on; None on a disk of this host.

    ``mountinfo`` is a file as proc(5) describes it; where there is none, nothing is known to be remote.
    """
    kind = mount_of(path, mountinfo)[1]
    return kind if kind in _NETWORK else None


def mount_of(path: str, mountinfo: str = MOUNTINFO) -> tuple[str, str]:
    """Return the mount point that an absolute path lies on and its filesystem's type; empty where nothing is known."""
    best, kind = "", ""
    for mount_point, filesystem in _mounts(mountinfo):
        inside = mount_point in ("/", path) or path.startswith(mount_point + "/")
        # Of two mounts on one point, the later hides the earlier.
        if inside and len(mount_point) >= len(best):
            best, kind = mount_point, filesystem
    return best, kind


def is_mounted(path: str, mountinfo: str = MOUNTINFO) -> bool:
    """Tell whether a folder is a mount point or lies on a share, and not merely where one should be mounted.

    An automounter's own mount does not count: it is there before the share is.
    """
    folder = os.path.normpath(path)
    mount_point, kind = mount_of(folder, mountinfo)
    if kind == "autofs":
        return False
    return mount_point == folder or network_filesystem(folder, mountinfo) is not None


def real_path(path: str, mountinfo: str = MOUNTINFO) -> str:
    """Return a path without ``..`` and, on disks of this host, without symbolic links."""
    plain = os.path.normpath(path)
    return plain if network_filesystem(plain, mountinfo) else os.path.realpath(plain)


def _mounts(mountinfo: str) -> list[tuple[str, str]]:
    try:
        with open(mountinfo, encoding="utf-8", errors="surrogateescape") as table:
            lines = table.read().splitlines()
    except OSError:
        return []
    mounts = []
    for line in lines:
        mount, _, source = line.partition(" - ")
        mount_point = _OCTAL.sub(lambda match: chr(int(match[1], 8)), mount.split(" ")[4])
        mounts.append((mount_point, source.split(" ")[0]))
    return mounts
