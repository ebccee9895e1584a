"""What has gone from a folder is noticed; what only seems to have gone is not."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gurney.ledger.database import Ledger
from gurney.ledger.spools import MARKER
from gurney.transfer.states import FileState, ItemState
from gurney_daemon.ingest import absences as absences_module
from gurney_daemon.ingest.absences import Absences
from gurney_daemon.ingest.scan import Folder
from gurney_daemon.ingest.spool import open_spool
from tests.daemon.ingest.instances import drop
from tests.daemon.ingest.site import Site
from tests.daemon.ingest.test_disposal import accept


@pytest.fixture
def site(either_ledger: Ledger, tmp_path: Path) -> Iterator[Site]:
    site = Site(either_ledger, open_spool(either_ledger, "main", str(tmp_path / "spool")), tmp_path / "ct1")
    yield site
    site.close()


@pytest.fixture
def look(site: Site, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    monkeypatch.setattr(absences_module, "_PAGE", 3)
    absences = Absences("ct1", Folder(str(site.folder)), site.ledger, site.spool, lambda _tx: None)

    def round_trip() -> None:
        absences.step()
        while absences._after:
            absences.step()

    return round_trip


def test_two_looks_in_a_row_make_a_file_gone_and_its_items_stay(site: Site, look: Callable[[], None]) -> None:
    paths = [drop(site.folder, f"{number}") for number in range(8)]
    accept(site, *paths)
    paths[2].unlink()
    paths[7].unlink()
    look()
    assert len(site.files(FileState.ACCEPTED)) == 8
    look()
    assert {file.path for file in site.files(FileState.GONE)} == {os.fsencode(paths[2]), os.fsencode(paths[7])}
    assert [item.state for item in site.items()] == [ItemState.READY] * 8
    held = [site.spool.path_of(file.spool_path) for file in site.files(FileState.GONE)]
    assert all(os.path.exists(path) for path in held)


def test_a_file_that_is_back_between_two_looks_is_not_gone(site: Site, look: Callable[[], None]) -> None:
    path, other = drop(site.folder, "1"), drop(site.folder, "2")
    accept(site, path, other)
    for _ in range(3):
        path.rename(site.folder / ".gurney-away")
        look()
        (site.folder / ".gurney-away").rename(path)
        look()
    assert len(site.files(FileState.ACCEPTED)) == 2


def test_an_empty_folder_says_nothing(site: Site, look: Callable[[], None]) -> None:
    path = drop(site.folder, "1")
    accept(site, path)
    path.unlink()
    for _ in range(4):
        look()
    assert len(site.files(FileState.ACCEPTED)) == 1
    drop(site.folder, "2")
    look()
    look()
    assert len(site.files(FileState.GONE)) == 1


def test_a_folder_or_a_spool_that_is_away_says_nothing(site: Site, look: Callable[[], None], tmp_path: Path) -> None:
    accept(site, drop(site.folder, "1"))
    site.folder.rename(tmp_path / "away")
    look()
    look()
    (tmp_path / "away").rename(site.folder)
    (site.folder / "1").rename(site.folder / "other")
    (Path(site.spool.place.path) / MARKER).unlink()
    look()
    look()
    assert len(site.files(FileState.ACCEPTED)) == 1


def test_quarantined_files_stay_until_somebody_decides(site: Site, look: Callable[[], None]) -> None:
    path, other = drop(site.folder, "1", b"no image" * 40), drop(site.folder, "2")
    accept(site, path, other)
    path.unlink()
    for _ in range(4):
        look()
    assert len(site.files(FileState.QUARANTINED)) == 1


def test_the_same_path_after_it_was_gone_is_a_new_file(site: Site, look: Callable[[], None]) -> None:
    path, other = drop(site.folder, "1"), drop(site.folder, "2")
    content = path.read_bytes()
    accept(site, path, other)
    path.unlink()
    look()
    look()
    accept(site, drop(site.folder, "1", content))
    assert len(site.files(FileState.ACCEPTED)) == 2
    assert len(site.items()) == 2
