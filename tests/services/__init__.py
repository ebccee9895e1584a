"""Real parts for tests: databases, brokers and DICOM peers, each private, on a free port, and gone afterwards.

The fixtures in `tests/conftest.py` hand them out started. A test that takes a part down and up again works on the
object itself: `start`, `stop`, `kill`, `restart`, `pause` and `resume` are the same for all of them.
"""

from __future__ import annotations

from tests.services.ports import accepts_connections, free_port
from tests.services.presence import find_binary, program, refuse, require
from tests.services.process import Service
from tests.services.waiting import wait_until

__all__ = ["Service", "accepts_connections", "find_binary", "free_port", "program", "refuse", "require", "wait_until"]
