"""The example and the reference say what the model says."""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path
from typing import Any

from gurney.settings import Problem, Retrieve, Settings, check, load
from gurney.settings.hl7 import Hl7
from gurney.settings.schema import field_at, is_named_tables, keys_at

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "config" / "gurney.toml"
REFERENCE = ROOT / "docs" / "reference" / "configuration.md"


def _keys() -> set[tuple[str, str]]:
    keys = {(table, key) for table in keys_at(()) for key in keys_at((table,))}
    for table in ("timeouts", "tls"):
        keys |= {("remote", f"{table}.{key}") for key in keys_at(("remote", table))}
    for table in ("receiver", "retrieve"):
        for inner in ("timeouts", "tls"):
            keys |= {(table, f"{inner}.{key}") for key in keys_at((table, inner))}
    keys |= {("hl7", f"fields.{key}") for key in keys_at(("hl7", "fields"))}
    keys -= {("hl7", "fields")}
    return keys - {("remote", "timeouts"), ("receiver", "timeouts"), ("retrieve", "timeouts")}


def problems_but_for_the_folder(settings: Settings) -> list[Problem]:
    """Return what is wrong with the example, wherever its folder is not there."""
    return [problem for problem in check(settings) if problem.key != "watch[ct1].path"]


def test_the_example_loads_without_a_problem() -> None:
    assert problems_but_for_the_folder(load(str(EXAMPLE), {})) == []


def test_the_example_has_every_key_at_its_default() -> None:
    written = tomllib.loads(EXAMPLE.read_text())
    settings = load(str(EXAMPLE), {})
    for table in keys_at(()):
        if not is_named_tables(table) and table not in _SWITCHED_ON:
            assert set(written[table]) == set(keys_at((table,))), table
            assert getattr(settings, table) == getattr(Settings(), table)
    assert set(written["remote"][0]) | {"tls"} == set(keys_at(("remote",)))
    assert set(written["watch"][0]) | {"settle_seconds"} == set(keys_at(("watch",)))
    for entry in (settings.remote[0], settings.watch[0]):
        required = {name: getattr(entry, name) for name in type(entry).model_fields if name in _REQUIRED}
        assert type(entry)(**required) == entry


# Tables that switch something on by being there: the example has them behind a #.
_SWITCHED_ON: dict[str, Any] = {"retrieve": Retrieve(), "hl7": Hl7()}
_REQUIRED = {"name", "ae_title", "host", "port", "path", "send_to"}


def test_the_example_routes_load_beside_it(tmp_path: Path) -> None:
    shutil.copy(EXAMPLE, tmp_path)
    (tmp_path / "config.d").mkdir()
    shutil.copy(ROOT / "config" / "routes.toml", tmp_path / "config.d")
    settings = load(str(tmp_path / "gurney.toml"), {})
    assert problems_but_for_the_folder(settings) == []
    assert len(settings.route) == 2


def test_the_reference_has_every_key_with_its_default() -> None:
    documented: dict[tuple[str, str], str] = {}
    table = ""
    for line in REFERENCE.read_text().splitlines():
        if heading := re.fullmatch(r"## `\[+(\w+)\]+`", line):
            table = heading[1]
        elif row := re.match(r"\| `([\w.]+)`[^|]*\| ([^|]+) \|", line):
            documented[(table, row[1])] = row[2].strip("`")
    assert set(documented) == _keys()
    for (table, key), text in documented.items():
        if text not in ("required", "unset"):
            value = tomllib.loads(f"x = {text}")["x"]
            assert _default(table, key) == _parsed(table, key, value), (table, key)


def _default(table: str, key: str) -> Any:
    model = _SWITCHED_ON.get(table, Settings.model_fields[table].default)
    if is_named_tables(table) or key.startswith("tls."):  # a table that is not there by default
        found = field_at((table, *key.split(".")))
    else:
        *above, last = key.split(".")
        for part in above:
            model = getattr(model, part)
        found = type(model).model_fields[last]
    return found.default if found is not None else None


def _parsed(table: str, key: str, value: Any) -> Any:
    if is_named_tables(table) or key.startswith("tls."):
        return tuple(value) if isinstance(value, list) else value
    made: Any = getattr(Settings(**{table: _nested(key, value)}), table)
    for part in key.split("."):
        made = getattr(made, part)
    return made


def _nested(key: str, value: Any) -> dict[str, Any]:
    first, _, rest = key.partition(".")
    return {first: _nested(rest, value) if rest else value}
