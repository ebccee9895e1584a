"""Whatever is written, the answer is settings or the list of mistakes: never another error."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tomlkit
from hypothesis import given, settings
from hypothesis import strategies as st

from gurney.settings import InvalidSettingsError, Problem, check, load, show
from gurney.settings.schema import keys_at

_TABLES = [*keys_at(()), "unknown"]
_KEYS = sorted({key for table in _TABLES for key in keys_at((table,))} | {"url_file", "window", "find", "stor"})
_TEXTS = st.sampled_from(
    ["", "a", "/data", "/data/x", "A B", "\0", "~", "60s", "10%", "redis://:p@h", "sqlite:////x", "é"]
)
_SCALARS = st.one_of(st.booleans(), st.integers(-2, 70000), st.floats(), _TEXTS)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(_KEYS), inner, max_size=3),
    max_leaves=6,
)
_ENTRIES = st.dictionaries(st.sampled_from(_KEYS), _VALUES, max_size=5)
_DOCUMENTS = st.dictionaries(st.sampled_from(_TABLES), _ENTRIES | st.lists(_ENTRIES, max_size=3) | _VALUES, max_size=5)
_VARIABLES = st.lists(st.sampled_from([*_TABLES, *_KEYS, "x", ""]).map(str.upper), min_size=1, max_size=4).map(
    lambda parts: "GURNEY_" + "__".join(parts)
)
_ENVIRONMENTS = st.dictionaries(
    _VARIABLES, _TEXTS | st.sampled_from(["[1]", "{}", '{"a": 1}', '[{"name": 1}]']), max_size=4
)


@settings(deadline=None, max_examples=200)
@given(_DOCUMENTS, _DOCUMENTS, _ENVIRONMENTS)
def test_there_are_two_answers(first: dict[str, Any], second: dict[str, Any], environ: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "gurney.toml")
        path.write_text(tomlkit.dumps(first))
        Path(folder, "config.d").mkdir()
        Path(folder, "config.d", "more.toml").write_text(tomlkit.dumps(second))
        environ.pop("GURNEY_CONFIG", None)
        problems = _load_and_use(str(path), environ)
    assert all(problem.message and problem.remedy for problem in problems)


def _load_and_use(path: str, environ: dict[str, str]) -> Sequence[Problem]:
    try:
        loaded = load(path, environ)
    except InvalidSettingsError as error:
        return error.problems
    show(loaded)
    return check(loaded)
