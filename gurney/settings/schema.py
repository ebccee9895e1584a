"""What the model knows of a key path: its field, its neighbours, the word for it in a message."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from gurney.settings.model import Settings
from gurney.settings.problems import KeyPath, Origin, Origins

__all__ = ["field_at", "is_named_tables", "is_text_list", "keys_at", "label", "origin_of", "suggest"]


def keys_at(path: KeyPath) -> list[str]:
    """Return the keys of the table at ``path``; none where there is no table."""
    table = _table_at(path)
    return sorted(_fields(table)) if table else []


def field_at(path: KeyPath) -> FieldInfo | None:
    """Return the field that ``path`` leads to, if there is one."""
    table = _table_at(path[:-1]) if path else None
    return _fields(table).get(str(path[-1])) if table else None


def is_named_tables(key: str) -> bool:
    """Say whether a top-level key is an array of tables, such as ``[[remote]]``."""
    found = Settings.model_fields.get(key)
    return found is not None and get_origin(found.annotation) is tuple


def is_text_list(path: KeyPath) -> bool:
    """Say whether a key holds a list of texts, such as ``send_to``."""
    found = field_at(path)
    if found is None or get_origin(found.annotation) is not tuple:
        return False
    kind, *_ = get_args(found.annotation)
    return kind is str or get_origin(kind) is Literal or (get_origin(kind) is Annotated and get_args(kind)[0] is str)


def suggest(word: str, known: list[str]) -> str:
    """Return a sentence with the nearest known word, or with all of them."""
    near = get_close_matches(word, known, n=1)
    if near:
        return f'Did you mean "{near[0]}"?'
    return f"Known here: {', '.join(dict.fromkeys(known))}." if known else "There is none."


def label(path: KeyPath, values: Mapping[str, Any]) -> str:
    """Write a path for people: entries of arrays go by their name where they have one."""
    text = ""
    value: Any = values
    for part in path:
        value = _step(value, part)
        if isinstance(part, int):
            name = value.get("name") if isinstance(value, dict) else None
            text += f"[{name if isinstance(name, str) and name else part}]"
        else:
            text += f".{part}" if text else part
    return text


def origin_of(path: KeyPath, origins: Origins, default: Origin) -> Origin:
    """Return where ``path``, or the nearest table around it, was written."""
    for length in range(len(path), 0, -1):
        if path[:length] in origins:
            return origins[path[:length]]
    return default


def _fields(table: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return a table's fields by the keys that are written."""
    return {found.alias or name: found for name, found in table.model_fields.items()}


def _table_at(path: KeyPath) -> type[BaseModel] | None:
    table: type[BaseModel] | None = Settings
    for part in path:
        if isinstance(part, int):  # an entry has the keys of its array
            continue
        found = _fields(table).get(part) if table else None
        table = _table_in(found.annotation) if found else None
    return table


def _table_in(annotation: Any) -> type[BaseModel] | None:
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def _step(value: Any, part: str | int) -> Any:
    try:
        return value[part]
    except (KeyError, IndexError, TypeError):
        return None
