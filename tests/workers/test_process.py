"""The flag that drains a worker reaches every process of it, whatever became of the others."""

from __future__ import annotations

import signal
import subprocess
import sys

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
