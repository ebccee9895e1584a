"""A sends to B, and B to A: a real archive that forwards whatever it gets is found out, and nothing goes round."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.harness import Site, remote
from tests.faults.instances import make_study
from tests.services.orthanc import Orthanc
from tests.services.ports import free_port
from tests.services.presence import program
from tests.services.waiting import wait_until

pytestmark = pytest.mark.slow

_FORWARD_ALL = """
function OnStoredInstance(instance, tags, metadata, origin)
  if origin["RequestOrigin"] == "DicomProtocol" then
    SendToModality(instance, "gurney")
  end
end
"""
STUDY = 5


@pytest.fixture
def listens_at() -> int:
    return free_port()


@pytest.fixture
def archive(tmp_path: Path, listens_at: int) -> Iterator[Orthanc]:
    """An Orthanc that sends on whatever it is sent."""
    folder = tmp_path / "orthanc"
    folder.mkdir()
    (folder / "forward.lua").write_text(_FORWARD_ALL)
    settings = {
        "DicomModalities": {"gurney": ["GURNEY", "127.0.0.1", listens_at]},
        "LuaScripts": [str(folder / "forward.lua")],
    }
    with Orthanc(folder, settings=settings) as orthanc:
        yield orthanc


def counters(site: Site) -> dict[str, int]:
    found: dict[str, int] = json.loads(site.run("status", "--json").stdout)["sources"].get("main", {})
    return found


def test_what_orthanc_sends_back_stops_here_and_is_counted(tmp_path: Path, archive: Orthanc, listens_at: int) -> None:
    site = Site(tmp_path / "site", [remote(archive, "archive")], watch={"send_to": []})
    listens = f'\n[[receiver]]\nname = "main"\nport = {listens_at}\nsend_to = ["archive"]\non_conflict = "replace"\n'
    site.config.write_text(site.config.read_text() + listens)
    try:
        running = site.start()
        running.wait_until_ready()
        study = make_study(STUDY)
        folder = tmp_path / "study"
        folder.mkdir()
        for one in study:
            (folder / one.file_name).write_bytes(one.part10)
        wait_until(lambda: running.events("receiver_state"), 30, "the receiver listens")
        push = [program("storescu"), "-aet", "CT1", "-aec", "GURNEY", "127.0.0.1", str(listens_at)]
        subprocess.run([*push, "--scan-directories", str(folder)], check=True, timeout=60)
        wait_until(lambda: counters(site).get("returned", 0) >= STUDY, 60, "all of it came back")
        # Were it to go round, it would do so now.
        time.sleep(3)
        assert counters(site)["returned"] == STUDY
        assert len(site.books.attempts()) == STUDY
        assert archive.sop_instance_uids() == {one.sop_instance_uid for one in study}
        loops = running.events("routing_loop")
        assert {(one["source"], one["destination"]) for one in loops} == {("main", "archive")}
    finally:
        site.close()
    site.check_logs()
