"""`gurney prefetch`: explained line by line, entered into the ledger, and what no word is known for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import select, update

from gurney.ledger.database import Transaction
from gurney.ledger.models import Retrieval
from gurney.pacs import DicomEngine, RemoteAE
from gurney.pacs.testing import FakePacs
from gurney.settings import load
from gurney.transfer.retrieving import RetrievalState
from tests.daemon.cli.desk import Desk
from tests.prefetch.chart import CHART, store
from tests.services import require
from tests.services.dcmtk import DcmQrScp

pytestmark = pytest.mark.peer

RULE = '[[prefetch]]\nname = "priors"\nfrom = ["archive"]\nto = ["research"]\nhl7 = true\n'
OF_CHEST = ("--patient", "4711,OLD-4711", "--study", CHART[0].uid)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DcmQrScp]:
    require("dcmqrscp")
    folder = tmp_path_factory.mktemp("archive")
    (folder / "peer").mkdir()
    with DcmQrScp(folder / "peer") as peer:
        with DicomEngine():
            store(RemoteAE(peer.ae_title, "127.0.0.1", peer.port), folder, CHART)
        yield peer


@pytest.fixture
def ready(desk: Desk, archive: DcmQrScp) -> Desk:
    path = desk.folder / "gurney.toml"
    head, first, second = path.read_text().split("[[remote]]")
    first = first.replace("port = 104", f"port = {archive.port}").replace('"ARCHIVE"', f'"{archive.ae_title}"')
    second = second.replace("port = 104", "port = 9")  # nobody listens there
    path.write_text("[[remote]]".join((head, first, second)) + RULE)
    load(str(path), {})
    return desk


def test_plan_explains_line_by_line(ready: Desk) -> None:
    answer = ready("prefetch", "plan", "priors", *OF_CHEST)
    assert answer.code == 0, answer.err
    assert "FETCH to research from archive, score" in answer.out
    assert "region +40: chest (by description), wanted is chest (by description)" in answer.out
    assert "rejected: shows another region: knee (by description)" in answer.out
    assert "rejected: is the current study" in answer.out
    assert "research could not be asked, what it has already is not known" in answer.err


def test_plan_as_a_document(ready: Desk) -> None:
    document = ready("prefetch", "plan", "priors", *OF_CHEST, "--json").json
    found = {study["study_instance_uid"]: study for study in document["studies"]}
    assert set(found) == {entry.uid for entry in CHART} - {CHART[5].uid}
    second = found[CHART[1].uid]
    assert (second["verdict"], second["to"], second["instances"]) == ("fetch", ["research"], None)  # it tells none
    assert second["score"] == sum(reason["points"] for reason in second["reasons"])
    assert found[CHART[2].uid]["why"].startswith("shows another region")


def test_plan_may_be_told_of_what_is_coming(ready: Desk) -> None:
    answer = ready(
        "prefetch", "plan", "priors", "--patient", "4711", "--description", "Knie", "--modality", "MR", "--json"
    )
    fetched = [study["study_instance_uid"] for study in answer.json["studies"] if study["verdict"] == "fetch"]
    assert fetched[0] == CHART[2].uid


def test_run_enters_each_prior_once(ready: Desk) -> None:
    ready.introduce_remotes()
    first = ready("prefetch", "run", "priors", *OF_CHEST, "--json")
    assert first.code == 0, first.err
    again = ready("prefetch", "run", "priors", *OF_CHEST)
    assert "asked for already" in again.out
    with ready.ledger.read() as conn:
        rows = conn.execute(select(Retrieval.study_instance_uid, Retrieval.origin, Retrieval.forward_to)).all()
    assert len(rows) == len(first.json["plans"][0]["retrievals"]) > 2
    assert {(row.origin, row.forward_to) for row in rows} == {("prefetch:priors", '["research"]')}
    assert CHART[0].uid not in {row.study_instance_uid for row in rows}


def test_run_fetches_once_for_a_target_that_can_not_be_asked(ready: Desk) -> None:
    ready.introduce_remotes()
    first = ready("prefetch", "run", "priors", *OF_CHEST, "--json").json["plans"][0]
    done, other = first["retrievals"][0], first["retrievals"][1]

    def settle(tx: Transaction, state: RetrievalState, retrieval_id: int, ago: float) -> None:
        tx.conn.execute(
            update(Retrieval).where(Retrieval.id == retrieval_id).values(state=int(state), settled_at=tx.now - ago)
        )

    ready.ledger.transact(settle, RetrievalState.DONE, done, 60.0)
    ready.ledger.transact(settle, RetrievalState.DONE, other, 8 * 86_400.0)
    again = ready("prefetch", "run", "priors", *OF_CHEST, "--json").json["plans"][0]
    words = [study["why"] for study in again["studies"] if study["verdict"] == "present"]
    assert words == ["was fetched lately, says the ledger"]
    assert done not in again["retrievals"]
    assert max(again["retrievals"]) > max(first["retrievals"])  # what went there long ago is fetched again


def test_run_fetches_again_what_a_target_has_lost(ready: Desk) -> None:
    ready.introduce_remotes()
    with FakePacs(ae_title="RESEARCH") as empty:
        path = ready.folder / "gurney.toml"
        path.write_text(path.read_text().replace("port = 9\n", f"port = {empty.port}\n"))
        first = ready("prefetch", "run", "priors", *OF_CHEST, "--json").json["plans"][0]
        assert first["unanswered"] == []

        def settle(tx: Transaction) -> None:
            tx.conn.execute(update(Retrieval).values(state=int(RetrievalState.DONE), settled_at=tx.now))

        ready.ledger.transact(settle)
        again = ready("prefetch", "run", "priors", *OF_CHEST, "--json").json["plans"][0]
    assert len(again["retrievals"]) == len(first["retrievals"])
    assert not {*again["retrievals"]} & {*first["retrievals"]}


def test_learn_lists_what_no_word_is_known_for(ready: Desk) -> None:
    answer = ready("prefetch", "learn", "--from", "archive", "--days", 9000, "--json")
    assert answer.code == 0, answer.err
    assert answer.json["studies"] == 7
    assert {one["description"]: one["studies"] for one in answer.json["descriptions"]} == {"": 1, "Arztbrief": 1}
    assert "Arztbrief" in ready("prefetch", "learn", "--from", "archive", "--days", 9000).out


def test_a_rule_that_is_not_there_and_an_archive_that_is_away(ready: Desk) -> None:
    unknown = ready("prefetch", "plan", "prior", "--patient", "4711")
    assert (unknown.code, "did you mean 'priors'" in unknown.err) == (1, True)
    path = ready.folder / "gurney.toml"
    path.write_text(
        path.read_text().replace('from = ["archive"]\nto = ["research"]', 'from = ["research"]\nto = ["archive"]')
    )
    away = ready("prefetch", "plan", "priors", "--patient", "4711")
    assert (away.code, "there may be more priors" in away.err, "4711" in away.err) == (1, True, False)
