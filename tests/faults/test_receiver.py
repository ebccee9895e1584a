"""What peers, and whatever else finds the port, do to a receiver: no other peer notices, nothing answered is lost."""

from __future__ import annotations

import itertools
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE, ImplementationClassUIDNotification, MaximumLengthNotification
from pynetdicom.presentation import PresentationContext, build_context

from gurney.dicom.presentation import ContextProposal
from gurney.dicom.uids import VERIFICATION_SOP_CLASS
from gurney.pacs import AssociationFailure, DicomEngine, RemoteAE, StoreScu, Timeouts
from gurney.pacs.association.association import Association
from gurney.pacs.testing import FakePacs
from tests.faults.books import account_of, check
from tests.faults.conftest import MakeSite
from tests.faults.harness import Site, remote
from tests.faults.instances import CT, Instance, make_study
from tests.services import wait_until
from tests.services.ports import free_port
from tests.services.presence import program

pytestmark = [pytest.mark.fault, pytest.mark.slow]

_PATIENCE = 2
_ASSOCIATE_AC, _ABORT, _REJECT = 2, 7, 3


# --- kill -9 ----------------------------------------------------------------------------------------------------------


class Modality:
    """Pushes a study again and again until all of it was answered with success."""

    def __init__(self, folder: Path, port: int) -> None:
        folder.mkdir()
        self.acknowledged: list[str] = []
        self._folder = folder
        self._remote = RemoteAE("GURNEY", "127.0.0.1", port, Timeouts(connect=5, acse=10, store=20))

    def push(self, study: Sequence[Instance]) -> None:
        """Push in the order of the study, from the first that was not answered."""
        left = {str(self._folder / instance.file_name): instance.sop_instance_uid for instance in study}
        for instance in study:
            (self._folder / instance.file_name).write_bytes(instance.part10)
        pause = threading.Event()
        with DicomEngine():
            while left:
                try:
                    for result in StoreScu("CT1").store_many(self._remote, list(left)):
                        if result.is_stored:
                            self.acknowledged.append(left.pop(str(result.request.path)))
                except AssociationFailure:
                    pause.wait(0.2)


def with_receiver(site: Site, port: int, **keys: str) -> None:
    lines = {"name": '"modality"', "port": str(port), "send_to": '["pacs"]', **keys}
    table = "".join(f"{key} = {value}\n" for key, value in lines.items())
    site.config.write_text(f"{site.config.read_text()}\n[[receiver]]\n{table}")


def test_whatever_dies_while_a_modality_pushes_nothing_that_was_answered_is_lost(
    make_site: MakeSite, pacs: FakePacs, tmp_path: Path
) -> None:
    port = free_port()
    site = make_site(remote(pacs))
    with_receiver(site, port, accept='[{ ae_title = "CT1" }]')
    up = site.start()
    up.wait_until_ready()
    study = make_study(120)
    modality = Modality(tmp_path / "modality", port)
    pushing = threading.Thread(target=modality.push, args=(study,))
    pushing.start()
    for acknowledged in (5, 40, 80):
        wait_until(lambda enough=acknowledged: len(modality.acknowledged) >= enough, 60, "the modality to be answered")
        up.daemon().kill()
    pushing.join(120)
    assert not pushing.is_alive()
    assert len(modality.acknowledged) == len(set(modality.acknowledged)) == len(study)
    site.books.wait_until_stored(len(study))
    site.books.wait_until_complete()
    check(site.books, study, account_of(pacs))


# --- The port ---------------------------------------------------------------------------------------------------------


@dataclass
class Door:
    """A receiver, and whoever connects to it."""

    site: Site
    port: int

    def connect(self) -> socket.socket:
        one = socket.create_connection(("127.0.0.1", self.port), 10)
        one.settimeout(30)
        return one

    def answers(self) -> bool:
        """Tell whether a peer in good order is answered."""
        echo = [program("echoscu"), "-aec", "GURNEY", "127.0.0.1", str(self.port)]
        return subprocess.run(echo, timeout=30, check=False, capture_output=True).returncode == 0


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    port = free_port()
    with FakePacs() as pacs:
        site = Site(tmp_path_factory.mktemp("door") / "site", [remote(pacs)])
        waits = f"{{ acse = {_PATIENCE}, network = {_PATIENCE}, association = 8 }}"
        with_receiver(site, port, timeouts=waits, max_instance_bytes="1000000", max_associations="8")
        try:
            site.start().wait_until_ready()
            wait_until(lambda: site.started[0].events("receiver_state"), 30, "the receiver listens")
            yield Door(site, port)
        finally:
            site.close()
        site.check_logs()


def closed(one: socket.socket) -> bytes:
    """Read until the connection is closed, and return what came."""
    got = b""
    try:
        while some := one.recv(65_536):
            got += some
    except ConnectionError:
        pass
    finally:
        one.close()
    return got


def request(contexts: list[PresentationContext] | None = None, *, max_pdu: int = 16_384) -> bytes:
    """Write an A-ASSOCIATE-RQ (PS3.8 9.3.2)."""
    primitive = A_ASSOCIATE()
    primitive.application_context_name = "1.2.840.10008.3.1.1.1"
    primitive.calling_ae_title, primitive.called_ae_title = "CT1", "GURNEY"
    if contexts is None:
        contexts = [build_context(CT, "1.2.840.10008.1.2.1")]
        contexts[0].context_id = 1
    primitive.presentation_context_definition_list = contexts
    length, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    length.maximum_length_received = max_pdu
    implementation.implementation_class_uid = "1.2.3"  # type: ignore[assignment]  # it converts
    primitive.user_information = [length, implementation]
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(primitive)
    return bytes(pdu.encode())


def pdata(*pdvs: bytes) -> bytes:
    body = b"".join(struct.pack(">I", len(pdv)) + pdv for pdv in pdvs)
    return struct.pack(">BBI", 4, 0, len(body)) + body


def command(*, uid: str = "2.25.1") -> bytes:
    """Write the command set of a C-STORE-RQ (PS3.7 9.3.1.1)."""

    def element(number: int, value: bytes) -> bytes:
        value += b"\0" * (len(value) % 2)
        return struct.pack("<HHI", 0, number, len(value)) + value

    elements = b"".join(
        [
            element(0x0002, CT.encode()),
            element(0x0100, struct.pack("<H", 1)),
            element(0x0110, struct.pack("<H", 1)),
            element(0x0700, struct.pack("<H", 0)),
            element(0x0800, struct.pack("<H", 0)),
            element(0x1000, uid.encode()),
        ]
    )
    return element(0x0000, struct.pack("<I", len(elements))) + elements


def associated(door: Door) -> socket.socket:
    one = door.connect()
    one.sendall(request())
    assert one.recv(65_536)[:1] == bytes([_ASSOCIATE_AC])
    return one


_JUNK: dict[str, bytes] = {
    "http": b"GET / HTTP/1.1\r\nHost: pacs\r\n\r\n",
    "tls": bytes.fromhex("160301020001000001fc0303") + bytes(500),
    "random": bytes(range(7, 256)) * 4,
    "p-data first": pdata(b"\x01\x03" + command()),
    "release first": b"\x05\x00\x00\x00\x00\x04" + bytes(4),
    "unknown pdu type": b"\x42\x00\x00\x00\x00\x04" + bytes(4),
    "a pdu of four gigabytes": b"\x01\x00\xff\xff\xff\xff" + bytes(100),
    "half a request": request()[:60],
    "a header and nothing": b"\x01\x00\x00\x00\x00\xd0",
    "nothing": b"",
}


@pytest.mark.parametrize("name", _JUNK)
def test_what_is_no_association_request_is_cut_in_time(door: Door, name: str) -> None:
    one = door.connect()
    one.sendall(_JUNK[name])
    answer = closed(one)
    assert answer == b"" or answer[0] in (_ABORT, _REJECT)
    assert door.answers()


def cut_in(one: socket.socket, pieces: Iterable[bytes], pause: float = 0.0) -> float:
    """Send until the connection is cut, and return the seconds that took. Raises AssertionError where it is not."""
    begun = time.monotonic()
    try:
        for piece in pieces:
            one.sendall(piece)
            time.sleep(pause)
    except OSError:
        return time.monotonic() - begun
    finally:
        one.close()
    raise AssertionError("it took all of it")


def test_who_drips_a_request_is_cut(door: Door) -> None:
    cut_in(door.connect(), (bytes([byte]) for byte in request()), pause=0.25)
    assert door.answers()


def test_silence_after_the_association_is_cut(door: Door) -> None:
    closed(associated(door))
    assert door.answers()


@pytest.mark.parametrize(
    ("fragment", "pause"),
    [(b"", 0.0), (bytes(60_000), 0.0), (bytes(10), 0.2)],
    ids=["zero length", "never the last", "drips"],
)
def test_a_data_set_without_end_is_cut(door: Door, fragment: bytes, pause: float) -> None:
    one = associated(door)
    one.sendall(pdata(b"\x01\x03" + command()))
    cut_in(one, itertools.repeat(pdata(b"\x01\x00" + fragment), 5_000_000 if not pause else 250), pause)
    assert door.answers()


def test_a_command_without_end_is_cut(door: Door) -> None:
    cut_in(associated(door), itertools.repeat(pdata(b"\x01\x01" + bytes(16_000)), 10_000))
    assert door.answers()


def verify_until(association: Association, until: float) -> None:
    while time.monotonic() < until:
        association.verify()


def test_an_association_without_end_is_cut(door: Door) -> None:
    """It verifies, and verifies, and would keep its place for ever."""
    with DicomEngine():
        peer = RemoteAE("GURNEY", "127.0.0.1", door.port)
        association = StoreScu("CT1").associate(peer, [ContextProposal(VERIFICATION_SOP_CLASS, "1.2.840.10008.1.2")])
        begun = time.monotonic()
        with pytest.raises(AssociationFailure):
            verify_until(association, begun + 60)
    assert door.answers()


def _numbered(ids: Sequence[int]) -> list[PresentationContext]:
    contexts = []
    for number in ids:
        context = build_context(CT, "1.2.840.10008.1.2.1")
        context.context_id = number
        contexts.append(context)
    return contexts


def test_context_ids_that_come_twice_harm_nobody(door: Door) -> None:
    one = door.connect()
    one.sendall(request(_numbered([1, 1, 3])))
    answer = one.recv(65_536)
    assert answer[:1] in (b"", bytes([_ASSOCIATE_AC]), bytes([_REJECT]), bytes([_ABORT]))
    one.close()
    assert door.answers()


@pytest.mark.parametrize("max_pdu", [0, 1, 2**32 - 1])
def test_any_maximum_length_is_lived_with(door: Door, max_pdu: int) -> None:
    one = door.connect()
    one.sendall(request(max_pdu=max_pdu))
    answer = one.recv(65_536)
    assert answer[:1] in (bytes([_ASSOCIATE_AC]), bytes([_REJECT]), bytes([_ABORT]))
    one.close()
    assert door.answers()


def test_an_endless_request_is_cut(door: Door) -> None:
    """User information of ten thousand items, and a request that says it is longer than any needs to be."""
    item = b"\x56\x00\x00\x07\x00\x05" + b"1.2.3"
    whole = bytearray(request())
    body = bytes(whole[6:]) + b"\x50\x00\xff\xff" + item * 10_000
    one = door.connect()
    with suppress(OSError):
        one.sendall(struct.pack(">BBI", 1, 0, len(body)) + body)
    answer = closed(one)
    assert answer == b"" or answer[0] in (_ABORT, _REJECT)
    assert door.answers()


def test_associations_that_say_nothing_do_not_keep_the_others_out(door: Door) -> None:
    silent = [door.connect() for _ in range(20)]
    wait_until(door.answers, 30, "a peer in good order is answered")
    for one in silent:
        one.close()


def test_its_log_is_in_good_order(door: Door) -> None:
    told: list[dict[str, Any]] = door.site.started[0].events()
    assert {one["level"] for one in told} <= {"info", "warning", "error"}
    assert door.site.started[0].is_running
