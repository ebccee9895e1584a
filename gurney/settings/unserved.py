"""Keys of the configuration's language that this version does not serve.

To take ``commitment`` and never ask for it would be a lie. So such a key is refused, with its line, unless it stands
at the value that promises nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gurney.settings.layers import Layers
from gurney.settings.problems import KeyPath, Origin
from gurney.settings.schema import label, origin_of

__all__ = ["refuse_unserved"]

_UNSERVED_KEYS: dict[KeyPath, tuple[Any, str]] = {
    ("remote", "commitment"): ("none", "storage commitment would not be asked for"),
}


def refuse_unserved(layers: Layers) -> None:
    """Take the keys of later versions out of ``layers``, with a problem for each that promises something."""
    for key, (harmless, effect) in _UNSERVED_KEYS.items():
        for path, holder in _holders(layers.values, key):
            # As texts, because that is how the environment says 120.
            if key[-1] in holder and str(holder.pop(key[-1])) != str(harmless):
                name = label(path, layers.values)
                _refuse(layers, path, name, effect, f"Remove the key, or set it to {harmless!r}".replace("'", '"'))


def _holders(values: dict[str, Any], key: KeyPath) -> Iterator[tuple[KeyPath, dict[str, Any]]]:
    entries = values.get(str(key[0]))
    for index, entry in enumerate(entries if isinstance(entries, list) else []):
        holder = entry
        for part in key[1:-1]:
            holder = holder.get(part) if isinstance(holder, dict) else None
        if isinstance(holder, dict):
            yield (key[0], index, *key[1:]), holder


def _refuse(layers: Layers, path: KeyPath, name: str, effect: str, remedy: str) -> None:
    origin = origin_of(path, layers.origins, Origin("?"))
    layers.error(origin, name, f"is not served by this version: {effect}", f"{remedy}; a later version will serve it.")
