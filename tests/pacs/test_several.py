"""One thing where several are meant is a mistake in the program, and told before anything is sent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from gurney.pacs import (
    Listener,
    QueryRetrieveScu,
    RemoteAE,
    Retrieval,
    SopReference,
    StoreRequest,
    StoreScu,
    commitment_requests,
)
from gurney.pacs.several import several
from gurney.pacs.testing import FakePacs
from tests.pacs.conftest import CT, CT_ONLY, EXPLICIT

# Nobody listens there: none of these gets so far as to see.
NOBODY = RemoteAE("NOBODY", "127.0.0.1", 1)
ONE = SopReference(CT, "1.2.3")


@pytest.mark.parametrize("one", ["a/path", b"a/path", Path("a/path"), Dataset(), ONE])
def test_one_is_not_several(one: object) -> None:
    with pytest.raises(TypeError, match=f"items takes several, and got one {type(one).__name__}: put it into a list"):
        several(one, "items")  # type: ignore[type-var]  # that is what is refused


@pytest.mark.parametrize("many", [["a/path"], (), {"a": 1}, iter("ab"), {1, 2}])
def test_several_are_given_back(many: object) -> None:
    assert several(many, "items") is many  # type: ignore[type-var]  # each of them can be iterated over


@pytest.mark.parametrize(
    "ask",
    [
        lambda: StoreScu().store_many(NOBODY, "a/path"),
        lambda: StoreScu().store_many(NOBODY, Path("a/path")),
        lambda: StoreScu().store_many(NOBODY, Dataset()),
        lambda: StoreScu().commit(NOBODY, ONE),
        lambda: StoreScu().commit(NOBODY, [ONE], transaction_uids="1.2.3"),
        lambda: StoreScu().commit(NOBODY, [ONE], answered_by="OTHER"),
        lambda: StoreScu().commitment("1.2.3"),
        lambda: StoreScu().forget("1.2.3"),
        lambda: StoreScu().expect(NOBODY, commitment_requests([ONE]), Listener("GURNEY"), answered_by="OTHER"),
        lambda: Listener("GURNEY", calling_ae_titles="OTHER"),
        lambda: QueryRetrieveScu().associate_to_get(NOBODY, CT),
        lambda: QueryRetrieveScu().associate_to_get(NOBODY, [CT], transfer_syntax_uids=EXPLICIT),
        lambda: list(QueryRetrieveScu().get(NOBODY, Retrieval(study_instance_uid="1.2.3"), Path(), CT)),
    ],
)
def test_who_takes_several_says_so(ask: Callable[[], object]) -> None:
    with pytest.raises(TypeError, match="takes several, and got one"):
        ask()


def test_one_request_is_not_several() -> None:
    one = StoreRequest("a/path", CT, "1.2.3", EXPLICIT)
    with FakePacs() as pacs, StoreScu().associate(pacs.remote(), CT_ONLY) as association:
        with pytest.raises(TypeError, match="store takes several, and got one StoreRequest"):
            list(association.store(one))  # type: ignore[arg-type]  # that is what is refused
        assert association.is_usable


def test_store_many_says_what_takes_one() -> None:
    with pytest.raises(TypeError, match=r"use store\(\) for one instance, store_folder\(\) for a folder"):
        StoreScu().store_many(NOBODY, "a/path")


@pytest.mark.parametrize("references", [(CT, "1.2.3"), [CT], [(CT,)], ["12"]])
def test_a_reference_is_a_pair(references: list[tuple[str, str]]) -> None:
    with pytest.raises(TypeError, match=r"each reference is a pair, \(SOP Class UID, SOP Instance UID\)"):
        commitment_requests(references)
