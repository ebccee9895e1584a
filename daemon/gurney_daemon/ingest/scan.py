"""Look through a watched folder: the authority on what lies there, since network shares send no notifications.

Folders are opened one inside the other and links never followed, so that nothing outside the watched folder is seen,
whatever somebody swaps while we look. What is seen streams past in chunks: memory does not grow with the folder.
"""

from __future__ import annotations

import errno
import fnmatch
import os
import re
import stat
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from gurney.dicom.incoming import INCOMING
from gurney_daemon.ingest.signature import Signature

__all__ = ["OURS", "Folder", "Sight"]

# What we put into a watched folder ourselves starts so, and is never taken in: nor is what a retrieve is still writing.
OURS: Final = (".gurney-", INCOMING)

_CHUNK: Final = 500
_MAX_DEPTH: Final = 64
_OPEN_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Sight(NamedTuple):
    """A regular file that was seen, by its full path."""

    path: bytes
    signature: Signature

    def __repr__(self) -> str:
        # Not the path, which may name a patient.
        return f"Sight(signature={self.signature!r})"


class Folder:
    """A folder to look through. ``ignore`` are patterns of names of files and of folders, case as written.

    With a ``marker``, the files of each folder are seen only once a file of that name lies beside them.
    ``problems`` holds the errors of the last look at folders inside it: what lies there was not seen.
    """

    def __init__(
        self, root: str | bytes, *, recursive: bool = True, ignore: Sequence[str] = (), marker: str = ""
    ) -> None:
        """Prepare to look; nothing is opened yet."""
        self.root = os.fsencode(root).rstrip(b"/") or b"/"
        self.problems: list[OSError] = []
        self._recursive = recursive
        self._marker = marker
        self._ignored = re.compile("|".join(fnmatch.translate(pattern) for pattern in ignore) or r"(?!)").match

    def look_through(self, at_once: int = _CHUNK) -> Iterator[list[Sight]]:
        """Yield what lies in the folder, in chunks of one subfolder at a time.

        Raises OSError when the folder itself can't be opened; errors further inside go to ``problems``.
        """
        self.problems = []
        fd = os.open(self.root, _OPEN_FOLDER)
        yield from self._walk(fd, self.root, at_once, 0)

    def look_at(self, paths: Sequence[bytes]) -> list[Sight]:
        """Return those of some paths (from notifications) that are files to be taken, as they look now.

        Raises OSError when the folder itself can't be opened.
        """
        by_folder: dict[bytes, list[bytes]] = {}
        for path in paths:
            folder, _, name = path.rpartition(b"/")
            by_folder.setdefault(folder, []).append(name)
        sights: list[Sight] = []
        for folder, names in by_folder.items():
            fd = self._open_inside(folder)
            if fd is None:
                continue
            try:
                if self._is_ripe(fd):
                    sights.extend(self._look_at_names(fd, folder, names))
            finally:
                os.close(fd)
        return sights

    def is_empty(self) -> bool:
        """Tell whether nothing but our own lies at the top of the folder. Raises OSError."""
        with os.scandir(self.root) as entries:
            return all(os.fsdecode(entry.name).startswith(OURS) for entry in entries)

    def _walk(self, fd: int, folder: bytes, at_once: int, depth: int) -> Iterator[list[Sight]]:
        """Yield the files of an open folder, then of those inside it; closes ``fd``."""
        inner: list[str] = []
        try:
            yield from self._list(fd, folder, at_once, inner)
            for name in inner:
                try:
                    if depth >= _MAX_DEPTH:
                        raise OSError(errno.ELOOP, "folders lie too deep in each other")
                    child = os.open(name, _OPEN_FOLDER | os.O_NOFOLLOW, dir_fd=fd)
                except OSError as error:
                    self._note(error)
                    continue
                yield from self._walk(child, folder + b"/" + os.fsencode(name), at_once, depth + 1)
        finally:
            os.close(fd)

    def _list(self, fd: int, folder: bytes, at_once: int, inner: list[str]) -> Iterator[list[Sight]]:
        chunk: list[Sight] = []
        try:
            ripe = self._is_ripe(fd)
            prefix = folder + b"/" if folder != b"/" else folder
            with os.scandir(fd) as entries:
                for entry in entries:
                    name = entry.name
                    if name == self._marker or name.startswith(OURS) or self._ignored(name):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        if self._recursive:
                            inner.append(name)
                    elif ripe and entry.is_file(follow_symlinks=False):
                        sight = _see(entry, prefix)
                        if sight is not None:
                            chunk.append(sight)
                    if len(chunk) >= at_once:
                        yield chunk
                        chunk = []
        except OSError as error:
            self._note(error)
        if chunk:
            yield chunk

    def _is_ripe(self, fd: int) -> bool:
        """Tell whether the files of an open folder may be taken: there's no marker to wait for, or it is there."""
        if not self._marker:
            return True
        try:
            os.stat(self._marker, dir_fd=fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def _open_inside(self, folder: bytes) -> int | None:
        """Open a folder below the root, no component of it being a link; None when it is not there, or not ours."""
        if folder != self.root and not folder.startswith(self.root + b"/"):
            return None
        inside = [os.fsdecode(part) for part in folder[len(self.root) :].split(b"/") if part]
        if (inside and not self._recursive) or ".." in inside:
            return None
        if any(part.startswith(OURS) or self._ignored(part) for part in inside):
            return None
        fd = os.open(self.root, _OPEN_FOLDER)
        for part in inside:
            try:
                child = os.open(part, _OPEN_FOLDER | os.O_NOFOLLOW, dir_fd=fd)
            except OSError:
                # Gone again, or swapped for a link. What matters will be seen by the next scan.
                return None
            finally:
                os.close(fd)
            fd = child
        return fd

    def _look_at_names(self, fd: int, folder: bytes, names: Sequence[bytes]) -> Iterator[Sight]:
        for raw in names:
            name = os.fsdecode(raw)
            if not raw or name == self._marker or name.startswith(OURS) or self._ignored(name):
                continue
            try:
                status = os.stat(raw, dir_fd=fd, follow_symlinks=False)
            except OSError:
                continue
            if stat.S_ISREG(status.st_mode):
                yield Sight(folder + b"/" + raw, Signature.of(status))

    def _note(self, error: OSError) -> None:
        # A folder that has gone, or is a link by now, has nothing in it for us.
        if error.errno not in {errno.ENOENT, errno.ENOTDIR}:
            self.problems.append(error)


def _see(entry: os.DirEntry[str], prefix: bytes) -> Sight | None:
    try:
        return Sight(prefix + os.fsencode(entry.name), Signature.of(entry.stat(follow_symlinks=False)))
    except FileNotFoundError:
        return None
