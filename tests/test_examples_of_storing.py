"""The tutorial of the framework runs word for word; so do the examples that store and verify; none is untested."""

from __future__ import annotations

import re
import runpy
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from tests.services.certificates import Authority
from tests.services.dcmtk import StoreScp
from tests.services.ports import accepts_connections, free_port
from tests.services.presence import program, require
from tests.services.waiting import wait_until

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "docs/examples"
TUTORIAL = ROOT / "docs/framework-tutorial.md"

Run = Callable[..., list[str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(name: str, peer: StoreScp, *arguments: str) -> list[str]:
        path = EXAMPLES / f"{name}.py"
        monkeypatch.setattr("sys.argv", [str(path), "127.0.0.1", str(peer.port), peer.ae_title, *arguments])
        runpy.run_path(str(path))
        return capsys.readouterr().out.splitlines()

    return run


@contextmanager
def started(command: str, folder: Path, port: int) -> Iterator[None]:
    words = shlex.split(command)
    with subprocess.Popen([program(words[0]), *words[1:]], cwd=folder) as process:
        try:
            wait_until(lambda: accepts_connections(port), what=words[0])
            yield
        finally:
            process.kill()


@pytest.mark.peer
def test_the_tutorial_runs_word_for_word(tmp_path: Path) -> None:
    require("dcmqrscp")
    ports = {"11112": free_port(), "11113": free_port()}
    text = TUTORIAL.read_text()
    for port, free in ports.items():
        text = text.replace(port, str(free))
    (configuration,) = re.findall(r"```text\n(.*?)```", text, re.DOTALL)
    (tmp_path / "dcmqrscp.cfg").write_text(configuration)
    ((making, *servers),) = [block.splitlines() for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL)]
    for name in shlex.split(making)[1:]:
        (tmp_path / name).mkdir()
    scripts = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    steps = re.findall(r"```\n\$ trial/bin/python (\S+\.py) ?(.*?)\n(.*?)```", text, re.DOTALL)
    assert len(scripts) == len(steps) == 4
    assert len(scripts[-1].splitlines()) <= 30
    with ExitStack() as peers:
        for server, free in zip(servers, ports.values(), strict=True):
            peers.enter_context(started(server.removesuffix(" &"), tmp_path, free))
        for script, (name, arguments, output) in zip(scripts, steps, strict=True):
            (tmp_path / name).write_text(script)
            command = [sys.executable, name, *shlex.split(arguments)]
            told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
            assert (told.stdout, told.stderr) == (output, ""), name
    assert len(list((tmp_path / "workstation").iterdir())) == 3


def test_the_tutorials_script_is_the_example() -> None:
    assert f"```python\n{(EXAMPLES / 'forward.py').read_text()}```" in TUTORIAL.read_text()


@pytest.mark.peer
def test_a_folder(run: Run, storescp: StoreScp, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "study"
    folder.mkdir()
    for name in ("CT_small.dcm", "MR_small.dcm"):
        shutil.copy(str(get_testdata_file(name, download=False)), folder)
    (folder / "readme.txt").write_text("of a viewer " * 20)
    (folder / "short.dcm").write_bytes((folder / "CT_small.dcm").read_bytes()[:3000])
    refused, counted = run("store_folder", storescp, str(folder), "--every", "2", "--transcode")
    assert refused.startswith(f"{folder / 'short.dcm'} unfit ")
    assert counted == "2 stored, 1 skipped, 1 failed"
    uids = {str(dcmread(path, stop_before_pixels=True).SOPInstanceUID) for path in storescp.files()}
    assert len(uids) == 2


@pytest.mark.peer
def test_an_echo_with_and_without_tls(run: Run, storescp: StoreScp, tmp_path: Path) -> None:
    assert run("echo", storescp) == ["status 0000"]
    authority = Authority(tmp_path)
    theirs, ours = authority.issue("archive"), authority.issue("gurney")
    secured = ["--enable-tls", str(theirs.key), str(theirs.certificate), "--add-cert-file", str(authority.file)]
    (tmp_path / "secured").mkdir()
    with StoreScp(tmp_path / "secured", options=secured) as peer:
        own = ["--ca", str(authority.file), "--certificate", str(ours.certificate), "--key", str(ours.key)]
        link, status = run("echo", peer, *own)
    assert link.startswith("TLSv1.")
    assert link.endswith("archive")
    assert status == "status 0000"


CT = str(get_testdata_file("CT_small.dcm", download=False))
# What each needs besides whom to call. The tutorial's own has to be shorter, and shows a failure as Python does.
NEEDS: dict[str, list[str]] = {
    "echo": [],
    "find": [],
    "get": ["1.2.3", "here"],
    "instance_availability": [],
    "media_creation": ["1.2.3=1.2.3.4"],
    "move": ["1.2.3"],
    "performed_procedure_step": [],
    "print_film": [CT],
    "store_and_commit": [CT, "--listen", "0"],
    "store_folder": [str(Path(CT).parent)],
    "worklist": ["--day", "2024-01-31"],
}


@pytest.mark.parametrize("name", sorted({path.stem for path in EXAMPLES.glob("*.py")} - {"forward"}))
def test_an_example_says_in_a_line_what_went_wrong(name: str, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and never listens
        whom = ["127.0.0.1", str(taken.getsockname()[1]), "ARCHIVE"]
        command = [sys.executable, str(EXAMPLES / f"{name}.py"), *whom, *NEEDS[name]]
        told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert told.returncode == 1
    (line,) = told.stderr.splitlines()
    assert line.endswith("Connection refused")


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_an_example_is_short_says_what_it_does_and_has_a_test(path: Path) -> None:
    text = path.read_text()
    assert text.startswith('"""')
    assert len([line for line in text.splitlines() if line.strip()]) <= 40
    tests = "".join(each.read_text() for each in (ROOT / "tests").rglob("test_*.py"))
    ran = re.search(rf'\brun\(\s*"{path.stem}"|docs/examples/{path.stem}\.py|EXAMPLES / .{path.stem}\.py', tests)
    assert ran, f"no test runs {path.name}"
