"""What the documents name exists: pages, commands, options, keys. And the framework's example runs."""

from __future__ import annotations

import re
import shutil
import textwrap
from pathlib import Path
from typing import Any

import pytest
import typer
from pydicom.data import get_testdata_file

from gurney.pacs import DicomEngine
from gurney.pacs.testing import FakePacs
from gurney.settings import load
from gurney_daemon.cli import app
from tests.pacs.archives import filled
from tests.services.orthanc import Orthanc
from tests.services.presence import require

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]

LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)")
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"(?:^ *|\$ |`|/bin/)gurney ([a-z][^`\n]*)", re.MULTILINE)

named = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def fences(page: Path, language: str) -> list[str]:
    return [textwrap.dedent(body) for _, kind, body in FENCE.findall(page.read_text()) if kind == language]


@named
def test_links_lead_somewhere(page: Path) -> None:
    dead = [target for target in LINK.findall(page.read_text()) if not (page.parent / target).exists()]
    assert dead == []


def options_by_command() -> dict[str, set[str]]:
    """The options of every command, by its full name; a group's commands are named behind it."""

    def walk(prefix: str, command: Any) -> dict[str, set[str]]:
        found = {prefix: {option for parameter in command.params for option in parameter.opts} | {"--help"}}
        for name, inner in getattr(command, "commands", {}).items():
            found |= walk(f"{prefix} {name}".strip(), inner)
        return found

    return walk("", typer.main.get_command(app))


@named
def test_commands_and_their_options_exist(page: Path) -> None:
    known = options_by_command()
    for line in COMMAND.findall(page.read_text()):
        words = [word.strip("`.,:;()") for word in re.split(r" [|>#] ", line)[0].split()]
        names = [name for name in (" ".join(words[:2]), words[0]) if name in known]
        assert names, f"there is no command {line!r}"
        unknown = {word for word in words if word.startswith("--")} - known[names[0]]
        assert not unknown, f"gurney {names[0]} has no {unknown}"


@named
def test_configurations_are_accepted(page: Path, tmp_path: Path) -> None:
    for number, body in enumerate(fences(page, "toml")):
        if "_file = " in body:
            continue  # the secrets that it names are on other people's hosts
        defined = re.findall(r'^name = "(\w+)"', body, re.MULTILINE)
        named = re.findall(r'^(?:send_to|from|to) = \["(\w+)"\]|^worklist = "(\w+)"', body, re.MULTILINE)
        wanted = sorted({name for names in named for name in names if name} - {*defined})
        remotes = [f'\n[[remote]]\nname = "{name}"\nae_title = "X"\nhost = "x"\nport = 104\n' for name in wanted]
        path = tmp_path / f"{number}.toml"
        path.write_text(body + "".join(remotes))
        load(str(path))


def test_the_example_of_the_framework_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    example, _, hook, _ = fences(ROOT / "docs/how-to/use-the-framework.md", "python")
    (tmp_path / "study").mkdir()
    for name in ("CT_small.dcm", "SC_rgb_jpeg_dcmtk.dcm"):
        shutil.copy(str(get_testdata_file(name, download=False)), tmp_path / "study")
    monkeypatch.chdir(tmp_path)
    with FakePacs(ae_title="ORTHANC") as pacs:
        exec(example.replace("4242", str(pacs.port)), {})
        assert "C-ECHO: 0." in capsys.readouterr().out
        assert len(pacs.stored) == 2
        # The page's listener, put before the page's example: one of the two is a screenshot.
        both = hook + "\n" + example.replace("4242", str(pacs.port)).replace('scu = StoreScu("GURNEY")\n', "")
        exec(both, {})
        assert len(pacs.stored) == 3


@pytest.mark.peer
def test_the_examples_of_storing_folders_and_of_compression_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    require("Orthanc")
    folder, compression = fences(ROOT / "docs/how-to/compress.md", "python")
    (tmp_path / "study").mkdir()
    (tmp_path / "peer").mkdir()
    for name in ("CT_small.dcm", "MR_small_RLE.dcm"):
        shutil.copy(str(get_testdata_file(name, download=False)), tmp_path / "study")
    (tmp_path / "study" / "README.TXT").write_text("of a viewer " * 20)
    monkeypatch.chdir(tmp_path)
    accepted = ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.80"]
    with Orthanc(tmp_path / "peer", settings={"AcceptedTransferSyntaxes": accepted}) as archive:
        exec(folder.replace("4242", str(archive.port)), {})
        refused, counted = capsys.readouterr().out.splitlines()
        assert refused.startswith("study/MR_small_RLE.dcm no_context")
        assert counted == "1 stored, 1 skipped, 1 failed"
        exec(compression.replace("4242", str(archive.port)), {})
        lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1:3] for line in lines[:2]] == [[accepted[0], "False"], [accepted[0], "True"]]
    assert lines[-1] == accepted[1]


def test_the_example_of_a_wire_log_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (example,) = fences(ROOT / "docs/how-to/read-a-wire-log.md", "python")
    monkeypatch.chdir(tmp_path)
    with FakePacs(ae_title="ORTHANC") as pacs:
        exec(example.replace("4242", str(pacs.port)), {})
    assert capsys.readouterr().out == "0 studies\n"
    text = (tmp_path / "wire.log").read_text()
    assert "-> C-FIND-RQ, message ID 1" in text
    assert "(0010,0020) LO PatientID, 4 bytes [redacted]" in text


@pytest.mark.peer
def test_the_example_of_a_query_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, example, _, _ = fences(ROOT / "docs/how-to/use-the-framework.md", "python")
    with FakePacs() as workstation, DicomEngine():
        with filled("orthanc", tmp_path, {"WORKSTATION": workstation.port}) as archive:
            exec(example.replace("4242", str(archive.remote.port)).replace("4711", "P1"), {})
        assert {stored.sop_instance_uid for stored in workstation.stored} in archive.instances.values()
    first, *_, last = capsys.readouterr().out.splitlines()
    assert (first, last) == ("2 studies, 0 answers that did not match", "4 of 4")
