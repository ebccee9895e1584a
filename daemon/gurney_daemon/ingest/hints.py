"""Notifications of the filesystem: they make the watcher fast, and nothing depends on them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Final

from watchdog.events import (
    DirCreatedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

__all__ = ["Hints"]

_MOST: Final = 10_000
# A file that was created empty says nothing yet; one that was linked or moved in is whole, and never closed.
_EVENTS: Final = [FileClosedEvent, FileCreatedEvent, FileMovedEvent, DirCreatedEvent, DirMovedEvent]


class Hints:
    """Collect the paths of files that were closed or moved in; ``wake`` is called when there is something to collect.

    Past 10,000 paths the rest is forgotten and a scan asked for.
    """

    def __init__(self, root: bytes, *, recursive: bool, wake: Callable[[], None]) -> None:
        """Prepare; nothing is watched yet."""
        self._root, self._recursive, self._wake = root, recursive, wake
        self._lock = threading.Lock()
        self._paths: dict[bytes, None] = {}
        self._rescan = False
        self._observer: BaseObserver | None = None

    def start(self) -> None:
        """Begin to listen, anew if it had begun. Raises OSError where the system has no more watches to give."""
        self.stop()
        observer = Observer()
        observer.schedule(
            _Handler(self._note), os.fsdecode(self._root), recursive=self._recursive, event_filter=_EVENTS
        )
        try:
            observer.start()
        except OSError:
            if observer.is_alive():
                observer.stop()
            raise
        self._observer = observer

    def stop(self) -> None:
        """Listen no more."""
        if self._observer is not None:
            self._observer.stop()
            self._observer.join()
            self._observer = None

    def take(self, limit: int) -> list[bytes]:
        """Remove and return some of the paths, the oldest first."""
        with self._lock:
            paths = list(self._paths)[:limit] if len(self._paths) > limit else list(self._paths)
            for path in paths:
                del self._paths[path]
        return paths

    def wants_scan(self) -> bool:
        """Tell, once, whether there was more to notice than could be kept."""
        with self._lock:
            rescan, self._rescan = self._rescan, False
        return rescan

    def _note(self, event: FileSystemEvent) -> None:
        path = os.fsencode(event.dest_path or event.src_path)
        with self._lock:
            if event.is_directory or len(self._paths) >= _MOST:
                self._rescan = True
            else:
                self._paths[path] = None
        self._wake()


class _Handler(FileSystemEventHandler):
    def __init__(self, note: Callable[[FileSystemEvent], None]) -> None:
        self._note = note

    def on_any_event(self, event: FileSystemEvent) -> None:
        self._note(event)
