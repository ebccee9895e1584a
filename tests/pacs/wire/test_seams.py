from __future__ import annotations

import importlib
import re
from pathlib import Path

import pynetdicom
import pytest
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association

import gurney.pacs
from gurney.pacs.wire.seams import PRIVATE_NAMES, WHERE


@pytest.mark.parametrize("owner", PRIVATE_NAMES)
def test_every_private_name_exists(owner: str) -> None:
    if owner == "pynetdicom._config":
        found: object = importlib.import_module(owner)
        attributes = set(dir(found))
    else:
        module, _, name = owner.rpartition(".")
        source = Path(importlib.import_module(module).__file__ or "").read_text()
        attributes = set(dir(getattr(importlib.import_module(module), name)))
        attributes |= set(re.findall(r"self\.(_\w+)", source))
    assert set(PRIVATE_NAMES[owner]) <= attributes


def test_no_other_module_touches_a_private_name() -> None:
    names = {name for names in PRIVATE_NAMES.values() for name in names}
    for path in Path(gurney.pacs.__file__).parent.rglob("*.py"):
        if path.parent.name == "wire" and path.stem in WHERE:
            continue
        touched = {name for name in names if re.search(rf"\.{name}\b", path.read_text())}
        assert not touched, f"{path.name} touches {touched}"


def test_the_seams_touch_no_name_that_is_not_listed() -> None:
    theirs = set()
    for module in ("association", "dul", "transport"):
        source = Path(importlib.import_module(f"pynetdicom.{module}").__file__ or "").read_text()
        theirs |= set(re.findall(r"(?:self\.|def )(_[a-z]\w+)", source))
    room = Path(gurney.pacs.__file__).parent / "wire"
    seams = "".join((room / f"{name}.py").read_text() for name in WHERE)
    used = set(re.findall(r"(?:\.|def )(_[a-z]\w+)", seams))
    assert used & theirs <= {name for names in PRIVATE_NAMES.values() for name in names}


def test_pynetdicom_still_waits_as_the_turnstile_expects() -> None:
    """The reactor waits at its checkpoint before it takes a message; everything rests on that."""
    source = Path(importlib.import_module(Association.__module__).__file__ or "").read_text()
    reactor = source[source.index("def _run_reactor") : source.index("def set_socket")]
    assert reactor.index("_reactor_checkpoint.wait()") < reactor.index("get_msg(block=False)")


def test_the_version_is_the_one_that_was_read() -> None:
    assert pynetdicom.__version__.startswith("3.0.")
    assert Association(ApplicationEntity(), "requestor").dul.daemon is False
