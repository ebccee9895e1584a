"""The process-wide state of the framework: started first, shut down last.

Associations run in threads, and threads do not survive a fork. So an engine belongs to the process that started it; a
worker starts its own in each child, after the fork. What a child inherits it leaves alone: its parent's associations
are neither aborted nor counted there.
"""

from __future__ import annotations

import logging
import os
import threading
from types import TracebackType
from typing import ClassVar, Protocol, Self

from gurney.pacs.errors import EngineError
from gurney.pacs.wire import seams

__all__ = ["DicomEngine"]


class _Abortable(Protocol):
    def abort(self) -> None: ...


class DicomEngine:
    """Start the framework for as long as the block, or until :meth:`shutdown`, lasts.

    Starts are counted: the last shutdown ends it, aborting the associations that are still open. A shutdown without
    a start does nothing. Both may be called from any thread.

    While it runs, pynetdicom's own log is silent: everything it could say reaches the caller as an error or an event,
    without patient data.
    """

    _lock = threading.RLock()
    _starts = 0
    _pid = 0
    _open: ClassVar[set[_Abortable]] = set()
    _log_level = logging.NOTSET
    _log_handlers = ""

    @classmethod
    def startup(cls) -> None:
        """Start the engine, or count one more user of a running one."""
        with cls._lock:
            is_silent = cls._starts > 0
            if cls._pid != os.getpid():
                cls._starts, cls._pid, cls._open = 0, os.getpid(), set()
            if not is_silent:
                pynetdicom_log = logging.getLogger("pynetdicom")
                cls._log_level = pynetdicom_log.level
                pynetdicom_log.setLevel(logging.CRITICAL + 1)
                cls._log_handlers = seams.set_log_handlers("none")
            cls._starts += 1

    @classmethod
    def shutdown(cls) -> None:
        """Give up one start; the last one aborts what is still open."""
        with cls._lock:
            if cls._starts == 0 or cls._pid != os.getpid():
                return
            cls._starts -= 1
            if cls._starts:
                return
            left_open, cls._open = cls._open, set()
            logging.getLogger("pynetdicom").setLevel(cls._log_level)
            seams.set_log_handlers(cls._log_handlers)
        for association in left_open:
            association.abort()

    @classmethod
    def _renew_lock(cls) -> None:
        """Give a forked child a lock of its own: a thread that the fork left behind would hold the old one for ever."""
        cls._lock = threading.RLock()

    @classmethod
    def is_running(cls) -> bool:
        """Tell whether this process has started the engine."""
        return cls._starts > 0 and cls._pid == os.getpid()

    def __enter__(self) -> Self:
        self.startup()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.shutdown()

    @classmethod
    def require(cls) -> None:
        """Raise :class:`EngineError` unless this process has started the engine."""
        if cls._starts and cls._pid != os.getpid():
            raise EngineError("DicomEngine was started before a fork: start one in each process, after the fork")
        if not cls._starts:
            raise EngineError("no DicomEngine is running: use the SCU inside 'with DicomEngine():'")

    @classmethod
    def adopt(cls, association: _Abortable) -> None:
        """Remember an open association, to abort it at shutdown."""
        with cls._lock:
            cls.require()
            cls._open.add(association)

    @classmethod
    def forget(cls, association: _Abortable) -> None:
        """Forget an association that has ended."""
        with cls._lock:
            cls._open.discard(association)


os.register_at_fork(after_in_child=DicomEngine._renew_lock)
