from __future__ import annotations

import os

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import UID

from gurney.errors import LedgerError
from gurney.observability.redaction import (
    DROPPED,
    LeakError,
    clean_fields,
    clean_text,
    describe_exception,
    is_identifying,
)
from gurney.transfer.states import ItemState


@pytest.mark.parametrize(
    "name",
    [
        "patient_name", "PatientName", "PatientID", "patient", "other_patient_ids", "AccessionNumber", "birth_date",
        "patients_birth_date", "StudyDescription", "series_description", "ReferringPhysicianName", "comment",
        "error_comment", "filename", "file_name", "dataset", "identifier", "StudyID", "institution_name",
    ],
)  # fmt: skip
def test_knows_identifying_names(name: str) -> None:
    assert is_identifying(name)


@pytest.mark.parametrize(
    "name",
    ["study_instance_uid", "sop_class_uid", "ae_title", "status", "path", "watch", "destination", "item", "reason"],
)
def test_lets_the_others_pass(name: str) -> None:
    assert not is_identifying(name)


def test_drops_and_keeps() -> None:
    fields = {
        "event": "item_settled",
        "patient_id": 4711,
        "status": 0xA700,
        "state": ItemState.DONE,
        "sop_instance_uid": UID("1.2.3"),
        "error": ValueError("DOE^JANE"),
        "ledger_error": LedgerError("away"),
        "held": Dataset(),
        "raw": b"DOE^JANE",
        "counts": {"done": 1, "PatientName": "DOE^JANE"},
        "names": ("archive", None, 1.5),
        "pools": {"b", "a"},
    }
    assert clean_fields(fields) == {
        "event": "item_settled",
        "patient_id": DROPPED,
        "status": 0xA700,
        "state": "done",
        "sop_instance_uid": "1.2.3",
        "error": "ValueError",
        "ledger_error": "gurney.errors.LedgerError: away",
        "held": "<Dataset>",
        "raw": "<bytes>",
        "counts": {"done": 1, "PatientName": DROPPED},
        "names": ["archive", None, 1.5],
        "pools": ["a", "b"],
    }


@pytest.mark.parametrize(
    "fields",
    [
        {"event": "x", "patient_name": "DOE"},
        {"event": "x", "held": Dataset()},
        {"event": "Sent DOE^JANE"},
        {"event": "sent 1.2.3\n"},
        {},
    ],
)
def test_a_strict_guard_raises(fields: dict[str, object]) -> None:
    with pytest.raises(LeakError) as caught:
        clean_fields(fields, strict=True)
    assert "DOE" not in str(caught.value)


def test_a_strict_guard_lets_plain_events_pass() -> None:
    fields = {"event": "batch_claimed", "lease": 7, "destination": "archive"}
    assert clean_fields(fields, strict=True) == fields


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("redis://:hunter2@h/0 is away", "redis://***@h/0 is away"),
        ("postgresql+psycopg://u:pw@h", "postgresql+psycopg://***@h"),
        ("a\nb\x1b[31m\u2028c\x9b", "a\\nb\\x1b[31m\\u2028c\\x9b"),
        ("x" * 501, "x" * 500 + "..."),
        ("Größe 5", "Größe 5"),
    ],
)
def test_cleans_texts(text: str, clean: str) -> None:
    assert clean_text(text) == clean


def test_an_exception_tells_places_and_our_words_only() -> None:
    def fail(secret: str) -> None:
        try:
            int(secret)
        except ValueError as error:
            raise LedgerError("the ledger is away") from error

    with pytest.raises(LedgerError) as caught:
        fail("DOE^JANE")
    lines = describe_exception(caught.value)
    assert lines[0] == "gurney.errors.LedgerError: the ledger is away"
    assert "ValueError" in lines
    assert any(
        line.startswith("  tests/observability/test_redaction.py:") and line.endswith("in fail") for line in lines
    )
    assert "DOE" not in "\n".join(lines)


def test_an_error_of_the_operating_system_keeps_its_name_but_no_path() -> None:
    with pytest.raises(FileNotFoundError) as caught:
        os.stat("/nonexistent/DOE^JANE.dcm")
    assert describe_exception(caught.value)[0] == "FileNotFoundError: No such file or directory"


def test_a_ring_of_causes_ends() -> None:
    first, second = ValueError(), KeyError()
    first.__cause__, second.__cause__ = second, first
    assert describe_exception(first) == ["ValueError", "KeyError"]
