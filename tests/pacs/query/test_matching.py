from __future__ import annotations

from datetime import date, datetime

import pytest
from pydicom.dataset import Dataset

from gurney.pacs import QueryOptions, Range
from gurney.pacs.query.keys import Wanted, identifier
from gurney.pacs.query.matching import answers, judgeable, keys_of_template
from tests.pacs.query.test_keys import MOMENT, NIGHT, STATION, of

JANUARY = Range("20240101", "20240131")


@pytest.mark.parametrize(
    ("keyword", "wanted", "found", "is_answer"),
    [
        ("PatientID", "P1", "P1", True),
        ("PatientID", "P1", "p1 ", True),
        ("PatientID", "P1", "P10", False),
        ("PatientID", "P*", "P10", True),
        ("PatientID", "P?", "P10", False),
        ("PatientID", "[P]*", "P10", False),
        ("PatientID", "", "P10", True),
        ("PatientID", "P1", "", True),
        ("StudyInstanceUID", ["1.2", "1.3"], "1.3", True),
        ("StudyInstanceUID", ["1.2", "1.3"], "1.4", False),
        ("StudyInstanceUID", "1.2", "1.20", False),
        ("StudyDate", JANUARY, "20240131", True),
        ("StudyDate", JANUARY, "20240201", False),
        ("StudyDate", JANUARY, "2024.01.31", True),
        ("StudyDate", Range("20240101"), "20231231", False),
        ("StudyDate", "20240101-20240131", "20240115", True),
        ("StudyDate", "20240101-20240131", "20240215", False),
        ("StudyDate", date(2024, 1, 15), "20240115", True),
        ("StudyDate", date(2024, 1, 15), "20240116", False),
        ("StudyTime", Range("0800", "12"), "125959.5", True),
        ("StudyTime", Range("0800", "12"), "13", False),
        ("StudyTime", Range("0800"), "08", True),
        ("StudyTime", "1015", "101530", True),
        ("StudyTime", "1015", "10:16:00", False),
        ("ModalitiesInStudy", "CT", ["MR", "CT"], True),
        ("ModalitiesInStudy", "CT", ["MR", "US"], False),
        ("InstanceNumber", "7", "007", True),
        ("InstanceNumber", "7", "8", False),
        # An archive may take case and accents for the same (PS3.4 C.2.2.2.1), and one letter for none.
        ("PatientName", "Doe*", "DOE^JANE", True),
        ("PatientName", "Müller^Jürgen", "MULLER^JURGEN^^", True),
        ("PatientName", "Doe", "Doe^Jane", True),
        ("PatientName", "Yamada*", "Yamada^Tarou=山田^太郎=やまだ^たろう", True),
        ("PatientName", "山田*", "Yamada^Tarou=山田^太郎", True),
        ("PatientName", "Doe*", "Roe^Jane", False),
        ("PatientName", "Doe^J*", "Doe^Kim", False),
        ("PatientName", "=", "Doe^Kim", True),
    ],
)
def test_an_answer_is_held_to_its_question(keyword: str, wanted: Wanted, found: object, is_answer: bool) -> None:
    assert answers(of(**{keyword: found}), {keyword: wanted}) is is_answer


@pytest.mark.parametrize(
    ("day", "hour", "is_answer"),
    [
        ("20240101", "215959", False),
        ("20240101", "220000", True),
        ("20240101", "22", True),
        ("20240102", "060000", True),
        ("20240102", "060001", False),
        ("20240102", "", True),
        ("20240103", "", False),
        ("", "", True),
    ],
)
def test_a_moment_is_date_and_time_in_one(day: str, hour: str, is_answer: bool) -> None:
    assert answers(of(StudyDate=day, StudyTime=hour), {MOMENT: NIGHT}) is is_answer
    open_range = Range(first=datetime(2024, 1, 1, 22))
    assert answers(of(StudyDate="20300101", StudyTime="0100"), {MOMENT: open_range})


def test_one_of_several_items_is_enough() -> None:
    steps = of(ScheduledProcedureStepSequence=[of(ScheduledStationAETitle=name) for name in ("MR1", "CT1")])
    assert answers(steps, {STATION: "CT1"})
    assert not answers(steps, {STATION: "CT2"})


def test_what_cant_be_read_is_not_held_against_an_answer() -> None:
    assert answers(of(StudyDate=""), {"StudyDate": JANUARY})
    assert answers(Dataset(), {STATION: "CT1", MOMENT: NIGHT})


@pytest.mark.parametrize(
    ("agreed", "left"),
    [
        (QueryOptions(relational=True, combined=True), {"PatientID", "PatientName", "StudyDate", MOMENT}),
        (QueryOptions(fuzzy_names=True), {"PatientID", "StudyDate", MOMENT}),
        (QueryOptions(timezones=True), {"PatientID", "PatientName"}),
    ],
)
def test_what_the_peer_may_match_more_loosely_is_not_judged(agreed: QueryOptions, left: set[str]) -> None:
    asked: dict[str, Wanted] = {"PatientID": "P1", "PatientName": "MAIER", "StudyDate": "20240101", MOMENT: NIGHT}
    sent = identifier(asked)
    assert {*judgeable({**asked, "StudyID": ""}, sent, sent, agreed)} == left


def test_what_a_listener_changed_is_judged_by_what_it_asks() -> None:
    asked: dict[str, Wanted] = {"PatientID": "P1", STATION: "CT1", MOMENT: NIGHT}
    made, sent = identifier(asked), identifier({**asked, STATION: "CT2"})
    assert judgeable(asked, made, sent, QueryOptions()) == {"PatientID": "P1", MOMENT: NIGHT, STATION: ["CT2"]}
    sent.StudyDate = "20230101"
    assert judgeable(asked, made, sent, QueryOptions()) == {
        "PatientID": "P1",
        "StudyDate": ["20230101"],
        STATION: ["CT2"],
    }
    assert judgeable(asked, made, sent, QueryOptions(timezones=True)).keys() == {"PatientID", STATION}
    sent.StudyDate = sent.PatientID = ""
    assert {*judgeable(asked, made, sent, QueryOptions())} == {"PatientID", MOMENT, STATION}


def test_what_a_template_asks_for_by_a_value_is_a_key() -> None:
    step = of(Modality=["MR", "CT"], ScheduledStationAETitle="")
    template = of(
        SpecificCharacterSet="ISO_IR 100", QueryRetrieveLevel="STUDY", StudyID="2", InstitutionName="",
        ScheduledProcedureStepSequence=[step],
    )  # fmt: skip
    template.add_new(0x00091010, "LO", "private")
    assert keys_of_template(template) == {"StudyID": ["2"], "ScheduledProcedureStepSequence.Modality": ["MR", "CT"]}
