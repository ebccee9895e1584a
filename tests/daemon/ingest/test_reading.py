"""Opening what was seen, and only that."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gurney.dicom.errors import Part10Error, Reason
from gurney.dicom.part10 import IDENTITY_TAGS, read_part10
from gurney.dicom.policy import STRICT
from gurney_daemon.ingest import reading
from gurney_daemon.ingest.errors import FileChanged
from gurney_daemon.ingest.reading import Facts, opened, read_header
from gurney_daemon.ingest.signature import Signature
from tests.daemon.ingest.instances import PATIENT, ct_bytes, drop


def looks(path: Path) -> Signature:
    return Signature.of(path.lstat())


def test_a_file_that_is_what_it_was_is_opened(tmp_path: Path) -> None:
    path = drop(tmp_path, "1", b"content")
    with opened(os.fsencode(path), looks(path)) as fd:
        assert os.pread(fd, 10, 0) == b"content"


def test_a_link_swapped_in_is_refused(tmp_path: Path) -> None:
    path, secret = drop(tmp_path, "1", b"content"), drop(tmp_path, "secret", b"content")
    signature = looks(path)
    path.unlink()
    path.symlink_to(secret)
    with pytest.raises(FileChanged) as raised, opened(os.fsencode(path), signature):
        pass
    assert raised.value.signature is None


def test_a_pipe_swapped_in_neither_blocks_nor_passes(tmp_path: Path) -> None:
    path = drop(tmp_path, "1", b"content")
    signature = looks(path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(FileChanged) as raised, opened(os.fsencode(path), signature):
        pass
    assert raised.value.signature is None


def test_another_file_swapped_in_is_told_with_its_looks(tmp_path: Path) -> None:
    path, other = drop(tmp_path, "1", b"content"), drop(tmp_path, "2", b"CONTENT")
    signature = looks(path)
    os.replace(other, path)
    with pytest.raises(FileChanged) as raised, opened(os.fsencode(path), signature):
        pass
    assert raised.value.signature == looks(path)


def test_whatever_bytes_provoke_is_a_reason_without_their_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*_: object, **__: object) -> None:
        raise RecursionError(PATIENT)

    monkeypatch.setattr(reading, "read_part10", explode)
    with pytest.raises(Part10Error) as raised:
        read_header(0, IDENTITY_TAGS, STRICT)
    assert raised.value.reason is Reason.CORRUPT
    assert "RecursionError" in raised.value.detail
    assert PATIENT not in str(raised.value)


def test_facts_follow_the_header_from_file_to_file(tmp_path: Path) -> None:
    facts = Facts()
    for study, modality in (("1.1", "CT"), ("1.1", "MR"), ("1.2", "MR"), ("1.1", "CT")):
        path = drop(tmp_path, "1", ct_bytes(study=study, series=study + ".7", modality=modality))
        with opened(os.fsencode(path), looks(path)) as fd:
            instance = facts.of(read_part10(fd))
        assert instance.study.study_instance_uid == study
        assert instance.study.patient_name == PATIENT
        assert instance.study.patient_id == "MRN-77"
        assert (instance.series.series_instance_uid, instance.series.modality) == (study + ".7", modality)
        assert instance.series.body_part_examined == "CHEST"
        assert instance.size < path.stat().st_size
