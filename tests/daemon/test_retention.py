"""The spool lets go of what was sent long enough ago, and of nothing else, whatever crashes in between."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from sqlalchemy import select, update

from gurney.ledger.models import File, Spool
from gurney.ledger.spools import MARKER, SpoolPlace
from gurney.transfer.states import FileState, ItemState
from gurney_daemon.retention import Retention
from tests.ledger.world import World, answered

DAY = 24 * 3600.0


class Shelf:
    """A world whose files lie in a spool, and in the folder they came from."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world, self.folder, self.spool = world, folder, folder / "spool"
        self.spool.mkdir()
        (self.spool / MARKER).write_text("main")
        spool_id = world.spool("main")
        world.change(Spool, spool_id, path=str(self.spool))
        self.place = SpoolPlace(spool_id, "main", str(self.spool), "main")

    def items(self, n: int) -> list[int]:
        """Add instances whose file lies in its folder and, by a link, in the spool."""
        ids = self.world.items(n)
        for item_id in ids:
            file_id = self.world.item(item_id).file_id
            path = self.folder / f"{file_id}.dcm"
            path.write_bytes(b"\0" * 400 + b"data")
            os.link(path, self.spool / f"{file_id}.held")
            status = path.stat()
            self.world.change(
                File,
                file_id,
                path=os.fsencode(path),
                size=status.st_size,
                mtime_ns=status.st_mtime_ns,
                spool_path=f"{file_id}.held",
                spool_mtime_ns=status.st_mtime_ns,
            )
        return ids

    def release(self, item_id: int) -> None:
        """Let the item's file be none of its instance's any more, as a rewrite or a decision leaves it."""
        with self.world.ledger.write() as tx:
            tx.conn.execute(update(File).where(File.id == self.world.item(item_id).file_id).values(instance_id=None))

    def step(self, days: float = 14) -> None:
        """Do the chore once, as a new process would."""
        Retention(self.world.ledger, self.place, days * DAY).step()

    def held(self) -> int:
        return len(list(self.spool.glob("*.held")))

    def file(self, item_id: int) -> File:
        with self.world.ledger.read() as conn:
            which = select(File.__table__).where(File.id == self.world.item(item_id).file_id)
            return conn.execute(which).one()  # type: ignore[return-value]


@pytest.fixture
def shelf(world: World, tmp_path: Path) -> Shelf:
    return Shelf(world, tmp_path)


def test_what_was_sent_long_ago_goes_and_its_folder_serves_from_then_on(shelf: Shelf) -> None:
    ids = shelf.items(3)
    shelf.world.send_all()
    shelf.step()
    assert shelf.held() == 3
    shelf.world.clock.pass_by(15 * DAY)
    shelf.step()
    assert shelf.held() == 0
    file = shelf.file(ids[0])
    assert (file.state, file.spool_path) == (FileState.ACCEPTED, "")
    assert file.spool_mtime_ns == file.mtime_ns
    assert os.path.exists(file.path)


def test_a_file_that_has_left_its_folder_is_gone_and_leaves_its_digest(shelf: Shelf) -> None:
    ids = shelf.items(1)
    shelf.world.send_all()
    os.unlink(shelf.file(ids[0]).path)
    shelf.world.clock.pass_by(15 * DAY)
    shelf.step()
    assert shelf.held() == 0
    assert shelf.file(ids[0]).state == FileState.GONE
    assert shelf.file(ids[0]).digest is not None


def test_what_failed_stays(shelf: Shelf) -> None:
    ids = shelf.items(2)
    claim = shelf.world.take()
    shelf.world.settle(claim, {ids[0]: answered(0xA900), ids[1]: answered(0)})
    shelf.world.finish(claim, stored=1)
    shelf.world.clock.pass_by(15 * DAY)
    shelf.step()
    assert shelf.world.states(ids) == [ItemState.FAILED, ItemState.DONE]
    assert shelf.held() == 1
    assert shelf.file(ids[0]).spool_path != ""


def test_what_waits_stays(shelf: Shelf) -> None:
    shelf.items(2)
    shelf.world.clock.pass_by(15 * DAY)
    shelf.step()
    assert shelf.held() == 2


def test_a_spool_without_its_marker_is_left_alone(shelf: Shelf) -> None:
    shelf.items(1)
    shelf.world.send_all()
    shelf.world.clock.pass_by(15 * DAY)
    (shelf.spool / MARKER).unlink()
    shelf.step()
    assert shelf.held() == 1


@pytest.mark.parametrize("step", ["noted", "let go"])
def test_a_crash_between_the_steps_loses_nothing_and_leaves_nothing(
    shelf: Shelf, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = shelf.items(2)
    shelf.world.send_all()
    shelf.world.clock.pass_by(15 * DAY)

    class KilledError(Exception):
        pass

    def die(*_: object) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        if step == "noted":
            patch.setattr(Retention, "_let_go", die)
        else:
            # The rows have let go; the deletion never comes.
            patch.setattr(os, "unlink", die)
        with pytest.raises(KilledError):
            shelf.step()
    assert shelf.held() == 2
    shelf.step(days=14)
    assert shelf.held() == 0
    assert shelf.file(ids[0]).spool_path == ""


def test_a_step_reads_no_more_than_it_should_and_the_next_goes_on(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gurney_daemon.retention._GROUP_BYTES", 1_000)
    shelf.items(5)  # of 404 bytes
    shelf.world.send_all()
    shelf.world.clock.pass_by(15 * DAY)
    retention = Retention(shelf.world.ledger, shelf.place, 14 * DAY)
    left = []
    for _ in range(3):
        retention.step()
        left.append(shelf.held())
    assert left == [3, 1, 0]


@pytest.mark.parametrize(
    ("state", "kept"),
    [(FileState.GONE, 0), (FileState.IGNORED, 0), (FileState.QUARANTINED, 1), (FileState.ACCEPTED, 1)],
)
def test_what_is_no_instances_any_more_goes_at_once(shelf: Shelf, state: FileState, kept: int) -> None:
    (item,) = shelf.items(1)
    shelf.release(item)
    shelf.world.change(File, shelf.world.item(item).file_id, state=int(state), changed_at=shelf.world.clock.time)
    shelf.step()
    assert shelf.held() == kept
    assert (shelf.file(item).state, bool(shelf.file(item).spool_path)) == (state, bool(kept))
    assert os.path.exists(shelf.file(item).path), "what lies in the folder is not ours"
    shelf.step()


def test_a_copy_that_was_removed_before_its_row_is_let_go_of_too(shelf: Shelf) -> None:
    (item,) = shelf.items(1)
    shelf.release(item)
    shelf.world.change(File, shelf.world.item(item).file_id, state=int(FileState.IGNORED))
    (shelf.spool / shelf.file(item).spool_path).unlink()
    shelf.step()
    assert shelf.file(item).spool_path == ""


def test_what_a_peer_pushed_lies_in_the_spool_alone_and_goes(shelf: Shelf) -> None:
    (item_id,) = shelf.items(1)
    file = shelf.file(item_id)
    shelf.world.change(File, file.id, path=os.fsencode(shelf.spool / file.spool_path))
    shelf.world.send_all()
    shelf.world.clock.pass_by(15 * DAY)
    shelf.step()
    assert shelf.held() == 0
    assert shelf.file(item_id).state == FileState.GONE
    assert shelf.file(item_id).digest
