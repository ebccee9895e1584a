"""Tie a process of ours to the one that started it, so that a kill -9 of the parent leaves nothing running."""

from __future__ import annotations

import ctypes
import os
import signal

__all__ = ["SUPERVISOR", "tie_to_parent"]

# The environment variable by which a supervisor names itself to the processes it starts.
SUPERVISOR = "GURNEY_SUPERVISOR"

_PR_SET_PDEATHSIG = 1


def tie_to_parent(parent: int, death: signal.Signals = signal.SIGTERM) -> None:
    """Ask the kernel for ``death`` when our parent ends, and send it to ourselves if it has ended already.

    ``parent`` is the process id that started us. The setting is lost at a fork: each child asks for itself (prctl(2)).
    """
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(death), 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:
        os.kill(os.getpid(), death)
