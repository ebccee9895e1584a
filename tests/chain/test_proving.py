"""What was sent is proven: real archives commit themselves or are asked, and nothing is deleted before they have."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.harness import Site, remote
from tests.faults.instances import Instance, make_study
from tests.services.dcmjs import DcmjsCommitmentScp, installed_node_modules
from tests.services.dcmtk import DcmQrScp, StoreScp
from tests.services.orthanc import Orthanc
from tests.services.ports import free_port
from tests.services.waiting import wait_until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def answers_at() -> int:
    """The port at which answers are awaited: an archive must know it beforehand."""
    return free_port()


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory, answers_at: int) -> Iterator[Orthanc]:
    known = {"gurney": ["GURNEY", "127.0.0.1", answers_at]}
    with Orthanc(tmp_path_factory.mktemp("orthanc"), settings={"DicomModalities": known}) as archive:
        yield archive


@pytest.fixture
def sites() -> Iterator[list[Site]]:
    made: list[Site] = []
    yield made
    for site in made:
        site.close()
        site.check_logs()


def begin(sites: list[Site], folder: Path, peer: Any, *, answers_at: int = 0, quiet: str = "1s", **keys: Any) -> Site:
    """Start a site that deletes what is proven; with ``answers_at`` it has a receiver for the answers."""
    site = Site(
        folder / "site",
        [remote(peer, "archive", **keys)],
        watch={"after": "delete"},
        complete={"quiet": quiet},
    )
    if answers_at:
        listens = f'\n[[receiver]]\nname = "answers"\nport = {answers_at}\nsend_to = ["archive"]\n'
        site.config.write_text(site.config.read_text() + listens)
    sites.append(site)
    site.start().wait_until_ready()
    return site


def proofs(site: Site, study: list[Instance]) -> dict[str, int]:
    told = json.loads(site.run("study", study[0].study_instance_uid, "--json").stdout)
    counted: dict[str, int] = told["proofs"].get("archive", {})
    return counted


def left(site: Site) -> list[Path]:
    return [path for path in site.inbox.rglob("*.dcm") if ".gurney-trash" not in path.parts]


def standing(site: Site) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(site.run("status", "--json").stdout)["proofs"]["archive"]
    return told


def test_orthanc_commits_itself_on_an_association_of_its_own(
    sites: list[Site], tmp_path: Path, orthanc: Orthanc, answers_at: int
) -> None:
    site = begin(sites, tmp_path, orthanc, answers_at=answers_at, commitment="before_delete")
    study = make_study(6)
    site.drop(*study)
    wait_until(lambda: proofs(site, study) == {"committed": 6}, 60, "Orthanc has committed itself")
    wait_until(lambda: not left(site), 60, "what is safe is deleted")
    stand = standing(site)
    assert (stand["wanted"], stand["requested"], stand["overdue"], stand["refused"]) == (0, 0, 0, 0)


def test_what_orthanc_lost_is_sent_again_before_it_is_deleted(
    sites: list[Site], tmp_path: Path, orthanc: Orthanc, answers_at: int
) -> None:
    site = begin(sites, tmp_path, orthanc, answers_at=answers_at, quiet="5s", commitment="after_study")
    study = make_study(4)
    ours = {one.sop_instance_uid for one in study}
    site.drop(*study)
    site.books.wait_until_stored(4)
    lost = study[2].sop_instance_uid
    (known,) = [hit["ID"] for hit in orthanc.post("/tools/lookup", lost) if hit["Type"] == "Instance"]
    orthanc.delete(f"/instances/{known}")
    assert lost not in orthanc.sop_instance_uids()
    wait_until(lambda: proofs(site, study) == {"committed": 4}, 60, "all are committed, one after another try")
    assert ours <= orthanc.sop_instance_uids()
    assert len(site.books.attempts(lost)) == 2
    wait_until(lambda: not left(site), 60, "what is safe is deleted")


def test_an_archive_may_answer_on_the_association_that_asked(sites: list[Site], tmp_path: Path) -> None:
    (tmp_path / "peer").mkdir()
    with DcmjsCommitmentScp(tmp_path / "peer", installed_node_modules()) as archive:
        site = begin(sites, tmp_path, archive, commitment="after_study")
        study = make_study(3)
        site.drop(*study)
        wait_until(lambda: proofs(site, study) == {"committed": 3}, 60, "it has committed itself where it was asked")
        wait_until(lambda: not left(site), 60, "what is safe is deleted")


def test_an_archive_without_commitment_is_asked_what_it_has(sites: list[Site], tmp_path: Path) -> None:
    (tmp_path / "peer").mkdir()
    with DcmQrScp(tmp_path / "peer") as archive:
        site = begin(sites, tmp_path, archive, verify="find")
        study = make_study(3)
        site.drop(*study)
        wait_until(lambda: proofs(site, study) == {"verified": 3}, 60, "it has said what it has")
        wait_until(lambda: not left(site), 60, "what is safe is deleted")


def test_where_nothing_is_proven_nothing_is_deleted_and_the_status_says_why(sites: list[Site], tmp_path: Path) -> None:
    (tmp_path / "peer").mkdir()
    with StoreScp(tmp_path / "peer") as archive:
        site = begin(sites, tmp_path, archive, commitment="before_delete")
        study = make_study(3)
        site.drop(*study)
        site.books.wait_until_stored(3)
        wait_until(lambda: standing(site)["trouble"], 60, "it was asked in vain")
        assert standing(site)["trouble"] == "it offers no storage commitment"
        assert standing(site)["wanted"] == 3
        assert len(left(site)) == 3
        assert "PROOF BY" in site.run("status").stdout
        asked = json.loads(site.run("prove", "--to", "archive", "--json").stdout)
        assert asked == {"items": 3}
