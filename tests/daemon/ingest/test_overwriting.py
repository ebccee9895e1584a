"""A modality that writes new images into its old files: what was accepted is lost, and said to be, at once."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

from gurney.ledger import claims, retention
from gurney.ledger.database import Ledger
from gurney.ledger.models import Audit, SourceCount
from gurney.ledger.overwriting import WORDS
from gurney.ledger.reports import study_report, transfer_report
from gurney.ledger.terms import Claim, Claimant
from gurney.transfer.states import FileState, ItemState
from gurney_daemon.ingest.admission import Admission, Taken
from gurney_daemon.ingest.inspection import Source
from gurney_daemon.ingest.settling import SettledFile
from gurney_daemon.ingest.signature import Signature
from gurney_daemon.ingest.spool import HoldMode, Shelf, open_spool
from tests.daemon.ingest.instances import ct_bytes, drop
from tests.daemon.ingest.site import Site

STUDY_A, STUDY_B = "1.2.3.4", "1.2.3.5"
A, B = "1.2.3.98", "1.2.3.99"

pytestmark = pytest.mark.usefixtures("no_clones")


@pytest.fixture
def either_site(either_ledger: Ledger, tmp_path: Path) -> Site:
    return Site(either_ledger, open_spool(either_ledger, "main", str(tmp_path / "spool")), tmp_path / "ct1")


def of_a() -> bytes:
    return ct_bytes(sop_instance_uid=A, study=STUDY_A)


def of_b() -> bytes:
    return ct_bytes(sop_instance_uid=B, study=STUDY_B)


def admit(site: Site, *paths: Path, hold: HoldMode = "auto") -> Taken:
    admission = Admission(Source("ct1", hold=hold), site.ledger, Shelf(site.spool, "ct1"), site.routes(), actor="test")
    return admission.admit([SettledFile(os.fsencode(path), Signature.of(path.lstat())) for path in paths])


def states(site: Site) -> list[ItemState]:
    return [ItemState(item.state) for item in site.items()]


def claim(site: Site) -> Claim:
    claimed = site.ledger.transact(claims.claim, "archive", Claimant("w", "host", 8, site.spool.id))
    assert isinstance(claimed, Claim)
    return claimed


def test_what_was_written_over_fails_at_once_and_says_what_to_do(either_site: Site) -> None:
    site = either_site
    path = drop(site.folder, "1", of_a())
    admit(site, path)
    path.write_bytes(of_b())
    taken = admit(site, path)
    (lost,) = taken.overwritten
    assert (lost.sop_instance_uid, lost.study_instance_uid, lost.items) == (A, STUDY_A, 1)
    old, new = site.items()
    assert (old.state, old.last_words) == (ItemState.FAILED, WORDS)
    assert new.state == ItemState.READY
    (file,) = site.files(FileState.GONE)
    assert (file.reason, file.instance_id) == ("overwritten", None)
    with site.ledger.read() as conn:
        assert "'failed': 1" in str(study_report(conn, STUDY_A))
        assert WORDS in str(transfer_report(conn, old.transfer_id))
        counts = {row.what: row.n for row in conn.execute(select(SourceCount.__table__))}
        assert counts["overwritten"] == 1
        assert "instances.overwritten" in conn.scalars(select(Audit.action)).all()
        # The spool lets go of the old name.
        held = retention.releasable(conn, site.spool.id, 0.0, 0, 10)
        assert [(one.file_id, one.wanted) for one in held] == [(file.id, False)]
    assert admit(site, path).overwritten == []


@pytest.mark.parametrize("content", [b"a list of names" * 20, of_b()[:-10]])
def test_what_is_no_instance_loses_the_one_before_as_well(site: Site, content: bytes) -> None:
    path = drop(site.folder, "1", of_a())
    admit(site, path)
    path.write_bytes(content)
    assert [lost.sop_instance_uid for lost in admit(site, path).overwritten] == [A]
    assert states(site) == [ItemState.FAILED]


def test_exported_again_it_is_sent_and_no_conflict(either_site: Site) -> None:
    site = either_site
    path = drop(site.folder, "1", of_a())
    admit(site, path)
    claim(site)
    # The archive was down.
    site.settle_items(ItemState.RETRY, status=None, due_at=1.0, lease_id=None, attempts=1)
    path.write_bytes(of_b())
    admit(site, path)
    assert states(site) == [ItemState.FAILED, ItemState.READY]
    taken = admit(site, drop(site.folder, "2", of_a()))
    assert (taken.counts["rewritten"], taken.conflicts) == (1, [])
    assert states(site) == [ItemState.READY, ItemState.READY]
    item, _ = site.items()
    (file,) = [file for file in site.files(FileState.ACCEPTED) if file.path.endswith(b"/2")]
    assert (item.file_id, item.last_words) == (file.id, "")


def test_what_a_destination_has_stays_and_coming_again_with_other_bytes_is_for_people_to_decide(site: Site) -> None:
    site.send_to = ("archive", "research")
    path = drop(site.folder, "1", of_a())
    admit(site, path)
    site.settle_items(ItemState.DONE, only=site.items()[0].id)
    path.write_bytes(of_b())
    assert [lost.items for lost in admit(site, path).overwritten] == [1]
    assert states(site)[:2] == [ItemState.DONE, ItemState.FAILED]
    assert admit(site, drop(site.folder, "2", of_a())).conflicts == [A]


def test_what_everybody_has_is_no_loss(site: Site) -> None:
    path = drop(site.folder, "1", of_a())
    admit(site, path)
    site.settle_items(ItemState.DONE)
    path.write_bytes(of_b())
    assert admit(site, path).overwritten == []
    assert states(site) == [ItemState.DONE, ItemState.READY]


def test_another_file_of_the_instance_is_sent_instead(either_site: Site) -> None:
    site = either_site
    path = drop(site.folder, "1", of_a())
    admit(site, path)
    admit(site, drop(site.folder, "2", of_a()))
    path.write_bytes(of_b())
    assert admit(site, path).overwritten == []
    assert states(site) == [ItemState.READY, ItemState.READY]
    assert site.items()[0].file_id == site.files()[1].id


def test_a_file_renamed_and_then_written_over_takes_every_link_with_it(site: Site) -> None:
    path = drop(site.folder, "1", of_a())
    admit(site, path)
    renamed = path.rename(site.folder / "2")
    admit(site, renamed)
    renamed.write_bytes(of_b())
    assert [lost.items for lost in admit(site, renamed).overwritten] == [1]
    assert states(site) == [ItemState.FAILED, ItemState.READY]


def test_what_is_being_sent_is_left_to_its_worker(site: Site) -> None:
    path = drop(site.folder, "1", of_a())
    admit(site, path)
    claim(site)
    path.write_bytes(of_b())
    assert admit(site, path).overwritten == []
    assert states(site) == [ItemState.RUNNING, ItemState.READY]


def test_a_copy_is_ours_and_so_is_what_was_replaced_by_a_rename(site: Site) -> None:
    path = drop(site.folder, "1", of_a())
    admit(site, path, hold="copy")
    path.write_bytes(of_b())
    assert admit(site, path, hold="copy").overwritten == []
    drop(site.folder, "other", ct_bytes(study="1.7")).rename(path)
    assert admit(site, path).overwritten == []
    assert states(site) == [ItemState.READY] * 3


def test_a_clone_is_ours(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "ioctl", lambda out, _request, fd: os.write(out, os.pread(fd, 1 << 20, 0)))
    path = drop(site.folder, "1", of_a())
    admit(site, path)
    path.write_bytes(of_b())
    assert admit(site, path).overwritten == []
    assert states(site) == [ItemState.READY] * 2


def test_the_same_instance_written_again_still_replaces_what_nobody_has_had(site: Site) -> None:
    path = drop(site.folder, "1", of_a())
    admit(site, path)
    path.write_bytes(ct_bytes(sop_instance_uid=A, study=STUDY_A, pixels=b"\x09\x09" * 64))
    taken = admit(site, path)
    assert (taken.counts["rewritten"], taken.overwritten) == (1, [])
    assert states(site) == [ItemState.READY]


def test_the_watcher_is_loud_once_and_names_no_file(site: Site) -> None:
    path = drop(site.folder, "Zebrowski_Quirin.dcm", of_a())
    with capture_logs() as logs:
        site.start(scan_seconds=0.1)
        site.wait_for_files(1, FileState.ACCEPTED)
        path.write_bytes(of_b())
        site.wait_for(lambda: len(site.items()) == 2, "the other instance")
        path.touch()
        site.wait_for(lambda: len(site.files()) == 3, "another look")
        site.stop()
    told = [entry for entry in logs if entry["event"] == "accepted_file_overwritten"]
    assert [(entry["log_level"], entry["sop_instance_uid"]) for entry in told] == [("error", A)]
    assert "Zebrowski" not in str(told)
