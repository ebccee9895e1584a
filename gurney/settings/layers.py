"""The layers of the configuration, read and laid over each other: file, ``config.d``, environment.

Nothing here knows what a key means; the result is plain values with the origin of each, for ``model`` to check.
"""

from __future__ import annotations

import glob
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from gurney.settings.lines import locate
from gurney.settings.problems import KeyPath, Origin, Problem, Severity
from gurney.settings.slips import toml_remedy

__all__ = ["Layers"]

_POSITION = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


@dataclass(slots=True)
class Layers:
    """Values so far, where each was written, and what could not be read."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[KeyPath, Origin] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def read_files(self, path: str) -> None:
        """Add a file, then ``config.d/*.toml`` beside it in the order of their names.

        Arrays of tables append, tables merge. The same key in two files is a mistake, not an override: which one
        wins would hang on a file's name.
        """
        self._read_file(path)
        for extra in sorted(glob.glob("*.toml", root_dir=(folder := os.path.join(os.path.dirname(path), "config.d")))):
            self._read_file(os.path.join(folder, extra))

    def _read_file(self, path: str) -> None:
        try:
            with open(path, encoding="utf-8-sig", newline="") as file:
                text = file.read()
        except OSError as error:
            self.error(Origin(path), "", f"can't be read: {error.strerror}", "Name a file that this user can read.")
            return
        except UnicodeDecodeError:
            self.error(Origin(path), "", "is not UTF-8 text", "Save the file as UTF-8.")
            return
        try:
            values = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            message = str(error)
            position = _POSITION.search(message)
            line, column = (int(position[1] or 0), int(position[2] or 0)) if position else (0, 0)
            if position and not line:
                line, column = text.count("\n") + 1, 1
            what = _POSITION.sub("", message)
            remedy = toml_remedy(text.split("\n")[line - 1], what)
            self.error(Origin(path, line, column), "", f"is not TOML: {what}", remedy)
            return
        # tomllib reads CR LF as one line end, and so must what counts lines and columns.
        origins = {at: Origin(path, *place) for at, place in locate(text.replace("\r\n", "\n")).items()}
        self._merge(self.values, values, origins, (), ())

    def _merge(
        self,
        into: dict[str, Any],
        values: Mapping[str, Any],
        origins: Mapping[KeyPath, Origin],
        here: KeyPath,
        there: KeyPath,
    ) -> None:
        for key, value in values.items():
            target, source = (*here, key), (*there, key)
            old: Any = into.get(key)
            if key not in into:
                into[key] = value
                self._adopt(origins, source, target)
            elif isinstance(old, dict) and isinstance(value, dict):
                self._merge(old, value, origins, target, source)
            elif _is_tables(old) and _is_tables(value):
                for index, entry in enumerate(value):
                    self._adopt(origins, (*source, index), (*target, len(old)))
                    old.append(entry)
            else:
                first = self.origins.get(target, Origin("?"))
                self.error(
                    origins[source], ".".join(map(str, target)), f"is set already at {first}", "Keep one of the two."
                )

    def _adopt(self, origins: Mapping[KeyPath, Origin], source: KeyPath, target: KeyPath) -> None:
        for path, origin in origins.items():
            if path[: len(source)] == source:
                self.origins[(*target, *path[len(source) :])] = origin

    def put(self, path: KeyPath, value: Any, origin: Origin) -> None:
        """Set one value over whatever stood there."""
        holder: Any = self.values
        for part, inner in pairwise(path):
            if isinstance(part, str) and not isinstance(holder.get(part), list if isinstance(inner, int) else dict):
                holder[part] = [] if isinstance(inner, int) else {}
            holder = holder[part]
        self.drop(path)
        holder[path[-1]] = value
        self.origins[path] = origin

    def drop(self, path: KeyPath) -> None:
        """Forget a value and where it, and all in it, was written."""
        holder: Any = self.values
        for part in path[:-1]:
            holder = holder.get(part, {}) if isinstance(part, str) else holder[part]
        holder.pop(path[-1], None)
        for written in [written for written in self.origins if written[: len(path)] == path]:
            del self.origins[written]

    def error(self, origin: Origin, key: str, message: str, remedy: str) -> None:
        """Note what can't be read."""
        self.problems.append(Problem(Severity.ERROR, origin, key, message, remedy))


def _is_tables(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(entry, dict) for entry in value)
