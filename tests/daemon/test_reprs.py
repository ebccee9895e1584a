"""What a value says of itself: an application logs it, `%r` or a failed assertion prints it, and no guard is asked."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from typing import Any

import pytest

import gurney
import gurney_daemon
import gurney_workers
from gurney.observability.redaction import is_identifying

PLANTED = "Planted^Name"
# Values of elements by their keywords, and files by their names.
MORE_THAT_IDENTIFIES = frozenset({"changed", "encoded", "named", "path", "present", "standing_in"})
# Paths of folders and programs that are ours.
OUR_OWN_PATHS = frozenset({"ServerProgram", "SpoolPlace", "WatchedFolder", "_Folder"})
# An id of the ledger, not (0020,0010).
OUR_OWN_IDS = frozenset({"Content"})
# What makes studies, and peers for tests, has nobody's data.
MADE_UP = ("gurney.pacs.testing", "gurney_daemon.demo")


def value_types() -> Iterator[type[Any]]:
    """Find every dataclass and named tuple of ours."""
    for package in (gurney, gurney_daemon, gurney_workers):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            # The task of workers would be that of every Celery application that a later test makes.
            if found.name.startswith(MADE_UP) or found.name.endswith(("__main__", "workers.tasks")):
                continue
            module = importlib.import_module(found.name)
            for kind in vars(module).values():
                if inspect.isclass(kind) and kind.__module__ == found.name and fields_of(kind):
                    yield kind


def fields_of(kind: type[Any]) -> list[str]:
    if dataclasses.is_dataclass(kind):
        return [field.name for field in dataclasses.fields(kind)]
    return list(getattr(kind, "_fields", ())) if issubclass(kind, tuple) else []


def identifying(kind: type[Any]) -> list[str]:
    own = {"path"} if kind.__name__ in OUR_OWN_PATHS else {"study_id"} if kind.__name__ in OUR_OWN_IDS else set()
    return [name for name in fields_of(kind) if name not in own and _identifies(name)]


def _identifies(name: str) -> bool:
    return is_identifying(name) or name in MORE_THAT_IDENTIFIES


def planted(kind: type[Any]) -> Any:
    """Make a value whose identifying fields are planted words, and all others nothing."""
    values = dict.fromkeys(fields_of(kind)) | dict.fromkeys(identifying(kind), PLANTED)
    if issubclass(kind, tuple):
        return tuple.__new__(kind, values.values())
    made = object.__new__(kind)
    for name, value in values.items():
        object.__setattr__(made, name, value)
    return made


KINDS = [kind for kind in value_types() if identifying(kind)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_value_does_not_show_what_identifies_a_patient(kind: type[Any]) -> None:
    assert PLANTED not in repr(planted(kind))


def test_the_types_are_found() -> None:
    assert {"Event", "StudyFacts", "FileFacts", "Work", "StoreRequest", "StoreResult", "Imported"} <= {
        kind.__name__ for kind in KINDS
    }
