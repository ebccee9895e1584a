"""What applications import from the package itself."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

from gurney import pacs


@pytest.mark.parametrize(
    "name", ["AssociationTerms", "CommitmentWait", "FindChange", "NormalizedChange", "RetrieveChange", "StoreChange"]
)
def test_what_a_listener_of_a_before_event_returns_is_public(name: str) -> None:
    assert name in pacs.__all__


def test_no_public_name_means_two_things() -> None:
    """Whoever reads ``Source`` or ``reconcile`` shall not have to look which."""
    meant: dict[str, tuple[str, object]] = {}
    for found in pkgutil.walk_packages(pacs.__path__, "gurney.pacs."):
        module = importlib.import_module(found.name)
        for name in getattr(module, "__all__", ()):
            where, thing = meant.setdefault(name, (found.name, getattr(module, name)))
            assert thing is getattr(module, name), f"{name} is one thing in {where} and another in {found.name}"
