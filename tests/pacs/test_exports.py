"""What applications import from the package itself."""

from __future__ import annotations

import pytest

from gurney import pacs


def test_each_public_name_is_there_once() -> None:
    assert all(hasattr(pacs, name) for name in pacs.__all__)
    assert len(set(pacs.__all__)) == len(pacs.__all__)


@pytest.mark.parametrize(
    "name", ["AssociationTerms", "CommitmentWait", "FindChange", "NormalizedChange", "RetrieveChange", "StoreChange"]
)
def test_what_a_listener_of_a_before_event_returns_is_public(name: str) -> None:
    assert name in pacs.__all__
