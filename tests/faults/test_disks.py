"""Disks that are full: intake stops, what is there stays, and all goes on when there is room again."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gurney.pacs.testing import FakePacs, Gate, Respond
from tests.faults.books import account_of, check
from tests.faults.conftest import MakeSite
from tests.faults.harness import remote
from tests.faults.instances import make_study

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
