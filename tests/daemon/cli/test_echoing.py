"""Echo: each step with its time, the first that fails named, and what waits is tried once the peer answers."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.uid import CTImageStorage
from pynetdicom import AE, evt
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made when the module is loaded

from gurney.pacs import RemoteAE, Timeouts, Tls, TlsIdentity
from gurney.pacs.testing import FakePacs, Reject
from gurney.transfer.outcomes import EventKind
from gurney_daemon.cli.echoing import EchoTrial, try_echo
from tests.daemon.cli.desk import Answer, Desk
from tests.ledger.world import happened
from tests.services import require
from tests.services.certificates import Authority
from tests.services.dcmtk import StoreScp


@pytest.fixture
def pacs() -> Iterator[FakePacs]:
    with FakePacs(ae_title="ARCHIVE") as pacs:
        yield pacs


def outcomes(answer: Answer) -> list[tuple[str, bool]]:
    return [(step["name"], step["ok"]) for step in answer.json["steps"]]


def test_a_peer_that_answers(desk: Desk, pacs: FakePacs) -> None:
    desk.configure(port=pacs.port)
    answer = desk("echo", "archive", "--json")
    assert answer.code == 0
    document = answer.json
    steps = document.pop("steps")
    assert document == {
        "ok": True,
        "remote": "archive",
        "called_ae_title": "ARCHIVE",
        "calling_ae_title": "GURNEY",
        "host": "127.0.0.1",
        "port": pacs.port,
        "hint": "",
    }
    assert [step["name"] for step in steps] == ["dns", "tcp", "association", "c-echo"]
    assert all(step["ok"] and step["seconds"] >= 0 for step in steps)
    assert steps[0]["detail"] == "127.0.0.1"
    assert "called as GURNEY" in desk("echo", "archive").out


def test_dcmtk_answers(desk: Desk, storescp: StoreScp) -> None:
    desk.configure(port=storescp.port)
    assert desk("echo", "archive").code == 0


def test_what_waits_is_tried_at_once(desk: Desk, pacs: FakePacs) -> None:
    world = desk.world
    world.items(1)
    for _ in range(3):
        claim = world.take()
        world.settle(claim, happened(EventKind.CONNECT_FAILED))
        world.finish(claim, faults=1)
        if world.row().breaker != "open":
            world.clock.pass_by(1_000)
    assert world.row().probe_at > world.clock.time
    desk.configure(port=pacs.port)
    assert desk("echo", "archive").code == 0
    assert world.row().probe_at <= desk.ledger.now()


@pytest.mark.parametrize(
    ("reason", "hint"),
    [(3, "told of our AE title 'GURNEY'"), (7, "does not call itself 'ARCHIVE'"), (1, "'ARCHIVE' as 'GURNEY'")],
)
def test_a_rejection_says_which_ae_title_is_wrong(desk: Desk, reason: int, hint: str) -> None:
    with FakePacs(association=Reject(1, 1, reason)) as pacs:
        desk.configure(port=pacs.port)
        answer = desk("echo", "archive", "--json")
    assert answer.code == 1
    assert outcomes(answer) == [("dns", True), ("tcp", True), ("association", False)]
    assert hint in answer.json["hint"]


def test_an_answer_that_is_no_success(desk: Desk) -> None:
    ae = AE("ARCHIVE")
    ae.add_supported_context(Verification)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_ECHO, lambda _: 0x0122)])
    desk.configure(port=server.socket.getsockname()[1])
    answer = desk("echo", "archive", "--json")
    server.shutdown()
    assert answer.code == 1
    assert outcomes(answer)[-1] == ("c-echo", False)
    assert "0122" in answer.json["steps"][-1]["detail"]


def test_a_peer_that_stores_but_offers_no_verification(desk: Desk) -> None:
    ae = AE("ARCHIVE")
    ae.add_supported_context(CTImageStorage)
    server = ae.start_server(("127.0.0.1", 0), block=False)
    desk.configure(port=server.socket.getsockname()[1])
    answer = desk("echo", "archive", "--json")
    server.shutdown()
    assert answer.code == 1
    assert "does not offer Verification" in answer.json["steps"][-1]["detail"]


def test_nothing_listens(desk: Desk) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and never listens
        desk.configure(port=taken.getsockname()[1])
        answer = desk("echo", "archive", "--json")
    assert answer.code == 1
    assert outcomes(answer) == [("dns", True), ("tcp", False)]
    assert "firewall" in answer.json["hint"]


def test_a_name_that_does_not_resolve(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    answer = desk("echo", "archive", "--json")
    assert answer.code == 1
    assert outcomes(answer) == [("dns", False)]
    assert answer.json["steps"][0]["detail"].endswith("name not resolved: Name or service not known")
    assert "'127.0.0.1' can't be resolved" in answer.json["hint"]


def test_a_peer_needs_no_ledger_to_be_reached(desk: Desk, pacs: FakePacs) -> None:
    desk.configure(port=pacs.port)
    (desk.data / "ledger.sqlite3").write_bytes(b"this is no database " * 1_000)
    answer = desk("echo", "archive", "--json")
    assert answer.code == 0
    assert answer.json["ok"]
    assert "the ledger was not told" in answer.err


def test_where_there_is_no_ledger_yet_none_is_spoken_of(desk: Desk, pacs: FakePacs) -> None:
    desk.configure(port=pacs.port)
    (desk.data / "ledger.sqlite3").unlink()
    answer = desk("echo", "archive")
    assert (answer.code, answer.err) == (0, "")
    assert [*desk.data.iterdir()] == []


def test_a_ledger_that_was_named_and_is_not_there_is_spoken_of(desk: Desk, pacs: FakePacs) -> None:
    desk.configure(f'[ledger]\nurl = "sqlite:///{desk.folder}/unmounted/ledger.sqlite3"\n', port=pacs.port)
    answer = desk("echo", "archive")
    assert answer.code == 0
    assert "the ledger was not told: there is no ledger at" in answer.err


def test_an_unknown_remote(desk: Desk) -> None:
    answer = desk("echo", "archvie")
    assert answer.code == 1
    assert "did you mean 'archive'? There are: archive, research" in answer.err


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [(["archvie"], 1, "did you mean"), (["127.0.0.1:104"], 2, "AE_TITLE"), (["127.0.0.1:0", "X"], 2, "port")],
    ids=["unknown", "no AE title", "no port"],
)
def test_what_can_not_even_be_tried_is_a_document_too(desk: Desk, words: list[str], code: int, reason: str) -> None:
    answer = desk("echo", *words, "--json")
    assert answer.code == code
    assert answer.json["ok"] is False
    assert reason in answer.json["error"]


def test_an_address_needs_an_ae_title(desk: Desk) -> None:
    answer = desk("echo", "127.0.0.1:24242")
    assert answer.code == 2
    assert "write AE_TITLE@127.0.0.1:24242" in " ".join(answer.err.replace("│", " ").split())


def test_a_peer_named_by_hand(desk: Desk, pacs: FakePacs) -> None:
    answer = desk("echo", f"127.0.0.1:{pacs.port}", "ARCHIVE", "--json")
    assert answer.code == 0
    assert answer.json["called_ae_title"] == "ARCHIVE"
    assert [step["name"] for step in answer.json["steps"]] == ["dns", "tcp", "association", "c-echo"]


def test_a_peer_named_by_hand_in_one_word(desk: Desk, pacs: FakePacs) -> None:
    answer = desk("echo", f"ARCHIVE@127.0.0.1:{pacs.port}")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith(f"ARCHIVE at 127.0.0.1:{pacs.port}, called as GURNEY\n")


def test_an_address_in_brackets_is_shown_in_them(desk: Desk) -> None:
    with socket.socket(socket.AF_INET6) as taken:
        taken.bind(("::1", 0))  # and never listens
        port = taken.getsockname()[1]
        answer = desk("echo", f"ARCHIVE@[::1]:{port}")
        document = desk("echo", f"[::1]:{port}", "ARCHIVE", "--json").json
    assert answer.code == 1
    assert answer.out.startswith(f"ARCHIVE at [::1]:{port}, called as GURNEY\n")
    assert (document["host"], document["port"], document["remote"]) == ("::1", port, f"[::1]:{port}")


def test_a_ledger_is_not_told_of_a_peer_that_it_does_not_know(desk: Desk, pacs: FakePacs) -> None:
    (desk.data / "ledger.sqlite3").write_bytes(b"this is no database " * 1_000)
    answer = desk("echo", f"ARCHIVE@127.0.0.1:{pacs.port}")
    assert (answer.code, answer.err) == (0, "")


@pytest.mark.parametrize(
    ("address", "ae_title", "words"),
    [
        ("127.0.0.1", "ARCHIVE", "no AE_TITLE@HOST:PORT"),
        ("127.0.0.1:dicom", "ARCHIVE", "no AE_TITLE@HOST:PORT"),
        (":104", "ARCHIVE", "no AE_TITLE@HOST:PORT"),
        ("::1:104", "ARCHIVE", "or ARCHIVE@[::1]:104"),
        ("127.0.0.1:70000", "ARCHIVE", "port"),
        ("ARCHIVE@127.0.0.1:104", "ANOTHER", "leave 'ANOTHER' out"),
        ("127.0.0.1:104", "FAR TOO LONG FOR A TITLE", "AE title"),
    ],
)
def test_what_is_no_address_by_hand(desk: Desk, address: str, ae_title: str, words: str) -> None:
    answer = desk("echo", address, ae_title)
    assert answer.code == 2
    assert words in " ".join(answer.err.replace("│", " ").split())


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def secured(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreScp]:
    """DCMTK behind TLS, which asks for a certificate of ours."""
    require("storescp")
    server = authority.issue("server")
    options = ["--enable-tls", str(server.key), str(server.certificate), "--add-cert-file", str(authority.file)]
    with StoreScp(tmp_path_factory.mktemp("storescp"), options=options) as peer:
        yield peer


def trial_of(secured: StoreScp, tls: Tls) -> EchoTrial:
    remote = RemoteAE(secured.ae_title, "127.0.0.1", secured.port, Timeouts(connect=5, acse=5), tls=tls)
    return try_echo(remote, "GURNEY")


def test_the_handshake_is_a_step(secured: StoreScp, authority: Authority) -> None:
    client = authority.issue("client")
    trial = trial_of(secured, Tls(ca=authority.file, identity=TlsIdentity(client.certificate, client.key)))
    assert trial.ok
    assert [step.name for step in trial.steps] == ["dns", "tcp", "tls", "association", "c-echo"]
    assert trial.steps[2].detail.startswith("TLSv1.")


def test_a_peer_that_is_not_trusted_is_not_asked(secured: StoreScp, tmp_path_factory: pytest.TempPathFactory) -> None:
    trial = trial_of(secured, Tls(ca=Authority(tmp_path_factory.mktemp("another")).file))
    assert [(step.name, step.ok) for step in trial.steps] == [("dns", True), ("tcp", True), ("tls", False)]
    assert "no CA that we trust" in trial.steps[-1].detail
    assert "see tls of the [[remote]]" in trial.hint


def test_files_of_ours_that_are_missing_are_found_before_anything_is_sent(secured: StoreScp, tmp_path: Path) -> None:
    trial = trial_of(secured, Tls(ca=tmp_path / "nowhere.pem"))
    assert [(step.name, step.ok) for step in trial.steps] == [("tls", False)]
