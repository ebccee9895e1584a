"""A receiver takes what peers push, answers when it is safe, and says what it does not take."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from gurney.dicom.content import dataset_digest
from gurney.dicom.part10 import read_part10
from gurney.dicom.presentation import plan_contexts
from gurney.jobs import Doorbell, make_app
from gurney.ledger import reports
from gurney.ledger.database import Ledger
from gurney.ledger.errors import LedgerUnavailable
from gurney.pacs import DicomEngine, RemoteAE, StoreRequest, StoreScu
from gurney.pacs.tls import InboundTls, TlsIdentity
from gurney.settings import load
from gurney.transfer.routing import RouteRule
from gurney.transfer.states import FileState, ItemState
from gurney_daemon.ingest.admission import Admission
from gurney_daemon.ingest.spool import Spool
from gurney_daemon.receiving.doorkeeper import Caller
from gurney_daemon.receiving.receiver import State
from gurney_daemon.service import Daemon
from tests.daemon.ingest.instances import CT_IMAGE, ct_bytes
from tests.daemon.receiving.reception import Reception, push, study_in
from tests.services.certificates import Authority
from tests.services.dcmjs import installed_node_modules
from tests.services.orthanc import Orthanc
from tests.services.ports import free_port
from tests.services.presence import program
from tests.services.waiting import wait_until

UIDS = [f"1.2.826.0.1.{number}" for number in range(1, 6)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A study of five instances."""
    return study_in(tmp_path / "study", [ct_bytes(sop_instance_uid=uid) for uid in UIDS])


def dataset_of(path: str | Path) -> bytes | None:
    fd = os.open(path, os.O_RDONLY)
    try:
        return dataset_digest(fd, read_part10(fd).dataset_offset)
    finally:
        os.close(fd)


def by_dcmtk(peer: str) -> Callable[[int, Path, Path], None]:
    def send(port: int, folder: Path, _scratch: Path) -> None:
        done = push(port, folder, peer=peer)
        assert done.returncode == 0, done.stderr

    return send


def by_dcmjs(port: int, folder: Path, _scratch: Path) -> None:
    script = Path(__file__).parents[2] / "peers" / "store_scu.js"
    command = [program("node"), str(script), str(port), str(folder), "GURNEY"]
    environment = {**os.environ, "NODE_PATH": str(installed_node_modules())}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [0] * len(UIDS)


def by_orthanc(port: int, folder: Path, scratch: Path) -> None:
    (scratch / "orthanc").mkdir()
    with Orthanc(scratch / "orthanc") as orthanc:
        stored = [orthanc.upload(path.read_bytes()) for path in sorted(folder.iterdir())]
        orthanc.register_modality("gurney", "GURNEY", port)
        orthanc.post("/modalities/gurney/store", json.dumps(stored))


PEERS = {"storescu": by_dcmtk("storescu"), "dcmsend": by_dcmtk("dcmsend"), "dcmjs": by_dcmjs, "Orthanc": by_orthanc}


@pytest.mark.parametrize("peer", sorted(PEERS))
def test_takes_what_peers_push(reception: Reception, folder: Path, tmp_path: Path, peer: str) -> None:
    receiver = reception.start()
    PEERS[peer](receiver.port, folder, tmp_path)

    # The peer has been answered: everything is there now, not soon.
    assert {row.sop_instance_uid for row in reception.instances()} == set(UIDS)
    assert [item.state for item in reception.items()] == [ItemState.READY] * len(UIDS)
    assert reception.bells
    held = {dataset_of(Path(reception.spool.place.path, row.spool_path)) for row in reception.files()}
    if peer != "dcmjs":  # it writes data sets anew, in a way of its own
        assert held == {dataset_of(path) for path in folder.iterdir()}


def test_knows_who_brought_it(reception: Reception, folder: Path) -> None:
    reception.rules = [
        RouteRule("ct1", 'calling_ae_title == "CT1" && peer_address == "127.0.0.1"', ("research",)),
        RouteRule("others", 'called_ae_title == "GURNEY" || door != "receive"', ("nowhere",)),
    ]
    receiver = reception.start()
    assert push(receiver.port, folder, called="RESEARCH").returncode == 0
    (row, *_) = reception.files()
    assert (row.door, row.source) == ("receive", "main")
    assert (row.calling_ae_title, row.called_ae_title, row.peer_address) == ("CT1", "RESEARCH", "127.0.0.1")
    # To the receiver's own destination and where the rule wants it.
    assert len(reception.items()) == 2 * len(UIDS)


def test_gives_names_of_its_own(reception: Reception, folder: Path) -> None:
    receiver = reception.start()
    push(receiver.port, folder)
    assert not [path for path in reception.spooled() if any(uid in path.name for uid in UIDS)]


def test_answers_an_echo(reception: Reception) -> None:
    receiver = reception.start()
    command = [program("echoscu"), "-aec", "GURNEY", "127.0.0.1", str(receiver.port)]
    assert subprocess.run(command, check=False, timeout=30).returncode == 0


def test_the_same_again_is_no_news(reception: Reception, folder: Path) -> None:
    receiver = reception.start()
    assert push(receiver.port, folder).returncode == push(receiver.port, folder).returncode == 0
    assert len(reception.instances()) == len(reception.items()) == len(UIDS)
    assert reception.counts()["duplicate"] == len(UIDS)


@pytest.mark.parametrize(
    ("policy", "answered", "state", "versions"),
    [
        ("review", "Success", FileState.QUARANTINED, [1]),
        ("replace", "Success", FileState.ACCEPTED, [1, 2]),
        ("reject", "0x111", FileState.IGNORED, [1]),
    ],
)
def test_other_bytes_are_a_conflict(
    reception: Reception, tmp_path: Path, policy: str, answered: str, state: FileState, versions: list[int]
) -> None:
    reception.on_conflict = policy
    receiver = reception.start()
    first = study_in(tmp_path / "first", [ct_bytes(sop_instance_uid="1.2.3.9")])
    other = study_in(tmp_path / "other", [ct_bytes(sop_instance_uid="1.2.3.9", pixels=b"\7\0" * 64)])
    push(receiver.port, first)
    done = push(receiver.port, other)
    assert answered in done.stdout + done.stderr
    assert [row.version for row in reception.instances()] == versions
    assert reception.files()[-1].state == state


@pytest.mark.parametrize(
    ("called", "calling", "accept", "reason"),
    [
        ("NOBODY", "CT1", [], "Called AE Title Not Recognized"),
        ("GURNEY", "CT2", [Caller("CT1")], "Calling AE Title Not Recognized"),
        ("GURNEY", "CT1", [Caller("CT1", "10.1.0.0/16")], "Calling AE Title Not Recognized"),
    ],
)
def test_turns_strangers_away(
    reception: Reception, folder: Path, called: str, calling: str, accept: list[Caller], reason: str
) -> None:
    reception.accept = accept
    receiver = reception.start()
    done = push(receiver.port, folder, called=called, calling=calling)
    assert reason in done.stdout + done.stderr
    wait_until(lambda: reception.audit("association.rejected"), 10, "it stands in the trail")
    told = json.loads(reception.audit("association.rejected")[0])
    assert (told["called_ae_title"], told["calling_ae_title"], told["address"]) == (called, calling, "127.0.0.1")
    assert not reception.files()


def test_lets_in_whom_it_knows(reception: Reception, folder: Path) -> None:
    reception.accept = [Caller("CT1", "127.0.0.0/8")]
    assert push(reception.start().port, folder).returncode == 0


def test_takes_listed_sop_classes_only(reception: Reception, folder: Path) -> None:
    reception.sop_classes = ["1.2.840.10008.5.1.4.1.1.4"]
    assert push(reception.start().port, folder).returncode != 0
    reception.stop()
    reception.sop_classes = [CT_IMAGE]
    assert push(reception.start().port, folder).returncode == 0


def test_refuses_more_associations_than_it_may_have(reception: Reception, folder: Path) -> None:
    receiver = reception.start(max_associations=1)
    # A stand-in for a modality that keeps its association open.
    (proposals,) = plan_contexts([(CT_IMAGE, "1.2.840.10008.1.2.1")])
    remote = RemoteAE("GURNEY", "127.0.0.1", receiver.port)
    with DicomEngine(), StoreScu("CT1").associate(remote, proposals):
        done = push(receiver.port, folder)
        assert "Rejected Transient" in done.stdout + done.stderr
        assert "Local Limit Exceeded" in done.stdout + done.stderr


def test_twenty_senders_at_once_are_all_let_in(reception: Reception, tmp_path: Path) -> None:
    receiver = reception.start()
    uids = [[f"1.2.3.{sender}.{number}" for number in range(1, 11)] for sender in range(1, 21)]
    folders = [
        study_in(tmp_path / f"sender{number}", [ct_bytes(sop_instance_uid=uid) for uid in part])
        for number, part in enumerate(uids)
    ]
    with ThreadPoolExecutor(20) as pool:
        done = list(pool.map(lambda folder: push(receiver.port, folder), folders))
    assert [one.returncode for one in done] == [0] * 20
    assert {row.sop_instance_uid for row in reception.instances()} == {uid for part in uids for uid in part}
    assert len(reception.spooled()) == 200


def test_stops_intake_while_the_spool_is_full(
    reception: Reception, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = reception.start()
    full = [True]
    monkeypatch.setattr(Spool, "is_full", lambda _: full[0])
    wait_until(lambda: receiver.health.state is State.SPOOL_FULL, 10, "it sees that the spool is full")
    done = push(receiver.port, folder)
    assert "Refused: OutOfResources" in done.stdout + done.stderr
    assert not reception.files()
    assert not reception.spooled()
    full[0] = False
    wait_until(lambda: receiver.health.state is State.RECEIVING, 10, "it takes again by itself")
    assert push(receiver.port, folder).returncode == 0


def test_refuses_what_is_too_long(reception: Reception, folder: Path) -> None:
    receiver = reception.start(max_instance_bytes=100)
    assert "Refused: OutOfResources" in push(receiver.port, folder).stderr
    assert not reception.spooled()
    wait_until(lambda: reception.counts().get("turned_away"), 10, "it is counted")


def test_is_no_success_without_the_ledger(reception: Reception, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    receiver = reception.start()

    def fail(*_: object) -> None:
        raise LedgerUnavailable("the ledger is away")

    with monkeypatch.context() as away:
        away.setattr(Admission, "land", fail)
        done = push(receiver.port, folder)
    assert "Refused: OutOfResources" in done.stdout + done.stderr
    # What the peer will send again does not stay as well.
    wait_until(lambda: not reception.spooled(), 10, "what was not answered with success is removed")
    assert push(receiver.port, folder).returncode == 0
    assert len(reception.instances()) == len(UIDS)


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_is_no_success_when_the_disk_fails(
    reception: Reception, folder: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    receiver = reception.start()

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as full:
        full.setattr(os, step, fail)
        done = push(receiver.port, folder)
    assert "Refused: OutOfResources" in done.stdout + done.stderr
    wait_until(lambda: not reception.spooled(), 10, "nothing stays")
    assert not reception.files()
    assert push(receiver.port, folder).returncode == 0


def test_writes_each_file_and_its_folder_through(
    reception: Reception, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = reception.start()
    written: set[int] = set()
    plain = os.fsync

    def fsync(fd: int) -> None:
        written.add(os.fstat(fd).st_ino)
        plain(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    assert push(receiver.port, folder).returncode == 0
    files = reception.spooled()
    assert {path.stat().st_ino for path in (*files, files[0].parent)} <= written


def test_refuses_a_data_set_that_can_not_be_read_to_its_end(reception: Reception, tmp_path: Path) -> None:
    receiver = reception.start()
    # Cut within its last element, of which the message can't tell.
    path = tmp_path / "cut.dcm"
    path.write_bytes(ct_bytes(sop_instance_uid=UIDS[0])[:-20])
    with path.open("rb") as whole:
        whole.seek(0)
        offset = 128 + 4 + 12 + int.from_bytes(whole.read(144)[140:144], "little")
    request = StoreRequest(str(path), CT_IMAGE, UIDS[0], "1.2.840.10008.1.2.1", offset)
    (proposals,) = plan_contexts([(CT_IMAGE, "1.2.840.10008.1.2.1")])
    remote = RemoteAE("GURNEY", "127.0.0.1", receiver.port)
    with DicomEngine(), StoreScu("CT1").associate(remote, proposals) as association:
        (result,) = association.store([request])
    assert result.status == 0xC000
    assert not reception.spooled()
    wait_until(lambda: reception.counts().get("refused") == 1, 10, "it is counted")


@pytest.fixture
def squatter() -> Iterator[socket.socket]:
    """Somebody else on the port."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other


def test_says_that_its_port_is_taken_and_takes_it_when_free(reception: Reception, squatter: socket.socket) -> None:
    port = squatter.getsockname()[1]
    receiver = reception.run(reception.receiver(port=port))
    wait_until(lambda: receiver.health.state is State.PORT_TAKEN, 10, "it says so")
    assert not receiver.health.ok
    assert str(port) in receiver.health.why
    squatter.close()
    wait_until(lambda: receiver.health.state is State.RECEIVING, 20, "it listens")


def test_stands_by_while_another_daemon_receives(reception: Reception) -> None:
    reception.start()
    other = reception.run(reception.receiver(holder="another"))
    wait_until(lambda: other.health.state is State.STANDBY, 10, "it stands by")


def test_cuts_those_who_say_nothing(reception: Reception, folder: Path) -> None:
    receiver = reception.start(patience=1.0)
    silent = [socket.create_connection(("127.0.0.1", receiver.port)) for _ in range(40)]
    try:
        for one in silent:
            one.sendall(b"\x01\x00\x00\x00\x01\x00")  # the header of an A-ASSOCIATE-RQ
        assert push(receiver.port, folder).returncode == 0
        for one in silent:
            one.settimeout(20)
            with suppress(ConnectionError):
                while one.recv(64):
                    pass
    finally:
        for one in silent:
            one.close()


def test_the_daemon_listens_as_configured(ledger: Ledger, folder: Path, tmp_path: Path) -> None:
    port = free_port()
    config = tmp_path / "gurney.toml"
    config.touch(0o600)
    config.write_text(
        f'[node]\nae_title = "HOSPITAL"\ndata_dir = "{tmp_path}"\n[ledger]\nurl = "{ledger.url}"\n'
        f'[[receiver]]\nname = "main"\nport = {port}\nsend_to = ["archive"]\n'
        '[[remote]]\nname = "archive"\nae_title = "ARCHIVE"\nhost = "127.0.0.1"\nport = 1\n'
    )
    doorbell = Doorbell(make_app("memory://"))
    try:
        with Daemon(load(str(config), {}), ledger, doorbell) as daemon:
            wait_until(lambda: daemon.receivers[0].health.ok, 20, "the receiver listens")
            assert push(port, folder, called="GURNEY").returncode != 0
            assert push(port, folder, called="HOSPITAL").returncode == 0
            with ledger.read() as conn:
                report = reports.study_report(conn, "1.2.3.4")
                announced = reports.worker_states(conn, ledger.now())
    finally:
        doorbell.close()
    assert report is not None
    assert report["came_by"] == [
        {
            "door": "receive",
            "source": "main",
            "calling_ae_title": "CT1",
            "called_ae_title": "HOSPITAL",
            "address": "127.0.0.1",
            "instances": len(UIDS),
        }
    ]
    (process,) = announced.values()
    assert process["folders"]["main"]["door"] == "receive"


def test_takes_what_comes_by_tls_and_nothing_else(reception: Reception, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "ca").mkdir()
    authority = Authority(tmp_path / "ca")
    ours, theirs = authority.issue("gurney"), authority.issue("modality")
    tls = InboundTls(TlsIdentity(ours.certificate, ours.key), ca=authority.file)
    receiver = reception.start(tls=tls)
    plain = [program("storescu"), "-aec", "GURNEY", "127.0.0.1", str(receiver.port), "+sd", str(folder)]
    assert subprocess.run(plain, capture_output=True, timeout=30, check=False).returncode != 0
    assert reception.instances() == []
    secured = [*plain, "+tls", str(theirs.key), str(theirs.certificate), "+cf", str(authority.file)]
    subprocess.run(secured, capture_output=True, timeout=30, check=True)
    assert len(reception.instances()) == len(list(folder.iterdir()))


def test_says_what_is_wrong_with_its_certificate(reception: Reception, tmp_path: Path) -> None:
    receiver = reception.run(reception.receiver(tls=InboundTls(TlsIdentity(str(tmp_path / "none.pem")))))
    wait_until(lambda: receiver.health.state is State.FAILED, 20, "it has tried")
    assert "none.pem" in receiver.health.why
