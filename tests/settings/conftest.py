"""A configuration from a text, as an administrator would write it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from gurney.settings import InvalidSettingsError, Problem, Settings, load

Load = Callable[..., Settings]
Mistakes = Callable[..., list[tuple[int, str, str]]]


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    path = tmp_path / "gurney.toml"
    path.touch(mode=0o600)
    return path


@pytest.fixture
def load_text(config_file: Path) -> Load:
    def read(text: str, environ: Mapping[str, str] | None = None) -> Settings:
        config_file.write_text(text)
        return load(str(config_file), environ or {})

    return read


@pytest.fixture
def problems_of(load_text: Load) -> Callable[..., tuple[Problem, ...]]:
    """Return every problem of a text that must not load."""

    def read(text: str, environ: Mapping[str, str] | None = None) -> tuple[Problem, ...]:
        with pytest.raises(InvalidSettingsError) as caught:
            load_text(text, environ)
        return caught.value.problems

    return read


@pytest.fixture
def mistakes(problems_of: Callable[..., tuple[Problem, ...]]) -> Mistakes:
    """Return line, key and message of every error of a text."""

    def read(text: str, environ: Mapping[str, str] | None = None) -> list[tuple[int, str, str]]:
        return [(each.origin.line, each.key, each.message) for each in problems_of(text, environ) if each.is_error]

    return read
