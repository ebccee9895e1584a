"""What a crash left in the spool is taken in at the next start; what can't be read then stops nobody."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from gurney.ledger.database import Ledger
from gurney.transfer.states import FileState
from gurney_daemon.ingest.recovery import recover
from gurney_daemon.ingest.spool import Shelf, open_spool
from tests.daemon.ingest.instances import drop
from tests.daemon.ingest.site import Site
from tests.daemon.ingest.test_admission import admission


def test_a_leftover_that_cannot_be_read_is_passed_over_and_stays_noted(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(ledger, open_spool(ledger, "main", str(tmp_path / "spool")), tmp_path / "ct1")
    shelf = Shelf(site.spool, "ct1")
    paths = [drop(site.folder, name) for name in ("1", "2", "3")]
    group = shelf.open_group([os.fsencode(path) for path in paths])
    held = []
    for number, path in enumerate(paths):
        fd = os.open(path, os.O_RDONLY)
        held.append(site.spool.path_of(group.hold(number, fd).spool_path))
        os.close(fd)
    group.close(committed=False)
    real = os.open

    def fail(path: bytes, flags: int, *more: int, **others: int) -> int:
        if path == held[1]:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(path, flags, *more, **others)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", fail)
        recover(shelf, admission(site), ledger, site.ring)
    assert [file.path for file in site.files(FileState.ACCEPTED)] == [os.fsencode(paths[at]) for at in (0, 2)]
    recover(shelf, admission(site), ledger, site.ring)
    assert len(site.files(FileState.ACCEPTED)) == 3
    assert list(shelf.leftovers()) == []
