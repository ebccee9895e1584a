"""A script that is wrong fails the test that has it, where it is given or at the end of the block."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from gurney.pacs import AssociationLost, DicomEngine, Query, QueryRetrieveScu
from gurney.pacs.testing import Answer, FakePacs, Find, Operation, Request, Respond, ScriptFailed, Step


@pytest.fixture(autouse=True)
def engine() -> Iterator[None]:
    with DicomEngine():
        yield


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        (lambda pacs: pacs.on_request("C_FIND", Respond()), "the operation must be a Operation, not str"),
        (lambda pacs: pacs.on_request(Operation.C_FIND, 5), "what is done with a request must be one of Respond"),
        (lambda pacs: pacs.on_every(Operation.C_FIND, 5), "what is done with a request must be one of Respond"),
        (lambda pacs: pacs.on_instance(1, Find()), "what is done with an instance must be one of Respond"),
        (lambda pacs: pacs.on_uid("1.2.3", Respond(), 5), "what is done with an instance must be one of Respond"),
        (lambda pacs: pacs.on_association(1, Respond()), "what is done with an association must be one of Accept"),
        (lambda pacs: pacs.always(Find()), "what is always done must be one of Respond"),
        (lambda _: FakePacs(instance=5), "what is done with instances must be one of Respond"),
    ],
)
def test_what_is_no_act_is_refused_where_it_is_given(mistake: Callable[[Any], object], said: str) -> None:
    with pytest.raises(TypeError, match=said):
        mistake(FakePacs())


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        (lambda pacs: pacs.on_instance(0, Respond()), "numbers count from 1"),
        (lambda pacs: pacs.on_request(Operation.C_STORE, Respond()), "C_STORE has no such acts"),
        (lambda pacs: pacs.on_every(Operation.C_CANCEL, Respond()), "C_CANCEL has no such acts"),
        (lambda _: Find(say={"PatientIdd": "X"}), "'PatientIdd' is no keyword"),
    ],
)
def test_what_can_never_happen_is_refused_where_it_is_given(mistake: Callable[[Any], object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        mistake(FakePacs())


def test_a_pacs_that_was_not_started_is_no_remote() -> None:
    with pytest.raises(RuntimeError, match="start it"):
        FakePacs().remote()


def broken(_: Request) -> Iterable[Step]:
    yield Respond(0xFF00, dataset=Query(patient_id="P1").identifier())
    raise KeyError("my mistake")


def at_once(_: Request) -> Iterable[Step]:
    raise KeyError("my mistake")


def ask(steps: Any) -> None:
    """What a user's test does: its client survives whatever the PACS does."""
    with FakePacs() as pacs:
        pacs.on_request(Operation.C_FIND, Answer(steps))
        with pytest.raises(AssociationLost):
            list(QueryRetrieveScu().find(pacs.remote(), Query()))


def ask_in_vain() -> None:
    """The same with a client that does not survive it."""
    with FakePacs() as pacs:
        pacs.on_request(Operation.C_FIND, Answer(broken))
        list(QueryRetrieveScu().find(pacs.remote(), Query()))


@pytest.mark.parametrize(
    ("steps", "said"),
    [(broken, "my mistake"), (at_once, "my mistake"), ([5], "a step of an answer must be one of Respond")],
    ids=["later", "at-once", "no-step"],
)
def test_a_script_that_fails_fails_the_test(steps: Any, said: str) -> None:
    with pytest.raises(ScriptFailed, match=f"the script of C_FIND failed: .*{said}") as raised:
        ask(steps)
    assert raised.value.__cause__ is not None


def test_what_the_test_raised_itself_says_of_the_script() -> None:
    with pytest.raises(AssociationLost) as raised:
        ask_in_vain()
    assert raised.value.__notes__ == ["the script of FAKEPACS had failed: KeyError('my mistake')"]
