"""Who heard of a beginning hears of the end, however an association fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gurney.pacs import (
    STUDY_ROOT,
    AssociationFailure,
    AssociationLost,
    AssociationRejected,
    ContextRefused,
    Query,
    QueryRetrieveScu,
    Retrieval,
)
from gurney.pacs.testing import Accept, Break, FakePacs, How, Operation, Reject, When
from tests.pacs.conftest import CT, WAYS, query_scu

STUDY = Retrieval(study_instance_uid="1.2.3")


@pytest.fixture(params=WAYS)
def scu(request: pytest.FixtureRequest) -> QueryRetrieveScu:
    return query_scu(request.param)


@pytest.fixture
def told(scu: QueryRetrieveScu) -> list[tuple[str, object]]:
    """The events of the SCU, in the order in which they are told, with their errors."""
    heard: list[tuple[str, object]] = []
    for name, hook in vars(scu.events).items():
        hook(lambda event, name=name: heard.append((name, getattr(event, "error", None))))
    return heard


@pytest.fixture
def pacs() -> Iterator[FakePacs]:
    with FakePacs() as pacs:
        yield pacs


def ask(scu: QueryRetrieveScu, pacs: FakePacs, operation: Operation, folder: Path) -> None:
    remote = pacs.remote()
    if operation is Operation.C_ECHO:
        scu.verify(remote)
    elif operation is Operation.C_FIND:
        list(scu.find(remote, Query(study_instance_uid="1.2.3")))
    elif operation is Operation.C_MOVE:
        list(scu.move(remote, STUDY, "SOMEWHERE"))
    else:
        with scu.associate_to_get(remote, [CT]) as association:
            list(association.get(STUDY, folder))


@pytest.mark.parametrize(
    "operation", [Operation.C_ECHO, Operation.C_FIND, Operation.C_MOVE, Operation.C_GET], ids=lambda one: one.name
)
def test_an_operation_that_breaks_off_has_its_after_event(
    scu: QueryRetrieveScu, pacs: FakePacs, told: list[tuple[str, object]], operation: Operation, tmp_path: Path
) -> None:
    pacs.on_request(operation, Break(How.RESET, When.BEFORE))
    with pytest.raises(AssociationLost) as raised:
        ask(scu, pacs, operation, tmp_path)
    name = operation.name.lower()
    assert [(what, error) for what, error in told if what.endswith(name)] == [
        (f"before_{name}", None),
        (f"after_{name}", raised.value),
    ]
    names = [what for what, _ in told]
    for what in ("connect", "close"):
        assert names.count(f"before_{what}") == names.count(f"after_{what}") == 1
    assert [what for what in names if what != f"after_{name}"][-1] == "after_close"


def test_a_get_whose_association_never_comes_has_its_after_event(
    scu: QueryRetrieveScu, pacs: FakePacs, told: list[tuple[str, object]], tmp_path: Path
) -> None:
    pacs.on_association(1, Reject(1, 1, 3))
    with pytest.raises(AssociationRejected) as raised:
        list(scu.get(pacs.remote(), STUDY, tmp_path, [CT]))
    assert [one for one in told if one[0].endswith("c_get")] == [("before_c_get", None), ("after_c_get", raised.value)]


def test_a_get_that_is_vetoed_bothers_nobody(scu: QueryRetrieveScu, pacs: FakePacs, tmp_path: Path) -> None:
    @scu.events.before_c_get
    def veto(_: object) -> None:
        raise PermissionError("not at night")

    with pytest.raises(PermissionError):
        list(scu.get(pacs.remote(), STUDY, tmp_path, [CT]))
    assert pacs.associations == 0


def test_a_get_in_whose_model_nothing_is_accepted_has_its_after_event(
    scu: QueryRetrieveScu, pacs: FakePacs, told: list[tuple[str, object]], tmp_path: Path
) -> None:
    pacs.on_association(1, Accept(refuse={STUDY_ROOT.get: 3}))
    with pytest.raises(ContextRefused) as raised:
        list(scu.get(pacs.remote(), STUDY, tmp_path, [CT]))
    assert [one for one in told if one[0].endswith("c_get")] == [("before_c_get", None), ("after_c_get", raised.value)]


def test_a_connection_that_was_made_in_vain_is_closed_for_all_to_hear(
    scu: QueryRetrieveScu, pacs: FakePacs, told: list[tuple[str, object]]
) -> None:
    pacs.on_association(1, Reject(1, 1, 3))
    with pytest.raises(AssociationFailure) as raised:
        scu.verify(pacs.remote())
    assert isinstance(raised.value, AssociationRejected)
    assert told == [
        ("before_connect", None),
        ("after_resolve", None),
        ("after_connect", None),
        ("before_associate_request", None),
        ("after_associate_request", raised.value),
        ("before_close", raised.value),
        ("after_close", raised.value),
    ]


def test_a_connection_on_which_a_listener_objects_is_closed_for_all_to_hear(
    scu: QueryRetrieveScu, pacs: FakePacs, told: list[tuple[str, object]]
) -> None:
    @scu.events.before_associate_request
    def veto(_: object) -> None:
        raise PermissionError("not at night")

    with pytest.raises(PermissionError):
        scu.verify(pacs.remote())
    assert [name for name, _ in told[-3:]] == ["before_associate_request", "before_close", "after_close"]
    pacs.wait_until_quiet()
    assert pacs.requests == []


def test_what_can_t_be_proposed_bothers_nobody(scu: QueryRetrieveScu, pacs: FakePacs) -> None:
    with pytest.raises(ValueError, match="1 to 128 contexts"):
        scu.associate(pacs.remote(), [])
    assert pacs.associations == 0
