"""Transfers, one transfer, one item's trail, one study: shapes that scripts hold on to."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from gurney.ledger.models import Instance
from gurney.transfer.states import ItemState
from tests.daemon.cli.desk import Desk
from tests.ledger.world import OK, answered

STATES = [state.name.lower() for state in ItemState]


def counted(**n: int) -> dict[str, int]:
    return dict.fromkeys(STATES, 0) | n


@pytest.fixture
def ids(desk: Desk) -> list[int]:
    """Four items of one study at the archive (done, warned, failed, ready), two of another at research."""
    world = desk.world
    items = world.items(4, study="1.2.3")
    world.items(2, study="1.2.4", destination="research")
    claim = world.take()
    world.settle(claim, {items[0]: OK, items[1]: answered(0xB000), items[2]: answered(0xA900)})
    world.finish(claim, stored=2)
    return items


@pytest.mark.usefixtures("ids")
def test_a_study_is_the_contract_and_more(desk: Desk) -> None:
    answer = desk("study", "1.2.3", "--json")
    assert answer.code == 0
    assert answer.json == {
        "study_instance_uid": "1.2.3",
        "instances": 4,
        "series": [{"series_instance_uid": "1.2.3.1", "modality": "", "instances": 4}],
        "came_by": [
            {
                "door": "watch",
                "source": "ct1",
                "calling_ae_title": "",
                "called_ae_title": "",
                "address": "",
                "instances": 4,
            }
        ],
        "open_conflicts": 0,
        "not_routed": [],
        "destinations": {"archive": counted(done=1, warned=1, failed=1, ready=1)},
        "proofs": {},
        "reasons": {"archive": {"words": desk.world.item(3).last_words, "items": 1}},
        "retrievals": [],
        "transfers": [{"id": 1, "destination": "archive", "generation": 1}],
    }
    told = desk("study", "1.2.3").out
    assert "4 instances in 1 series" in told
    assert f"archive: 1 item: {desk.world.item(3).last_words}" in told


def test_a_study_that_nobody_knows(desk: Desk) -> None:
    answer = desk("study", "9.9.9", "--json")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err == "gurney: the ledger knows no study 9.9.9\n"


@pytest.mark.usefixtures("ids")
def test_transfers_are_listed_newest_first_and_filtered(desk: Desk) -> None:
    document = desk("transfers", "--json").json
    assert set(document) == {"now", "transfers", "next_before"}
    assert document["next_before"] is None
    newest, oldest = document["transfers"]
    assert oldest.pop("created_at") == oldest.pop("last_arrival_at") <= document["now"]
    assert oldest == {
        "id": 1,
        "study_instance_uid": "1.2.3",
        "destination": "archive",
        "origin": "forward",
        "generation": 1,
        "requested_by": "",
        "quiet": False,
        **counted(done=1, warned=1, failed=1, ready=1),
    }
    assert (newest["id"], newest["destination"]) == (2, "research")

    def listed(*args: str) -> list[int]:
        return [transfer["id"] for transfer in desk("transfers", "--json", *args).json["transfers"]]

    assert listed("--to", "research") == [2]
    assert listed("--study", "1.2.3") == [1]
    assert listed("--state", "FAILED") == [1]
    assert listed("--state", "dead") == []
    assert listed("--before", "2") == [1]


@pytest.mark.usefixtures("ids")
def test_a_long_list_goes_on_where_it_stopped(desk: Desk) -> None:
    first = desk("transfers", "--limit", 1, "--json").json
    assert [transfer["id"] for transfer in first["transfers"]] == [2]
    rest = desk("transfers", "--limit", 1, "--before", first["next_before"], "--json").json
    assert [transfer["id"] for transfer in rest["transfers"]] == [1]
    assert "--before 2" in desk("transfers", "--limit", 1).err


def test_a_transfer_has_its_items_with_status_and_words(desk: Desk, ids: list[int]) -> None:
    document = desk("transfer", 1, "--json").json
    items = {item["id"]: item for item in document.pop("items")}
    assert document.pop("now") > 0
    assert document == {
        "id": 1,
        "study_instance_uid": "1.2.3",
        "destination": "archive",
        "origin": "forward",
        "generation": 1,
        "counts": counted(done=1, warned=1, failed=1, ready=1),
        "next_after": None,
    }
    assert [(items[item]["state"], items[item]["status"]) for item in ids] == [
        ("done", "0000"),
        ("warned", "B000"),
        ("failed", "A900"),
        ("ready", None),
    ]
    assert items[ids[2]]["words"]
    assert set(items[ids[0]]) == {
        "id",
        "sop_instance_uid",
        "sop_class_uid",
        "transfer_syntax_uid",
        "version",
        "superseded",
        "state",
        "proof",
        "priority",
        "attempts",
        "due_at",
        "held_for",
        "status",
        "words",
        "settled_at",
    }


def test_items_are_filtered_and_go_on_where_they_stopped(desk: Desk, ids: list[int]) -> None:
    def listed(*args: str | int) -> list[int]:
        return [item["id"] for item in desk("transfer", 1, "--json", *args).json["items"]]

    assert listed("--state", "failed") == [ids[2]]
    assert listed("--limit", 2) == ids[:2]
    assert listed("--limit", 2, "--after", ids[1]) == ids[2:]
    assert desk("transfer", 1, "--limit", 2, "--json").json["next_after"] == ids[1]


def test_people_see_what_is_not_done_and_every_item_on_request(desk: Desk, ids: list[int]) -> None:
    shown = desk("transfer", 1).out
    assert "1 ready, 1 done, 1 warned, 1 failed" in shown
    assert [f"2.25.{number} " in shown for number in range(1, 5)] == [False, True, True, True]
    assert "2.25.1 " in desk("transfer", 1, "--items").out


def test_people_see_which_of_two_versions_an_item_is(desk: Desk, ids: list[int]) -> None:
    with desk.ledger.write() as tx:
        newer = update(Instance).where(Instance.sop_instance_uid == "2.25.4")
        tx.conn.execute(newer.values(sop_instance_uid="2.25.1", version=2))
    lines = [line.split() for line in desk("transfer", 1, "--items").out.splitlines() if " 2.25.1 " in line]
    assert [line[-3:] for line in lines] == [["version", "1,", "superseded"], ["0", "version", "2"]]


def test_the_trail_of_an_item(desk: Desk, ids: list[int]) -> None:
    document = desk("transfer", 1, "--item", ids[2], "--json").json
    assert set(document) == {"now", "item", "attempts"}
    assert document["item"]["id"] == ids[2]
    (attempt,) = document["attempts"]
    assert attempt.pop("settled_at") <= document["now"]
    assert attempt.pop("words") == document["item"]["words"]
    assert attempt == {
        "fence": 1,
        "lease": 1,
        "endpoint": "pacs:104",
        "outcome": "permanent",
        "status": "A900",
        "comment": "",
        "bytes": 1_000,
        "seconds": 0.01,
    }
    shown = desk("transfer", 1, "--item", ids[2]).out
    assert "permanent" in shown
    assert "A900" in shown


@pytest.mark.usefixtures("ids")
@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["transfer", "77"], 1, "no transfer 77"),
        (["transfer", "1", "--item", "6"], 1, "transfer 1 has no item 6"),
        (["transfer", "one"], 2, "ID"),
        (["transfers", "--to", "archvie"], 1, "did you mean 'archive'? There are: archive, research"),
        (["transfers", "--state", "lost"], 2, "use ready, running, retry, done, warned, failed, dead, held, cancelled"),
        (["transfers", "--limit", "0"], 2, "--limit"),
    ],
)
def test_what_is_not_known_is_said_with_what_is(desk: Desk, args: list[str], code: int, words: str) -> None:
    answer = desk(*args)
    assert (answer.code, answer.out) == (code, "")
    assert words in answer.err


def test_postgresql(postgresql_desk: Desk) -> None:
    postgresql_desk.world.items(3, study="1.2.3")
    assert postgresql_desk("study", "1.2.3", "--json").json["destinations"] == {"archive": counted(ready=3)}
    assert len(postgresql_desk("transfer", 1, "--json").json["items"]) == 3
    assert postgresql_desk("transfers", "--state", "ready", "--json").json["transfers"][0]["ready"] == 3
