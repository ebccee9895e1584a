"""Who stands on a worklist no more has nothing fetched; who is left out of half an answer has."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from gurney.ledger import appointments
from gurney.ledger.appointments import Expected
from gurney.ledger.models import Appointment, Retrieval
from gurney.ledger.retrieving.requests import Request, ask
from gurney.pacs import DicomEngine
from gurney.pacs.testing import Answer, Break, FakePacs, How, Operation, Respond
from gurney.pacs.testing.answers import RequestAct
from gurney.prefetch.appointments import Seen, see_to
from gurney.settings import Settings, load
from gurney.transfer.retrieving import RetrievalState
from tests.ledger.world import World
from tests.services.ports import free_port

EVENING = datetime(2026, 11, 24, 20, 0, tzinfo=ZoneInfo("UTC")).timestamp()
ORIGIN = "rule:nightly"


@pytest.fixture
def ris() -> Iterator[FakePacs]:
    """A worklist that says what no real one can be made to say; it holds nobody."""
    with FakePacs(ae_title="RIS") as pacs:
        yield pacs


@pytest.fixture
def settings(ris: FakePacs, tmp_path: Path) -> Settings:
    remotes = "".join(
        f'[[remote]]\nname = "{name}"\nae_title = "{name.upper()}"\nhost = "127.0.0.1"\nport = {port}\n'
        for name, port in (("ris", ris.port), ("archive", free_port()), ("station", free_port()))
    )
    config = tmp_path / "gurney.toml"
    config.write_text(
        f'[node]\ndata_dir = "{tmp_path}"\n{remotes}[[prefetch]]\nname = "nightly"\nworklist = "ris"\n'
        'from = ["archive"]\nto = ["station"]\nhorizon = "24h"\nschedule = "0 20 * * *"\n'
    )
    return load(str(config), {})


@pytest.fixture
def retrieval_id(world: World) -> int:
    """What the poll before has asked for: it waits."""
    world.destination()
    expected = Expected("a", (), EVENING + 3600)
    world.ledger.transact(appointments.note, ORIGIN, expected, EVENING - 900, EVENING - 900, "scheduler")
    asked = world.ledger.transact(ask, Request("archive", "1.2.3", origin="prefetch:nightly"), "scheduler")
    world.ledger.transact(appointments.link, ORIGIN, "a", [asked.retrieval_id])
    return asked.retrieval_id


def poll(world: World, settings: Settings) -> Seen:
    (rule,) = settings.prefetch
    with DicomEngine():
        return see_to(settings, world.ledger, rule, EVENING, EVENING, lambda _: None, actor="scheduler")


def state(world: World, retrieval_id: int) -> RetrievalState:
    with world.ledger.read() as conn:
        return RetrievalState(conn.scalars(select(Retrieval.state).where(Retrieval.id == retrieval_id)).one())


def test_who_is_on_the_worklist_no_more_has_nothing_fetched(
    world: World, settings: Settings, retrieval_id: int
) -> None:
    assert not poll(world, settings).trouble
    assert state(world, retrieval_id) is RetrievalState.CANCELLED


@pytest.mark.parametrize("act", [Answer((Respond(0xFE00),)), Answer((Respond(0xA700),)), Break(How.ABORT)], ids=repr)
def test_half_an_answer_withdraws_nothing(
    world: World, ris: FakePacs, settings: Settings, retrieval_id: int, act: RequestAct
) -> None:
    ris.on_request(Operation.C_FIND, act)
    assert poll(world, settings).trouble
    assert state(world, retrieval_id) is RetrievalState.WAITING


def test_a_line_that_can_not_be_read_withdraws_nothing(world: World, settings: Settings, tmp_path: Path) -> None:
    listed = tmp_path / "list.csv"
    config = tmp_path / "gurney.toml"
    config.write_text(config.read_text().replace('worklist = "ris"', f'patients = "{listed}"'))
    (rule,) = load(str(config), {}).prefetch
    soon = datetime.fromtimestamp(EVENING + 3600, ZoneInfo("UTC")).isoformat()
    world.destination()

    def poll_list(text: str) -> None:
        listed.write_text(f"patient_id,accession,scheduled\n{text}\n")
        with DicomEngine():
            see_to(load(str(config), {}), world.ledger, rule, EVENING, EVENING, lambda _: None, actor="scheduler")

    poll_list(f"4711,A1,{soon}")
    with world.ledger.read() as conn:
        (key,) = conn.scalars(select(Appointment.key).where(Appointment.cancelled_at.is_(None)))
    asked = world.ledger.transact(ask, Request("archive", "1.2.3", origin="prefetch:nightly"), "scheduler")
    world.ledger.transact(appointments.link, ORIGIN, key, [asked.retrieval_id])
    poll_list("4711,A1,tomorrow")
    assert state(world, asked.retrieval_id) is RetrievalState.WAITING
    poll_list("")
    assert state(world, asked.retrieval_id) is RetrievalState.CANCELLED
