"""What a retrieve proves when the archive lies: a fake PACS, since no real one can be asked for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gurney.pacs import OperationFailed, QueryRetrieveScu, Retrieval, Verdict
from gurney.pacs.retrieve.inventory import InventorySource
from gurney.pacs.testing import Answer, Break, Counts, FakePacs, Find, Operation, Respond, Retrieve
from tests.pacs.conftest import CT, study_of

STUDY, SERIES = "1.2.3.7", "1.2.3.7.1"
UIDS = [f"{STUDY}.1.{number}" for number in (1, 2, 3)]
WHAT = Retrieval(study_instance_uid=STUDY)
REFUSED = Answer((Respond(0xA900),))


@pytest.fixture
def pacs() -> Iterator[FakePacs]:
    held = [study_of(7) for _ in UIDS]
    for instance, uid in zip(held, UIDS, strict=True):
        instance.SOPInstanceUID = uid
    with FakePacs(holdings=held) as pacs:
        yield pacs


@pytest.fixture
def scu() -> QueryRetrieveScu:
    return QueryRetrieveScu("GURNEY")


def test_an_inventory_says_what_is_held_and_where(scu: QueryRetrieveScu, pacs: FakePacs) -> None:
    inventory = scu.take_inventory(pacs.remote(), WHAT)
    assert inventory.source is InventorySource.INSTANCES
    assert inventory.sop_instance_uids == {*UIDS}
    assert inventory.sop_class_uids == (CT,)
    (all_of_it,) = inventory.retrievals(UIDS)
    assert all_of_it == Retrieval(study_instance_uid=STUDY, series_instance_uid=SERIES)
    (some,) = inventory.retrievals([UIDS[0], UIDS[2], "9.9"])
    assert some.sop_instance_uid == [UIDS[0], UIDS[2]]
    assert inventory.retrievals([]) == ()


def test_success_without_all_instances_is_none(scu: QueryRetrieveScu, pacs: FakePacs, tmp_path: Path) -> None:
    pacs.on_request(Operation.C_GET, Retrieve(omit=[UIDS[1]], counts=Counts(0, 3, 0, 0)))
    result = scu.retrieve(pacs.remote(), WHAT, tmp_path)
    assert result.progress is not None
    assert (result.progress.status, result.progress.completed) == (0, 3)
    assert result.verdict is Verdict.INCOMPLETE
    assert result.reconciliation.missing == {UIDS[1]}
    (again,) = result.again
    assert again.sop_instance_uid == [UIDS[1]]
    assert scu.retrieve(pacs.remote(), again, tmp_path).is_complete


def test_a_folder_may_be_named_by_text(scu: QueryRetrieveScu, pacs: FakePacs, tmp_path: Path) -> None:
    assert scu.retrieve(pacs.remote(), WHAT, str(tmp_path)).is_complete
    with scu.get(pacs.remote(), WHAT, str(tmp_path)) as arrivals:
        assert [received.path.parent for received in arrivals] == [tmp_path] * len(UIDS)


def test_without_the_folder_nobody_is_asked(scu: QueryRetrieveScu, pacs: FakePacs, tmp_path: Path) -> None:
    """It is our fault: asked, the archive would say that it is out of resources."""
    (tmp_path / "file").touch()
    for place, error in ((tmp_path / "missing", FileNotFoundError), (tmp_path / "file", NotADirectoryError)):
        with pytest.raises(error, match=place.name):
            scu.retrieve(pacs.remote(), WHAT, place)
        with pytest.raises(error, match=place.name):
            scu.get(pacs.remote(), WHAT, place)
    assert pacs.associations == 0


@pytest.mark.parametrize("end", [Respond(0xA702), Break()], ids=["failure", "abort"])
def test_what_ends_a_retrieve_is_in_its_result(
    scu: QueryRetrieveScu, pacs: FakePacs, tmp_path: Path, end: Respond | Break
) -> None:
    pacs.on_request(Operation.C_GET, Answer((end,)))
    result = scu.retrieve(pacs.remote(), WHAT, tmp_path)
    assert result.error is not None
    assert result.verdict is Verdict.INCOMPLETE
    assert result.reconciliation.missing == {*UIDS}
    assert isinstance(result.error, OperationFailed) is isinstance(end, Respond)


def test_a_failure_at_image_level_leaves_what_the_study_says(
    scu: QueryRetrieveScu, pacs: FakePacs, tmp_path: Path
) -> None:
    honest = Find()
    pacs.on_request(Operation.C_FIND, honest, REFUSED, Find(say={"SOPClassesInStudy": CT}))
    result = scu.retrieve(pacs.remote(), WHAT, tmp_path)
    assert (result.inventory.source, result.inventory.sop_class_uids) == (InventorySource.SOP_CLASSES, (CT,))
    assert result.inventory.holdings is None
    assert result.reconciliation.arrived == {*UIDS}
    assert result.verdict is Verdict.UNPROVEN


def test_modalities_make_do_where_nothing_else_is_said(scu: QueryRetrieveScu, pacs: FakePacs) -> None:
    pacs.on_request(
        Operation.C_FIND, REFUSED, Find(say={"ModalitiesInStudy": "CT"}), Find(say={"ModalitiesInStudy": "CT"})
    )
    inventory = scu.take_inventory(pacs.remote(), WHAT)
    assert inventory.source is InventorySource.MODALITIES
    assert CT in inventory.sop_class_uids


def test_a_peer_that_answers_no_query_is_got_from_all_the_same(
    scu: QueryRetrieveScu, pacs: FakePacs, tmp_path: Path
) -> None:
    pacs.on_request(Operation.C_FIND, *[REFUSED] * 9)
    with scu.get(pacs.remote(), WHAT, tmp_path) as arrivals:
        assert {received.sop_instance_uid for received in arrivals} == {*UIDS}
    assert arrivals.reconciliation.verdict is Verdict.UNPROVEN
    assert arrivals.reconciliation.expected is None


def test_named_instances_are_expected_whatever_the_peer_says(
    scu: QueryRetrieveScu, pacs: FakePacs, tmp_path: Path
) -> None:
    what = Retrieval(study_instance_uid=STUDY, series_instance_uid=SERIES, sop_instance_uid=[UIDS[0], "1.2.9"])
    result = scu.retrieve(pacs.remote(), what, tmp_path)
    assert result.reconciliation.missing == {"1.2.9"}
    assert result.reconciliation.arrived == {UIDS[0]}


def test_an_inventory_has_its_limit(
    scu: QueryRetrieveScu, pacs: FakePacs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A series and two instances are heard of; the rest is cancelled, and nothing is proved by what was heard."""
    monkeypatch.setattr("gurney.pacs.retrieve.inventory._MOST", 3)
    result = scu.retrieve(pacs.remote(), WHAT, tmp_path)
    assert pacs.cancels == 1
    assert result.inventory.holdings is None
    assert result.reconciliation.arrived == {*UIDS}
    assert result.verdict is Verdict.UNPROVEN
