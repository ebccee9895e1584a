"""Queries that users write themselves."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from pydicom.dataset import Dataset

from gurney.pacs import STUDY_ROOT, Level, Queryable, key
from gurney.pacs.query.keys import Wanted


@dataclass(frozen=True, kw_only=True)
class OfOneLevel(Queryable):
    model = STUDY_ROOT
    level = Level.STUDY
    patient_id: Wanted = key("PatientID")


@dataclass(frozen=True, kw_only=True)
class OfAnyLevel(Queryable):
    model = STUDY_ROOT
    level: Level = Level.STUDY
    patient_id: Wanted = key("PatientID")


@pytest.mark.parametrize("kind", [OfOneLevel, OfAnyLevel])
def test_a_level_may_be_a_field_or_the_classes_own(kind: type[OfOneLevel] | type[OfAnyLevel]) -> None:
    assert kind(patient_id="P1").identifier().QueryRetrieveLevel == "STUDY"
    match = Dataset()
    match.PatientID = "P2"
    filled_in = kind.of(match, Level.STUDY)
    assert (filled_in.patient_id, filled_in.level) == ("P2", Level.STUDY)
