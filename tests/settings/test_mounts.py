from __future__ import annotations

from pathlib import Path

import pytest

from gurney.settings.mounts import network_filesystem, real_path

# As proc_pid_mountinfo(5) prints it: two mounts on one point, a space in a name, optional fields.
TABLE = r"""
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:30 / /mnt/share rw,relatime shared:2 master:1 - nfs4 server:/x rw
31 22 0:31 / /mnt/with\040space rw - cifs //server/x rw
32 30 0:32 / /mnt/share/local rw - tmpfs tmpfs rw
33 22 0:33 / /auto rw - autofs systemd-1 rw
34 33 0:34 / /auto rw - nfs server:/y rw
""".lstrip()


@pytest.fixture
def table(tmp_path: Path) -> str:
    path = tmp_path / "mountinfo"
    path.write_text(TABLE)
    return str(path)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", None),
        ("/data", None),
        ("/mnt/share", "nfs4"),
        ("/mnt/share/deep/folder", "nfs4"),
        ("/mnt/shared", None),
        ("/mnt/share/local/x", None),
        ("/mnt/with space/x", "cifs"),
        ("/auto/x", "nfs"),
    ],
)
def test_the_innermost_mount_counts(table: str, path: str, kind: str | None) -> None:
    assert network_filesystem(path, table) == kind


def test_without_a_table_nothing_is_remote(tmp_path: Path) -> None:
    assert network_filesystem("/mnt/share", str(tmp_path / "absent")) is None


def test_this_host_has_a_table() -> None:
    assert network_filesystem("/proc") is None


def test_links_are_followed_on_disks_of_this_host(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert real_path(f"{tmp_path}/x/../link/y") == f"{tmp_path}/real/y"


def test_a_share_is_not_touched(table: str) -> None:
    assert real_path("/mnt/share/../share/x", table) == "/mnt/share/x"
