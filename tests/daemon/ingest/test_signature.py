"""What tells files apart, in numbers that a database holds."""

from __future__ import annotations

import os
from pathlib import Path

from gurney.ledger.arrivals import KnownFile
from gurney.transfer.states import FileState
from gurney_daemon.ingest.signature import Signature


def known(signature: Signature, **changes: int) -> KnownFile:
    dev, inode, size, mtime_ns = signature._replace(**changes)
    return KnownFile(1, dev, inode, size, mtime_ns, FileState.ACCEPTED, "", "")


def status(inode: int, dev: int) -> os.stat_result:
    return os.stat_result((0o100644, inode, dev, 1, 0, 0, 7, 0, 0, 0), {"st_mtime_ns": 5})


def test_unsigned_numbers_fold_into_signed_ones_and_stay_apart() -> None:
    assert Signature.of(status(2**64 - 1, 2**64 - 2)) == Signature(-2, -1, 7, 5)
    assert Signature.of(status(2**63, 5)).inode == -(2**63)
    assert Signature.of(status(2**63 - 1, 5)).inode == 2**63 - 1


def test_a_time_after_2262_fits(tmp_path: Path) -> None:
    path = tmp_path / "future"
    path.touch()
    os.utime(path, ns=(0, 2**63 + 5))
    signature = Signature.of(os.stat(path))
    assert -(2**63) <= signature.mtime_ns < 2**63


def test_a_file_is_known_by_inode_size_and_time_on_whatever_device() -> None:
    signature = Signature(1, 2, 3, 4)
    assert signature.is_of(known(signature))
    assert signature.is_of(known(signature, dev=99))
    for change in ("inode", "size", "mtime_ns"):
        assert not signature.is_of(known(signature, **{change: 99}))
