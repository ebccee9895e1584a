"""A short, private folder for the broker's socket.

Not the data folder: that may lie deep, and a socket's path ends at 108 bytes (unix(7)); it may also lie on a volume
that can't hold sockets. The name comes from the data folder's, so that the next life finds what the last one left.
"""

from __future__ import annotations

import hashlib
import os
import stat
from typing import Final

from gurney.jobs.errors import RuntimeFolderError

__all__ = ["MOST_PATH_BYTES", "open_runtime_folder"]

MOST_PATH_BYTES: Final = 107
"""``sun_path`` holds 108 bytes, the last of them zero."""

_LAST_RESORT: Final = "/tmp"  # noqa: S108  # the folder below it is checked for its owner and mode


def open_runtime_folder(data_dir: str, longest_name: str) -> str:
    """Make, or find and check, the folder that goes with ``data_dir``; files in it may be named up to ``longest_name``.

    Under ``$RUNTIME_DIRECTORY`` (systemd), else ``$XDG_RUNTIME_DIR``, else ``/tmp``: the first that is ours and short
    enough. Raises :class:`RuntimeFolderError` for a folder that someone else made, or that others may enter: in
    ``/tmp`` anyone can take a name before us, and would then own the broker.
    """
    digest = hashlib.sha256(os.fsencode(os.path.realpath(data_dir))).hexdigest()[:12]
    name = f"gurney-{os.geteuid()}-{digest}"
    base = next((base for base in _own_bases() if _fits(base, name, longest_name)), _LAST_RESORT)
    folder = os.path.join(base, name)
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        pass
    except OSError as error:
        raise RuntimeFolderError(f"{folder} for the broker's socket can't be made: {error.strerror}") from error
    _check_private(folder)
    return folder


def _own_bases() -> list[str]:
    # systemd lists several folders with colons between them.
    named = [os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0], os.environ.get("XDG_RUNTIME_DIR", "")]
    return [base for base in named if os.path.isabs(base) and os.access(base, os.W_OK | os.X_OK)]


def _fits(*parts: str) -> bool:
    return len(os.fsencode(os.path.join(*parts))) <= MOST_PATH_BYTES


def _check_private(folder: str) -> None:
    found = os.lstat(folder)  # not stat: a link may be turned to another folder after the check
    if not stat.S_ISDIR(found.st_mode):
        problem = "is not a folder"
    elif found.st_uid != os.geteuid():
        problem = f"belongs to user {found.st_uid}"
    elif found.st_mode & 0o077:
        problem = f"is open to others (mode {stat.S_IMODE(found.st_mode):o})"
    else:
        return
    raise RuntimeFolderError(
        f"{folder} for the broker's socket {problem}: remove it, or set XDG_RUNTIME_DIR to a folder of your own"
    )
