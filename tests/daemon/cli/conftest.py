"""A desk for each test; logging, which a command sets up for its process, is put back."""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from gurney.ledger.schema import migrate
from tests.daemon.cli.desk import Desk


@pytest.fixture(autouse=True)
def _process_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook, warnings.showwarning
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    sys.excepthook, threading.excepthook, sys.unraisablehook, warnings.showwarning = hooks
    structlog.reset_defaults()


@pytest.fixture
def desk(migrated_sqlite: Path, tmp_path: Path) -> Iterator[Desk]:
    """A desk with a ledger in SQLite."""
    desk = Desk(tmp_path, migrated_sqlite)
    yield desk
    desk.leave()


@pytest.fixture
def postgresql_desk(postgres_url: str, tmp_path: Path) -> Iterator[Desk]:
    """A desk with a ledger in PostgreSQL."""
    migrate(postgres_url)
    desk = Desk(tmp_path, None, postgres_url)
    yield desk
    desk.leave()
