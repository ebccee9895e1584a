"""Send by command: what is taken in, what is refused and whether that is a failure, and the wait for the peer."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from gurney.ledger import destinations, reports, workers
from gurney.ledger.database import Ledger
from gurney.ledger.destinations import DestinationSpec
from gurney.ledger.models import Item
from gurney.ledger.processes import ProcessName
from gurney.pacs.testing import FakePacs, Respond
from gurney.transfer.states import ItemState, Priority
from tests.daemon.cli.desk import Desk
from tests.daemon.ingest.instances import PATIENT, ct_bytes, drop
from tests.services import Service
from tests.services.waiting import wait_until


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two instances of one study, one of another."""
    for name, uid, study in (("a/1", "1.2.1", "1.2"), ("a/2", "1.2.2", "1.2"), ("b/1", "1.3.1", "1.3")):
        drop(tmp_path / "files", name, ct_bytes(sop_instance_uid=uid, study=study))
    return tmp_path / "files"


def items(desk: Desk) -> list[tuple[int, int]]:
    with desk.ledger.read() as conn:
        return [(row.state, row.priority) for row in conn.execute(select(Item.state, Item.priority).order_by(Item.id))]


@contextmanager
def somebody_works(desk: Desk, **settled: object) -> Iterator[None]:
    """Settle every item a moment after it is there, as a worker would leave it."""

    def work() -> None:
        def there() -> int:
            with desk.ledger.read() as conn:
                return conn.scalar(select(func.count()).select_from(Item)) or 0

        wait_until(lambda: there() == 3, 20, "three items")
        with desk.ledger.write() as tx:
            tx.conn.execute(update(Item).where(Item.state == 0).values(**settled))

    thread = threading.Thread(target=work)
    thread.start()
    yield
    thread.join()


def test_folders_and_files_go_into_the_ledger(desk: Desk, folder: Path) -> None:
    answer = desk("send", folder / "a", folder / "b" / "1", "--to", "archive", "--priority", "stat", "--json")
    assert answer.code == 0
    document = answer.json
    assert sorted(document.pop("studies")) == ["1.2", "1.3"]
    assert document == {
        "destination": "archive",
        "accepted": 3,
        "known": 0,
        "ignored": 0,
        "refused": 0,
        "instances": {"new": 3, "waiting": 0, "there": 0, "given_up": 0},
        "hindrance": "",
        "files": [],
    }
    assert items(desk) == [(ItemState.READY, Priority.STAT)] * 3
    assert PATIENT not in answer.out + answer.err


def test_what_is_known_is_not_sent_twice(desk: Desk, folder: Path) -> None:
    desk("send", folder, "--to", "archive")
    again = desk("send", folder, "--to", "archive", "--json")
    assert (again.code, again.json["known"], len(items(desk))) == (0, 3, 3)
    assert again.json["instances"] == {"new": 0, "waiting": 3, "there": 0, "given_up": 0}


def test_what_goes_to_this_destination_is_told_from_what_it_had(desk: Desk, folder: Path) -> None:
    """Every file is known when it is sent to a second destination: all the same, it goes there."""
    desk("send", folder / "a", "--to", "archive")
    states = {1: ItemState.WARNED, 2: ItemState.FAILED}
    with desk.ledger.write() as tx:
        for item, state in states.items():
            tx.conn.execute(update(Item).where(Item.id == item).values(state=int(state)))
    again = desk("send", folder, "--to", "archive", "--json").json
    assert (again["accepted"], again["known"]) == (1, 2)
    assert again["instances"] == {"new": 1, "waiting": 0, "there": 1, "given_up": 1}

    answer = desk("send", folder, "--to", "research", "--json").json
    assert (answer["accepted"], answer["known"]) == (0, 3)
    assert answer["instances"] == {"new": 3, "waiting": 0, "there": 0, "given_up": 0}
    shown = desk("send", folder, "--to", "archive")
    assert shown.out.endswith("archive: 1 waiting since earlier, 1 there already, 1 given up earlier\n")
    assert shown.err.count("gurney retry --to archive --study 1.2`") == 1


def test_a_remote_that_the_daemon_does_not_know_yet_changes_nothing_of_the_others(desk: Desk, folder: Path) -> None:
    """The daemon goes by the configuration that it was started with: another destination stays in its ledger."""
    specs = [DestinationSpec(name, name.upper(), "GURNEY") for name in ("research", "clinic")]
    desk.ledger.transact(destinations.sync, specs, "daemon")
    assert desk("send", folder, "--to", "archive").code == 0
    with desk.ledger.read() as conn:
        assert set(reports.destination_names(conn, retired=False)) == {"archive", "clinic", "research"}
    desk.ledger.transact(destinations.sync, specs, "daemon")
    assert desk("send", folder, "--to", "archive").code == 0
    with desk.ledger.read() as conn:
        assert "archive" in reports.destination_names(conn, retired=False)


def test_it_says_what_the_destination_waits_for(desk: Desk, folder: Path) -> None:
    desk.introduce_remotes()
    desk("pause", "archive")
    answer = desk("send", folder, "--to", "archive", "--json")
    assert answer.json["hindrance"].startswith("archive is paused by ")
    assert "`gurney resume archive`" in answer.err
    desk("resume", "archive")
    assert desk("send", folder, "--to", "archive", "--json").json["hindrance"] == ""


def test_without_a_worker_it_says_that_it_waits(desk: Desk, folder: Path) -> None:
    def announce(kind: str, name: str) -> None:
        desk.ledger.transact(workers.announce, name, host="h1", kind=kind, slots=1, spools=["main"])

    alive = ProcessName.of_this_process("work")
    assert "gurney up" in desk("send", folder, "--to", "archive").err
    announce("daemon", "h1:1:daemon")
    announce("work", str(replace(alive, started=alive.started - 1)))  # killed, and not heard of since
    assert "gurney up" in desk("send", folder, "--to", "archive").err
    announce("work", str(alive))
    assert "gurney up" not in desk("send", folder, "--to", "archive").err


def test_workers_that_are_being_restarted_are_not_missed_for_long(desk: Desk, folder: Path) -> None:
    def announce(ledger: Ledger) -> None:
        ledger.transact(workers.announce, "h1:1:up", host="h1", kind=workers.RESTARTING, slots=0, spools=[])

    announce(desk.ledger)
    assert "gurney up" not in desk("send", folder, "--to", "archive").err
    desk.world.clock.pass_by(-90)
    announce(desk.world.ledger)
    assert "gurney up" not in desk("send", folder, "--to", "archive").err
    desk.world.clock.pass_by(-60)
    announce(desk.world.ledger)
    assert "gurney up" in desk("send", folder, "--to", "archive").err


def test_strangers_in_a_folder_are_named_but_no_failure(desk: Desk, folder: Path) -> None:
    drop(folder, "two\nlines", b"no image" * 40)
    answer = desk("send", folder, "--to", "archive", "--json")
    assert answer.code == 0
    assert (answer.json["ignored"], answer.json["refused"]) == (1, 0)
    (file,) = answer.json["files"]
    assert (file["file"], file["outcome"], file["reason"]) == (rf"{folder}/two\nlines", "ignored", "not_dicom")
    assert "two\nlines" not in desk("send", folder, "--to", "archive").err


@pytest.mark.parametrize("content", [ct_bytes()[:-9], b""])
def test_a_broken_file_in_a_folder_is_a_failure(desk: Desk, folder: Path, content: bytes) -> None:
    drop(folder, "broken", content)
    answer = desk("send", folder, "--to", "archive", "--json")
    assert (answer.code, answer.json["accepted"], answer.json["refused"]) == (1, 3, 1)


def test_a_stranger_that_was_named_is_a_failure(desk: Desk, folder: Path) -> None:
    letter = drop(folder, "letter.txt", b"no image" * 40)
    answer = desk("send", folder / "a", letter, "--to", "archive", "--json")
    assert (answer.code, answer.json["ignored"], answer.json["refused"]) == (1, 0, 1)


@pytest.mark.parametrize("path", ["missing", "empty"])
def test_nothing_to_send_is_a_failure(desk: Desk, tmp_path: Path, path: str) -> None:
    (tmp_path / "empty").mkdir()
    answer = desk("send", tmp_path / path, "--to", "archive", "--json")
    assert (answer.code, answer.json["accepted"]) == (1, 0)


def test_waiting_ends_well_when_all_are_there(desk: Desk, folder: Path) -> None:
    with somebody_works(desk, state=int(ItemState.DONE)):
        answer = desk("send", folder, "--to", "archive", "--wait", "--json")
    assert answer.code == 0
    assert (answer.json["items"], answer.json["failed"]) == ({"done": 3}, [])
    # What is there already is not waited for.
    assert desk("send", folder, "--to", "archive", "--wait", "--json").json["items"] == {"done": 3}


def test_waiting_ends_with_what_failed_and_why(desk: Desk, folder: Path) -> None:
    with somebody_works(desk, state=int(ItemState.FAILED), last_words="no room"):
        answer = desk("send", folder / "a", folder / "b", "--to", "archive", "--wait", "--json")
    assert answer.code == 1
    assert answer.json["items"] == {"failed": 3}
    first = answer.json["failed"][0]
    assert first["item"] > 0
    assert first["transfer"] > 0
    assert {one["sop_instance_uid"] for one in answer.json["failed"]} == {"1.2.1", "1.2.2", "1.3.1"}
    assert {one["words"] for one in answer.json["failed"]} == {"no room"}
    shown = desk("send", folder, "--to", "archive", "--wait")
    assert shown.code == 1
    assert [line.split() for line in shown.err.splitlines() if "no room" in line] == [
        [n, transfer, "failed", "no", "room"] for n, transfer in (("2", "1"), ("1", "2"))
    ]


def test_what_was_refused_is_told_at_the_end_too(desk: Desk, folder: Path) -> None:
    drop(folder, "cut", ct_bytes(sop_instance_uid="1.2.9")[:-9])
    with somebody_works(desk, state=int(ItemState.DONE)):
        answer = desk("send", folder, "--to", "archive", "--wait")
    assert answer.code == 1
    assert answer.out.endswith("archive: 3 done, 1 refused\n")


def test_only_what_was_named_is_waited_for(desk: Desk, folder: Path) -> None:
    """The rest of the study may be anywhere; the command answers for its own files."""
    desk("send", folder, "--to", "archive")
    with desk.ledger.write() as tx:
        tx.conn.execute(update(Item).where(Item.id == 1).values(state=int(ItemState.WARNED)))
    first = desk("transfer", 1, "--json").json["items"][0]["sop_instance_uid"]
    file = {"1.2.1": "a/1", "1.2.2": "a/2", "1.3.1": "b/1"}[first]
    answer = desk("send", folder / file, "--to", "archive", "--wait", "--json")
    assert (answer.code, answer.json["items"]) == (0, {"warned": 1})


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["--to", "archvie"], 1, "no [[remote]] is called 'archvie'; did you mean 'archive'?"),
        (["--to", "archive", "--priority", "now"], 2, "stat, high, routine, bulk"),
        ([], 2, "--to"),
    ],
)
def test_what_cannot_be_sent(desk: Desk, folder: Path, args: list[str], code: int, words: str) -> None:
    answer = desk("send", folder, *args)
    assert answer.code == code
    assert words in answer.err


class _GurneyUp(Service):
    name = "gurney-up"

    def command(self) -> list[str]:
        return [sys.executable, "-m", "gurney_daemon", "--config", str(self.folder / "gurney.toml"), "up"]

    def is_ready(self) -> bool:
        return b"daemon_started" in self.log.read_bytes()


@pytest.mark.slow
def test_with_everything_running(desk: Desk, folder: Path) -> None:
    """Taken in before anything runs; stored by workers while the command waits; refused once, retried, stored."""
    with FakePacs(ae_title="ARCHIVE") as pacs:
        pacs.on_uid("1.3.1", Respond(0xA900))
        desk.configure(port=pacs.port)
        assert desk("send", folder / "a", "--to", "archive").code == 0
        with _GurneyUp(desk.folder):
            refused = desk("send", folder, "--to", "archive", "--wait", "--json")
            assert (refused.code, refused.json["items"]) == (1, {"done": 2, "failed": 1})
            assert "A900" in refused.json["failed"][0]["words"]
            assert desk("retry", "--study", "1.3", "--yes").code == 0
            answer = desk("send", folder, "--to", "archive", "--wait", "--json")
            assert (answer.code, answer.json["items"]) == (0, {"done": 3})
            assert desk("status").code == 0
        assert sorted(pacs.stored_uids()) == ["1.2.1", "1.2.2", "1.3.1"]
