"""The page of what was seen with which peer says what the tests say, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.matrix import OPERATIONS, Claim, page

ROOT = Path(__file__).parents[1]


def test_the_committed_page_says_what_the_tests_say(tmp_path: Path) -> None:
    """The tests that claim something run with all the others: where one fails, so does the whole."""
    marked = [path for path in sorted((ROOT / "tests").rglob("test_*.py")) if "pytest.mark.seen" in path.read_text()]
    collect = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", "seen or lacks", "-p", "no:cacheprovider"]
    # It is a run of its own, whatever run this one is a part of.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    written = tmp_path / "peers.md"
    run = subprocess.run(
        [*collect, "--matrix", str(written), *map(str, marked)],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    committed = (ROOT / "docs/reference/peers.md").read_text()
    assert committed == written.read_text(), "run `make matrix`"


def row(written: str, operation: str) -> list[str]:
    (line,) = (line for line in written.splitlines() if line.startswith(f"| {operation} |"))
    return [cell.strip() for cell in line.strip("|").split("|")[1:]]


def test_a_cell_is_what_is_claimed_and_a_remark_is_a_note() -> None:
    claims = [
        Claim("seen", "C-GET", "Orthanc", ""),
        Claim("seen", "C-GET", "Orthanc", "slow"),
        Claim("lacks", "C-GET", "storescp", ""),
        Claim("seen", "C-ECHO", "tiny-pacs", "slow"),
    ]
    written = page(claims)
    assert row(written, "C-GET")[:3] == ["seen [1]", "", "none"]
    assert row(written, "C-ECHO")[6] == "seen [1]"
    assert "\n1. slow\n" in written
    assert "\n2. " not in written
    assert all(row(written, operation) for operation in OPERATIONS)


def test_nobody_has_and_lacks_the_same() -> None:
    with pytest.raises(ValueError, match="Orthanc is said to have and to lack C-GET"):
        page([Claim("seen", "C-GET", "Orthanc", ""), Claim("lacks", "C-GET", "Orthanc", "")])


TESTS = """
import pytest

at_both = pytest.mark.parametrize("peer", ["orthanc", "dcmqrscp"])

@at_both
@pytest.mark.seen("C-ECHO")
def test_echo(peer): pass

@at_both
@pytest.mark.seen("C-GET", at="dcmqrscp", remark="late")
def test_get(peer): pass

@pytest.mark.seen("C-STORE", "C-ECHO", at="storescp")
def test_store(): assert {outcome}

@pytest.mark.lacks("Print, color", at="dcmprscp")
def test_print(): pass
"""


@pytest.mark.parametrize("outcome", [True, False])
def test_what_did_not_pass_is_not_seen(tmp_path: Path, outcome: bool) -> None:
    (tmp_path / "test_it.py").write_text(TESTS.format(outcome=outcome))
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    written = tmp_path / "peers.md"
    run = [sys.executable, "-m", "pytest", "-q", "-p", "tests.matrix", "-p", "no:cacheprovider", "-n", "2"]
    environment = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}
    subprocess.run(
        [*run, "--matrix", str(written), "."],
        cwd=tmp_path, env=environment, capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    shown = written.read_text()
    assert row(shown, "C-ECHO")[:3] == ["seen", "seen", "seen" if outcome else ""]
    assert row(shown, "C-GET")[:2] == ["", "seen [1]"]
    assert row(shown, "C-STORE")[2] == ("seen" if outcome else "")
    assert row(shown, "Print, color")[4] == "none"


def test_a_mark_that_names_no_cell_is_an_error(tmp_path: Path) -> None:
    for mark in ('seen("C-GTE", at="orthanc")', 'seen("C-GET", at="orthanx")', 'lacks("C-GET")'):
        (tmp_path / "test_it.py").write_text(f"import pytest\n@pytest.mark.{mark}\ndef test_it(): pass\n")
        (tmp_path / "pytest.ini").write_text("[pytest]\n")
        run = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "tests.matrix", "-p", "no:cacheprovider", "."],
            cwd=tmp_path, env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}, capture_output=True, text=True,
            check=False, timeout=60,
        )  # fmt: skip
        assert run.returncode != 0
        assert "is no cell of the matrix" in run.stdout + run.stderr
