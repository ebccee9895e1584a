"""Moving and deleting: never vacuously, never another file, never over one."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import delete, insert, select, update

from gurney.ledger import disposal as rows
from gurney.ledger import operations, reports
from gurney.ledger.database import Ledger
from gurney.ledger.models import Audit, Destination, Instance, Item, Tombstone, Transfer
from gurney.ledger.selection import Selection
from gurney.transfer.routing import RouteRule
from gurney.transfer.states import FileState, ItemState, Proof, Routing
from gurney_daemon.ingest import removal
from gurney_daemon.ingest.admission import Admission
from gurney_daemon.ingest.disposal import Disposal
from gurney_daemon.ingest.inspection import Source
from gurney_daemon.ingest.settling import SettledFile
from gurney_daemon.ingest.signature import Signature
from gurney_daemon.ingest.spool import HoldMode, Shelf, open_spool
from tests.daemon.ingest.instances import ct_bytes, drop
from tests.daemon.ingest.site import Site

DONE, WARNED = ItemState.DONE, ItemState.WARNED


@pytest.fixture
def either_site(either_ledger: Ledger, tmp_path: Path) -> Iterator[Site]:
    site = Site(either_ledger, open_spool(either_ledger, "main", str(tmp_path / "spool")), tmp_path / "ct1")
    yield site
    site.close()


def accept(site: Site, *paths: Path, after: str = "delete", hold: HoldMode = "auto", door: str = "ct1") -> None:
    source = Source(door, after=after, hold=hold)
    admission = Admission(source, site.ledger, Shelf(site.spool, "ct1"), site.routes(), actor="test")
    admission.admit([SettledFile(os.fsencode(path), Signature.of(path.lstat())) for path in paths])


def disposal(site: Site, target: Path | None = None, **more: float) -> Disposal:
    root, to = os.fsencode(site.folder), os.fsencode(target or "")
    return Disposal("ct1", root, to, site.ledger, lambda _tx: None, **more)


def trash(site: Site) -> list[Path]:
    return [path for path in (site.folder / ".gurney-trash").rglob("*") if path.is_file()]


def test_a_file_goes_when_every_destination_has_it(either_site: Site) -> None:
    site = either_site
    site.send_to = ("archive", "research")
    path = drop(site.folder, "study/1")
    accept(site, path)
    first, second = site.items()
    disposal(site).step()
    assert path.exists()
    site.settle_items(DONE, only=first.id)
    disposal(site).step()
    assert path.exists()
    site.settle_items(DONE, only=second.id)
    disposal(site).step()
    assert not path.exists()
    (file,) = site.files()
    assert (file.state, file.reason) == (FileState.GONE, "deleted")
    assert Path(os.fsdecode(site.spool.path_of(file.spool_path))).exists()
    with site.ledger.read() as conn:
        assert "files.disposed" in conn.scalars(select(Audit.action)).all()


@pytest.mark.parametrize(
    ("state", "status", "goes"),
    [
        (DONE, 0x0000, True),
        (WARNED, 0xB000, True),
        (WARNED, 0xB006, False),
        (WARNED, 0xB007, False),
        (WARNED, 0x0111, False),
        (ItemState.CANCELLED, None, False),
        (ItemState.FAILED, 0xA900, False),
        (ItemState.DEAD, 0xA700, False),
        (ItemState.READY, None, False),
    ],
)
def test_only_what_is_stored_for_sure_lets_a_file_go(
    site: Site, state: ItemState, status: int | None, goes: bool
) -> None:
    path = drop(site.folder, "1")
    accept(site, path)
    site.settle_items(state, status=status)
    disposal(site).step()
    assert path.exists() is not goes


@pytest.mark.parametrize("asked", [{}, {"commitment": "before_delete"}, {"verify": True}])
@pytest.mark.parametrize(
    ("proof", "goes"),
    [
        (Proof.NONE, False),
        (Proof.COMMITTED, True),
        (Proof.VERIFIED, True),
        (Proof.REQUESTED, False),
        (Proof.REFUSED, False),
        (Proof.OVERDUE, False),
    ],
)
def test_a_proof_that_is_to_be_asked_for_is_waited_for(
    site: Site, asked: dict[str, object], proof: Proof, goes: bool
) -> None:
    path = drop(site.folder, "1")
    accept(site, path)
    site.settle_items(DONE, proof=int(proof))
    with site.ledger.write() as tx:
        if asked:
            tx.conn.execute(update(Destination).values(**asked))
    disposal(site).step()
    assert path.exists() is not (goes or (proof is Proof.NONE and not asked))


def test_what_no_rule_sent_stays(site: Site) -> None:
    site.send_to = ()
    path = drop(site.folder, "1")
    accept(site, path)
    disposal(site).step()
    assert path.exists()


def test_without_any_item_nothing_goes_unless_they_were_pruned_as_stored(site: Site) -> None:
    path = drop(site.folder, "1")
    accept(site, path)
    (item,) = site.items()
    with site.ledger.write() as tx:
        tx.conn.execute(delete(Item))
    disposal(site).step()
    assert path.exists()
    with site.ledger.write() as tx:
        stored = {"instance_id": item.instance_id, "destination_id": item.destination_id, "stored_at": 1.0}
        tx.conn.execute(insert(Tombstone).values(**stored))
    disposal(site).step()
    assert not path.exists()


def test_what_a_rule_failed_on_stays_although_its_items_are_done(site: Site) -> None:
    path = drop(site.folder, "1")
    accept(site, path)
    site.settle_items(DONE)
    with site.ledger.write() as tx:
        tx.conn.execute(update(Instance).values(routing=int(Routing.ERROR)))
    disposal(site).step()
    assert path.exists()


def test_what_is_held_by_a_rule_stays(site: Site) -> None:
    site.rules = [RouteRule("wait", "", ("research",), action="hold")]
    path = drop(site.folder, "1")
    accept(site, path)
    disposal(site).step()
    assert path.exists()


def not_routed(site: Site) -> list[str]:
    with site.ledger.read() as conn:
        report = reports.study_report(conn, "1.2.3.4")
    assert report is not None
    return [told["routing"] for told in report["not_routed"]]


@pytest.mark.parametrize("change", [operations.release_held, operations.cancel])
def test_what_was_held_goes_when_everything_of_it_was_let_go_and_stored(
    either_site: Site, change: Callable[[Ledger, Selection, str], object]
) -> None:
    site = either_site
    site.rules = [RouteRule("wait", "", ("archive", "research"), action="hold")]
    path = drop(site.folder, "1")
    accept(site, path)
    operations.release_held(site.ledger, Selection(destination="research"), "anna")
    assert not_routed(site) == ["held"]
    change(site.ledger, Selection(states=(ItemState.HELD,)), "anna")
    assert not_routed(site) == []
    if change is operations.cancel:
        disposal(site).step()
        assert path.exists()
        operations.retry(site.ledger, Selection(), "anna")
    site.settle_items(DONE)
    disposal(site).step()
    assert not path.exists()


@pytest.mark.parametrize("first", [None, RouteRule("away", action="drop")])
def test_of_an_instance_that_one_door_sends_nowhere_only_the_other_doors_file_goes(
    either_site: Site, first: RouteRule | None
) -> None:
    site = either_site
    site.send_to, site.rules = (), [first] if first else []
    kept, gone = (
        drop(site.folder, "1", ct_bytes(sop_instance_uid="1.9")),
        drop(site.folder, "2", ct_bytes(sop_instance_uid="1.9")),
    )
    accept(site, kept, door="ct2")
    site.send_to, site.rules = ("archive",), []
    accept(site, gone)
    assert not_routed(site) == []
    site.settle_items(DONE)
    for door in ("ct1", "ct2"):
        Disposal(door, os.fsencode(site.folder), b"", site.ledger, lambda _tx: None).step()
    assert (kept.exists(), gone.exists()) == (True, False)


def test_what_one_doors_rules_failed_on_is_not_routed_because_another_door_sends_it(site: Site) -> None:
    site.rules = [RouteRule("broken", "int(t.BodyPartExamined) > 0", ("research",))]
    first, second = (
        drop(site.folder, "1", ct_bytes(sop_instance_uid="1.9")),
        drop(site.folder, "2", ct_bytes(sop_instance_uid="1.9")),
    )
    accept(site, first, door="ct2")
    site.rules = []
    accept(site, second)
    site.settle_items(DONE)
    disposal(site).step()
    assert not_routed(site) == ["error"]
    assert second.exists()


def test_a_later_generation_makes_an_earlier_failure_good(site: Site) -> None:
    path = drop(site.folder, "1")
    accept(site, path)
    site.settle_items(ItemState.FAILED, status=0xA900)
    (item,) = site.items()
    with site.ledger.write() as tx:
        transfer = tx.conn.execute(select(Transfer.__table__)).one()._asdict() | {"generation": 2}
        transfer.pop("id")
        second = tx.conn.execute(insert(Transfer).values(**transfer).returning(Transfer.id)).scalar_one()
        again = item._asdict() | {"transfer_id": second, "state": int(DONE), "last_status": 0}
        again.pop("id")
        tx.conn.execute(insert(Item).values(**again))
    disposal(site).step()
    assert not path.exists()


def test_a_kept_folder_is_never_touched(site: Site) -> None:
    path = drop(site.folder, "1")
    accept(site, path, after="keep")
    site.settle_items(DONE)
    disposal(site).step()
    assert path.exists()


def test_another_file_at_the_same_path_stays(site: Site) -> None:
    path = drop(site.folder, "1")
    accept(site, path)
    site.settle_items(DONE)
    os.replace(drop(site.folder, "new", ct_bytes(pixels=b"\x07\x07" * 64)), path)
    disposal(site).step()
    assert path.exists()
    assert [(file.state, file.reason) for file in site.files()] == [(FileState.GONE, "overwritten")]


def test_a_file_swapped_in_the_last_moment_is_put_back(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    path = drop(site.folder, "1")
    accept(site, path)
    site.settle_items(DONE)
    content = ct_bytes(pixels=b"\x07\x07" * 64)
    original = os.rename

    def late(source: bytes, target: bytes) -> None:
        os.replace(drop(site.folder, "new", content), path)
        original(source, target)

    monkeypatch.setattr(removal.os, "rename", late)
    disposal(site).step()
    assert path.read_bytes() == content
    assert trash(site) == []


def test_a_file_that_somebody_took_away_is_no_error(site: Site) -> None:
    path = drop(site.folder, "1")
    accept(site, path)
    site.settle_items(DONE)
    path.unlink()
    disposal(site).step()
    assert [(file.state, file.reason) for file in site.files()] == [(FileState.GONE, "missing")]


def test_the_trash_is_emptied_after_its_grace_and_not_before(site: Site) -> None:
    accept(site, drop(site.folder, "1"))
    site.settle_items(DONE)
    disposal(site).step()
    assert len(trash(site)) == 1
    root, now = os.fsencode(site.folder), time.time()
    assert removal.empty_trash(root, 24 * 3600, now + 23 * 3600) == 0
    assert removal.empty_trash(root, 24 * 3600, now + 26 * 3600) == 1
    assert list((site.folder / ".gurney-trash").iterdir()) == []
    assert removal.empty_trash(root, 24 * 3600, now + 26 * 3600) == 0


def test_the_trash_is_not_taken_in_again(site: Site) -> None:
    path = drop(site.folder, "1")
    site.start(after="delete")
    site.wait_for_files(1, FileState.ACCEPTED)
    site.settle_items(DONE)
    site.stop()
    site.start(after="delete", holder="again")
    site.wait_for(lambda: not path.exists(), "the file to go")
    drop(site.folder, "2")
    site.wait_for_files(1, FileState.ACCEPTED)
    assert len(site.files()) == 2


def test_moving_keeps_the_path_below_the_folder(site: Site, tmp_path: Path) -> None:
    path = drop(site.folder, "a/b/1")
    content = path.read_bytes()
    accept(site, path, after="move")
    site.settle_items(DONE)
    disposal(site, tmp_path / "sent").step()
    assert (tmp_path / "sent/a/b/1").read_bytes() == content
    assert not path.exists()
    assert [(file.state, file.reason) for file in site.files()] == [(FileState.GONE, "moved")]


def test_moving_never_overwrites(site: Site, tmp_path: Path) -> None:
    there = drop(tmp_path / "sent", "1", b"somebody else's")
    path = drop(site.folder, "1")
    content = path.read_bytes()
    accept(site, path, after="move")
    site.settle_items(DONE)
    disposal(site, tmp_path / "sent").step()
    assert there.read_bytes() == b"somebody else's"
    (file,) = site.files()
    assert (tmp_path / f"sent/1.{file.id}").read_bytes() == content


@pytest.mark.parametrize("why", [errno.EXDEV, errno.EPERM])
def test_moving_to_another_filesystem_copies_with_its_time(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: int
) -> None:
    path = drop(site.folder, "1")
    os.utime(path, (1_000_000_000, 1_000_000_000))
    content = path.read_bytes()
    accept(site, path, after="move")
    site.settle_items(DONE)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(why, "not over filesystems")

    monkeypatch.setattr(removal.os, "link", refuse)
    disposal(site, tmp_path / "sent").step()
    moved = tmp_path / "sent/1"
    assert moved.read_bytes() == content
    assert moved.stat().st_mtime == 1_000_000_000
    assert [entry.name for entry in (tmp_path / "sent").iterdir()] == ["1"]
    assert not path.exists()


def test_a_move_that_was_broken_off_is_finished(site: Site, tmp_path: Path) -> None:
    path = drop(site.folder, "1")
    accept(site, path, after="move")
    site.settle_items(DONE)
    (file,) = site.files()
    assert site.ledger.transact(rows.begin, [file.id], {}) == {file.id}
    # Killed between giving the file its new name and taking away the old one.
    (tmp_path / "sent").mkdir()
    os.link(path, tmp_path / "sent/1")
    disposal(site, tmp_path / "sent").step()
    assert not path.exists()
    assert [entry.name for entry in (tmp_path / "sent").iterdir()] == ["1"]
    assert site.files()[0].state == FileState.GONE


def test_what_can_not_be_moved_is_given_back_and_tried_again(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = drop(site.folder, "1")
    accept(site, path, after="move")
    site.settle_items(DONE)
    (tmp_path / "sent").write_text("a file where a folder should be")
    dispose = disposal(site, tmp_path / "sent")
    dispose.step()
    (file,) = site.files()
    assert file.state == FileState.ACCEPTED
    assert "can't be disposed of" in file.detail
    assert path.exists()
    (tmp_path / "sent").unlink()
    dispose.step()  # comes to the end of the round
    dispose.step()
    assert not path.exists()


def test_the_digest_of_a_last_file_is_kept(site: Site) -> None:
    content = ct_bytes(sop_instance_uid="1.2.9")
    path = drop(site.folder, "1", content)
    accept(site, path, hold="in_place")
    site.settle_items(DONE)
    assert site.files()[0].digest is None
    disposal(site).step()
    (file,) = site.files()
    assert file.state == FileState.GONE
    assert file.digest is not None
    accept(site, drop(site.folder, "2", content))
    assert len(site.instances()) == 1
    assert len(site.items()) == 1


def test_an_item_that_came_meanwhile_stops_the_disposal(either_site: Site) -> None:
    site = either_site
    accept(site, drop(site.folder, "1"))
    site.settle_items(DONE)
    (file,) = site.files()
    with site.ledger.read() as conn:
        assert [one.file_id for one in rows.disposable(conn, "ct1", 0, 10)] == [file.id]
    site.settle_items(ItemState.READY, status=None)
    assert site.ledger.transact(rows.begin, [file.id], {}) == set()
    assert site.files()[0].state == FileState.ACCEPTED
