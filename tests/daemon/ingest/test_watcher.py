"""A watcher in its own thread, on a real folder and a real ledger, through what happens to folders."""

from __future__ import annotations

import io
import os
import shutil
import threading
from pathlib import Path

import pytest
from sqlalchemy import select

from gurney.dicom import part10
from gurney.ledger.database import Ledger
from gurney.ledger.forwarding import Bell
from gurney.ledger.models import Conflict
from gurney.ledger.spools import MARKER
from gurney.observability import configure_logging
from gurney.transfer.states import FileState, ItemState
from gurney_daemon.ingest import patrol as patrol_module
from gurney_daemon.ingest import reading, settling
from gurney_daemon.ingest import spool as spool_module
from gurney_daemon.ingest import watcher as watcher_module
from gurney_daemon.ingest.spool import Spool, open_spool
from gurney_daemon.ingest.watcher import State, Watcher
from tests.daemon.ingest.instances import PATIENT, ct_bytes, drop
from tests.daemon.ingest.site import Site
from tests.services.waiting import wait_until


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Every header that is read adds its file's size."""
    sizes: list[int] = []

    def counted(fd: int, **how: object) -> part10.Part10:
        sizes.append(os.fstat(fd).st_size)
        return part10.read_part10(fd, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(reading, "read_part10", counted)
    return sizes


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not whole gets one more window."""
    monkeypatch.setattr(settling, "_PATIENCE", 1)


def with_uid(uid: bytes) -> bytes:
    """An instance whose SOP Instance UID is none."""
    stand_in = b"1." + b"2" * (len(uid) - 2)
    return ct_bytes(sop_instance_uid=stand_in.decode()).replace(stand_in, uid)


def wait_for_state(watcher: Watcher, *states: State) -> None:
    wait_until(lambda: watcher.health.state in states, 20, f"{states}, not {watcher.health}")


def test_a_file_becomes_an_item_and_a_ring(site: Site) -> None:
    path = drop(site.folder, "study/1.dcm")
    site.start()
    (file,) = site.wait_for_files(1, FileState.ACCEPTED)
    assert file.path == os.fsencode(path)
    (item,) = site.items()
    assert (item.state, item.file_id, item.spool_id) == (ItemState.READY, file.id, site.spool.id)
    assert os.path.samefile(site.spool.path_of(file.spool_path), path)
    site.wait_for(lambda: site.bells, "a ring")
    assert site.bells == [Bell("archive", site.spool.id, "work")]


def test_on_either_database(either_ledger: Ledger, tmp_path: Path) -> None:
    site = Site(either_ledger, open_spool(either_ledger, "main", str(tmp_path / "spool")), tmp_path / "ct1")
    try:
        drop(site.folder, "1")
        site.start()
        site.wait_for_files(1, FileState.ACCEPTED)
        drop(site.folder, "text", b"no image" * 40)
        site.wait_for_files(1, FileState.QUARANTINED)
        site.wait_for(lambda: site.bells, "a ring")
    finally:
        site.close()


@pytest.mark.parametrize("hints", [True, False])
def test_what_was_there_and_what_comes_later_with_and_without_notifications(
    site: Site, monkeypatch: pytest.MonkeyPatch, hints: bool
) -> None:
    if not hints:
        monkeypatch.setattr(patrol_module, "is_network", lambda _: True)
    drop(site.folder, "early.dcm")
    # A scan so rare that only a notification can bring the second; or one that must find it.
    site.start(scan_seconds=3600 if hints else 0.1)
    site.wait_for_files(1, FileState.ACCEPTED)
    drop(site.folder, "later.dcm")
    drop(site.folder, "new/folder/later.dcm")
    site.wait_for_files(3, FileState.ACCEPTED)


def test_a_folder_that_gives_no_more_notifications_is_scanned(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "no more watches")

    monkeypatch.setattr(patrol_module.Hints, "start", refuse)
    site.start()
    drop(site.folder, "1")
    site.wait_for_files(1, FileState.ACCEPTED)


def test_a_restart_reads_nothing_again_and_sends_nothing_twice(site: Site, reads: list[int]) -> None:
    for number in range(60):
        drop(site.folder, f"{number % 3}/{number}")
    drop(site.folder, "text", b"no image" * 40)
    site.start()
    site.wait_for_files(61)
    site.stop()
    assert len(reads) == 61
    site.start(holder="second")
    drop(site.folder, "new")
    site.wait_for_files(62)
    site.stop()
    assert len(reads) == 62
    assert len(site.items()) == 61


def test_a_file_that_grows_is_left_alone_until_it_is_whole(site: Site) -> None:
    content = ct_bytes(pixels=bytes(range(1, 201)) * 2000)
    site.start(settle_seconds=0.3)
    with open(site.folder / "1", "wb", buffering=0) as file:
        for start in range(0, len(content), 40_000):
            file.write(content[start : start + 40_000])
            threading.Event().wait(0.1)
    (stored,) = site.wait_for_files(1)
    assert (stored.state, stored.size) == (FileState.ACCEPTED, len(content))


@pytest.mark.parametrize("thousandth", [300, 600, 900, 999])
@pytest.mark.usefixtures("impatient")
def test_a_truncated_file_is_quarantined_and_taken_when_the_rest_comes(site: Site, thousandth: int) -> None:
    content = ct_bytes(pixels=b"\x07\x01" * 20_000)
    path = drop(site.folder, "1", content[: len(content) * thousandth // 1000])
    site.start()
    (file,) = site.wait_for_files(1, FileState.QUARANTINED)
    assert file.reason == "truncated"
    assert file.spool_path
    assert site.items() == []
    path.write_bytes(content)
    site.wait_for_files(1, FileState.ACCEPTED)
    assert len(site.items()) == 1
    assert site.files(FileState.QUARANTINED) == []


@pytest.mark.usefixtures("impatient")
def test_space_reserved_and_not_yet_written_is_not_sent(site: Site) -> None:
    content = ct_bytes(pixels=b"\x07\x01" * 20_000)
    written = content.index(b"\xe0\x7f\x10\x00") + 12
    path = drop(site.folder, "1", content[:written] + bytes(len(content) - written))
    site.start()
    (file,) = site.wait_for_files(1, FileState.QUARANTINED)
    assert file.reason == "blank_pixels"
    path.write_bytes(content)
    site.wait_for_files(1, FileState.ACCEPTED)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"just text\n" * 30, "not_dicom"),
        (b"PK\x03\x04" + b"\x12" * 300, "not_dicom"),
        (b"", "empty"),
        (b"x" * 131, "not_dicom"),
        (with_uid(b"../../../etc/passwd"), "bad_uid"),
        (with_uid(b"1.2\x00/etc/x"), "bad_uid"),
        (b"MZ" + ct_bytes()[2:], "executable_preamble"),
        (ct_bytes()[132 + 12 :], "not_dicom"),
    ],
)
@pytest.mark.usefixtures("impatient")
def test_what_is_no_instance_is_quarantined_held_and_left_where_it_is(site: Site, content: bytes, reason: str) -> None:
    path = drop(site.folder, "1", content)
    whole = drop(site.folder, "2")
    site.start()
    (file,) = site.wait_for_files(1, FileState.QUARANTINED)
    if reason != "not_dicom":
        assert file.reason == reason
    (accepted,) = site.wait_for_files(1, FileState.ACCEPTED)
    assert accepted.path == os.fsencode(whole)
    assert path.read_bytes() == content
    assert Path(os.fsdecode(site.spool.path_of(file.spool_path))).read_bytes() == content


def test_files_without_meta_header_are_taken_where_policy_allows(site: Site) -> None:
    content = ct_bytes()
    start = content.index(b"\x08\x00\x05\x00") if b"\x08\x00\x05\x00" in content else content.index(b"\x08\x00\x16\x00")
    drop(site.folder, "1", content[start:])
    site.start(allow_no_meta=True)
    site.wait_for_files(1, FileState.ACCEPTED)


def test_other_files_are_ignored_where_policy_says_so(site: Site) -> None:
    drop(site.folder, "readme", b"text" * 100)
    site.start(on_not_dicom="ignore")
    (file,) = site.wait_for_files(1, FileState.IGNORED)
    assert file.spool_path == ""


def test_a_marker_file_opens_its_folder(site: Site) -> None:
    drop(site.folder, "a/1")
    drop(site.folder, "b/1")
    drop(site.folder, "b/COMPLETE", b"")
    site.start(complete_marker="COMPLETE")
    (file,) = site.wait_for_files(1)
    assert file.path == os.fsencode(site.folder / "b/1")
    drop(site.folder, "a/COMPLETE", b"")
    site.wait_for_files(2, FileState.ACCEPTED)


def test_a_file_swapped_for_a_link_between_look_and_open_is_refused(
    site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    secret = drop(tmp_path, "secret.dcm")
    path = drop(site.folder, "1")
    original, swapped = reading.os.open, threading.Event()

    def open_later(name: object, *args: int, **how: int) -> int:
        if name == os.fsencode(path) and not swapped.is_set():
            path.unlink()
            path.symlink_to(secret)
            swapped.set()
        return original(name, *args, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(reading.os, "open", open_later)
    site.start()
    site.wait_for(swapped.is_set, "the swap")
    drop(site.folder, "2")
    (file,) = site.wait_for_files(1)
    assert file.path == os.fsencode(site.folder / "2")


def test_overwritten_after_it_was_accepted_and_claimed_is_a_conflict(site: Site) -> None:
    path = drop(site.folder, "1", ct_bytes(sop_instance_uid="1.2.9"))
    site.start()
    site.wait_for_files(1, FileState.ACCEPTED)
    from gurney.ledger import claims
    from gurney.ledger.terms import Claimant

    site.ledger.transact(claims.claim, "archive", Claimant("w", "host", 8, site.spool.id))
    path.write_bytes(ct_bytes(sop_instance_uid="1.2.9", pixels=b"\x05\x05" * 64))
    site.wait_for_files(1, FileState.QUARANTINED)
    with site.ledger.read() as conn:
        assert conn.scalars(select(Conflict.state)).all() == ["open"]


def test_the_folder_goes_and_comes_back(site: Site, tmp_path: Path) -> None:
    drop(site.folder, "1")
    watcher = site.start()
    site.wait_for_files(1, FileState.ACCEPTED)
    site.folder.rename(tmp_path / "away")
    wait_for_state(watcher, State.FOLDER_OFFLINE)
    assert "No such file" in watcher.health.why
    assert len(site.files(FileState.ACCEPTED)) == 1
    (tmp_path / "away").rename(site.folder)
    drop(site.folder, "2")
    site.wait_for_files(2, FileState.ACCEPTED)
    wait_for_state(watcher, State.WATCHING)


def test_a_folder_replaced_by_another_is_listened_to_anew(
    site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    original, starts = patrol_module.Hints.start, []

    def start(self: patrol_module.Hints) -> None:
        starts.append(True)
        original(self)

    monkeypatch.setattr(patrol_module.Hints, "start", start)
    new = tmp_path / "new"
    drop(new, "2")
    wait_for_state(site.start(), State.WATCHING)
    site.folder.rename(tmp_path / "old")
    new.rename(site.folder)
    site.wait_for_files(1, FileState.ACCEPTED)
    site.wait_for(lambda: len(starts) == 2, "listening anew")


def test_a_share_that_must_be_mounted_and_is_not_is_no_empty_folder(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounted = threading.Event()
    monkeypatch.setattr(patrol_module, "is_mounted", lambda _: mounted.is_set())
    drop(site.folder, "1")
    watcher = site.start(require_mount=True)
    wait_for_state(watcher, State.FOLDER_OFFLINE)
    assert site.files() == []
    mounted.set()
    site.wait_for_files(1, FileState.ACCEPTED)


def test_the_spool_goes_and_comes_back(site: Site, tmp_path: Path) -> None:
    watcher = site.start()
    wait_for_state(watcher, State.WATCHING)
    Path(site.spool.place.path).rename(tmp_path / "away")
    drop(site.folder, "1")
    wait_for_state(watcher, State.SPOOL_OFFLINE)
    assert site.files() == []
    (tmp_path / "away").rename(site.spool.place.path)
    site.wait_for_files(1, FileState.ACCEPTED)


def test_a_full_spool_stops_intake_until_there_is_room(ledger: Ledger, spool: Spool, tmp_path: Path) -> None:
    full = Spool(spool.place, keep_bytes=1 << 60)
    site = Site(ledger, full, tmp_path / "ct1")
    try:
        drop(site.folder, "1")
        watcher = site.start()
        wait_for_state(watcher, State.SPOOL_FULL)
        assert site.files() == []
        object.__setattr__(full, "keep_bytes", 0)
        site.wait_for_files(1, FileState.ACCEPTED)
        wait_for_state(watcher, State.WATCHING)
    finally:
        site.close()


def test_no_space_while_holding_loses_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    original, full = os.link, threading.Event()
    full.set()

    def link(*args: object, **how: object) -> None:
        if full.is_set():
            raise OSError(28, "no space left")
        original(*args, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(spool_module.os, "link", link)
    for number in range(3):
        drop(site.folder, f"{number}")
    watcher = site.start()
    wait_for_state(watcher, State.SPOOL_OFFLINE)
    assert site.files() == []
    full.clear()
    site.wait_for_files(3, FileState.ACCEPTED)
    assert len(list(site.folder.iterdir())) == 3


def test_the_ledger_goes_and_comes_back(site: Site, tmp_path: Path, ledger: Ledger) -> None:
    watcher = site.start()
    wait_for_state(watcher, State.WATCHING)
    # The tables are gone for a while: what SQLite offers for a server that does not answer.
    with ledger.write() as tx:
        tx.conn.exec_driver_sql("ALTER TABLE file RENAME TO file_away")
    drop(site.folder, "1")
    wait_for_state(watcher, State.LEDGER_OFFLINE)
    with ledger.write() as tx:
        tx.conn.exec_driver_sql("ALTER TABLE file_away RENAME TO file")
    site.wait_for_files(1, FileState.ACCEPTED)
    wait_for_state(watcher, State.WATCHING)


def test_whatever_goes_wrong_the_thread_lives_and_tries_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    original, broken = patrol_module.Patrol.step, threading.Event()
    broken.set()

    def step(self: patrol_module.Patrol) -> float:
        if broken.is_set():
            raise RuntimeError(PATIENT)
        return original(self)

    monkeypatch.setattr(patrol_module.Patrol, "step", step)
    drop(site.folder, "1")
    watcher = site.start()
    wait_for_state(watcher, State.FAILED)
    assert watcher.health.why == "RuntimeError"
    broken.clear()
    site.wait_for_files(1, FileState.ACCEPTED)


def test_two_daemons_never_share_a_folder_and_one_follows_the_other(
    site: Site, monkeypatch: pytest.MonkeyPatch, reads: list[int]
) -> None:
    monkeypatch.setattr(watcher_module, "_STANDBY", 0.1)
    first = site.start(holder="one")
    wait_for_state(first, State.WATCHING)
    second_site = Site(site.ledger, site.spool, site.folder)
    second = second_site.start(holder="two")
    try:
        wait_for_state(second, State.STANDBY)
        drop(site.folder, "1")
        site.wait_for_files(1, FileState.ACCEPTED)
        site.stop()
        wait_for_state(second, State.WATCHING)
        drop(site.folder, "2")
        site.wait_for_files(2, FileState.ACCEPTED)
    finally:
        second_site.close()
    assert len(reads) == 2


def test_a_daemon_that_has_lost_its_role_writes_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    watcher = site.start(holder="one")
    wait_for_state(watcher, State.WATCHING)
    monkeypatch.setattr(watcher_module.roles, "keep", lambda *_: False)
    monkeypatch.setattr(watcher_module.roles, "assume", lambda *_: None)
    drop(site.folder, "1")
    wait_for_state(watcher, State.STANDBY)
    assert site.files() == []


def test_what_can_not_be_read_is_shown_and_tried_again(
    site: Site, monkeypatch: pytest.MonkeyPatch, impatient: None
) -> None:
    original, broken = part10.read_part10, threading.Event()
    broken.set()

    def read(fd: int, **how: object) -> part10.Part10:
        if broken.is_set():
            raise part10.UnreadableError("Input/output error")
        return original(fd, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(reading, "read_part10", read)
    monkeypatch.setattr(patrol_module, "_TRY_UNREADABLE", 0.1)
    drop(site.folder, "1")
    site.start()
    (file,) = site.wait_for_files(1, FileState.QUARANTINED)
    assert (file.reason, file.spool_path) == ("unreadable", "")
    broken.clear()
    site.wait_for_files(1, FileState.ACCEPTED)
    assert site.files(FileState.QUARANTINED) == []


def test_what_a_crash_left_in_the_spool_is_taken_in_once(
    site: Site, monkeypatch: pytest.MonkeyPatch, reads: list[int]
) -> None:
    purged, kept = drop(site.folder, "purged"), drop(site.folder, "kept")
    original = spool_module.Group.close

    def crash(self: spool_module.Group, *, committed: bool) -> None:
        original(self, committed=False)

    # Held and noted, but never committed.
    from gurney_daemon.ingest.admission import Admission
    from gurney_daemon.ingest.inspection import Source
    from gurney_daemon.ingest.settling import SettledFile
    from gurney_daemon.ingest.signature import Signature

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(site.ledger, "transact", die)
    admission = Admission(
        Source("ct1"), site.ledger, spool_module.Shelf(site.spool, "ct1"), site.routes(), actor="test"
    )
    group = [SettledFile(os.fsencode(path), Signature.of(path.lstat())) for path in (purged, kept)]
    with pytest.raises(KeyboardInterrupt):
        admission.admit(group)
    monkeypatch.undo()
    purged.unlink()
    site.start()
    site.wait_for_files(2, FileState.ACCEPTED)
    site.stop()
    site.start(holder="again")
    drop(site.folder, "third")
    site.wait_for_files(3, FileState.ACCEPTED)
    assert len(site.items()) == 3
    assert {file.path for file in site.files()} == {os.fsencode(site.folder / n) for n in ("purged", "kept", "third")}


def test_nothing_that_is_logged_names_a_patient(site: Site, impatient: None) -> None:
    stream = io.StringIO()
    configure_logging("json", "debug", stream, strict=True)
    try:
        drop(site.folder, f"{PATIENT}.dcm", ct_bytes(sop_instance_uid="1.2.9"))
        watcher = site.start()
        site.wait_for_files(1, FileState.ACCEPTED)
        drop(site.folder, f"{PATIENT}_2.dcm", ct_bytes(sop_instance_uid="1.2.9", pixels=b"\x05\x05" * 64))
        drop(site.folder, f"{PATIENT}_3.dcm", ct_bytes()[:400])
        drop(site.folder, f"{PATIENT}_4.txt", PATIENT.encode() * 30)
        site.wait_for_files(3, FileState.QUARANTINED, FileState.ACCEPTED)
        shutil.rmtree(site.folder)
        wait_for_state(watcher, State.FOLDER_OFFLINE)
        site.stop()
    finally:
        configure_logging(stream=io.StringIO())
    written = stream.getvalue()
    for event in ("files_taken_in", "watch_state", "file_quarantined"):
        assert event in written
    assert "Zebrowski" not in written
    assert "MRN-77" not in written


def test_a_watcher_leaves_no_thread_and_gives_its_role_back(site: Site) -> None:
    before = threading.active_count()
    for turn in range(3):
        watcher = site.start(holder=f"turn-{turn}")
        wait_for_state(watcher, State.WATCHING)
        site.stop()
        assert watcher.health.state is State.STOPPED
    assert threading.active_count() == before


def test_a_missing_marker_of_the_spool_is_not_made_up(site: Site) -> None:
    (Path(site.spool.place.path) / MARKER).unlink()
    drop(site.folder, "1")
    watcher = site.start()
    wait_for_state(watcher, State.SPOOL_OFFLINE)
    assert site.files() == []
