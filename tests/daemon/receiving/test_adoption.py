"""What a crash leaves of a receiver is taken in, or cleared away, and nothing that was answered is lost."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gurney.dicom.incoming import INCOMING
from gurney.ledger.models import File
from gurney.transfer.states import FileState
from tests.daemon.ingest.instances import ct_bytes
from tests.daemon.receiving.doomed import STEPS
from tests.daemon.receiving.reception import Reception, push, study_in

UIDS = [f"1.2.826.0.2.{number}" for number in range(1, 13)]


@pytest.mark.parametrize("step", sorted(STEPS))
def test_a_kill_loses_nothing_that_was_answered(reception: Reception, tmp_path: Path, step: str) -> None:
    folder = study_in(tmp_path / "study", [ct_bytes(sop_instance_uid=uid) for uid in UIDS])
    url, path = reception.ledger.url.render_as_string(), reception.spool.place.path
    command = [sys.executable, "-m", "tests.daemon.receiving.doomed", url, path, step, "6"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as doomed:
        try:
            assert doomed.stdout is not None
            # The log comes the same way.
            port = next((int(line) for line in doomed.stdout if line.strip().isdigit()), None)
            assert port is not None, f"it ended with {doomed.wait(20)} before it listened"
            done = push(port, folder)
            assert doomed.wait(20) == -9
        finally:
            doomed.kill()
    answered = (done.stdout + done.stderr).count("Received Store Response (Success)")
    assert 0 < answered < len(UIDS)

    receiver = reception.start()
    there = {row.sop_instance_uid for row in reception.instances()}
    assert set(UIDS[:answered]) <= there
    assert {row.calling_ae_title for row in reception.files()} == {"CT1"}
    assert {row.called_ae_title for row in reception.files()} == {"GURNEY"}
    assert {row.peer_address for row in reception.files()} == {"127.0.0.1"}
    assert not [path for path in reception.spooled() if path.name.startswith(INCOMING)]
    assert push(receiver.port, folder).returncode == 0
    assert {row.sop_instance_uid for row in reception.instances()} == set(UIDS)
    assert len(reception.spooled()) == len(reception.files())
    assert len(reception.items()) == len(UIDS)


def _left(reception: Reception, name: str, content: bytes) -> Path:
    folder = Path(reception.spool.place.path, "main", "20260101-00000000")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    return folder / name


def test_what_is_not_whole_goes_to_quarantine(reception: Reception) -> None:
    _left(reception, "cut", ct_bytes()[:-20])
    reception.start()
    assert [row.state for row in reception.files()] == [FileState.QUARANTINED]


def test_what_has_a_row_is_left_alone(reception: Reception) -> None:
    _left(reception, "whole", ct_bytes())
    reception.start()
    reception.stop()
    reception.start()
    assert len(reception.files()) == 1


def test_what_is_about_to_be_deleted_is_left_alone(reception: Reception) -> None:
    _left(reception, "whole", ct_bytes())
    reception.start()
    reception.stop()
    with reception.ledger.write() as tx:
        tx.conn.execute(File.__table__.update().values(state=int(FileState.GONE), spool_path=""))
    reception.start()
    assert len(reception.files()) == 1
