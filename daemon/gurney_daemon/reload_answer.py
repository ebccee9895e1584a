"""The answer to a reload: a signal says nothing back, so who reloads writes down what came of it, and who asked waits.

The file lies in the data folder. Whoever owns that clears it at its start, so that an answer is of what runs now.
"""

from __future__ import annotations

import json
import os
import signal
import time
from contextlib import suppress
from typing import Final

from gurney.errors import GurneyError
from gurney.jobs import FolderLock
from gurney.observability import get_logger

__all__ = ["ANSWERED_WITHIN", "answer_reload", "ask_to_reload", "forget_answer"]

ANSWERED_WITHIN: Final = 120.0
"""Seconds that a reload may take: workers drain, then everything starts."""

_FILE: Final = "reload.json"
_LOOK_EVERY: Final = 0.1

log = get_logger(__name__)


def forget_answer(folder: str) -> None:
    """Clear away what an earlier process has answered: its clock may have been another boot's."""
    with suppress(FileNotFoundError):
        os.unlink(os.path.join(folder, _FILE))


def answer_reload(folder: str, begun: int, refused: str) -> None:
    """Write down what came of a reload that was ``begun`` then (nanoseconds of the monotonic clock).

    ``refused`` says why nothing has changed; "" is that everything runs with the new configuration.
    """
    path = os.path.join(folder, _FILE)
    try:
        fd = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(fd, "w", encoding="utf-8") as file:
            json.dump({"begun": begun, "refused": refused}, file)
        os.replace(f"{path}.new", path)
    except OSError as error:  # who asked is told that nobody answered; the reload itself is none the worse
        log.error("reload_unanswered", errno=error.errno)


def ask_to_reload(folder: str, within: float = ANSWERED_WITHIN) -> int:
    """Have the ``gurney up`` on a data folder reload; return its process id once it runs with what is configured now.

    Raises GurneyError with the reason where it does not: nobody runs there, it refuses, or it has not answered in time.
    """
    lock = FolderLock(folder)
    pid = lock.owner()
    if pid is None:
        raise GurneyError(
            f"no `gurney up` runs on {folder}: nothing to reload. If [node] data_dir was changed since it was "
            "started, put it back, or restart `gurney up`. A `gurney worker` reloads at SIGHUP, a `gurney daemon` "
            "takes a restart"
        )
    asked, deadline = time.monotonic_ns(), time.monotonic() + within
    try:
        os.kill(pid, signal.SIGHUP)
    except OSError as error:
        raise GurneyError(
            f"`gurney up`, process {pid}, can't be told: {os.strerror(error.errno or 0)}. Ask on its host, or in its "
            "container, as its user"
        ) from error
    while (refused := _answer_since(folder, asked)) is None:
        if lock.owner() != pid:
            raise GurneyError("`gurney up` has ended before it answered: nothing was reloaded")
        if time.monotonic() > deadline:
            raise GurneyError(f"`gurney up` has not answered within {within:.0f} s: see its log for what it does")
        time.sleep(_LOOK_EVERY)
    if refused:
        raise GurneyError(f"nothing was reloaded: {refused}")
    return pid


def _answer_since(folder: str, asked: int) -> str | None:
    """Return what was answered to a reload that began after ``asked``; None while nothing was."""
    try:
        with open(os.path.join(folder, _FILE), encoding="utf-8") as file:
            answer = json.load(file)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise GurneyError(f"the answer of `gurney up` in {folder} can't be read: {error.strerror}") from error
    return str(answer["refused"]) if answer["begun"] >= asked else None
