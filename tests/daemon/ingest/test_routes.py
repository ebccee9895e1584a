"""What a door's own destinations and the rules say together."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gurney.dicom.part10 import IDENTITY_TAGS, Part10, read_part10
from gurney.transfer.routing import RouteRule, compile_routes
from gurney.transfer.states import Priority, Routing
from gurney_daemon.ingest.routes import DoorRoutes, FixedRoutes
from tests.daemon.ingest.instances import ct_bytes, drop


@pytest.fixture
def part(tmp_path: Path) -> Part10:
    fd = os.open(drop(tmp_path, "1", ct_bytes()), os.O_RDONLY)
    try:
        return read_part10(fd)
    finally:
        os.close(fd)


@pytest.mark.parametrize("send_to", [(), ("archive",), ("archive", "research", "archive")])
@pytest.mark.parametrize("priority", [Priority.STAT, Priority.BULK])
def test_without_rules_the_answer_is_that_of_an_empty_table(
    part: Part10, send_to: tuple[str, ...], priority: Priority
) -> None:
    empty = compile_routes([])
    never = compile_routes([RouteRule("never", 't.Modality == "XX"', ("other",))])
    ours = DoorRoutes(empty, "ct1", send_to, priority=priority).decide(part, frozenset())
    theirs = DoorRoutes(never, "ct1", send_to, priority=priority).decide(part, frozenset())
    assert (ours.state, ours.sends) == (theirs.state, theirs.sends)
    assert ours.state is (Routing.ROUTED if send_to else Routing.NO_ROUTE)


def test_rules_see_tags_source_and_identifiers(part: Part10) -> None:
    when = 'source == "ct1" && door == "watch" && t.Modality == "CT" && study_instance_uid == "1.2.3.4"'
    table = compile_routes([RouteRule("mine", when, ("research",))])
    decision = DoorRoutes(table, "ct1", ("archive",)).decide(part, frozenset())
    assert [send.destination for send in decision.sends] == ["archive", "research"]


def test_what_rules_ask_for_is_read_beside_what_the_ledger_keeps() -> None:
    table = compile_routes([RouteRule("r", "t.KVP == 120.0", ("archive",))])
    assert DoorRoutes(table, "ct1").wanted >= IDENTITY_TAGS | {0x00180060}


def test_a_command_asks_no_rule(part: Part10) -> None:
    decision = FixedRoutes("archive", Priority.STAT).decide(part, frozenset())
    assert [(send.destination, send.priority) for send in decision.sends] == [("archive", Priority.STAT)]
