"""From files and environment to a configuration, with every mistake at once."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from gurney.settings import schema
from gurney.settings.check import check
from gurney.settings.configuration import Configuration
from gurney.settings.environment import read_environment
from gurney.settings.layers import Layers
from gurney.settings.model import Settings
from gurney.settings.problems import KeyPath, Origin, Problem, Provenance, Severity
from gurney.settings.secrets import SECRETS, read_secrets
from gurney.settings.tls import TLS_FILES

__all__ = ["DEFAULT_PATH", "load", "read"]

DEFAULT_PATH = "/etc/gurney/gurney.toml"

_PATHS = (
    ("node", "data_dir"),
    ("spool", "path"),
    ("watch", "path"),
    ("watch", "move_to"),
    ("prefetch", "patients"),
    ("prefetch", "regions"),
    *((table, "tls", key) for table in ("remote", "receiver", "retrieve") for key in TLS_FILES),
)
# What stands in for a required key that is wrong, so that the rules over many keys can be asked about the rest.
_STAND_INS: dict[str, Any] = {"ae_title": "STAND-IN", "port": 1}


def load(path: str | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings of a configuration that is right, wherever ``read`` finds it.

    :raises InvalidSettingsError: with every mistake that could be found in one go.
    """
    return read(path, environ).whole()


def read(path: str | None = None, environ: Mapping[str, str] = os.environ) -> Configuration:
    """Read the configuration and return it checked, with every mistake that could be found in one go.

    ``path`` is what ``--config`` named; else ``GURNEY_CONFIG``; else ``/etc/gurney/gurney.toml`` where there is one;
    else the environment alone. Relative paths in it, from wherever they come, count from that file's folder.
    """
    path = path or environ.get("GURNEY_CONFIG") or (DEFAULT_PATH if os.path.exists(DEFAULT_PATH) else None)
    layers = Layers()
    if path is not None:
        path = os.path.abspath(path)
        layers.read_files(path)
    base = os.path.dirname(path) if path else os.getcwd()
    read_environment(layers, environ)
    read_secrets(layers, base)
    _make_absolute(layers.values, base)
    settings = _validate(layers, path or "environment")
    return Configuration(settings, tuple(check(settings)))


def _make_absolute(values: dict[str, Any], base: str) -> None:
    for table, *inner, key in _PATHS:
        holders = values.get(table)
        for entry in holders if isinstance(holders, list) else [holders]:
            holder = entry
            for part in inner:
                holder = holder.get(part) if isinstance(holder, dict) else None
            if isinstance(holder, dict) and isinstance(path := holder.get(key), str) and path:
                holder[key] = os.path.normpath(os.path.join(base, os.path.expanduser(path)))


def _validate(layers: Layers, source: str) -> Settings:
    try:
        settings = Settings(**layers.values)
    except ValidationError as error:
        details = error.errors(include_url=False)
        layers.problems.extend(_problem(detail, layers, source) for detail in details)
        mended = deepcopy(layers.values)
        for detail in details:
            _mend(mended, _field_path(detail["loc"]))
        settings = Settings(**mended)
    settings._provenance = Provenance(source, layers.origins, tuple(layers.problems))
    return settings


def _problem(detail: ErrorDetails, layers: Layers, source: str) -> Problem:
    path = detail["loc"]
    origin = schema.origin_of(path, layers.origins, Origin(source))
    message, remedy = _explain(detail)
    return Problem(Severity.ERROR, origin, schema.label(path, layers.values), message, remedy)


def _explain(detail: ErrorDetails) -> tuple[str, str]:
    path = detail["loc"]
    if detail["type"] == "extra_forbidden":
        return "is not a key", schema.suggest(str(path[-1]), schema.keys_at(path[:-1]))
    found = schema.field_at(_field_path(path))
    remedy = f"{found.description}." if found and found.description else "See the reference of the configuration."
    if detail["type"] == "missing":
        return "is required", remedy
    if schema.is_named_tables(str(path[-1])) and len(path) == 1:
        return "is not an array of tables", f"Write [[{path[0]}]]."
    message = str(detail["ctx"]["error"]) if detail["type"] == "value_error" else detail["msg"]
    message = message.replace("Input should", "should").replace("valid tuple", "list")
    value = detail["input"]
    if _field_path(path) in SECRETS or not isinstance(value, str | int | float) or len(str(value)) > 80:
        return message, remedy
    return f"{json.dumps(value, ensure_ascii=False, default=str)} {message}", remedy


def _field_path(path: KeyPath) -> KeyPath:
    # An element of a list of texts is mended with its list.
    return path[:-1] if schema.is_text_list(path[:-1]) else path


def _mend(values: dict[str, Any], path: KeyPath) -> None:
    holder: Any = values
    for part in path[:-1]:
        if isinstance(holder, dict) and part not in holder:
            return  # an earlier mistake took all of it
        holder = holder[part]
    key = path[-1]
    if isinstance(key, int):
        # Something that is no table stands where a table should: nothing of the array can be known.
        values.pop(str(path[0]), None)
        return
    holder.pop(key, None)
    found = schema.field_at(path)
    if found is not None and found.is_required():
        index = path[1]
        word = _STAND_INS.get(key, f"stand-in-{index}")
        holder[key] = [word] if schema.is_text_list(path) else word
