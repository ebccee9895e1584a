"""Who heard of a beginning hears of the end, however an association fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gurney.pacs import AssociationFailure, AssociationLost, AssociationRejected, Query, QueryRetrieveScu, Retrieval
from gurney.pacs.testing import Break, FakePacs, How, Operation, Reject, When
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


def test_a_connection_that_was_made_in_vain_is_closed_for_all_to_hear(
    scu: QueryRetrieveScu, pacs: FakePacs, told: list[tuple[str, object]]
) -> None:
    pacs.on_association(1, Reject(1, 1, 3))
    with pytest.raises(AssociationFailure) as raised:
        scu.verify(pacs.remote())
    assert isinstance(raised.value, AssociationRejected)
    assert told[-2:] == [("after_associate_request", raised.value), ("after_close", raised.value)]
