"""What is refused when rules are compiled, and where the mistake is said to be."""

from __future__ import annotations

import dataclasses

import pytest

from gurney.errors import ConfigError
from gurney.transfer.errors import RouteTableError
from gurney.transfer.routing import Provenance, RouteRule, compile_routes
from gurney.transfer.routing.expression import VARIABLES

# (when, the words that name it, the offset that is blamed)
REFUSED = [
    ("t.Modality ==", "ends too early", 13),
    ("has(t.Modality", "missing ')' at the end", 14),
    ("t.Modality == 'é' &&", "ends too early", 20),
    ('t.Modality == "CT"\n  && t.Foo == 1', "'Foo' is no DICOM keyword", 26),
    ("1 == 99999999999999999999", "invalid int literal", 5),
    ("// nothing", "ends too early", 10),
    ("true" + " " * 2000, "longer than 2000 characters", None),
    ('t.Modaliti == "CT"', "did you mean t.Modality?", 2),
    ('Modality == "CT"', "did you mean t.Modality?", 0),
    ('sorce == "ct1"', "did you mean source?", 0),
    ("rules == 1", "known are t.Keyword, called_ae_title", 0),
    ('t.StudyDescription.contain("x")', "did you mean contains?", 19),
    ("foo(t.Modality)", "unknown function 'foo'", 0),
    ('tag("0019,100A") == "x"', "unknown function 'tag'", 0),
    ('present.Modality == "CT"', "unknown name 'present'", 0),
    ("t", "t.Keyword only", 0),
    ("size(t) > 1", "t.Keyword only", 5),
    ('t["Modality"] == "CT"', "t.Keyword only", 0),
    ('source.name == "x"', "has a member 'name'", 7),
    ('t.Modality.t == "x"', "has a member 't'", 11),
    ('t.ReferencedStudySequence == "x"', "has VR SQ", 2),
    ('t.PixelData == "x"', "rules compare text and numbers only", 2),
    ('t.TransferSyntaxUID == "1.2"', "use sop_class_uid or transfer_syntax_uid", 2),
    ('{"a": 1}["a"] == 1', "maps and messages", 0),
    # Comparisons that would be false for ever.
    ('t.Rows == "512"', 'Rows is a number, and "512" is text', 10),
    ('"512" != t.Rows', "Rows is a number", 0),
    ("t.Modality == 5", "Modality is text, and 5 is a number", 14),
    ('t.Rows in ["512", "1024"]', "Rows is a number", 11),
    ('t.ImageType == "LOCALIZER"', 'write "LOCALIZER" in t.ImageType', 0),
    ('"CT" in t.Modality', "Modality is a single value", 0),
    ("5 in t.ImageType", "ImageType is text", 0),
    ('door == "wach"', "doors are watch, receive, retrieve, import, api", 8),
    ('door in ["watch", "recieve"]', '"recieve" is no door', 18),
    # Types that never fit.
    ("t.SliceThickness * 2 < 5", "needs 2.0 for 2", 0),
    ('t.Modality == "CT" && t.Rows + t.SliceThickness > 2.0', "different types", 22),
    ('t.SeriesNumber < "x"', "different types", 0),
    ("t.WindowCenter < 40", "different types", 0),
    ('t.ImageType.contains("A")', "contains does not apply", 0),
    ("t.Modality", "neither true nor false", 0),
    ('t.Modality == "CT" && t.Rows', "neither true nor false", 22),
    # What could run long.
    ("t.ImageType.exists(v, t.ImageType.exists(w, v == w))", "macro inside a macro", 34),
    ("t.ImageType.map(v, v) == []", "map is not allowed", 12),
    (" || ".join(['t.ImageType.exists(v, v == "A")'] * 9), "more than 8 macros", None),
    (" || ".join(['t.Modality.matches("A")'] * 9), "more than 8 matches", None),
    ("+".join(["t.Modality"] * 18) + ' == "x"', "more than 16 +", None),
    ('t.ImageType.exists(v, v.matches("A"))', "matches inside a macro", 24),
    ("t.StudyDescription.matches(t.Modality)", "one literal pattern", 19),
    ('t.StudyDescription.matches("A" + "B")', "one literal pattern", 19),
    ('t.StudyDescription.matches(r"\\w{200}")', "repeats too much", 27),
    ('t.StudyDescription.matches("[")', "not a regular expression", 0),
    ("t.ImageType.exists(t, true)", "'t' is taken", 19),
    ("t.ImageType.exists(source, true)", "'source' is taken", 19),
]

ACCEPTED = [
    "true",
    't.Modality == "CT"',
    "t.Modality == 'CT'",
    't.Modality in ["CT", "MR"] // a comment',
    "t.SliceThickness < 2",
    "t.SliceThickness <= 2.0 && t.SliceThickness > 0.5",
    "t.SliceThickness in [1, 2.5]",
    "t.Rows * t.Columns > 1000000",
    "double(t.Rows) * t.PixelSpacing[0] > 300.0",
    "t.InstanceNumber % 2 == 0",
    "-t.SliceLocation > 5.0",
    '"PRIMARY" in t.ImageType',
    '!("LOCALIZER" in t.ImageType)',
    't.ImageType[2] == "LOCALIZER"',
    't.ImageType == ["ORIGINAL", "PRIMARY"]',
    "t.ImageType.size() > 2",
    "size(t.ImageType) > 2",
    't.ImageType.exists(v, v.startsWith("LOC"))',
    't.ImageType.filter(v, v.contains("A")).size() == 1',
    "t.WindowCenter[0] < 40",
    "40 in t.WindowCenter",
    't.StudyDescription.contains("thorax")',
    't.StudyDescription.matches("(?i)^thora")',
    't.StudyDescription.matches(r"^\\d{8}$")',
    't.StudyDate >= "20240101" && t.StudyDate < "20250101"',
    "has(t.PatientID) && !has(t.AccessionNumber)",
    't.Modality == "CT" ? t.Rows == 512 : t.Rows == 256',
    'source == "ct1" && calling_ae_title.startsWith("CT")',
    'door == "retrieve" || door in ["watch", "api"]',
    'sop_class_uid == "1.2.840.10008.5.1.4.1.1.2"',
    'int(t.SeriesDescription) > 5 || t.StudyDescription == "}{"',
    "t.Modality ==\n  'CT'",
]


def compiled(when: str) -> None:
    compile_routes([RouteRule("a rule", when, ("archive",))])


@pytest.mark.parametrize(("when", "words", "position"), REFUSED)
def test_refused(when: str, words: str, position: int | None) -> None:
    with pytest.raises(RouteTableError) as raised:
        compiled(when)
    (mistake,) = raised.value.mistakes
    assert words in mistake.words
    assert mistake.rule == "a rule"
    if position is not None:
        assert mistake.position == position


@pytest.mark.parametrize("when", ACCEPTED)
def test_accepted(when: str) -> None:
    compiled(when)


def test_the_error_names_every_mistake_with_rule_and_place() -> None:
    rules = [
        RouteRule("one", "t.Modaliti == 'CT'", ("archive",)),
        RouteRule("two", "t.Modality == 'CT'"),
        RouteRule("two", "t.Modality == 'CT'", ("archive",)),
        RouteRule("", action="drop", send_to=("archive",)),
    ]
    with pytest.raises(ConfigError) as raised:
        compile_routes(rules)
    assert str(raised.value).splitlines() == [
        "route 'one', character 3 of when: 'Modaliti' is no DICOM keyword; did you mean t.Modality?",
        "route 'two': sends nowhere: give send_to, or another action",
        "route 'two': another rule has the same name",
        "route '': needs a name",
        "route '': drops, and so can't send: leave send_to out",
    ]


def test_rules_can_ask_for_all_of_provenance_and_nothing_else() -> None:
    assert {field.name for field in dataclasses.fields(Provenance)} == VARIABLES


def test_wanted_tags_are_those_of_all_rules_and_modality() -> None:
    table = compile_routes(
        [
            RouteRule("a", "t.SliceThickness < 2 && has(t.Rows)", ("x",)),
            RouteRule("b", 't.ImageType.exists(v, v == t.BodyPartExamined) && source == "t.Columns"', ("x",)),
        ]
    )
    assert table.wanted_tags == {0x00080060, 0x00180050, 0x00280010, 0x00080008, 0x00180015}
    assert table.wanted["Rows"] == 0x00280010
