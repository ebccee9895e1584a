"""What rules decide: matches, missing tags, errors, and how rules work together."""

from __future__ import annotations

import pathlib
import threading
from collections.abc import Mapping

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gurney.transfer.errors import RouteTableError
from gurney.transfer.routing import (
    FOLLOWERS,
    Door,
    Provenance,
    RouteRule,
    RouteTable,
    RoutingDecision,
    Send,
    Verdict,
    compile_routes,
)
from gurney.transfer.states import Priority, Routing

PAGE = pathlib.Path(__file__).parents[3] / "docs" / "reference" / "routing.md"

WATCHED = Provenance(Door.WATCH, source="ct1")
CT = {
    "Modality": "CT",
    "BodyPartExamined": "CHEST",
    "SliceThickness": 1.5,
    "Rows": 512,
    "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
    "StudyDescription": "thorax",
    "StudyDate": "20240131",
    "PixelSpacing": [0.7, 0.7],
}

IS_CT = 't.Modality == "CT"'
FAILS = "10 / t.Rows > 1"  # with 0 rows


def decide(when: str, values: object = CT, provenance: Provenance = WATCHED) -> RoutingDecision:
    assert isinstance(values, dict)
    return compile_routes([RouteRule("a rule", when, ("archive",))]).decide(values, provenance)


def table(*rules: RouteRule) -> RouteTable:
    return compile_routes(rules)


def destinations(decision: RoutingDecision) -> list[str]:
    return [send.destination for send in decision.sends]


def verdicts(decision: RoutingDecision) -> list[Verdict]:
    return [explanation.verdict for explanation in decision.explanations]


# --- One rule ---------------------------------------------------------------------------------------------------------

MATCHING = [
    "",
    't.Modality == "CT" && t.BodyPartExamined == "CHEST"',
    't.BodyPartExamined in ["CHEST", "THORAX"]',
    "t.SliceThickness < 2",
    "t.SliceThickness < 2.0",
    "t.SliceThickness == 1.5",
    "t.Rows == 512",
    "t.Rows == 512.0",
    "t.Rows in [256, 512]",
    "0.7 in t.PixelSpacing",
    "t.PixelSpacing[0] * double(t.Rows) > 300.0",
    '"PRIMARY" in t.ImageType',
    't.ImageType[2] == "AXIAL"',
    't.ImageType.exists(v, v.startsWith("AX"))',
    't.StudyDescription.contains("tho")',
    't.StudyDescription.matches("(?i)^THO")',
    't.StudyDate >= "20240101"',
    "has(t.StudyDate) && !has(t.PatientID)",
    'source == "ct1" && door == "watch" && calling_ae_title == ""',
]


@pytest.mark.parametrize("when", MATCHING)
def test_matches(when: str) -> None:
    decision = decide(when)
    assert (decision.state, verdicts(decision)) == (Routing.ROUTED, [Verdict.MATCHED])


@pytest.mark.parametrize("when", MATCHING[1:-1])
def test_its_negation_does_not_match(when: str) -> None:
    decision = decide(f"!({when})")
    assert (decision.state, verdicts(decision)) == (Routing.NO_ROUTE, [Verdict.NOT_MATCHED])


def missing_rows() -> list[tuple[str, bool]]:
    """Return the page's table of what a missing tag does: expression, and whether it matches."""
    section = PAGE.read_text(encoding="utf-8").split("\n## A missing tag")[1].split("\n## ")[0]
    rows = [line.replace("\\|", "\0").split("|") for line in section.splitlines() if line.startswith("| `")]
    return [(row[1].strip().strip("`").replace("\0", "|"), row[2].strip().startswith("matches")) for row in rows]


@pytest.mark.parametrize(("when", "matches"), missing_rows())
@pytest.mark.parametrize("missing", [{}, {"SliceThickness": None, "StudyDescription": "", "ImageType": []}], ids=repr)
def test_a_missing_tag_is_empty_not_an_error(when: str, matches: bool, missing: dict[str, object]) -> None:
    decision = decide(when, missing)
    assert verdicts(decision) == [Verdict.MATCHED if matches else Verdict.NOT_MATCHED]


def test_the_page_shows_what_is_missing_in_many_ways() -> None:
    assert len(missing_rows()) >= 15


@pytest.mark.parametrize(
    "when",
    [
        '(t.StudyDate) < "20240101"',
        '((t.StudyDate)) <= "20240101"',
        '"20240101" > t.StudyDate',
        't.StudyDate + t.StudyTime < "20240101"',
        "int(t.SeriesDescription) < 5",
        't.Modality == "" ? t.Rows < 5 : true',
        "t.ImageOrientationPatient[0] < 0.5",
    ],
)
def test_nothing_missing_is_ordered(when: str) -> None:
    assert verdicts(decide(when, {})) == [Verdict.NOT_MATCHED]
    assert verdicts(decide(f"!({when})", {})) == [Verdict.NOT_MATCHED]


@pytest.mark.parametrize(
    ("when", "values", "why"),
    [
        ("t.SliceThickness < 2", {"SliceThickness": "1,5"}, "SliceThickness is not a number"),
        ("t.SliceThickness != 2.0", {"SliceThickness": float("nan")}, "SliceThickness is not a number"),
        ("t.Rows < 2", {"Rows": 1.5}, "Rows is not a number"),
        ("t.Rows < 2 || t.Columns < 2", {"Rows": "x"}, "Rows is not a number"),
        ('t.Modality == "CT"', {"Modality": ["CT", "MR"]}, "Modality has several values"),
        ('t.StudyDescription == "x"', {"StudyDescription": "x" * 4097}, "longer than 4096"),
        ('"x" in t.ImageType', {"ImageType": ["x"] * 257}, "more than 256 values"),
        ("10 / t.Rows > 1", {"Rows": 0}, "divides by zero"),
        ("t.Rows * t.Columns > 1", {"Rows": 2**40, "Columns": 2**40}, "grows too large"),
        ("int(t.SeriesDescription) > 1", {"SeriesDescription": "Doe"}, "can't be converted"),
    ],
)
def test_what_cannot_be_evaluated_is_an_error_not_a_mismatch(when: str, values: dict[str, object], why: str) -> None:
    decision = decide(when, values)
    assert (decision.state, verdicts(decision), decision.sends) == (Routing.ERROR, [Verdict.ERROR], ())
    assert why in decision.explanations[0].why
    assert "Doe" not in decision.explanations[0].why


def test_an_error_that_cannot_matter_does_not() -> None:
    wrong = {"Modality": "CT", "SliceThickness": "1,5"}
    assert verdicts(decide('t.SliceThickness < 2 && t.Modality == "MR"', wrong)) == [Verdict.NOT_MATCHED]
    assert verdicts(decide('t.SliceThickness < 2 || t.Modality == "CT"', wrong)) == [Verdict.MATCHED]


def test_a_list_of_one_may_come_as_a_scalar() -> None:
    assert decide('"PRIMARY" in t.ImageType', {"ImageType": "PRIMARY"}).state is Routing.ROUTED


def test_empty_components_keep_their_place() -> None:
    assert decide('t.ImageType[2] == "AXIAL"', {"ImageType": ["ORIGINAL", "", "AXIAL"]}).state is Routing.ROUTED


def test_undecodable_text_compares() -> None:
    assert decide('t.StudyDescription.contains("tho")', {"StudyDescription": "tho\udce9"}).state is Routing.ROUTED


# --- Rules together ---------------------------------------------------------------------------------------------------


def test_all_that_match_apply() -> None:
    rules = table(
        RouteRule("a", IS_CT, ("x", "y")),
        RouteRule("b", 't.Modality == "MR"', ("z",)),
        RouteRule("c", "", ("w",), send="study_complete", priority=Priority.BULK),
    )
    decision = rules.decide(CT, WATCHED)
    assert decision.state is Routing.ROUTED
    assert decision.sends == (
        Send("x", "a", "immediately", Priority.ROUTINE),
        Send("y", "a", "immediately", Priority.ROUTINE),
        Send("w", "c", "study_complete", Priority.BULK),
    )


def test_stop_ends_the_list() -> None:
    decision = table(RouteRule("a", IS_CT, ("x",), stop=True), RouteRule("b", "", ("y",))).decide(CT, WATCHED)
    assert destinations(decision) == ["x"]
    assert verdicts(decision) == [Verdict.MATCHED, Verdict.SKIPPED]
    assert "'a' has stop" in decision.explanations[1].why


def test_stop_of_a_rule_that_does_not_match_ends_nothing() -> None:
    rules = table(RouteRule("a", 't.Modality == "MR"', ("x",), stop=True), RouteRule("b", "", ("y",)))
    assert destinations(rules.decide(CT, WATCHED)) == ["y"]


def test_one_send_for_each_destination_the_soonest_and_most_urgent() -> None:
    rules = table(
        RouteRule("a", "", ("x",), send="study_complete", priority=Priority.STAT),
        RouteRule("b", "", ("x",), send="series_complete", priority=Priority.BULK),
    )
    assert rules.decide(CT, WATCHED).sends == (Send("x", "a", "series_complete", Priority.STAT),)


def test_the_doors_own_destinations_are_added() -> None:
    rules = table(RouteRule("a", 't.Modality == "MR"', ("x",)))
    decision = rules.decide(CT, WATCHED, default_send_to=("archive",), default_priority=Priority.HIGH)
    assert (decision.state, decision.sends) == (
        Routing.ROUTED,
        (Send("archive", "", "immediately", Priority.HIGH),),
    )
    assert table().decide(CT, WATCHED).state is Routing.NO_ROUTE


def test_drop_takes_back_every_send_and_ends_the_list() -> None:
    rules = table(RouteRule("a", "", ("x",)), RouteRule("b", IS_CT, action="drop"), RouteRule("c", "", ("y",)))
    decision = rules.decide(CT, WATCHED, default_send_to=("archive",))
    assert (decision.state, decision.sends) == (Routing.FILTERED, ())
    assert verdicts(decision)[2] is Verdict.SKIPPED


def test_stop_above_a_drop_excepts() -> None:
    rules = table(RouteRule("a", IS_CT, ("x",), stop=True), RouteRule("b", "", action="drop"))
    assert rules.decide(CT, WATCHED).state is Routing.ROUTED
    assert rules.decide({"Modality": "MR"}, WATCHED).state is Routing.FILTERED


def test_hold_keeps_what_a_release_would_send() -> None:
    rules = table(RouteRule("a", IS_CT, ("x",), action="hold"), RouteRule("b", "", ("y",)))
    decision = rules.decide(CT, WATCHED, default_send_to=("archive",))
    assert (decision.state, destinations(decision)) == (Routing.HELD, ["archive", "x", "y"])


def test_a_failed_rule_does_not_keep_back_what_it_could_not_prevent() -> None:
    rules = table(RouteRule("a", IS_CT, ("x",)), RouteRule("b", FAILS, ("y",)), RouteRule("c", "", ("z",)))
    decision = rules.decide(CT | {"Rows": 0}, WATCHED)
    assert (decision.state, destinations(decision)) == (Routing.ERROR, ["x", "z"])


def test_a_failed_stop_keeps_back_what_is_below() -> None:
    rules = table(RouteRule("a", "", ("x",)), RouteRule("b", FAILS, ("y",), stop=True), RouteRule("c", "", ("z",)))
    decision = rules.decide(CT | {"Rows": 0}, WATCHED)
    assert (decision.state, destinations(decision)) == (Routing.ERROR, ["x"])


@pytest.mark.parametrize("action", ["drop", "hold"])
def test_a_failed_drop_or_hold_keeps_everything_back(action: str) -> None:
    rules = table(RouteRule("a", "", ("x",)), RouteRule("b", FAILS, action=action))  # type: ignore[arg-type]
    decision = rules.decide(CT | {"Rows": 0}, WATCHED, default_send_to=("archive",))
    assert (decision.state, decision.sends) == (Routing.ERROR, ())


def test_what_is_held_stays_when_another_rule_fails() -> None:
    rules = table(RouteRule("a", "", ("x",), action="hold"), RouteRule("b", FAILS, ("y",)))
    decision = rules.decide(CT | {"Rows": 0}, WATCHED)
    assert (decision.state, decision.sends) == (Routing.ERROR, ())


def test_priors_do_not_flow_back() -> None:
    rules = table(
        RouteRule("everything", "", ("archive",)),
        RouteRule("ct", IS_CT, ("archive",)),
        RouteRule("asks", 'door == "retrieve"', ("workstation",)),
    )
    decision = rules.decide(CT, Provenance(Door.RETRIEVE))
    assert destinations(decision) == ["workstation"]
    assert verdicts(decision) == [Verdict.SKIPPED, Verdict.SKIPPED, Verdict.MATCHED]


# --- Studies ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("modality", sorted(FOLLOWERS))
def test_reports_follow_their_study(modality: str) -> None:
    rules = table(RouteRule("ct", IS_CT, ("x",)))
    before = rules.decide({"Modality": modality}, WATCHED)
    assert before.state is Routing.NO_ROUTE

    image = rules.decide(CT, WATCHED)
    assert image.matched_study_rules == image.look_back == {"ct"}

    after = rules.decide({"Modality": modality}, WATCHED, image.matched_study_rules)
    assert (verdicts(after), destinations(after)) == ([Verdict.FOLLOWED], ["x"])
    assert after.look_back == frozenset()


def test_a_study_is_looked_back_at_once() -> None:
    rules = table(RouteRule("ct", IS_CT, ("x",)))
    assert rules.decide(CT, WATCHED, {"ct"}).look_back == frozenset()


def test_other_images_do_not_follow() -> None:
    rules = table(RouteRule("ct", IS_CT, ("x",)))
    assert rules.decide({"Modality": "MR"}, WATCHED, {"ct"}).state is Routing.NO_ROUTE


@pytest.mark.parametrize(
    "rule",
    [
        RouteRule("r", IS_CT, ("x",), scope="instance"),
        RouteRule("r", IS_CT, action="drop"),
        RouteRule("r", IS_CT, ("x",), action="hold"),
    ],
    ids=["instance", "drop", "hold"],
)
def test_nothing_follows_into(rule: RouteRule) -> None:
    rules = table(rule)
    assert rules.decide(CT, WATCHED).matched_study_rules == frozenset()
    assert rules.decide({"Modality": "SR"}, WATCHED, {"r"}).state is Routing.NO_ROUTE


def test_what_follows_obeys_stop() -> None:
    rules = table(RouteRule("ct", IS_CT, ("x",), stop=True), RouteRule("rest", "", ("y",)))
    assert destinations(rules.decide({"Modality": "SR"}, WATCHED, {"ct"})) == ["x"]


# --- Explanations -----------------------------------------------------------------------------------------------------


def explained(when: str, values: Mapping[str, object], *, show_values: bool = False) -> str:
    return table(RouteRule("r", when, ("x",))).explain(values, WATCHED, show_values=show_values).explanations[0].why


def test_it_names_the_conditions_that_failed() -> None:
    when = 't.Modality == "CT" && (t.BodyPartExamined == "HEAD" || t.BodyPartExamined == "NECK") && t.Rows == 512'
    assert explained(when, CT) == (
        't.BodyPartExamined == "HEAD" is false (BodyPartExamined has a value); '
        't.BodyPartExamined == "NECK" is false (BodyPartExamined has a value)'
    )


def test_an_alternative_that_held_is_not_blamed() -> None:
    when = '(t.Modality == "MR" || t.Modality == "CT") && t.Rows == 256'
    assert explained(when, CT) == "t.Rows == 256 is false (Rows has a value)"


def test_and_binds_closer_than_or() -> None:
    assert explained('t.Modality == "MR" || t.Modality == "CT" && t.Rows == 256', CT) == (
        't.Modality == "MR" is false (Modality has a value); t.Rows == 256 is false (Rows has a value)'
    )


def test_values_are_shown_only_on_demand() -> None:
    when = 't.PatientName == "X" && t.PatientID == "Y"'
    values = {"PatientName": "Doe^John", "PatientID": "4711"}
    hidden = explained(when, values)
    assert "Doe" not in hidden
    assert "4711" not in hidden
    assert "PatientName is 'Doe^John'" in explained(when, values, show_values=True)


def test_it_says_what_is_not_known() -> None:
    assert explained("t.SliceThickness < 2", {}) == "t.SliceThickness < 2 is not known: SliceThickness is empty"
    assert explained('t.ImageType[2] == "A"', {"ImageType": ["X"]}) == (
        't.ImageType[2] == "A" is not known: a list has fewer values than that (ImageType has a value)'
    )


def test_explaining_decides_the_same() -> None:
    rules = table(RouteRule("a", IS_CT, ("x",)), RouteRule("b", FAILS, ("y",)), RouteRule("c", "t.Rows > 1", ("z",)))
    for values in (CT, CT | {"Rows": 0}, {}):
        decided, told = rules.decide(values, WATCHED), rules.explain(values, WATCHED)
        assert (decided.state, decided.sends, verdicts(decided)) == (told.state, told.sends, verdicts(told))


# --- Whatever the rule and the values ---------------------------------------------------------------------------------

_MARKS = "t. ( ) [ ] , ! - + * / % < <= == != && || in ? : { } 2 0 1.5 'CT' \"x\" r'\\w' true null has( size( int("
_NAMES = "t.Modality t.Rows t.SliceThickness t.ImageType t.PixelSpacing t.StudyDate source door v present"
_CALLS = ".contains( .exists(v, .filter(v, .map(v, .matches( .startsWith( .size() [0]"
PIECES = f"{_MARKS} {_NAMES} {_CALLS}".split()
scalars = st.none() | st.integers() | st.floats() | st.text(max_size=20) | st.text("\udc80\udcffé\0", max_size=3)
values = st.dictionaries(
    st.sampled_from(["Modality", "Rows", "SliceThickness", "ImageType", "PixelSpacing", "StudyDate"]),
    scalars | st.lists(scalars, max_size=4),
)


@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=12).map(" ".join) | st.sampled_from(MATCHING), values)
@example("t.Rows == 1", {"Rows": 2**70})
@example("t.SliceThickness < 1", {"SliceThickness": float("inf")})
def test_nothing_escapes(when: str, given_values: dict[str, object]) -> None:
    try:
        rules = table(RouteRule("r", when, ("x",)))
    except RouteTableError:
        return
    decision = rules.explain(given_values, WATCHED)
    assert decision.state in {Routing.ROUTED, Routing.NO_ROUTE, Routing.ERROR}
    assert (decision.state is Routing.ROUTED) == bool(decision.sends)


@given(st.sampled_from(MATCHING[1:-1]), values)
def test_a_rule_and_its_negation_never_both_match(when: str, given_values: dict[str, object]) -> None:
    states = [decide(one, given_values).state for one in (when, f"!({when})")]
    assert states != [Routing.ROUTED, Routing.ROUTED]
    assert (states[0] is Routing.ERROR) == (states[1] is Routing.ERROR)


def test_threads_may_share_a_table() -> None:
    rules = table(RouteRule("a", IS_CT, ("x",)))
    seen: list[Routing] = []
    threads = [
        threading.Thread(target=lambda: seen.extend(rules.decide(CT, WATCHED).state for _ in range(50)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [Routing.ROUTED] * 200
