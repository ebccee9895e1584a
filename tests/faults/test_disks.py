"""Disks that are full, and shares that are away: what is there stays, and all goes on when they are back."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gurney.pacs.testing import FakePacs, Gate, Respond
from gurney.transfer.states import ItemState
from tests.faults.books import account_of, check
from tests.faults.conftest import MakeSite
from tests.faults.harness import remote
from tests.faults.instances import drop, make_study

pytestmark = [pytest.mark.fault, pytest.mark.slow]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A filesystem of 8 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("only root may mount a small filesystem")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def _fill(folder: Path) -> Path:
    """Take all the room that is left."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    return ballast


def test_a_full_disk_under_ledger_and_spool(make_site: MakeSite, pacs: FakePacs, small_disk: Path) -> None:
    site = make_site(
        remote(pacs, max_associations=1),
        ledger_url=f"sqlite:///{small_disk / 'ledger.sqlite3'}",
        spool={"path": str(small_disk / "spool"), "keep_free": "0MB"},
    )
    under_way, meanwhile = make_study(6), make_study(6)
    gate = Gate()
    pacs.on_instance(3, Respond(gate=gate))
    gurney = site.start()
    site.drop(*under_way)
    gate.wait_until_reached()
    ballast = _fill(small_disk)
    gate.open()
    site.drop(*meanwhile)
    gurney.wait_for("renewal_failed", "lease_lost", "chore_failed", "announce_failed")
    ballast.unlink()
    site.books.wait_until_stored(12)
    site.books.wait_until_complete()
    check(site.books, under_way + meanwhile, account_of(pacs))
    assert gurney.events("child_died") == []
    assert sum(len(files) for _, _, files in os.walk(site.inbox)) == 12, "originals are left alone"


@pytest.fixture
def share(tmp_path: Path) -> Iterator[Share]:
    """A share that can be taken away and brought back."""
    share = Share(tmp_path / "server", tmp_path / "site" / "inbox")
    yield share
    share.unmount()


@dataclass
class Share:
    """A folder that is mounted at another."""

    folder: Path
    mount_point: Path
    is_mounted: bool = False

    def mount(self) -> None:
        """Bring it back."""
        self.folder.mkdir(exist_ok=True)
        done = subprocess.run(["mount", "--bind", self.folder, self.mount_point], capture_output=True, check=False)
        if done.returncode:
            pytest.skip("only root may mount a folder")
        self.is_mounted = True

    def unmount(self) -> None:
        """Take it away, whoever has files of it open; its empty mount point stays."""
        if self.is_mounted:
            subprocess.run(["umount", "--lazy", self.mount_point], check=True)
            self.is_mounted = False


def test_a_share_from_which_files_are_sent_is_away_for_a_weekend(
    make_site: MakeSite, pacs: FakePacs, share: Share
) -> None:
    site = make_site(remote(pacs, max_associations=1), watch={"spool": "in_place"})
    share.mount_point = site.inbox
    share.mount()
    study = make_study(8)
    gate = Gate()
    pacs.on_instance(3, Respond(gate=gate))
    gurney = site.start()
    drop(share.folder, *study)
    gate.wait_until_reached()
    site.books.wait_until(lambda: len(site.books.items()) == len(study), "the whole study to be taken in")
    share.unmount()
    gate.open()
    gurney.wait_for("folder_offline")
    for _ in range(3):
        site.books.wait_until(
            lambda: set(site.books.states()) == {ItemState.DONE, ItemState.RETRY}, "the rest to wait for the share"
        )
        site.books.let_pass(20 * 3600.0)
    assert {line.attempts for line in site.books.items() if line.state is not ItemState.DONE} == {0}
    share.mount()
    site.books.let_pass(3600.0)
    site.books.wait_until_stored(len(study))
    site.books.wait_until_complete()
    check(site.books, study, account_of(pacs))
