"""The spool: what is accepted is ours before its row commits, since consoles purge exports and shares vanish.

A file is held by a clone where that can be, else by a hard link, else by a copy. A clone and a copy are our own; a link
is another name of the folder's file, and shows what is written into that. Names are our own and say nothing. Before a
group is held, a note of it is written; when its rows have committed, the note goes. What a crash leaves between the two
is found by the notes (:meth:`Shelf.leftovers`).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import secrets
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, NamedTuple

from gurney.ledger.database import Ledger
from gurney.ledger.spools import MARKER, SpoolPlace, known_spools, register_spool
from gurney_daemon.ingest.cloning import Cloner
from gurney_daemon.ingest.errors import SpoolOffline

__all__ = ["Group", "Held", "HoldMode", "Leftover", "Shelf", "Spool", "find_spool", "open_spool"]

HoldMode = Literal["auto", "copy", "in_place"]

_BLOCK: Final = 1024 * 1024
_PREAMBLE: Final = 128
_PER_FOLDER: Final = 4096
_NOTES: Final = "open"
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
# Another filesystem, a filesystem without links, a file of somebody else's (fs.protected_hardlinks), or one that has
# just been deleted while we have it open: a copy will do.
_CANT_LINK: Final = frozenset(
    {errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOENT}
)


def open_spool(ledger: Ledger, name: str, path: str, *, keep_share: float = 0.0, keep_bytes: int = 0) -> Spool:
    """Open a spool and see that it is the one that the ledger knows by that name; make it at first use.

    ``keep_share`` (0 to 1) and ``keep_bytes`` are what intake leaves free. Raises SpoolOffline where the folder can't
    be written or has lost its marker, SpoolMismatch where it is another spool.
    """
    path = os.path.abspath(path)
    marker = _read_marker(path)
    if marker is None:
        with ledger.read() as conn:
            known = any(place.name == name for place in known_spools(conn))
        if known:
            raise SpoolOffline(
                f"the spool {name!r} has no {MARKER} in {path}: is its disk mounted? If its files are lost for good, "
                "give the spool another name"
            )
        marker = _make_marker(path)
    return Spool(ledger.transact(register_spool, name, path, marker), keep_share, keep_bytes)


def find_spool(ledger: Ledger, name: str, path: str) -> Spool:
    """Find a spool that is there, to let go of what it holds; nothing is made, nor entered in the ledger.

    Raises SpoolOffline where the folder is not the spool that the ledger knows by that name.
    """
    path = os.path.abspath(path)
    marker = _read_marker(path)
    with ledger.read() as conn:
        for place in known_spools(conn):
            if (place.name, place.marker) == (name, marker):
                return Spool(replace(place, path=path))
    raise SpoolOffline(
        f"{path} is not the spool {name!r} that the ledger knows: is its disk mounted, and is this the [spool] that "
        "Gurney runs with?"
    )


class Held(NamedTuple):
    """How the spool holds a file. ``digest`` is the data set's where a copy was made."""

    spool_path: str
    mtime_ns: int
    digest: bytes | None = None


@dataclass(frozen=True, slots=True)
class Spool:
    """An open spool."""

    place: SpoolPlace
    keep_share: float = 0.0
    keep_bytes: int = 0

    @property
    def id(self) -> int:
        """The ledger's id of this spool."""
        return self.place.id

    def path_of(self, spool_path: str) -> bytes:
        """Return the full path of a held file."""
        return os.fsencode(os.path.join(self.place.path, spool_path))

    def is_full(self) -> bool:
        """Tell whether less is free than must be left, in bytes or in inodes. Raises SpoolOffline."""
        try:
            room = os.statvfs(self.place.path)
        except OSError as error:
            raise _offline(error) from error
        total = room.f_blocks * room.f_frsize
        if room.f_bavail * room.f_frsize < max(self.keep_share * total, self.keep_bytes):
            return True
        # Filesystems without a fixed number of inodes say that they have none.
        return bool(room.f_files) and room.f_favail < self.keep_share * room.f_files

    def remove(self, spool_path: str) -> None:
        """Let go of a held file; one that has gone already is no error."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path_of(spool_path))


class Shelf:
    """One source's part of a spool; not to be shared by threads."""

    def __init__(self, spool: Spool, source: str) -> None:
        """Prepare; folders are made when something is to be held."""
        self.spool, self.source = spool, source
        self._folder = ""
        self._left = 0
        self._cloner = Cloner()

    def open_group(self, paths: Sequence[bytes]) -> Group:
        """Begin to hold some files, having noted their paths. Raises SpoolOffline."""
        with _writing():
            if self._left < len(paths):
                self._new_folder()
            self._left -= len(paths)
            group_id = secrets.token_hex(6)
            note = self._note_path(group_id)
            fd = os.open(note, _CREATE, 0o640)
            try:
                # Locked while we live, so that another process does not take our group for a leftover.
                fcntl.flock(fd, fcntl.LOCK_EX)
                _write_all(fd, _note_text(self._folder, paths))
                os.fsync(fd)
            except BaseException:  # whatever it was goes on: a note that is half written would be taken for a crash's
                os.close(fd)
                os.unlink(note)
                raise
        return Group(self.spool, self._folder, group_id, note, fd, self._cloner)

    def landing(self) -> str:
        """Return the folder, by its name in the spool, for one more file that comes straight into it.

        Raises SpoolOffline.
        """
        with _writing():
            if not self._left:
                self._new_folder()
            self._left -= 1
        return self._folder

    def folders(self) -> list[str]:
        """Return this source's folders that may hold files. Raises SpoolOffline."""
        try:
            names = os.listdir(os.path.join(self.spool.place.path, self.source))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _offline(error) from error
        return [name for name in names if name != _NOTES]

    def leftovers(self) -> Iterator[Leftover]:
        """Yield the groups of which nobody has said that their rows committed, and that nobody is at."""
        notes = os.path.join(self.spool.place.path, self.source, _NOTES)
        try:
            names = sorted(os.listdir(notes))
        except FileNotFoundError:
            return
        except OSError as error:
            raise _offline(error) from error
        for name in names:
            leftover = _pick_up(self.spool, os.path.join(notes, name), name)
            if leftover is not None:
                with leftover:
                    yield leftover

    def _note_path(self, group_id: str) -> str:
        return os.path.join(self.spool.place.path, self.source, _NOTES, group_id)

    def _new_folder(self) -> None:
        """Begin a new folder, so that none grows too large to list."""
        top = self.spool.place.path
        if not self.spool.place.is_readable():
            raise SpoolOffline(f"the marker of spool {self.spool.place.name!r} can't be read in {top}")
        name = f"{time.strftime('%Y%m%d', time.gmtime())}-{secrets.token_hex(4)}"
        self._folder = os.path.join(self.source, name)
        os.makedirs(os.path.join(top, self.source, _NOTES), mode=0o750, exist_ok=True)
        os.mkdir(os.path.join(top, self._folder), mode=0o750)
        for folder in (top, os.path.join(top, self.source)):
            _sync_folder(folder)
        self._left = _PER_FOLDER


class Group:
    """Files being held together: :meth:`hold` each, :meth:`sync` before the commit, :meth:`close` after it."""

    def __init__(self, spool: Spool, folder: str, group_id: str, note: str, note_fd: int, cloner: Cloner) -> None:
        """Take over an open note; use :meth:`Shelf.open_group`."""
        self._spool, self._prefix, self._note, self._note_fd = spool, f"{folder}/{group_id}", note, note_fd
        self._cloner = cloner
        self._folder_fd = os.open(os.path.join(spool.place.path, folder), _FOLDER)

    def hold(
        self, number: int, fd: int, dataset_offset: int = 0, *, link: bool = True, blank_preamble: bool = False
    ) -> Held:
        """Hold an open file, the ``number``-th of the group: this very file, cloned or linked, else a copy.

        ``link`` False asks for a copy. ``blank_preamble`` copies it without what stands in its first 128 bytes. Raises
        SpoolOffline, or OSError where the file can't be read.
        """
        spool_path = f"{self._prefix}-{number:x}"
        name = spool_path.rpartition("/")[2]
        if link and not blank_preamble:
            cloned_at = self._clone(fd, name) if self._cloner.works else None
            if cloned_at is not None:
                return Held(spool_path, cloned_at)
            if self._link(fd, name):
                return Held(spool_path, os.fstat(fd).st_mtime_ns)
        return self._copy(fd, name, spool_path, dataset_offset, blank_preamble)

    def drop(self, held: Held) -> None:
        """Let go of a file that turned out not to be wanted."""
        self._spool.remove(held.spool_path)

    def sync(self) -> None:
        """Make the names that were given so far survive a power cut."""
        with _writing():
            os.fsync(self._folder_fd)

    def close(self, *, committed: bool) -> None:
        """End the group. What has not committed stays noted, to be looked at by :meth:`Shelf.leftovers`."""
        if committed:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._note)
        os.close(self._folder_fd)
        os.close(self._note_fd)

    def _clone(self, fd: int, name: str) -> int | None:
        """Hold a clone and return its own time of modification; None where the file can't be cloned."""
        part = name + ".part"
        with _writing():
            out = os.open(part, _CREATE, 0o640, dir_fd=self._folder_fd)
            try:
                if self._cloner.clone(fd, out):
                    # The bytes lie there already; that they are this file's may not.
                    os.fsync(out)
                    os.rename(part, name, src_dir_fd=self._folder_fd, dst_dir_fd=self._folder_fd)
                    return os.fstat(out).st_mtime_ns
                os.unlink(part, dir_fd=self._folder_fd)
            except BaseException:  # whatever it was goes on: a part that nobody finishes must not stay
                with contextlib.suppress(OSError):
                    os.unlink(part, dir_fd=self._folder_fd)
                raise
            finally:
                os.close(out)
        return None

    def _link(self, fd: int, name: str) -> bool:
        try:
            os.link(f"/proc/self/fd/{fd}", name, dst_dir_fd=self._folder_fd)
        except OSError as error:
            if error.errno in _CANT_LINK:
                return False
            raise _offline(error) from error
        return True

    def _copy(self, fd: int, name: str, spool_path: str, dataset_offset: int, blank_preamble: bool) -> Held:
        digest = hashlib.blake2b(digest_size=32)
        part = name + ".part"
        with _writing():
            out = os.open(part, _CREATE, 0o640, dir_fd=self._folder_fd)
        try:
            position = 0
            while block := os.pread(fd, _BLOCK, position):
                digest.update(block[max(dataset_offset - position, 0) :])
                if blank_preamble and position == 0:
                    block = bytes(_PREAMBLE) + block[_PREAMBLE:]
                position += len(block)
                with _writing():
                    _write_all(out, block)
            with _writing():
                os.fsync(out)
                os.rename(part, name, src_dir_fd=self._folder_fd, dst_dir_fd=self._folder_fd)
            return Held(spool_path, os.fstat(out).st_mtime_ns, digest.digest())
        except BaseException:  # as above
            with contextlib.suppress(OSError):
                os.unlink(part, dir_fd=self._folder_fd)
            raise
        finally:
            os.close(out)


class Leftover:
    """A group whose end is not known: what was to be held, and under which names."""

    def __init__(self, spool: Spool, note: str, note_fd: int, prefix: str, paths: Sequence[bytes]) -> None:
        """Take over a locked note."""
        self._spool, self._note, self._note_fd, self._prefix, self.paths = spool, note, note_fd, prefix, paths

    def __enter__(self) -> Leftover:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._note_fd)

    def held(self) -> Iterator[tuple[bytes, str]]:
        """Yield the path and the name in the spool of what is there."""
        for number, path in enumerate(self.paths):
            spool_path = f"{self._prefix}-{number:x}"
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._spool.path_of(spool_path + ".part"))
            if os.path.lexists(self._spool.path_of(spool_path)):
                yield path, spool_path

    def close(self) -> None:
        """Say that the group has been dealt with."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._note)


def _pick_up(spool: Spool, note: str, group_id: str) -> Leftover | None:
    """Open a note; None while its writer lives, or when there's nothing in it: then nothing was held either."""
    try:
        fd = os.open(note, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    try:
        said = json.loads(os.pread(fd, os.fstat(fd).st_size, 0))
        return Leftover(spool, note, fd, f"{said['folder']}/{group_id}", [p.encode("latin-1") for p in said["paths"]])
    except (ValueError, KeyError):
        os.unlink(note)
        os.close(fd)
        return None


def _note_text(folder: str, paths: Sequence[bytes]) -> bytes:
    return json.dumps({"folder": folder, "paths": [path.decode("latin-1") for path in paths]}).encode("ascii")


def _read_marker(path: str) -> str | None:
    try:
        with open(os.path.join(path, MARKER), encoding="ascii") as file:
            return file.read(128).strip() or None
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise SpoolOffline(f"the spool's marker in {path} can't be read") from error


def _make_marker(path: str) -> str:
    """Write a marker, or read that of another process that was faster."""
    marker = str(uuid.uuid4())
    with _writing():
        os.makedirs(path, mode=0o750, exist_ok=True)
        draft = os.path.join(path, f"{MARKER}.{marker}")
        fd = os.open(draft, _CREATE, 0o640)
        try:
            _write_all(fd, marker.encode() + b"\n")
            os.fsync(fd)
            _put_in_place(draft, os.path.join(path, MARKER))
        finally:
            os.close(fd)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(draft)
        _sync_folder(path)
    return _read_marker(path) or marker


def _put_in_place(draft: str, path: str) -> None:
    try:
        os.link(draft, path)
    except FileExistsError:
        return
    except OSError as error:
        if error.errno not in _CANT_LINK:
            raise
        os.rename(draft, path)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _sync_folder(path: str) -> None:
    fd = os.open(path, _FOLDER)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextlib.contextmanager
def _writing() -> Iterator[None]:
    """Say of an error of the system that it is the spool's."""
    try:
        yield
    except OSError as error:
        raise _offline(error) from error


def _offline(error: OSError) -> SpoolOffline:
    return SpoolOffline(f"the spool can't be written: {os.strerror(error.errno or 0)}")
