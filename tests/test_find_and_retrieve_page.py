"""The example of the page on retrieves runs, against an archive that we did not write."""

from __future__ import annotations

from pathlib import Path

import pytest

from gurney.pacs import DicomEngine
from tests.pacs.archives import filled
from tests.test_documentation import ROOT, fences


@pytest.mark.peer
def test_the_example_of_a_retrieve_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (example,) = fences(ROOT / "docs/how-to/find-and-retrieve.md", "python")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)
    with DicomEngine(), filled("dcmqrscp", tmp_path, {}) as archive:
        own = {'"ORTHANC"': '"DCMQRSCP"', "4242": str(archive.remote.port), '"1.2.3"': f'"{archive.studies[0]}"'}
        for shown, true in own.items():
            example = example.replace(shown, true)
        exec(example, {})
    assert capsys.readouterr().out == "complete 4 arrived\n"
    assert {path.stem for path in (tmp_path / "here").iterdir()} == archive.instances[archive.studies[0]]
