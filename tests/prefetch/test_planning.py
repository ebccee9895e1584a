"""Plans: what real archives hold of a patient, what the target has already, and what is asked for then."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from gurney.pacs import DicomEngine, RemoteAE
from gurney.prefetch import Current, Plan, Planner
from gurney.prefetch.carrying_out import requests_of
from gurney.settings import Prefetch, Remote, Settings
from gurney.transfer.prefetch import Verdict
from tests.prefetch.chart import CHART, store
from tests.services import require
from tests.services.dcmtk import DcmQrScp
from tests.services.orthanc import Orthanc
from tests.services.ports import free_port

pytestmark = pytest.mark.peer

DAY = date(2026, 3, 1)
IDS = ["4711", "OLD-4711"]


@pytest.fixture(scope="module", params=["orthanc", "dcmqrscp"])
def settings(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """An archive with the chart, a workstation with all of study 2 and half of study 3, an older archive with 2 to 5.

    Orthanc tells how many instances a study has, dcmqrscp does not.
    """
    require("dcmqrscp")
    folder = tmp_path_factory.mktemp("chart")
    for name in ("peer", "ws", "old"):
        (folder / name).mkdir()
    kind: type[Orthanc | DcmQrScp] = DcmQrScp
    if request.param == "orthanc":
        require("Orthanc")
        kind = Orthanc
    with kind(folder / "peer") as peer, kind(folder / "ws") as station, DcmQrScp(folder / "old") as old, DicomEngine():
        store(RemoteAE(peer.ae_title, "127.0.0.1", peer.port), folder, CHART)
        store(RemoteAE(station.ae_title, "127.0.0.1", station.port), folder, [CHART[1], replace(CHART[2], instances=1)])
        store(RemoteAE(old.ae_title, "127.0.0.1", old.port), folder, CHART[1:5])
        remotes = {"pacs": peer, "ws": station, "old": old}
        yield Settings(
            remote=tuple(
                Remote(name=name, ae_title=one.ae_title, host="127.0.0.1", port=one.port)
                for name, one in remotes.items()
            )
        )


def rule(**keys: object) -> Prefetch:
    return Prefetch.model_validate({"name": "priors", "from": ["pacs"], "to": ["ws"], "hl7": True, **keys})


def verdicts(plan: Plan) -> dict[int, Verdict]:
    return {int(one.judged.candidate.study_instance_uid.rpartition(".")[2]): one.verdict for one in plan.selected}


def test_finds_and_chooses_under_all_ids(settings: Settings) -> None:
    plan = Planner(settings).plan(rule(max_age="10y"), IDS, Current(DAY, accession_number="A1"))
    assert verdicts(plan) == {
        1: Verdict.REJECTED,  # the current study, from which the plan has its description
        2: Verdict.PRESENT,
        3: Verdict.REJECTED,  # another region
        4: Verdict.FETCH,  # found under the older ID, its region told by BodyPartExamined
        5: Verdict.REJECTED,  # too old
        7: Verdict.FETCH,  # a report comes along
    }
    assert plan.is_whole
    assert plan.current.description == "CT Thorax nativ"


def test_half_a_study_at_the_target_is_none(settings: Settings) -> None:
    plan = Planner(settings).plan(rule(), ["4711"], Current(DAY, description="MRT Knie links", modalities=("MR",)))
    assert verdicts(plan)[3] is Verdict.FETCH


def test_procedure_codes_count_where_a_peer_tells_them(settings: Settings, tmp_path: Path) -> None:
    own = tmp_path / "regions.toml"
    own.write_text('[region.chest]\ncodes = ["CTCH*"]\n[region.abdomen]\ncodes = ["CTAB*"]\n')
    abdomen = Current(DAY, CHART[0].uid, procedure_codes=("CTAB9",))
    plan = Planner(settings).plan(rule(regions=str(own), to=["old"]), ["4711"], abdomen)
    second = next(one.judged for one in plan.selected if one.judged.candidate.study_instance_uid == CHART[1].uid)
    tells = settings.remote[0].ae_title == "ORTHANC"
    assert second.candidate.procedure_codes == (("CTCH1", "CTAB1") if tells else ())
    assert ("(by procedure code), wanted" in second.reasons[0].words) == tells


def test_a_source_is_not_asked_for_what_another_has(settings: Settings) -> None:
    both = rule(**{"from": ["old", "pacs"], "to": ["ws"], "priors": 9})
    plan = Planner(settings).plan(both, IDS, Current(DAY, CHART[0].uid))
    sources = {int(one.judged.candidate.study_instance_uid[-1]): one.judged.candidate.source for one in plan.selected}
    assert sources == {1: "pacs", 2: "old", 3: "old", 4: "old", 5: "old", 7: "pacs"}


def test_a_source_that_is_away_is_told(settings: Settings) -> None:
    away = Remote(name="away", ae_title="AWAY", host="127.0.0.1", port=free_port())
    known = settings.model_copy(update={"remote": (*settings.remote, away)})
    plan = Planner(known).plan(rule(**{"from": ["away", "pacs"]}), IDS, Current(DAY, CHART[0].uid))
    assert [(one.remote, one.is_source) for one in plan.unanswered] == [("away", True)]
    assert not plan.is_whole
    assert plan.to_fetch
    assert "4711" not in str(plan)


def test_a_target_that_can_not_be_asked_is_taken_to_have_nothing(settings: Settings) -> None:
    dumb = Remote(name="dumb", ae_title="DUMB", host="127.0.0.1", port=free_port())
    known = settings.model_copy(update={"remote": (*settings.remote, dumb)})
    plan = Planner(known).plan(rule(to=["dumb", "ws"]), ["4711"], Current(DAY, CHART[0].uid))
    assert [(one.remote, one.is_source) for one in plan.unanswered] == [("dumb", False)]
    second = next(one for one in plan.to_fetch if one.judged.candidate.study_instance_uid == CHART[1].uid)
    assert second.targets == ("dumb",)


@pytest.mark.parametrize(
    ("path", "ways"),
    [("through", {(("ws", "old"), "")}), ("direct", {((), "ws"), ((), "old")})],
)
def test_asks_through_us_once_and_direct_for_each_target(
    settings: Settings, path: str, ways: set[tuple[tuple[str, ...], str]]
) -> None:
    one = rule(path=path, to=["ws", "old"], always_include=[], priors=9)
    plan = Planner(settings).plan(one, ["4711"], Current(DAY, description="CT Thorax", modalities=("CT",)))
    wanted = [request for request in requests_of(one, plan, 5.0) if request.study_instance_uid == CHART[0].uid]
    assert {(request.forward_to, request.direct_to) for request in wanted} == ways
    assert {(request.source, request.origin, request.due_at) for request in wanted} == {
        ("pacs", "prefetch:priors", 5.0)
    }


def test_limits_hold_with_peers_that_tell_no_counts(settings: Settings) -> None:
    station = rule(to=["old"], max_instances=2, always_include=[], unknown_region="exclude")
    plan = Planner(settings).plan(station, IDS, Current(DAY, description="CT Thorax", modalities=("CT",)))
    words = {int(one.judged.candidate.study_instance_uid[-1]): one.words for one in plan.selected if one.words}
    assert verdicts(plan)[1] is Verdict.FETCH
    assert verdicts(plan)[2] is Verdict.PRESENT, words
    far = Planner(settings).plan(
        rule(to=["ws"], max_instances=2, max_bytes=10**9), ["4711"], Current(DAY, description="MR Knie")
    )
    assert next(one.judged.candidate.instances for one in far.to_fetch) == 2


def test_an_empty_id_would_match_everybody(settings: Settings) -> None:
    with pytest.raises(ValueError, match="no patient ID"):
        Planner(settings).plan(rule(), ["", "  "], Current(DAY))


def test_a_wildcard_in_an_id_finds_only_itself(settings: Settings) -> None:
    assert Planner(settings).plan(rule(), ["47*"], Current(DAY)).selected == ()
