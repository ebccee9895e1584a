"""Refusals cross process borders and keep what they say."""

from __future__ import annotations

import pickle

import pytest

from gurney.dicom.errors import FORGIVABLE, Part10Error, Reason, TruncatedError, UnreadableError
from gurney.dicom.policy import ReadPolicy
from gurney.errors import DicomFileError


@pytest.mark.parametrize(
    ("error", "reason", "permanent"),
    [
        (Part10Error(Reason.BAD_UID, "why"), Reason.BAD_UID, True),
        (TruncatedError("why"), Reason.TRUNCATED, False),
        (TruncatedError("why", Reason.BLANK_PIXELS), Reason.BLANK_PIXELS, False),
        (UnreadableError("why"), Reason.UNREADABLE, False),
    ],
)
def test_an_error_knows_its_reason_also_after_a_pickle(error: Part10Error, reason: Reason, permanent: bool) -> None:
    for each in (error, pickle.loads(pickle.dumps(error))):
        assert isinstance(each, DicomFileError)
        assert (type(each), each.reason, each.detail) == (type(error), reason, "why")
        assert each.permanent is permanent
        assert str(each) == f"{reason}: why"


@pytest.mark.parametrize("reason", [Reason.TRUNCATED, Reason.BAD_UID, Reason.MEDIA_DIRECTORY, Reason.DEFLATE_BOMB])
def test_some_faults_can_never_be_forgiven(reason: Reason) -> None:
    assert reason not in FORGIVABLE
    with pytest.raises(ValueError, match=reason):
        ReadPolicy(frozenset({reason}))
