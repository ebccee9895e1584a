"""Clone a file: another file with the same content, which costs no space until either is written (XFS, btrfs, NFS 4.2).

Unlike a hard link the clone is our own: whoever writes into the original leaves it as it is.
"""

from __future__ import annotations

import errno
import fcntl
from typing import Final

__all__ = ["FICLONE", "Cloner"]

FICLONE: Final = 0x40049409
"""The request of ``ioctl_ficlone(2)``, as x86-64 and arm64 number it; elsewhere it is refused, and a link is made."""

# The filesystem can't at all: it need not be asked again.
_NEVER: Final = frozenset({errno.EOPNOTSUPP, errno.ENOTTY, errno.ENOSYS})
# Another filesystem, a sandbox, a file of an odd kind: this one can't be cloned.
_NOT_THIS: Final = frozenset({errno.EXDEV, errno.EINVAL, errno.EPERM, errno.EACCES, errno.ETXTBSY, errno.EISDIR})


class Cloner:
    """Clones files of one folder for as long as its filesystem does that; not to be shared by threads."""

    def __init__(self) -> None:
        """Begin in good faith."""
        self.works = True

    def clone(self, fd: int, out: int) -> bool:
        """Make the empty file ``out`` a clone of ``fd``; False where that can't be, with ``out`` left empty.

        Raises OSError for what is not a matter of ability, such as a full disk.
        """
        try:
            fcntl.ioctl(out, FICLONE, fd)
        except OSError as error:
            self.works = error.errno not in _NEVER
            if self.works and error.errno not in _NOT_THIS:
                raise
            return False
        return True
