"""The configuration that counts, defaults included, with secrets masked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from gurney.settings.model import Settings
from gurney.settings.secrets import SECRETS, mask

__all__ = ["show"]


def show(settings: Settings, form: Literal["toml", "json"] = "toml") -> str:
    """Write every key with its value, as TOML that ``load`` takes, or as JSON. Passwords read ``***``."""
    values = settings.model_dump(mode="json", by_alias=True, exclude_none=True)
    for table, key in SECRETS:
        values[table][key] = mask(values[table][key])
    return json.dumps(values, indent=2) if form == "json" else "\n".join(_tables(values)).strip() + "\n"


def _tables(values: Mapping[str, Any]) -> Iterator[str]:
    for name, value in values.items():
        entries = value if isinstance(value, list) else [value]
        for entry in entries:
            yield f"\n[[{name}]]" if isinstance(value, list) else f"\n[{name}]"
            yield from (f"{key} = {_value(inner)}" for key, inner in entry.items())


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_value(inner)}" for key, inner in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    # What JSON writes for texts, numbers and booleans is TOML too, but for DEL, which TOML wants escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
