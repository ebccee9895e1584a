"""What a clone and a wheel consist of, and what the library needs to be imported."""

from __future__ import annotations

import email
import importlib
import inspect
import os
import pkgutil
import re
import shutil
import subprocess
import sys
import zipfile
from email.message import Message
from pathlib import Path

import pytest

import gurney

ROOT = Path(__file__).parents[1]

PUBLIC_MODULES = sorted(
    found.name for found in pkgutil.walk_packages(gurney.__path__, "gurney.") if "._" not in found.name
)

# Blocks every import but the standard library and the named packages, then imports a room with all its modules.
IMPORT_WITH_ONLY = """
import importlib, pkgutil, sys
from importlib.abc import MetaPathFinder

packages, room = sys.argv[1:]
allowed = {*packages.split(","), *sys.stdlib_module_names}

class Guard(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] not in allowed:
            raise ModuleNotFoundError(f"blocked: {name}", name=name)

sys.meta_path.insert(0, Guard())
module = importlib.import_module(room)
for found in pkgutil.walk_packages(module.__path__, room + "."):
    importlib.import_module(found.name)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, unpacked."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (built,) = folder.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        archive.extractall(folder / "unpacked")
    return folder / "unpacked"


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    (dist_info,) = wheel.glob("*.dist-info")
    return email.message_from_string((dist_info / "METADATA").read_text())


@pytest.mark.parametrize("room", ["gurney.dicom", "gurney.pacs"])
def test_the_library_needs_pydicom_and_pynetdicom_only(room: str) -> None:
    assert import_with_only("gurney,pydicom,pynetdicom", room) == ""


def test_the_guard_of_that_test_blocks() -> None:
    assert "blocked: pydicom" in import_with_only("gurney,pynetdicom", "gurney.pacs")


def import_with_only(packages: str, room: str) -> str:
    """Return what Python complained about."""
    command = [sys.executable, "-W", "error", "-c", IMPORT_WITH_ONLY, packages, room]
    return subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True).stderr


def test_the_wheel_asks_for_nothing_more(metadata: Message) -> None:
    unconditional = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert sorted(re.split(r"[<>=!~ ]", line)[0] for line in unconditional) == ["pydicom", "pynetdicom"]


def test_the_wheel_holds_the_three_packages_and_nothing_else(wheel: Path) -> None:
    assert sorted(path.name for path in wheel.iterdir() if path.suffix != ".dist-info") == [
        "gurney",
        "gurney_daemon",
        "gurney_workers",
    ]
    assert (wheel / "gurney" / "py.typed").exists()


def test_the_wheel_carries_the_licence(wheel: Path, metadata: Message) -> None:
    (licence,) = wheel.glob("*.dist-info/licenses/LICENSE")
    assert licence.read_text() == (ROOT / "LICENSE").read_text()
    assert metadata["License-Expression"] == "MIT"


def test_an_installed_gurney_finds_its_migrations(wheel: Path, tmp_path: Path) -> None:
    script = "from gurney.ledger.schema import migrations_folder; print(migrations_folder())"
    found = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(wheel)},
        check=True,
        capture_output=True,
        text=True,
    )
    folder = Path(found.stdout.strip())
    assert folder.is_relative_to(wheel)
    in_tree = sorted(path.name for path in (ROOT / "migrations" / "versions").glob("*.py"))
    assert sorted(path.name for path in (folder / "versions").glob("*.py")) == in_tree != []
    assert (folder / "env.py").exists()


def test_the_command_is_there(wheel: Path) -> None:
    (scripts,) = wheel.glob("*.dist-info/entry_points.txt")
    (command,) = re.findall(r"^gurney = (.+):main$", scripts.read_text(), re.MULTILINE)
    assert callable(importlib.import_module(command).main)


@pytest.mark.parametrize("missing", ["typer", "sqlalchemy", "celery"])
def test_the_command_of_the_library_alone_says_what_to_install(missing: str) -> None:
    done = run_without(missing, "send")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"gurney: {missing} is not installed, which the command needs and the library does not: "
        'pip install "gurney[daemon]"\n'
    )


def test_a_module_of_ours_that_is_missing_is_a_fault_and_told_as_one() -> None:
    assert "ModuleNotFoundError" in run_without("gurney_daemon.cli", "send").stderr


def run_without(module: str, command: str) -> subprocess.CompletedProcess[str]:
    """Run a command where a module is not there."""
    script = f"import sys; sys.modules[{module!r}] = None; from gurney_daemon.entry import main; main()"
    return subprocess.run(
        [sys.executable, "-c", script, command], cwd=ROOT, check=False, capture_output=True, text=True
    )


@pytest.mark.parametrize(
    "path",
    [
        ".ci/run",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "Dockerfile",
        "LICENSE",
        "Makefile",
        "README.md",
        "benchmarks",
        "config",
        "daemon/gurney_daemon",
        "docker-compose.yml",
        "docs",
        "gurney",
        "migrations/versions",
        "workers/gurney_workers",
    ],
)
def test_the_clone_has(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize("home", ["daemon", "workers"])
def test_homes_are_not_packages(home: str) -> None:
    assert not (ROOT / home / "__init__.py").exists(), "a top-level package of that name collides with others"


@pytest.mark.parametrize("module", PUBLIC_MODULES)
def test_public_modules_say_what_is_public(module: str) -> None:
    imported = importlib.import_module(module)
    if not hasattr(imported, "__all__"):
        own = [name for name, value in vars(imported).items() if name[0] != "_" and not inspect.ismodule(value)]
        assert own == [], "a module with names of its own lists the public ones in __all__"
        return
    assert len(imported.__all__) == len(set(imported.__all__))
    assert [name for name in imported.__all__ if not hasattr(imported, name)] == []


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    """The files that git knows."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run([git, "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout
    files = [ROOT / os.fsdecode(name) for name in listed.split(b"\0") if name]
    return [path for path in files if path.is_file()]


def test_no_tracked_file_names_this_machine(tracked: list[Path]) -> None:
    places = {f"{place}/".encode() for place in (ROOT, Path.home(), sys.prefix) if len(Path(place).parts) > 1}
    assert [path.name for path in tracked if any(place in path.read_bytes() for place in places)] == []


def test_no_tracked_file_is_a_lock_file(tracked: list[Path]) -> None:
    assert [path.name for path in tracked if re.search(r"\block\b|-lock\.", path.name)] == []


def test_no_tracked_file_is_large(tracked: list[Path]) -> None:
    assert [path.name for path in tracked if path.stat().st_size > 1_000_000] == []


def test_the_changelog_is_open() -> None:
    assert "\n## [Unreleased]\n" in (ROOT / "CHANGELOG.md").read_text()
