"""Release and discard: every check again, one skipped by name at most, and all of it in the trail."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from sqlalchemy import select

from gurney.ledger import quarantine as decisions
from gurney.ledger.database import Ledger
from gurney.ledger.models import Audit, Conflict
from gurney.ledger.quarantine import quarantined
from gurney.transfer.states import FileState
from gurney_daemon.ingest import quarantine
from gurney_daemon.ingest.errors import ReleaseRefused
from gurney_daemon.ingest.inspection import Source
from gurney_daemon.ingest.quarantine import Released, SourceDoor
from gurney_daemon.ingest.spool import open_spool
from gurney_daemon.retention import Retention
from tests.daemon.ingest.instances import ct_bytes, drop
from tests.daemon.ingest.site import Site
from tests.daemon.ingest.test_disposal import accept

UID = "1.2.9"


@pytest.fixture
def site(either_ledger: Ledger, tmp_path: Path) -> Iterator[Site]:
    site = Site(either_ledger, open_spool(either_ledger, "main", str(tmp_path / "spool")), tmp_path / "ct1")
    yield site
    site.close()


def release(site: Site, *file_ids: int, force: Sequence[str] = (), source: Source | None = None) -> list[Released]:
    doors = {"ct1": SourceDoor(source or Source("ct1"), site.routes())}
    return quarantine.release(
        file_ids, ledger=site.ledger, spool=site.spool, doors=doors, ring=site.ring, actor="anna", force=force
    )


def only_quarantined(site: Site) -> int:
    (file,) = site.files(FileState.QUARANTINED)
    return int(file.id)


def trail(site: Site, action: str) -> list[dict[str, object]]:
    with site.ledger.read() as conn:
        rows = conn.execute(select(Audit.actor, Audit.detail).where(Audit.action == action)).all()
    return [{"actor": row.actor, **json.loads(row.detail)} for row in rows]


def without_meta() -> bytes:
    content = ct_bytes()
    return content[content.index(b"\x08\x00\x16\x00UI") :]


def executable() -> bytes:
    return b"MZ" + ct_bytes()[2:]


def test_what_was_refused_is_listed_with_its_reason(site: Site) -> None:
    accept(site, drop(site.folder, "1", without_meta()), drop(site.folder, "2", b"text" * 99), after="keep")
    with site.ledger.read() as conn:
        everything = quarantined(conn)
        assert [file.reason for file in everything] == ["no_meta", "not_dicom"]
        assert [file.file_id for file in quarantined(conn, reason="not_dicom")] == [everything[1].file_id]
        assert quarantined(conn, source="other") == []
        assert quarantined(conn, after_id=everything[0].file_id) == everything[1:]


def test_without_force_the_checks_say_the_same_again(site: Site) -> None:
    accept(site, drop(site.folder, "1", without_meta()), after="keep")
    file_id = only_quarantined(site)
    (answer,) = release(site, file_id)
    assert (answer.accepted, answer.reason) == (False, "no_meta")
    assert only_quarantined(site) == file_id


@pytest.mark.parametrize(("content", "reason"), [(without_meta(), "no_meta"), (executable(), "executable_preamble")])
def test_force_skips_the_check_that_it_names_and_the_file_is_not_refused_again(
    site: Site, content: bytes, reason: str
) -> None:
    path = drop(site.folder, "1", content)
    accept(site, path, after="keep")
    (answer,) = release(site, only_quarantined(site), force=[reason])
    assert answer.accepted
    (item,) = site.items()
    (file,) = site.files(FileState.ACCEPTED)
    assert item.file_id == file.id
    assert site.bells
    (row,) = trail(site, "quarantine.released")
    assert row == {"actor": "anna", "files": [file.id - 1], "forced": [reason], "caution": ""}
    assert path.read_bytes() == content
    held = Path(os.fsdecode(site.spool.path_of(file.spool_path))).read_bytes()
    assert not held.startswith(b"MZ")
    # One file in the spool and, when retention has tidied up, one row that speaks of it.
    Retention(site.ledger, site.spool.place, 1e6).step()
    assert [one.spool_path for one in site.files(FileState.GONE)] == [""]
    held_files = [path for path in (Path(site.spool.place.path) / "ct1").rglob("*") if path.is_file()]
    assert held_files == [Path(os.fsdecode(site.spool.path_of(file.spool_path)))]
    # The watcher sees the file as the one that it knows.
    site.start()
    drop(site.folder, "2")
    site.wait_for_files(2, FileState.ACCEPTED)
    assert site.files(FileState.QUARANTINED) == []


def test_force_of_another_check_does_not_help(site: Site) -> None:
    accept(site, drop(site.folder, "1", without_meta()), after="keep")
    (answer,) = release(site, only_quarantined(site), force=["executable_preamble"])
    assert not answer.accepted


@pytest.mark.parametrize("reason", ["truncated", "bad_uid", "not_dicom", "unreadable", "whatever"])
def test_some_checks_can_not_be_skipped(site: Site, reason: str) -> None:
    accept(site, drop(site.folder, "1", ct_bytes()[:400]), after="keep")
    with pytest.raises(ReleaseRefused, match="can't be overlooked"):
        release(site, only_quarantined(site), force=[reason])


def test_a_release_works_from_our_copy_when_the_console_has_purged_its_own(site: Site) -> None:
    path = drop(site.folder, "1", without_meta())
    accept(site, path, after="keep")
    path.unlink()
    (answer,) = release(site, only_quarantined(site), force=["no_meta"])
    assert answer.accepted


def test_a_policy_that_was_changed_meanwhile_counts(site: Site) -> None:
    from gurney.dicom.errors import Reason
    from gurney.dicom.policy import ReadPolicy

    accept(site, drop(site.folder, "1", without_meta()), after="keep")
    lenient = Source("ct1", policy=ReadPolicy(forgive=frozenset({Reason.NO_META})))
    (answer,) = release(site, only_quarantined(site), source=lenient)
    assert answer.accepted


def test_a_conflict_stays_one_unless_it_shall_replace(site: Site) -> None:
    accept(site, drop(site.folder, "1", ct_bytes(sop_instance_uid=UID)), after="keep")
    accept(site, drop(site.folder, "2", ct_bytes(sop_instance_uid=UID, pixels=b"\x07\x07" * 64)), after="keep")
    file_id = only_quarantined(site)
    (answer,) = release(site, file_id)
    assert (answer.accepted, answer.reason) == (False, "conflict")
    assert only_quarantined(site) == file_id
    (answer,) = release(site, file_id, force=["conflict"])
    assert (answer.accepted, "DONE does not prove replacement" in answer.detail) == (True, True)
    assert [one["caution"] for one in trail(site, "quarantine.released")] == [answer.detail]
    assert [instance.version for instance in site.instances()] == [1, 2]
    with site.ledger.read() as conn:
        states = conn.execute(select(Conflict.state, Conflict.decided_by).where(Conflict.file_id == file_id)).all()
    assert states == [("replaced", "anna")]


def test_of_several_checks_all_are_told_and_all_can_be_skipped(site: Site) -> None:
    accept(site, drop(site.folder, "1", ct_bytes(sop_instance_uid=UID)), after="keep")
    other = ct_bytes(sop_instance_uid=UID, pixels=b"\x07\x07" * 64)
    accept(site, drop(site.folder, "2", b"MZ" + other[2:]), after="keep")
    file_id = only_quarantined(site)
    both = ("executable_preamble", "conflict")
    for force in ((), both[:1], both[1:]):
        (answer,) = release(site, file_id, force=force)
        assert (answer.accepted, answer.needs) == (False, both)
    (answer,) = release(site, file_id, force=both)
    assert (answer.accepted, answer.needs) == (True, ())
    assert [one["forced"] for one in trail(site, "quarantine.released")] == [sorted(both)]
    assert [instance.version for instance in site.instances()] == [1, 2]


def test_what_no_force_is_enough_for_asks_for_none(site: Site) -> None:
    accept(site, drop(site.folder, "1", b"MZ" + ct_bytes()[2:-9]), after="keep")
    (answer,) = release(site, only_quarantined(site))
    assert (answer.accepted, answer.needs) == (False, ())


def test_a_file_that_changed_since_is_not_released_blindly(site: Site) -> None:
    path = drop(site.folder, "1", without_meta())
    accept(site, path, after="keep", hold="in_place")
    path.write_bytes(b"something else" * 100)
    (answer,) = release(site, only_quarantined(site), force=["no_meta"], source=Source("ct1", hold="in_place"))
    assert not answer.accepted
    assert "changed" in answer.detail


def test_a_door_that_is_not_configured_any_more_is_said(site: Site) -> None:
    accept(site, drop(site.folder, "1", without_meta()), after="keep")
    (answer,) = quarantine.release(
        [only_quarantined(site)], ledger=site.ledger, spool=site.spool, doors={}, ring=site.ring, actor="anna"
    )
    assert not answer.accepted
    assert "'ct1'" in answer.detail


def test_what_is_not_in_quarantine_is_named(site: Site) -> None:
    with pytest.raises(ReleaseRefused, match="4711"):
        release(site, 4711)


def test_discarding_lets_our_copy_go_and_leaves_theirs(site: Site) -> None:
    path = drop(site.folder, "1", b"text" * 99)
    accept(site, path, after="keep")
    (file,) = site.files(FileState.QUARANTINED)
    assert quarantine.discard([file.id], ledger=site.ledger, spool=site.spool, actor="anna") == [file.id]
    assert path.exists()
    assert not os.path.exists(site.spool.path_of(file.spool_path))
    assert [(one.state, one.reason) for one in site.files()] == [(FileState.IGNORED, "not_dicom")]
    assert trail(site, "quarantine.discarded") == [{"actor": "anna", "files": [file.id], "reasons": ["not_dicom"]}]
    site.start()
    drop(site.folder, "2")
    site.wait_for_files(1, FileState.ACCEPTED)
    assert site.files(FileState.QUARANTINED) == []


def test_who_dies_between_a_decision_and_its_deletion_leaves_no_copy_behind(site: Site) -> None:
    accept(site, drop(site.folder, "1", b"text" * 99), after="keep")
    (file,) = site.files()
    site.ledger.transact(decisions.discard, [file.id], "anna")
    Retention(site.ledger, site.spool.place, 1e6).step()
    assert not os.path.exists(site.spool.path_of(file.spool_path))
    assert [one.spool_path for one in site.files()] == [""]


def test_discarding_a_conflict_rejects_it(site: Site) -> None:
    accept(site, drop(site.folder, "1", ct_bytes(sop_instance_uid=UID)), after="keep")
    accept(site, drop(site.folder, "2", ct_bytes(sop_instance_uid=UID, pixels=b"\x07\x07" * 64)), after="keep")
    quarantine.discard([only_quarantined(site)], ledger=site.ledger, spool=site.spool, actor="anna")
    with site.ledger.read() as conn:
        assert conn.scalars(select(Conflict.state)).all() == ["rejected"]
