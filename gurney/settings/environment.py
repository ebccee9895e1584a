"""The environment's layer: ``GURNEY_LEDGER__URL`` is ``[ledger] url``.

An entry of an array of tables goes by its name: ``GURNEY_REMOTE__ARCHIVE__HOST`` is the host of the remote "archive",
in any case and with ``_`` for ``-``; a name that no file has makes a new entry.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic_settings import EnvSettingsSource
from pydantic_settings.exceptions import SettingsError

from gurney.settings import schema
from gurney.settings.layers import Layers
from gurney.settings.model import Settings
from gurney.settings.problems import KeyPath, Origin
from gurney.settings.secrets import rivals

__all__ = ["PREFIX", "read_environment", "table_of"]

PREFIX = "GURNEY_"


def read_environment(layers: Layers, environ: Mapping[str, str]) -> None:
    """Lay ``environ`` over what the files said.

    An empty variable counts as unset. One without a double underscore that is no key is left alone: container
    platforms make such names up from a service called "gurney".
    """
    for variable, text in sorted(environ.items()):
        if not variable.startswith(PREFIX) or not text:
            continue
        origin = Origin(variable)
        try:
            values = _parse(variable, text)
        except SettingsError:
            layers.error(origin, "", "is not JSON", 'Write a list as JSON, such as ["archive", "research"].')
            continue
        if values:
            for key, value in values.items():
                _lay(layers, origin, key, value)
        elif "__" in variable:
            table = table_of(variable)
            layers.error(origin, "", f'there is no table "{table}"', schema.suggest(table, schema.keys_at(())))


def table_of(source: str) -> str:
    """Return the table that a variable writes to; nothing for what is no variable of ours, such as a file."""
    return source.removeprefix(PREFIX).split("__")[0].lower() if source.startswith(PREFIX) else ""


def _parse(variable: str, text: str) -> dict[str, Any]:
    # One variable at a time, so that each value keeps the name of the variable that set it.
    source = EnvSettingsSource(Settings)
    source.env_vars = {variable.lower(): text}
    return source()


def _lay(layers: Layers, origin: Origin, key: str, value: Any) -> None:
    if not schema.is_named_tables(key) or not isinstance(value, dict):
        _override(layers, origin, (key,), value)
        return
    entries = layers.values.setdefault(key, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        # The file has something else there; that mistake is the one to tell.
        return
    for name, entry in value.items():
        if isinstance(entry, dict):
            _override(layers, origin, (key, _index_of(layers, origin, key, name)), entry)
        else:
            layers.error(origin, "", f"names no key of [[{key}]]", f"Write {origin.source}__KEY.")


def _index_of(layers: Layers, origin: Origin, key: str, name: str) -> int:
    entries: list[dict[str, Any]] = layers.values[key]
    for index, entry in enumerate(entries):
        if _variable_form(entry.get("name")) == _variable_form(name):
            return index
    entries.append({"name": name})
    layers.origins[(key, len(entries) - 1)] = origin
    return len(entries) - 1


def _variable_form(name: Any) -> str:
    return str(name).lower().replace("-", "_")


def _override(layers: Layers, origin: Origin, path: KeyPath, value: Any) -> None:
    if isinstance(value, dict):
        layers.origins.setdefault(path, origin)
        for key, inner in value.items():
            _override(layers, origin, (*path, key), inner)
        return
    if isinstance(value, str) and schema.is_text_list(path):
        try:
            value = json.loads(value)
        except ValueError:
            layers.error(origin, "", "is not JSON", 'Write a list as JSON, such as ["archive", "research"].')
            return
    layers.put(path, value, origin)
    for rival in rivals(path):
        layers.drop(rival)
