from __future__ import annotations

import tomllib
from typing import Any

import tomlkit
from hypothesis import given, settings
from hypothesis import strategies as st

from gurney.settings.lines import locate

DOCUMENT = """\
# a comment with [brackets] and key = "value"
top = 1
  "quoted key" = '''
[not.a.table]
x = 1'''
dotted . inner = 'a # b'

[node]  # and a comment
ae_title = "A ] # \\" }"
text = \"\"\"
two "quotes\"\"\"\"\"
numbers = [
  1, # one
  [2, 3], { deep = [4] },
]

[[remote]]
name = "a"
timeouts = { connect = 1, "store" = { soft = 2 } }
[remote.extra]
x = 2024-01-01T00:00:00Z
[[remote.list]]
y = 1
[[remote]]
name = "b"
[[remote.list]]
y = 2
"""


def test_finds_every_key() -> None:
    assert locate(DOCUMENT) == {
        ("top",): (2, 1),
        ("quoted key",): (3, 3),
        ("dotted",): (6, 1),
        ("dotted", "inner"): (6, 1),
        ("node",): (8, 1),
        ("node", "ae_title"): (9, 1),
        ("node", "text"): (10, 1),
        ("node", "numbers"): (12, 1),
        ("node", "numbers", 0): (13, 3),
        ("node", "numbers", 1): (14, 3),
        ("node", "numbers", 1, 0): (14, 4),
        ("node", "numbers", 1, 1): (14, 7),
        ("node", "numbers", 2): (14, 11),
        ("node", "numbers", 2, "deep"): (14, 13),
        ("node", "numbers", 2, "deep", 0): (14, 21),
        ("remote",): (17, 1),
        ("remote", 0): (17, 1),
        ("remote", 0, "name"): (18, 1),
        ("remote", 0, "timeouts"): (19, 1),
        ("remote", 0, "timeouts", "connect"): (19, 14),
        ("remote", 0, "timeouts", "store"): (19, 27),
        ("remote", 0, "timeouts", "store", "soft"): (19, 39),
        ("remote", 0, "extra"): (20, 1),
        ("remote", 0, "extra", "x"): (21, 1),
        ("remote", 0, "list"): (22, 1),
        ("remote", 0, "list", 0): (22, 1),
        ("remote", 0, "list", 0, "y"): (23, 1),
        ("remote", 1): (24, 1),
        ("remote", 1, "name"): (25, 1),
        ("remote", 1, "list"): (26, 1),
        ("remote", 1, "list", 0): (26, 1),
        ("remote", 1, "list", 0, "y"): (27, 1),
    }


def _paths(value: Any, path: tuple[str | int, ...] = ()) -> set[tuple[str | int, ...]]:
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    else:
        return {path}
    return {path}.union(*(_paths(each, (*path, key)) for key, each in inner))


# Surrogates and, in keys, control characters are what tomlkit writes wrongly.
_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_KEYS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=6)
_SCALARS = st.one_of(st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(), _TEXTS, st.datetimes())
_VALUES = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3), max_leaves=12
)


@settings(deadline=None)
@given(st.dictionaries(_KEYS, _VALUES, max_size=5))
def test_finds_all_that_tomllib_reads(values: dict[str, Any]) -> None:
    text = tomlkit.dumps(values)
    assert set(locate(text)) == _paths(tomllib.loads(text)) - {()}
