"""A ledger, a spool and a receiver for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gurney.ledger.database import Ledger
from gurney_daemon.ingest.spool import Spool
from tests.daemon.ingest.conftest import ledger, ledger_template, spool
from tests.daemon.receiving.reception import Reception

__all__ = ["ledger", "ledger_template", "reception", "spool"]


@pytest.fixture
def reception(ledger: Ledger, spool: Spool) -> Iterator[Reception]:
    """Everything around a receiver, which the test starts."""
    reception = Reception(ledger, spool)
    yield reception
    reception.stop()
