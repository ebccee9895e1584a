"""Logging is process-wide, so each test that sets it up gets it put back."""

from __future__ import annotations

import io
import json
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from gurney.observability import configure_logging


@pytest.fixture
def process_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook, warnings.showwarning
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    sys.excepthook, threading.excepthook, sys.unraisablehook, warnings.showwarning = hooks
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.fixture
def stream(process_logging: None) -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def events(stream: io.StringIO) -> Callable[[], list[dict[str, Any]]]:
    """Set up JSON logs at debug; call it for the events written so far."""
    configure_logging("json", "debug", stream, service="test")
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
