"""What messages mean, and what is said of those that mean nothing to us or lack what they must have."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from gurney.ledger.appointments import Expected
from gurney.prefetch.hl7.acknowledgement import Code, Complaint, acknowledge
from gurney.prefetch.hl7.meaning import Cancellation, Lacking, Meaning, SamePatient, interpret, moment
from gurney.prefetch.hl7.message import Unreadable, read_message
from gurney.settings.hl7 import Hl7
from tests.prefetch.hl7.messages import adt, orm, siu

BERLIN = ZoneInfo("Europe/Berlin")
MORNING = datetime(2026, 11, 25, 8, 30, tzinfo=BERLIN).timestamp()


def meant(block: bytes, **config: object) -> list[Meaning]:
    return interpret(read_message(block, "latin-1"), Hl7(**config), BERLIN)  # type: ignore[arg-type]


def test_an_order_is_an_appointment() -> None:
    assert meant(orm()) == [
        Expected("4711", ("P0",), MORNING, "ACC1", procedure_code="CTTHX", description="CT Thorax", modality="CT")
    ]


@pytest.mark.parametrize("control", ["CA", "OC", "DC"])
def test_an_order_is_cancelled_by_its_control_code(control: str) -> None:
    assert meant(orm(control=control)) == [Cancellation("4711")]


@pytest.mark.parametrize("control", ["CM", "RE", "OK", ""])
def test_other_control_codes_are_none_of_our_business(control: str) -> None:
    assert meant(orm(control=control)) == []


def test_a_message_may_hold_several_orders() -> None:
    first, second = orm("1"), orm("2", control="CA")
    order = b"".join(line + b"\r" for line in second.split(b"\r") if line[:3] in (b"ORC", b"OBR"))
    assert [one.key for one in meant(first + order) if not isinstance(one, SamePatient)] == ["1", "2"]
    assert isinstance(meant(first + order)[1], Cancellation)


def test_an_appointment_comes_moves_and_goes() -> None:
    (appointment,) = meant(siu())
    assert isinstance(appointment, Expected)
    assert (appointment.key, appointment.patient_ids) == ("A1", ("P1",))
    assert appointment.scheduled_at == datetime(2026, 11, 25, 10, 0, tzinfo=BERLIN).timestamp()
    assert (appointment.procedure_code, appointment.description) == ("MRKNEE", "MR Knie links")
    assert [type(one) for one in meant(siu("S13"))] == [Expected]
    for event in ("S15", "S16", "S17", "S26"):
        assert meant(siu(event)) == [Cancellation("A1")]


@pytest.mark.parametrize("event", ["A18", "A34", "A40"])
def test_a_merge_makes_two_ids_one_patients(event: str) -> None:
    assert meant(adt(event, ids="NEW^^^H^MR", prior="OLD^^^H^MR~OLDER")) == [SamePatient(("NEW", "OLD", "OLDER"))]


def test_an_update_tells_of_all_ids_of_a_patient() -> None:
    assert meant(adt("A08", ids="NEW^^^H^MR~OLD^^^H^MR")) == [SamePatient(("NEW", "OLD"))]
    assert meant(adt("A08", ids="NEW")) == []


def test_only_ids_of_the_named_types_count() -> None:
    ids = "NEW^^^H^MR~123-45^^^STATE^SS~OLD^^^H^MR"
    assert meant(adt("A08", ids=ids), id_types=("MR",)) == [SamePatient(("NEW", "OLD"))]


def test_where_what_stands_is_configuration() -> None:
    fields = {"accession": ("ORC.2.1",), "order": ("OBR.18.1",), "description": ("OBR.4.3",)}
    (appointment,) = meant(orm(), fields=fields)
    assert isinstance(appointment, Expected)
    assert (appointment.key, appointment.accession_number, appointment.description) == ("ACC1", "4711", "LOCAL")


@pytest.mark.parametrize(
    ("block", "place"),
    [
        (orm(patient=""), "PID^1^3"),
        (orm(order=""), "ORC^1^2"),
        (orm(order="", control="CA"), "ORC^1^2"),
        (siu(key=""), "SCH^1^1"),
        (adt("A40"), "MRG^1"),
        (adt("A40", ids="SAME", prior="SAME"), "MRG^1^1"),
    ],
)
def test_what_lacks_something_is_told_where(block: bytes, place: str) -> None:
    with pytest.raises(Lacking) as raised:
        meant(block)
    assert raised.value.place == place


@pytest.mark.parametrize("kind", ["ORU^R01", "ADT^A03", "SIU^S23", "MFN^M02"])
def test_other_messages_mean_nothing(kind: str) -> None:
    assert meant(orm().replace(b"ORM^O01", kind.encode())) == []


@pytest.mark.parametrize(
    "block", [b"", b"PID|1", b"MSH", b"MSH|", b"MSH|^~\\&|", b"\xff\xfe\x00", b"MSH|^~\\&|A|B|C|D|2026||"]
)
def test_what_is_no_message_is_told_from_one(block: bytes) -> None:
    with pytest.raises(Unreadable):
        read_message(block, "latin-1")


@pytest.mark.parametrize(
    ("charset", "encoding"),
    [("", "latin-1"), ("8859/1", "latin-1"), ("UNICODE UTF-8", "utf-8"), ("8859/15", "iso8859-15")],
)
def test_text_is_read_in_the_encoding_that_the_message_names(charset: str, encoding: str) -> None:
    (appointment,) = meant(orm(description="Schädel", charset=charset, encoding=encoding))
    assert isinstance(appointment, Expected)
    assert appointment.description == "Schädel"


@pytest.mark.parametrize(
    ("escaped", "text"),
    [
        ("\\F\\\\S\\\\R\\\\T\\\\E\\", "|^~&\\"),
        ("Sch\\XE4\\del", "Schädel"),
        ("a\\X00\\b", "ab"),
        ("a\\XZZ\\b\\X4\\c", "abc"),
        ("one\\.br\\two\\.sp9x\\three", "one two three"),
        ("\\H\\loud\\N\\", "loud"),
        ("a\\C2842\\b\\M2442\\c", "abc"),
        ("half\\of", "half\\of"),
        ("C:\\dir\\x", "C:\\dir\\x"),
    ],
)
def test_every_escape_is_undone_or_stays_and_is_never_logged(
    escaped: str, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    (appointment,) = meant(orm(description=escaped))
    assert isinstance(appointment, Expected)
    assert appointment.description == text
    assert not caplog.records, "the library for HL7 logs what it can't undo"


def test_null_is_nobodys_id() -> None:
    assert meant(adt("A40", ids="NEW", prior='OLD~""')) == [SamePatient(("NEW", "OLD"))]
    with pytest.raises(Lacking):
        meant(orm(patient='""'))


def test_two_messages_in_one_are_none() -> None:
    with pytest.raises(Unreadable):
        read_message(orm("1", patient="A") + orm("2", patient="B"), "latin-1")


@pytest.mark.parametrize("keys", [{"id_types": ("MR",)}, {"id_issuers": ("HERE",)}])
def test_only_ids_that_count_are_merged(keys: dict[str, tuple[str, ...]]) -> None:
    config = Hl7(**keys)  # type: ignore[arg-type]  # one key at a time

    def merged(prior: str) -> list[Meaning]:
        message = read_message(adt("A40", ids="NEW^^^HERE^MR~4711^^^AOK^NI", prior=prior), "latin-1")
        return interpret(message, config, BERLIN)

    assert merged("OLD^^^HERE^MR~0815^^^AOK^NI") == [SamePatient(("NEW", "OLD"))]
    assert merged("OLD") == [SamePatient(("NEW", "OLD"))], "older messages have the ID alone"
    assert merged("0815^^^AOK^NI") == []


def test_escapes_are_undone_and_line_feeds_taken_for_ends() -> None:
    (appointment,) = meant(orm(description="Hals\\T\\Thorax").replace(b"\r", b"\r\n"))
    assert isinstance(appointment, Expected)
    assert appointment.description == "Hals&Thorax"


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("20261125", datetime(2026, 11, 25, tzinfo=BERLIN)),
        ("202611250830", datetime(2026, 11, 25, 8, 30, tzinfo=BERLIN)),
        ("20261125083015.25", datetime(2026, 11, 25, 8, 30, 15, tzinfo=BERLIN)),
        ("20261125083000+0000", datetime(2026, 11, 25, 8, 30, tzinfo=UTC)),
        ("20261125083000-0530", datetime(2026, 11, 25, 14, 0, tzinfo=UTC)),
        ("", None),
        ("tomorrow", None),
        ("20261399", None),
    ],
)
def test_times_are_the_zones_unless_they_say_otherwise(text: str, at: datetime | None) -> None:
    assert moment(text, BERLIN) == (at.timestamp() if at is not None else None)


def test_an_answer_repeats_who_asked_and_nothing_of_what_stood_there() -> None:
    message = read_message(orm(), "latin-1")
    now = datetime(2026, 11, 24, 12, 0, tzinfo=BERLIN)
    taken = acknowledge(message, Code.ACCEPT, None, now).decode()
    assert taken.startswith("MSH|^~\\&|GURNEY|IMAGING|RIS|HOSPITAL|20261124120000||ACK^O01^ACK|")
    assert "\rMSA|AA|M1\r" in taken
    refused = acknowledge(message, Code.ERROR, Complaint("PID^1^3", 101, "there is no patient ID"), now).decode()
    assert "\rMSA|AE|M1\r" in refused
    assert "\rERR||PID^1^3|101^^HL70357|E||||there is no patient ID\r" in refused
    assert "ller" not in taken + refused
    assert read_message(refused.encode(), "utf-8").kind == "ACK"
    assert acknowledge(None, Code.REJECT, None, now).count(b"\r") == 2
