"""Where each key of a TOML document stands.

tomllib says what a document means, not where. This walks a document *that tomllib has accepted*, so it only has to
follow its shape: it judges nothing and decodes no value.
"""

from __future__ import annotations

import re
import tomllib

from gurney.settings.problems import KeyPath

__all__ = ["locate"]

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_DOT = re.compile(r"[ \t]*\.[ \t]*")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}|' + r"'''.*?'{3,5}|" + r'"(?:\\.|[^"\\\n])*"|' + r"'[^'\n]*'",
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}#\n]+")


def locate(text: str) -> dict[KeyPath, tuple[int, int]]:
    """Return line and column, from 1, of every table header and key in a valid TOML document."""
    walk = _Walk(text)
    walk.document()
    return walk.found


class _Walk:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.found: dict[KeyPath, tuple[int, int]] = {}
        self._tables: dict[KeyPath, int] = {}  # how many [[tables]] of a name there are so far

    def document(self) -> None:
        table: KeyPath = ()
        self._blank()
        while self.at < len(self.text):
            if self.text[self.at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._blank()

    def _header(self) -> KeyPath:
        start = self.at
        is_array = self.text.startswith("[[", self.at)
        self.at += 2 if is_array else 1
        self._blank()
        path: KeyPath = ()
        *parents, last = self._key()
        for name in parents:
            self._mark((*path, name), start)
            path = self._inside((*path, name))
        path = (*path, last)
        if is_array:
            self._mark(path, start)
            self._tables[path] = self._tables.get(path, 0) + 1
        path = self._inside(path)
        self._mark(path, start)
        self._blank()
        self.at += 2 if is_array else 1
        return path

    def _inside(self, path: KeyPath) -> KeyPath:
        # A header under an array of tables means the array's last table.
        return (*path, self._tables[path] - 1) if path in self._tables else path

    def _pair(self, table: KeyPath) -> None:
        start = self.at
        path = table
        for name in self._key():
            path = (*path, name)
            self._mark(path, start)
        self._blank()
        self.at += 1  # the equals sign
        self._blank()
        self._value(path)

    def _key(self) -> list[str]:
        names = [self._simple_key()]
        while dot := _DOT.match(self.text, self.at):
            self.at = dot.end()
            names.append(self._simple_key())
        return names

    def _simple_key(self) -> str:
        if bare := _BARE_KEY.match(self.text, self.at):
            self.at = bare.end()
            return bare[0]
        quoted = self._take(_STRING)
        return next(iter(tomllib.loads(f"{quoted} = 0")))

    def _value(self, path: KeyPath) -> None:
        match self.text[self.at]:
            case "[":
                self._array(path)
            case "{":
                self._inline_table(path)
            case '"' | "'":
                self._take(_STRING)
            case _:
                self._take(_SCALAR)

    def _array(self, path: KeyPath) -> None:
        self.at += 1
        index = 0
        self._separators()
        while self.text[self.at] != "]":
            self._mark((*path, index), self.at)
            self._value((*path, index))
            index += 1
            self._separators()
        self.at += 1

    def _inline_table(self, path: KeyPath) -> None:
        self.at += 1
        self._separators()
        while self.text[self.at] != "}":
            self._pair(path)
            self._separators()
        self.at += 1

    def _separators(self) -> None:
        self._blank()
        if self.text[self.at] == ",":
            self.at += 1
            self._blank()

    def _blank(self) -> None:
        self.at = self._match(_BLANK).end()

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = self._match(pattern)
        self.at = match.end()
        return match[0]

    def _match(self, pattern: re.Pattern[str]) -> re.Match[str]:
        match = pattern.match(self.text, self.at)
        if match is None:
            raise ValueError(f"not a TOML document at character {self.at}")
        return match

    def _mark(self, path: KeyPath, at: int) -> None:
        line_start = self.text.rfind("\n", 0, at) + 1
        self.found.setdefault(path, (self.text.count("\n", 0, at) + 1, at - line_start + 1))
