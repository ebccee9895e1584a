"""Which programs are here, and what to do about those that are not."""

from __future__ import annotations

import os
import shutil
from glob import glob
from pathlib import Path
from typing import NoReturn

import pytest

__all__ = ["find_binary", "program", "refuse", "require"]

# Debian keeps these off the PATH: PostgreSQL's server programs entirely, daemons for anyone but root.
_BEYOND_PATH = ("/usr/lib/postgresql/*/bin", "/usr/lib/rabbitmq/bin", "/usr/local/sbin", "/usr/sbin", "/sbin")

_DEBIAN_PACKAGES = {
    "Orthanc": "orthanc",
    "dcmprscp": "dcmtk",
    "dcmqrscp": "dcmtk",
    "dcmsend": "dcmtk",
    "echoscu": "dcmtk",
    "erl": "rabbitmq-server",
    "initdb": "postgresql",
    "node": "nodejs",
    "postgres": "postgresql",
    "storescp": "dcmtk",
    "storescu": "dcmtk",
    "wlmscpfs": "dcmtk",
}


def find_binary(name: str) -> str | None:
    """Find a program on the PATH or where Debian hides it; of several PostgreSQL versions, the newest.

    What virtual environments hold doesn't count: pynetdicom installs a `storescp` and a `storescu` of its own, which
    shadow DCMTK's wherever such an environment is activated.
    """
    on_path = [folder for folder in os.get_exec_path() if not Path(folder, "..", "pyvenv.cfg").exists()]
    return shutil.which(name, path=os.pathsep.join([*on_path, *_folders_beyond_path()]))


def program(name: str) -> str:
    """Return the full path of a program, which `require` has checked for."""
    path = find_binary(name)
    assert path is not None, f"{name} is not installed: require it first"
    return path


def require(*binaries: str) -> None:
    """Skip the test (or the module, at its top) unless these programs are installed.

    The reason names the Debian package. With `CI=true` a missing program fails instead: a skip that nobody reads
    would let a whole peer go untested.
    """
    missing = [binary for binary in binaries if find_binary(binary) is None]
    if missing:
        packages = sorted({_DEBIAN_PACKAGES.get(binary, binary) for binary in missing})
        refuse(f"{', '.join(missing)} not found: apt-get install {' '.join(packages)}")


def refuse(reason: str) -> NoReturn:
    """Skip with this reason, or fail with it when `CI=true`."""
    if os.environ.get("CI", "").lower() in {"true", "1"}:
        pytest.fail(f"{reason} (nothing is skipped in CI)", pytrace=False)
    pytest.skip(reason, allow_module_level=True)


def _folders_beyond_path() -> list[str]:
    return [folder for pattern in _BEYOND_PATH for folder in sorted(glob(pattern), key=_version_of, reverse=True)]


def _version_of(folder: str) -> list[int]:
    return [int(part) for part in folder.split("/") if part.isdigit()]
