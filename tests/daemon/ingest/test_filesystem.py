"""Shares and mount points, as the kernel's table tells them."""

from __future__ import annotations

from pathlib import Path

import pytest

from gurney_daemon.ingest.filesystem import is_mounted, is_network

TABLE = """\
20 1 8:1 / / rw - ext4 /dev/sda1 rw
30 20 8:2 / /data rw - xfs /dev/sdb1 rw
31 30 0:50 / /data/share rw - nfs4 pacs:/export rw
32 30 0:51 / /data/auto rw - autofs /etc/auto.data rw
"""


@pytest.mark.parametrize(
    ("path", "mounted", "network"),
    [
        (b"/data/share", True, True),
        (b"/data/share/ct1", True, True),
        (b"/data", True, False),
        (b"/data/", True, False),
        (b"/data/missing", False, False),  # where a share should be, on the disk below it
        (b"/data/auto", False, False),
        (b"/srv/ct1", False, False),
    ],
)
def test_a_folder_is_mounted_or_only_lies_where_something_should_be(
    tmp_path: Path, path: bytes, mounted: bool, network: bool
) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(TABLE)
    assert is_mounted(path, str(table)) is mounted
    assert is_network(path, str(table)) is network
