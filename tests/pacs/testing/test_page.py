"""The how-to page about the fake PACS runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[3] / "docs/how-to/test-your-client.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_each_example_runs(number: int) -> None:
    exec(compile(EXAMPLES[number], str(PAGE), "exec"), {})


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 2
