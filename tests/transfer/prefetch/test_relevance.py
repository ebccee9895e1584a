"""Relevance: regions from words, points with reasons, and what is taken of what is ranked."""

from __future__ import annotations

from datetime import date, timedelta
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gurney.transfer.prefetch import (
    Candidate,
    Current,
    InvalidRegions,
    Limits,
    Regions,
    Relevance,
    Verdict,
    rank,
    select,
)
from gurney.transfer.prefetch.regions import Side, Source, fold

REGIONS = Regions.parse(files("gurney.transfer.prefetch").joinpath("regions.toml").read_text("utf-8"))
DAY = date(2026, 3, 2)
CHEST = Current(DAY, "1.1", "A1", "CT Thorax", modalities=("CT",))


@pytest.mark.parametrize(
    ("description", "regions"),
    [
        ("CT CHEST W/O CONTRAST", {"chest"}),
        ("Röntgen Thorax p.a.", {"chest"}),
        ("Schädel-MRT mit KM", {"head"}),
        ("Kniegelenk links 2 Eb.", {"knee"}),
        ("CT Abdomen/Pelvis", {"abdomen", "pelvis"}),
        ("MR Cervical Spine", {"cervical_spine"}),
        ("HWS seitlich", {"cervical_spine"}),
        ("MRT der Wirbelsäule", {"spine"}),
        ("Mammographie bds.", {"breast"}),
        ("BRUSTWIRBELSÄULE", {"thoracic_spine"}),
        ("Ganzkörper-CT (Polytrauma)", {"whole_body"}),
        ("Fuß rechts", {"foot"}),
        ("Interventional procedure", set()),
        ("", set()),
    ],
)
def test_tells_regions_from_descriptions(description: str, regions: set[str]) -> None:
    assert REGIONS.locate(description=description).regions == regions


def test_trusts_codes_before_descriptions_before_body_parts() -> None:
    own = Regions.parse('[region.a]\ncodes = ["X1*"]\n[region.b]\nwords = ["bee"]\n[region.c]\nbody_parts = ["SEA"]\n')
    everything = {"description": "a Bee", "body_parts": ["sea"]}
    assert own.locate(codes=["x123"], **everything).source is Source.PROCEDURE_CODE  # type: ignore[arg-type]  # of texts
    assert own.locate(codes=["Y"], **everything).regions == {"b"}  # type: ignore[arg-type]  # as above
    assert own.locate(body_parts=["sea"]).regions == {"c"}
    assert own.locate(body_parts=["LAND"]).source is Source.NOTHING


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[region.a", "no TOML"),
        ("[region.a]\nword = ['x']\n", "'word' is not a key"),
        ("[region.a]\nwords = 'x'\n", "a.words is no list of texts"),
        ("[region.a]\ncovers = ['b']\n", "covers 'b'"),
        ("[[modality_group]]\nof = 'MG'\nwith = ['MR']\nregion = 'breast'\n", "'breast' is no region"),
        ("[[modality_group]]\nwith = ['MR']\n", "needs of"),
        ("[instance_bytes]\nCT = 'much'\n", "instance_bytes.CT"),
    ],
)
def test_says_what_is_wrong_in_a_file(text: str, words: str) -> None:
    with pytest.raises(InvalidRegions, match="^.*" + words):
        Regions.parse(text)


@pytest.mark.parametrize(
    ("description", "side"),
    [
        ("Knie li.", Side.LEFT),
        ("KNEE RT 3V", Side.RIGHT),
        ("Hände beidseits", Side.BOTH),
        ("Knie links und rechts", Side.BOTH),
        ("Leber", Side.UNSAID),
        ("XR L-SPINE 2V", Side.UNSAID),
    ],
)
def test_tells_sides(description: str, side: Side) -> None:
    assert REGIONS.side(description) is side


def candidate(uid: str = "1.9", description: str = "CT Thorax", days: int = 100, **more: object) -> Candidate:
    given = {"modalities": ("CT",), "instances": 100} | more
    return Candidate(uid, "pacs", DAY - timedelta(days=days), description=description, **given)  # type: ignore[arg-type]  # keys of a candidate


def judged(current: Current, found: Candidate, **relevance: object) -> tuple[str, dict[str, int]]:
    (one,) = rank([found], current, Relevance(**relevance), REGIONS)  # type: ignore[arg-type]  # keys of Relevance
    return one.refusal, {reason.aspect: reason.points for reason in one.reasons}


@pytest.mark.parametrize(
    ("found", "refusal"),
    [
        (candidate("1.1"), "is the current study"),
        (candidate(accession_number="A1"), "accession number of the current"),
        (candidate(days=-1), "is later"),
        (candidate(days=2000), "older than max_age: 2000 days"),
        (candidate(description="MRT Kniegelenk"), "shows another region: knee"),
    ],
)
def test_refuses_what_is_no_prior(found: Candidate, refusal: str) -> None:
    assert refusal in judged(CHEST, found, max_age=1826)[0]


def test_body_parts_alone_turn_nothing_away() -> None:
    wrong = candidate(description="", body_parts=("KNEE",))
    assert judged(CHEST, wrong)[0] == ""
    assert judged(CHEST, wrong)[1]["region"] == 10
    assert judged(CHEST, wrong, takes_unknown_region=False)[0].startswith("its region is not known for certain")
    right = candidate(description="", body_parts=("CHEST",))
    assert judged(CHEST, right, takes_unknown_region=False) == ("", judged(CHEST, right)[1])
    assert judged(CHEST, right)[1]["region"] == 30


@pytest.mark.parametrize(
    ("now", "then", "points"),
    [
        (("MG", "Mammo"), ("US", "Mamma-Sono"), 20),
        (("MG", "Mammo"), ("MR", "MR Mamma"), 20),
        (("MG", "Thorax"), ("MR", "MR Thorax"), 0),
        (("PT", "PET Thorax"), ("CT", "CT Thorax"), 20),
        (("CT", "CT Thorax"), ("PT", "PET Thorax"), 20),
        (("CT", "CT Thorax"), ("MR", "MR Thorax"), 0),
        (("CT", "CT Thorax"), ("CT", "CT Thorax"), 30),
    ],
)
def test_knows_which_images_are_compared(now: tuple[str, str], then: tuple[str, str], points: int) -> None:
    current = Current(DAY, "1.1", description=now[1], modalities=now[:1])
    assert judged(current, candidate(description=then[1], modalities=then[:1]))[1]["modality_group"] == points


def test_prefers_the_same_side_and_the_newer() -> None:
    knee = Current(DAY, description="Knie links", modalities=("DX",))
    sides = {word: judged(knee, candidate(description=f"Knie {word}"))[1]["laterality"] for word in ("li", "re", "")}
    assert sides == {"li": 10, "re": 0, "": 5}
    assert judged(knee, candidate(days=10))[1]["age"] > judged(knee, candidate(days=3000))[1]["age"]


def test_looks_only_at_what_the_rule_names() -> None:
    assert judged(CHEST, candidate(description="Knie"), aspects=frozenset({"age"})) == ("", {"age": 19})


def test_what_is_always_included_needs_no_region_and_counts_for_nothing() -> None:
    report = candidate("1.8", description="Knie", modalities=("SR",))
    current = Current(DAY, description="CT Thorax")
    # The newest report comes before the prior, and takes no place from it.
    new = candidate("1.9", days=1, modalities=("SR", "KO"))
    ranked = rank([candidate("1.7"), candidate("1.6", days=200), report, new], current, Relevance(), REGIONS)
    assert ranked[0].candidate is new
    chosen = select(ranked, ["ws"], {}, Limits(priors=1), REGIONS)
    assert {one.judged.candidate.study_instance_uid: one.verdict for one in chosen} == {
        "1.7": Verdict.FETCH,
        "1.6": Verdict.REJECTED,
        "1.8": Verdict.FETCH,
        "1.9": Verdict.FETCH,
    }


def test_what_is_there_counts_and_costs_nothing() -> None:
    ranked = rank([candidate("1.7"), candidate("1.6", days=200)], CHEST, Relevance(), REGIONS)
    presence = {"1.7": frozenset({"ws"})}
    chosen = select(ranked, ["ws"], presence, Limits(priors=2, max_instances=100), REGIONS)
    assert [one.verdict for one in chosen] == [Verdict.PRESENT, Verdict.FETCH]
    (first, _) = select(ranked, ["ws", "other"], presence, Limits(), REGIONS)
    assert (first.verdict, first.targets) == (Verdict.FETCH, ("other",))


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (Limits(max_instances=150), "its 100 instances would pass max_instances = 150"),
        (Limits(max_bytes=60_000_000), "its 53000000 bytes, as estimated"),
    ],
)
def test_keeps_within_limits(limits: Limits, words: str) -> None:
    small = candidate("1.5", days=300, instances=1)
    ranked = rank([candidate("1.7"), candidate("1.6", days=200), small], CHEST, Relevance(), REGIONS)
    first, second, third = select(ranked, ["ws"], {}, limits, REGIONS)
    assert (first.verdict, second.verdict, third.verdict) == (Verdict.FETCH, Verdict.REJECTED, Verdict.FETCH)
    assert words in second.words


@given(st.permutations(range(8)))
def test_order_does_not_depend_on_who_answers_first(order: list[int]) -> None:
    found = [candidate(f"2.{number}", days=100 + number // 2) for number in range(8)]
    ranked = rank([found[number] for number in order], CHEST, Relevance(), REGIONS)
    assert [one.candidate.study_instance_uid for one in ranked] == [f"2.{number}" for number in range(8)]


@given(st.text())
def test_any_text_can_be_asked(text: str) -> None:
    assert fold(fold(text)) == fold(text)
    REGIONS.locate(description=text, codes=[text], body_parts=[text])
    REGIONS.side(text)
