"""What ``status`` says of our own services, and that a PACS that is down is no fault of ours."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from gurney.ledger import workers
from gurney.ledger.database import Ledger
from gurney.ledger.models import SourceCount
from gurney.ledger.processes import ProcessName
from gurney.ledger.retrieving import claims, requests, settlement
from gurney.ledger.retrieving.claims import ClaimedRetrieval
from gurney.ledger.retrieving.requests import Request
from gurney.transfer.outcomes import Event, EventKind
from gurney.transfer.retrieving import Step
from gurney.transfer.states import ItemState
from gurney_daemon.cli.status import _why
from tests.daemon.cli.desk import Desk
from tests.ledger.world import happened
from tests.services.brokers import RedisServer

DESTINATION_KEYS = {
    "state",
    *(state.name.lower() for state in ItemState),
    "associations",
    "busy_seconds",
    "window",
    "max_associations",
    "oldest_seconds",
    "last_error",
    "last_error_seconds",
    "last_success_seconds",
    "hold_reason",
    "paused_by",
    "next_probe_seconds",
    "retired",
}


def announce(ledger: Ledger, kind: str, name: str, folders: dict[str, dict[str, object]] | None = None) -> None:
    ledger.transact(workers.announce, name, host="h1", kind=kind, slots=1, spools=["main"], folders=folders)


def test_nothing_to_do_and_nothing_running_is_no_fault(desk: Desk) -> None:
    answer = desk("status", "--json")
    assert answer.code == 0
    assert answer.json == {
        "ok": True,
        "services": {
            "ledger": {"ok": True, "kind": "sqlite", "draining": False, "error": ""},
            "broker": {"ok": True, "kind": "embedded", "running": False, "queues": {}, "error": ""},
            "daemon": {"ok": True, "seen": 0, "processes": {}, "error": ""},
            "workers": {"ok": True, "seen": 0, "processes": {}, "error": ""},
        },
        "destinations": {},
        "folders": {},
        "receivers": {},
        "retrieves": {},
        "proofs": {},
        "sources": {},
        "configuration": {"ok": True, "mistakes": 0, "error": ""},
    }


def test_work_that_nobody_does_is_a_fault(desk: Desk) -> None:
    desk.world.items(3)
    answer = desk("status", "--json")
    assert answer.code == 1
    services = answer.json["services"]
    assert [name for name, service in services.items() if not service["ok"]] == ["broker", "daemon", "workers"]
    assert "gurney up" in services["broker"]["error"]
    destination = answer.json["destinations"]["archive"]
    assert set(destination) == DESTINATION_KEYS
    assert (destination["state"], destination["ready"], destination["last_error"]) == ("closed", 3, "")
    assert destination["oldest_seconds"] >= 0


def test_work_for_a_remote_that_is_configured_no_longer_waits_for_nobody(desk: Desk) -> None:
    desk.world.items(1, destination="moved")
    desk.introduce_remotes()
    answer = desk("status", "--json")
    assert answer.code == 0
    assert (answer.json["destinations"]["moved"]["retired"], answer.json["destinations"]["moved"]["ready"]) == (True, 1)
    assert "moved (retired)" in desk("status").out


def test_a_watched_folder_needs_a_daemon(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "ct1").mkdir()
    desk.configure(f'[[watch]]\nname = "ct1"\npath = "{tmp_path / "ct1"}"\nsend_to = ["archive"]\n')
    assert desk("status").code == 1


def test_a_receiver_says_why_it_takes_nothing(desk: Desk) -> None:
    desk.configure('[[receiver]]\nname = "main"\n')
    assert desk("status", "--json").json["receivers"]["main"]["state"] == "not_listening"
    full = {"state": "spool_full", "why": "the spool is full", "since": 1.0, "ok": False}
    announce(desk.ledger, "daemon", "d1", {"main": full | {"door": "receive"}})
    report = desk("status", "--json").json
    assert (report["receivers"], report["folders"]) == ({"main": full}, {})
    assert "the spool is full" in desk("status").out


def test_a_folder_says_why_nothing_is_taken_in(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "ct1").mkdir()
    desk.configure(f'[[watch]]\nname = "ct1"\npath = "{tmp_path / "ct1"}"\nsend_to = ["archive"]\n')
    assert desk("status", "--json").json["folders"]["ct1"]["state"] == "unwatched"
    offline = {"state": "folder_offline", "why": "it is not mounted", "since": 1.0, "ok": False}
    announce(desk.ledger, "daemon", "h1:1:daemon", {"ct1": {**offline, "state": "standby"}})
    announce(desk.ledger, "daemon", "h2:1:daemon", {"ct1": offline})
    assert desk("status", "--json").json["folders"] == {"ct1": offline}
    assert "it is not mounted" in desk("status").out


def test_a_wrong_configuration_is_told_and_is_no_fault_of_what_runs(desk: Desk, tmp_path: Path) -> None:
    health = {"state": "watching", "why": "", "since": 1.0, "ok": True}
    announce(desk.ledger, "daemon", "h1:1:daemon", {"ct1": health})
    announce(desk.ledger, "work", "h1:2:1")
    desk.configure('[[watch]]\nname = "ct1"\npath = ""\n[wrokers]\n')
    answer = desk("status", "--json")
    assert answer.code == 0
    assert answer.json["ok"]
    assert answer.json["folders"] == {"ct1": health}
    told = answer.json["configuration"]
    assert (told["ok"], told["mistakes"]) == (False, 2)
    assert "watch[ct1].path" in told["error"]

    desk.world.clock.pass_by(-3_600)
    announce(desk.world.ledger, "daemon", "h1:1:daemon", {"ct1": health})
    answer = desk("status", "--json")
    assert answer.code == 1, "what the silent daemon watched is watched by nobody"
    assert answer.json["folders"]["ct1"]["state"] == "unwatched"


def test_daemon_and_workers_are_told_apart_and_forgotten_when_silent(desk: Desk, redis_server: RedisServer) -> None:
    desk.configure(f'[broker]\nurl = "{redis_server.url}"\n')
    desk.world.items(1)
    announce(desk.ledger, "daemon", "h1:1:daemon")
    announce(desk.ledger, "work", "h1:2:1")
    announce(desk.ledger, "stat", "h1:3:1")
    answer = desk("status", "--json")
    assert answer.code == 0
    services = answer.json["services"]
    assert services["broker"] == {
        "ok": True,
        "kind": "redis",
        "running": True,
        "queues": {"main.stat": 0, "main.work": 0, "main.retrieve": 0},
        "error": "",
    }
    assert (services["daemon"]["seen"], list(services["daemon"]["processes"])) == (1, ["h1:1:daemon"])
    assert (services["workers"]["seen"], list(services["workers"]["processes"])) == (2, ["h1:2:1", "h1:3:1"])

    desk.world.clock.pass_by(-3_600)
    for name in ("h1:2:1", "h1:3:1"):
        announce(desk.world.ledger, "work", name)
    answer = desk("status", "--json")
    assert answer.code == 1
    assert (answer.json["services"]["workers"]["ok"], answer.json["services"]["workers"]["seen"]) == (False, 0)


def test_a_restart_that_was_announced_is_no_fault_for_a_while(desk: Desk, redis_server: RedisServer) -> None:
    desk.configure(f'[broker]\nurl = "{redis_server.url}"\n')
    desk.world.items(1)
    assert desk("status", "--json").code == 1
    announce(desk.ledger, workers.RESTARTING, "h1:1:up")
    answer = desk("status", "--json")
    assert answer.code == 0
    services = answer.json["services"]
    assert [services[name]["processes"] for name in ("daemon", "workers")] == [{}, {}]
    desk.world.clock.pass_by(-3_600)
    announce(desk.world.ledger, workers.RESTARTING, "h1:1:up")
    assert desk("status", "--json").code == 1


def test_who_was_killed_on_this_host_is_not_seen(desk: Desk) -> None:
    alive = ProcessName.of_this_process("work")
    announce(desk.ledger, "work", str(alive))
    announce(desk.ledger, "work", str(replace(alive, started=alive.started - 1)))
    workers = desk("status", "--json").json["services"]["workers"]
    assert (workers["seen"], list(workers["processes"])) == (1, [str(alive)])


def test_a_broker_that_does_not_answer_is_a_fault(desk: Desk) -> None:
    desk.configure('[broker]\nurl = "redis://127.0.0.1:1/0"\n')
    answer = desk("status", "--json")
    assert answer.code == 1
    assert "can't be reached" in answer.json["services"]["broker"]["error"]
    shown = desk("status")
    assert "can't be reached" in shown.out
    assert (answer.err, shown.err) == ("", "")


def test_files_in_quarantine_now_are_told_from_all_that_ever_were(desk: Desk) -> None:
    with desk.ledger.write() as tx:
        for what, n in (("accepted", 7), ("quarantined", 3), ("no_route", 2)):
            tx.conn.execute(insert(SourceCount).values(source="ct1", what=what, n=n))
    lines = desk("status").out.splitlines()
    assert lines[-2].split("  ")[0] == "SOURCE"
    assert " ".join(lines[-1].split()) == "ct1 0 0 7 accepted, 3 quarantined, 2 no route"


def test_what_waits_for_an_association_says_so(desk: Desk) -> None:
    desk.world.items(3)
    assert desk("status", "--json").json["destinations"]["archive"]["busy_seconds"] is None
    desk.world.take(instances=1)
    assert desk("status", "--json").json["destinations"]["archive"]["busy_seconds"] is not None
    assert "1 association in use, the oldest for" in desk("status").out


def test_a_peer_that_is_down_is_no_fault_of_ours(desk: Desk, redis_server: RedisServer) -> None:
    desk.configure(f'[broker]\nurl = "{redis_server.url}"\n')
    announce(desk.ledger, "daemon", "h1:1:daemon")
    announce(desk.ledger, "work", "h1:2:1")
    desk.world.items(3)
    for _ in range(3):
        claim = desk.world.take()
        refused = happened(EventKind.CONNECT_FAILED, detail="Connection refused")
        desk.world.settle(claim, refused)
        desk.world.finish(claim, faults=1)
        desk.world.clock.pass_by(1_000)
    answer = desk("status", "--json")
    assert answer.code == 0
    destination = answer.json["destinations"]["archive"]
    assert (destination["state"], destination["ready"]) == ("open", 3)
    assert "refused" in destination["last_error"]
    shown = desk("status").out
    assert "Connection refused" in shown
    assert "; next probe " in shown


@pytest.mark.parametrize("state", ["missing", "damaged"])
def test_a_ledger_that_cannot_be_used_is_reported_like_everything_else(desk: Desk, state: str) -> None:
    path = desk.data / "ledger.sqlite3"
    path.unlink()
    if state == "damaged":
        path.write_bytes(b"this is no database " * 1_000)
    answer = desk("status", "--json")
    assert answer.code == 1
    assert answer.json["services"]["ledger"]["ok"] is False
    assert answer.json["services"]["ledger"]["error"]
    assert answer.json["destinations"] == {}
    assert "Traceback" not in answer.err


def test_who_runs_is_not_known_while_the_ledger_cannot_be_read(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "ct1").mkdir()
    desk.configure(f'[[watch]]\nname = "ct1"\npath = "{tmp_path / "ct1"}"\nsend_to = ["archive"]\n')
    (desk.data / "ledger.sqlite3").write_bytes(b"this is no database " * 1_000)
    answer = desk("status", "--json")
    assert (answer.code, answer.json["ok"]) == (1, False)
    services = answer.json["services"]
    assert {name: service["ok"] for name, service in services.items()} == {
        "ledger": False,
        "broker": None,
        "daemon": None,
        "workers": None,
    }
    assert (services["daemon"]["seen"], services["broker"]["running"]) == (None, None)
    ct1 = answer.json["folders"]["ct1"]
    assert (ct1["state"], ct1["ok"]) == ("not_known", None)
    shown = desk("status").out
    assert shown.count("FAULT") == 1
    assert not any(claim in shown for claim in ("no daemon", "no worker", "unwatched", "does not run"))


def test_people_get_a_line_for_each_service_destination_and_source(desk: Desk) -> None:
    desk.world.items(2)
    desk.world.items(3, state=ItemState.HELD, held_for="rule")
    desk.world.items(1, destination="research", state=ItemState.FAILED)
    desk("pause", "archive")
    answer = desk("status")
    lines = {line.split()[0]: line.split() for line in answer.out.splitlines() if line.strip()}
    assert lines["archive"][1:7] == ["paused", "2", "0", "0", "3", "0"]
    assert lines["research"][1:7] == ["closed", "0", "0", "0", "0", "1"]
    assert {"ledger", "broker", "daemon", "workers"} <= set(lines)


def test_watching_and_json_exclude_each_other(desk: Desk) -> None:
    assert desk("status", "--watch", "--json").code == 2


def test_postgresql(postgresql_desk: Desk) -> None:
    postgresql_desk.world.items(2)
    answer = postgresql_desk("status", "--json")
    assert answer.json["services"]["ledger"] == {"ok": True, "kind": "postgresql", "draining": False, "error": ""}
    assert answer.json["destinations"]["archive"]["ready"] == 2


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({}, ""),
        ({"state": "open"}, "refused (3 min ago); next probe in 9 s"),
        ({"state": "open", "retired": True}, "refused (3 min ago)"),
        ({"state": "held", "hold_reason": "auth"}, "auth; next probe in 9 s"),
        ({"retry": 1}, "refused (3 min ago)"),
        ({"failed": 1}, "refused (3 min ago)"),
        ({"last_success_seconds": 200.0}, "refused (3 min ago)"),
        ({"last_success_seconds": None}, "refused (3 min ago)"),
        ({"paused_by": "ann"}, "paused by ann"),
    ],
)
def test_an_error_that_is_over_is_not_told_of_a_healthy_destination(changed: dict[str, Any], told: str) -> None:
    over: dict[str, Any] = {
        "state": "closed",
        "ready": 0,
        "busy_seconds": None,
        "next_probe_seconds": 9.0,
        "retired": False,
        "retry": 0,
        "failed": 0,
        "dead": 0,
        "hold_reason": "",
        "paused_by": "",
        "window": {"open": True, "changes_at": None},
    }
    over |= {"last_error": "refused", "last_error_seconds": 180.0, "last_success_seconds": 60.0}
    assert _why(over | changed) == told


def test_a_remote_outside_its_window_says_when_it_opens(desk: Desk) -> None:
    hour = (datetime.now(UTC).hour + 12) % 24
    desk.configure(f'window = "{hour:02}:00-{hour:02}:30"\n')  # of the last remote
    desk.world.items(1, destination="research")
    windows = {name: one["window"] for name, one in desk("status", "--json").json["destinations"].items()}
    assert windows["research"]["open"] is False
    assert f"T{hour:02}:00:00" in windows["research"]["changes_at"]
    assert "outside its window" in " ".join(desk("status").out.split())


def test_what_is_to_be_retrieved_is_shown_with_the_way_that_is_shut(desk: Desk) -> None:
    ledger = desk.world.ledger
    desk.world.destination("archive")
    ledger.transact(requests.ask, Request("archive", "1.2", direct_to="station"), "op")
    claimed = ledger.transact(claims.claim, "archive", "w1", desk.world.spool(), at_once=1)
    assert isinstance(claimed, ClaimedRetrieval)
    unknown = Event(EventKind.RESPONSE, status=0xA801)
    ledger.transact(lambda tx: settlement.fail(tx, claimed.ticket, unknown, Step.MOVE, move_destination="READING1"))
    shown = desk("status", "--json").json["retrieves"]["archive"]
    assert shown["open"] == {"waiting": 1}
    assert shown["ways"]["station"]["state"] == "held"
    text = " ".join(desk("status").out.split())
    assert "1 waiting" in text
    assert "'READING1'" in text
