"""The fast path and pynetdicom's own way have the same results: one archive is asked both ways, and all is compared.

Times are left out, and where among the reports of a C-GET an instance is told: when the disk has it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

from gurney.pacs import (
    DicomEngine,
    Level,
    Match,
    PatientRootQuery,
    Query,
    QueryRetrieveScu,
    Retrieval,
    Scu,
    StoreScu,
)
from gurney.pacs.hooks import AfterHook, BeforeHook
from tests.pacs.archives import Archive, filled
from tests.pacs.conftest import CT, MR

pytestmark = pytest.mark.peer

BOTH = (True, False)


@pytest.fixture(scope="module", params=["orthanc", "dcmqrscp"])
def archive(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    with DicomEngine(), filled(request.param, tmp_path_factory.mktemp(request.param), {}) as archive:
        yield archive


class Diary:
    """What an SCU's events tell, by name, without the times."""

    def __init__(self, scu: Scu) -> None:
        self.entries: list[tuple[str, Any]] = []
        for hook in vars(scu.events).values():
            if isinstance(hook, AfterHook | BeforeHook):
                hook(lambda event, name=hook.name: self.entries.append((name, plain(event))))

    def without(self, name: str) -> list[tuple[str, Any]]:
        return [entry for entry in self.entries if entry[0] != name]

    def of(self, name: str) -> list[Any]:
        return [told for one, told in self.entries if one == name]


def plain(value: Any) -> Any:
    """Give what can be compared of a value: no times, folders, or objects with a life of their own."""
    told: Any = type(value).__name__
    if isinstance(value, Dataset):
        told = value.to_json_dict()
    elif isinstance(value, Path):
        told = value.name
    elif isinstance(value, Match):
        told = plain(value.value), plain(value.dataset)
    elif is_dataclass(value) and not isinstance(value, type):
        kept = (one.name for one in fields(value) if one.name not in {"seconds", "resolved"})
        told = told, {name: plain(getattr(value, name)) for name in kept}
    elif isinstance(value, tuple | list):
        told = [plain(one) for one in value]
    elif value is None or isinstance(value, str | int | bytes | Enum | frozenset):
        told = value
    return told


@pytest.mark.parametrize(
    "query",
    [
        Query(),
        Query(patient_id="P1"),
        Query(patient_id="nobody"),
        PatientRootQuery(),
        Query(level=Level.SERIES),
    ],
    ids=["studies", "some", "none", "patients", "series"],
)
@pytest.mark.parametrize("limit", [None, 1], ids=["all", "limited"])
def test_a_search_is_the_same_both_ways(archive: Archive, query: Query, limit: int | None) -> None:
    if query.level is Level.SERIES:
        query = Query(level=Level.SERIES, study_instance_uid=archive.studies[0])
    seen = []
    for fast_path in BOTH:
        scu = QueryRetrieveScu(fast_path=fast_path)
        diary = Diary(scu)
        with scu.find(archive.remote, query, limit=limit) as search:
            matches = [plain(match) for match in search]
            seen.append((matches, search.status, search.filtered, search.is_complete, diary.entries))
    fast, slow = seen
    assert fast == slow
    assert len(fast[-1]) >= 6


@pytest.mark.parametrize("classes", [[CT], [MR]], ids=["taken", "refused"])
def test_a_get_is_the_same_both_ways(archive: Archive, tmp_path: Path, classes: list[str]) -> None:
    seen = []
    for fast_path in BOTH:
        scu = QueryRetrieveScu(fast_path=fast_path)
        diary, folder = Diary(scu), tmp_path / f"{fast_path}"
        folder.mkdir()
        result: object = None
        arrivals = scu.get(archive.remote, Retrieval(study_instance_uid=archive.studies[1]), folder, classes)
        received = []
        try:
            received = [plain(one) for one in arrivals]
        except Exception as error:
            result = type(error), str(error)
        files = {path.name: path.read_bytes() for path in folder.iterdir()}
        seen.append((received, result, arrivals.progress, files, diary.of("received"), diary.without("received")))
    fast, slow = seen
    assert fast == slow
    assert len(fast[3]) == (4 if classes == [CT] else 0)


def test_stores_are_the_same_both_ways(archive: Archive) -> None:
    names = ["CT_small.dcm", "MR_small.dcm", "SC_rgb_jpeg_dcmtk.dcm", "rtplan.dcm", "MR_small_bigendian.dcm"]
    paths = [str(get_testdata_file(name, download=False)) for name in names]
    seen = []
    for fast_path in BOTH:
        scu = StoreScu(fast_path=fast_path)
        diary = Diary(scu)
        assert scu.verify(archive.remote).is_success
        results = [plain(result) for result in scu.store_many(archive.remote, paths)]
        seen.append((results, diary.entries))
    fast, slow = seen
    assert fast == slow
    assert len(fast[0]) == len(paths)
