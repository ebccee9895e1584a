"""Sites that leave nothing behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from gurney.pacs.testing import FakePacs
from tests.faults.harness import Site


class MakeSite(Protocol):
    """Make a site for some remotes; see :class:`Site`."""

    def __call__(self, *remotes: Any, **more: Any) -> Site: ...


@pytest.fixture
def make_site(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[MakeSite]:
    """Make sites that are ended in good order, and whose logs are held to their promises, after the test."""
    sites: list[Site] = []

    def make(*remotes: Any, **more: Any) -> Site:
        sites.append(Site(tmp_path / f"site{len(sites)}", remotes, **more))
        return sites[-1]

    yield make
    for site in sites:
        site.close()
    for site in sites:
        site.check_logs()


@pytest.fixture
def pacs() -> Iterator[FakePacs]:
    """A PACS that takes everything until a test tells it otherwise."""
    with FakePacs() as fake:
        yield fake
