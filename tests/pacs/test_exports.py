"""What applications import from the package itself."""

from __future__ import annotations

import pytest

from gurney import pacs


@pytest.mark.parametrize(
    "name", ["AssociationTerms", "CommitmentWait", "FindChange", "NormalizedChange", "RetrieveChange", "StoreChange"]
)
def test_what_a_listener_of_a_before_event_returns_is_public(name: str) -> None:
    assert name in pacs.__all__
