"""The process that runs a data folder, for commands that must reach it. The lock tells a live one from a leftover."""

from __future__ import annotations

import fcntl
import os
from typing import Self

from gurney.errors import GurneyError

__all__ = ["PidFile"]


class PidFile:
    """``gurney.pid`` in the data folder, held under a lock while its owner lives."""

    def __init__(self, data_dir: str) -> None:
        """Name the file; nothing is opened yet."""
        self._path = os.path.join(data_dir, "gurney.pid")
        self._fd = -1

    def __enter__(self) -> Self:
        """Take the folder. Raises GurneyError when another process has it."""
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._fd)
            raise GurneyError(
                f"another `gurney up` (process {self._read()}) runs on this data folder; stop it first"
            ) from None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the folder; the file stays, empty."""
        os.ftruncate(self._fd, 0)
        os.close(self._fd)

    def owner(self) -> int | None:
        """Return the live owner's process id, or None."""
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return self._read()
        else:
            return None
        finally:
            os.close(fd)

    def _read(self) -> int | None:
        with open(self._path, encoding="ascii") as file:
            text = file.read(20).strip()
        return int(text) if text.isdigit() else None
