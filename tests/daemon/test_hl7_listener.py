"""Messages over a real socket: acknowledged when they are in the ledger, refused with the place of what is wrong."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from zoneinfo import ZoneInfo

import pytest
import structlog
from sqlalchemy import func, select

from gurney.ledger import aliases
from gurney.ledger import appointments as appointments_of_the_ledger
from gurney.ledger.errors import LedgerUnavailable
from gurney.ledger.models import Appointment
from gurney.settings.hl7 import Hl7
from gurney_daemon.hl7_listener import Hl7Listener
from gurney_daemon.receiving.receiver import State
from tests.ledger.world import World
from tests.prefetch.hl7.messages import adt, orm
from tests.services.ports import free_port
from tests.services.waiting import wait_until

NOW = 1_795_500_000.0


class Line:
    """A connection of a sender."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 10)

    def send(self, block: bytes) -> None:
        self.socket.sendall(b"\x0b" + block + b"\x1c\r")

    def answer(self) -> str:
        """Read one acknowledgement; an empty one is the end of the connection."""
        got = b""
        while not got.endswith(b"\x1c\r"):
            some = self.socket.recv(4096)
            if not some:
                return ""
            got += some
        return got[1:-2].decode()

    def ask(self, block: bytes) -> str:
        self.send(block)
        return self.answer()


@pytest.fixture
def config() -> dict[str, object]:
    """Keys of [hl7] that a test sets before it takes a listener."""
    return {}


@pytest.fixture
def listener(world: World, config: dict[str, object]) -> Iterator[Hl7Listener]:
    made = Hl7Listener(
        Hl7(port=free_port(), **config),  # type: ignore[arg-type]
        world.ledger,
        ZoneInfo("Europe/Berlin"),
        clock=lambda: NOW,
    )
    stop = threading.Event()
    thread = threading.Thread(target=made.run, args=(stop,))
    thread.start()
    wait_until(lambda: made.health.ok, 20, "the listener listens")
    yield made
    stop.set()
    thread.join(20)
    assert not thread.is_alive()


@pytest.fixture
def dial(world: World, request: pytest.FixtureRequest) -> Iterator[Callable[[], Line]]:
    """Connect as often as a test likes, once it has set the keys of ``config``."""
    assert world, "it decides which databases a test runs on, before the listener is asked for"
    lines: list[Line] = []

    def connect() -> Line:
        port: int = request.getfixturevalue("listener").port
        lines.append(Line(port))
        return lines[-1]

    yield connect
    for one in lines:
        one.socket.close()


@pytest.fixture
def line(dial: Callable[[], Line]) -> Line:
    return dial()


def appointments(world: World) -> int:
    with world.ledger.read() as conn:
        return conn.scalar(select(func.count()).select_from(Appointment)) or 0


def test_a_message_is_acknowledged_when_it_is_in_the_ledger(world: World, line: Line) -> None:
    assert "\rMSA|AA|M1\r" in line.ask(orm())
    assert appointments(world) == 1
    for _ in range(3):
        assert "\rMSA|AA|M1\r" in line.ask(orm())
    assert appointments(world) == 1
    assert "|AA|" in line.ask(orm(control="CA", told_at="20261124130000"))
    with world.ledger.read() as conn:
        assert conn.scalar(select(Appointment.cancelled_at)) == NOW


def test_a_merge_is_remembered(world: World, line: Line) -> None:
    assert "|AA|" in line.ask(adt("A40", ids="NEW", prior="OLD"))
    with world.ledger.read() as conn:
        assert aliases.known_ids(conn, ["OLD"]) == ("OLD", "NEW")


def test_a_merge_after_an_order_has_it_seen_to_again(world: World, line: Line) -> None:
    assert "|AA|" in line.ask(orm(patient="NEW"))
    world.ledger.transact(appointments_of_the_ledger.seen_to, "hl7", "4711", "priors")
    assert "|AA|" in line.ask(adt("A40", ids="NEW", prior="OLD"))
    with world.ledger.read() as conn:
        due = appointments_of_the_ledger.due(conn, "priors", NOW - 3600, NOW + 7 * 86_400, NOW)
    assert [one.key for one in due] == ["4711"]


@pytest.mark.parametrize(
    ("block", "answer"),
    [
        (orm(patient=""), "\rMSA|AE|M1\rERR||PID^1^3|101^^HL70357|E||||there is no patient ID\r"),
        (b"what is this", "\rMSA|AR|\rERR||MSH^1|100^^HL70357|E||||"),
        (b"", "\rMSA|AR|\r"),
    ],
)
def test_what_can_not_be_taken_is_refused_and_the_next_is_heard(line: Line, block: bytes, answer: str) -> None:
    assert answer in line.ask(block)
    assert "|AA|" in line.ask(orm())


def test_several_messages_may_come_in_one_piece_and_with_noise_between(world: World, line: Line) -> None:
    line.socket.sendall(b"\r\n\x0b" + orm("1") + b"\x1c\r\x0b" + orm("2") + b"\x1c\r")
    assert "|AA|" in line.answer()
    assert "|AA|" in line.answer()
    assert appointments(world) == 2


def test_half_a_message_is_no_part_of_the_next(world: World, line: Line) -> None:
    half = orm("1", patient="A").partition(b"ORC|")[0]
    line.socket.sendall(b"\x0b" + half)
    assert "|AA|" in line.ask(orm("2", patient="B"))
    with world.ledger.read() as conn:
        assert aliases.known_ids(conn, ["B"]) == ("B",), "two patients would be one for ever"


def test_noise_without_end_keeps_nobody_from_sending(config: dict[str, object], dial: Callable[[], Line]) -> None:
    config.update(max_message=2_000, message_timeout=0.3)
    line = dial()
    line.socket.sendall(b"\r\n" * 5_000)
    assert "|AA|" in line.ask(orm())


def test_a_message_that_is_too_long_ends_its_connection_and_no_other(
    world: World, config: dict[str, object], dial: Callable[[], Line]
) -> None:
    config["max_message"] = 2_000
    long, other = dial(), dial()
    assert "\rMSA|AR|" in long.ask(orm(description="x" * 3_000))
    assert long.answer() == ""
    assert "|AA|" in other.ask(orm())
    assert appointments(world) == 1


def test_half_a_message_is_not_waited_for_for_ever(config: dict[str, object], dial: Callable[[], Line]) -> None:
    config["message_timeout"] = 0.3
    half, idle = dial(), dial()
    half.socket.sendall(b"\x0bMSH|")
    half.socket.settimeout(20)
    assert half.answer() == ""
    assert "|AA|" in idle.ask(orm()), "who says nothing is not in the way"


def test_no_more_connections_than_allowed(config: dict[str, object], dial: Callable[[], Line]) -> None:
    config["max_connections"] = 1
    first = dial()
    assert "|AA|" in first.ask(orm())
    assert dial().answer() == ""
    first.socket.close()

    def heard() -> bool:
        again = dial()
        try:
            return "|AA|" in again.ask(orm())
        except OSError:
            return False

    wait_until(heard, 20, "the place is free again")


def test_who_is_not_on_the_list_is_turned_away(config: dict[str, object], dial: Callable[[], Line]) -> None:
    config["accept"] = ("10.0.0.0/8",)
    assert dial().answer() == ""


def test_while_the_ledger_is_away_nothing_is_acknowledged(
    world: World, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as away:
        away.setattr(world.ledger, "read", _away)
        assert "\rMSA|AE|M1\rERR|||207^^HL70357|" in line.ask(orm())
    assert "|AA|" in line.ask(orm())


def _away() -> None:
    raise LedgerUnavailable("the database does not answer")


def test_says_that_its_port_is_taken_and_takes_it_when_free(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        made = Hl7Listener(Hl7(port=squatter.getsockname()[1]), world.ledger, ZoneInfo("UTC"))
        stop = threading.Event()
        thread = threading.Thread(target=made.run, args=(stop,))
        thread.start()
        wait_until(lambda: made.health.state is State.PORT_TAKEN, 20, "it has found somebody there")
        assert "in use" in made.health.why
    wait_until(lambda: made.health.ok, 20, "it listens")
    stop.set()
    thread.join(20)
    assert made.health.state is State.STOPPED


@pytest.mark.parametrize(
    "block",
    [
        orm(patient="PLANTED^^^H^MR", description="PLANTED"),
        orm(patient="", description="PLANTED"),
        adt("A40", ids="PLANTED", prior="PLANTED2"),
        adt("A40", ids="PLANTED", prior="PLANTED"),
        b"PLANTED",
        b"MSH|^~\\&|PLANTED",
        orm(scheduled="PLANTED"),
        orm(patient="PLANTED\\XZZ\\^^^H^MR", description="PLANTED\\C2842\\"),
        orm(patient="PLANTED\\.spPLANTED\\"),
        orm(patient="").replace(b"ORM^O01", b"ORM^PLANTED"),
        orm(patient="").replace(b"ORM^O01", b"ORM^O01^PLANTED"),
        orm("1", patient="PLANTED") + orm("2", patient="PLANTED"),
    ],
)
def test_nobody_is_named_in_logs_and_answers(world: World, block: bytes, caplog: pytest.LogCaptureFixture) -> None:
    listener = Hl7Listener(Hl7(), world.ledger, ZoneInfo("UTC"), clock=lambda: NOW)
    with structlog.testing.capture_logs() as logs:
        answer = listener.take(block, "127.0.0.1")
    assert "PLANTED" not in answer.decode()
    assert "PLANTED" not in caplog.text, "what a library logs is in the log as well"
    assert "PLANTED" not in str(logs)
    assert "Müller" not in str(logs)
