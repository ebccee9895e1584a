"""The flag that drains a worker reaches every process of it, whatever became of the others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from gurney_workers import process

# Two children look at the flag as often as they can; one is killed in the midst of it.
WORKER = """
import os, signal, time
from gurney_workers import process

def look():
    while not process.is_draining():
        pass
    os._exit(7)

children = []
for _ in range(2):
    pid = os.fork()
    if not pid:
        look()
    children.append(pid)
time.sleep(0.2)
os.kill(children[0], signal.SIGKILL)
process.drain()
print([os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children])
"""


def test_a_child_that_is_killed_keeps_nobody_from_draining() -> None:
    for _ in range(3):
        ended = subprocess.run([sys.executable, "-c", WORKER], capture_output=True, text=True, timeout=20, check=True)
        assert ended.stdout.strip() == f"[{-signal.SIGKILL}, 7]"


def test_two_rings_at_once_open_one_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[object] = []

    class SlowSlot:
        def open(self) -> None:
            opened.append(self)
            time.sleep(0.2)

    monkeypatch.setattr(process, "_slot", None)
    monkeypatch.setattr(process, "_make", SlowSlot)
    monkeypatch.setattr(process, "_prepared_in", os.getpid())
    rings = [threading.Thread(target=process.slot) for _ in range(4)]
    for ring in rings:
        ring.start()
    for ring in rings:
        ring.join()
    assert len(opened) == 1
    assert process.slot() is opened[0]
