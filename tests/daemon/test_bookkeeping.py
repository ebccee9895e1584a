"""The daily check finds a wrong count and says where, on both databases; a right one is no alarm."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from gurney.ledger import tally
from gurney.ledger.models import Item
from gurney.observability import configure_logging
from gurney.transfer.states import ItemState
from gurney_daemon.bookkeeping import check_counts
from tests.daemon.cli.conftest import _process_logging
from tests.ledger.world import World

__all__ = ["_process_logging"]


@pytest.fixture
def log(_process_logging: None) -> io.StringIO:
    written = io.StringIO()
    configure_logging("json", "info", written)
    return written


def told(log: io.StringIO, event: str) -> list[dict[str, Any]]:
    lines = map(json.loads, log.getvalue().splitlines())
    return [line for line in lines if line["event"] == event]


def test_a_wrong_count_is_told_with_its_place(world: World, log: io.StringIO) -> None:
    ids = world.items(3)
    world.ledger.transact(tally.fold)
    assert check_counts(world.ledger) == []
    world.change(Item, ids[0], state=int(ItemState.DONE))
    check_counts(world.ledger)
    assert [
        (line["level"], line["destination"], line["state"], line["counted"], line["items"])
        for line in told(log, "count_wrong")
    ] == [
        ("error", 1, "ready", 3, 2),
        ("error", 1, "done", 0, 1),
    ]
    assert [line["places"] for line in told(log, "counts_differ")] == [2]
    world.change(Item, ids[0], state=int(ItemState.READY))


def test_it_waits_for_no_writer(world: World) -> None:
    world.items(2)
    with world.ledger.write() as tx:
        tally.fold(tx)
        assert check_counts(world.ledger) == []
