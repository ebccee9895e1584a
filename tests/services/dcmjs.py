"""A peer in JavaScript: dcmjs-dimse, whose reading of the standard owes nothing to DCMTK or pynetdicom."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from tests.services.presence import program, refuse
from tests.services.process import Service

__all__ = ["DcmjsCommitmentScp", "DcmjsNormalizedScp", "DcmjsStoreScp", "installed_node_modules"]

_PEERS = Path(__file__).parents[1] / "peers"
_CACHE = Path(__file__).parents[2] / ".make" / "peers"


class _DcmjsScp(Service):
    ae_title = "DCMJS"
    script: ClassVar[str]

    def __init__(self, folder: Path, node_modules: Path, *, port: int | None = None) -> None:
        super().__init__(folder, port=port)
        self.output = folder / "received"
        self._node_modules = node_modules

    def command(self) -> list[str]:
        return [program("node"), str(_PEERS / self.script), str(self.port), str(self.output)]

    def environment(self) -> Mapping[str, str]:
        return {**os.environ, "NODE_PATH": str(self._node_modules)}


class DcmjsCommitmentScp(_DcmjsScp):
    """A Storage Commitment SCP; `tests/peers/commitment_scp.js` says where and when it answers."""

    name = "dcmjs-dimse-commitment"
    script = "commitment_scp.js"


class DcmjsNormalizedScp(_DcmjsScp):
    """A provider of every DIMSE-N service; what `tests/peers/normalized_scp.js` says of faults can be asked of it."""

    name = "dcmjs-dimse-normalized"
    script = "normalized_scp.js"

    def requests(self) -> list[dict[str, Any]]:
        """Return what it was asked, in order: `service`, `uid`, `elements` by keyword, `action` of an N-ACTION."""
        return [json.loads(line) for line in self.output.read_text().splitlines()] if self.output.exists() else []


class DcmjsStoreScp(_DcmjsScp):
    """A Storage SCP that accepts the first transfer syntax of each context and keeps data sets unparsed."""

    name = "dcmjs-dimse"
    script = "store_scp.js"

    def __init__(self, folder: Path, node_modules: Path, *, port: int | None = None) -> None:
        super().__init__(folder, node_modules, port=port)
        self.output.mkdir(exist_ok=True)

    def datasets(self) -> dict[str, list[bytes]]:
        """Return, by SOP Instance UID, the data set of each C-STORE in the order of arrival, as it was on the wire."""
        return {uid: [path.read_bytes() for path in paths] for uid, paths in self._by_instance().items()}

    def transfer_syntax_uids(self) -> dict[str, str]:
        """Return, by SOP Instance UID, the transfer syntax of its last C-STORE."""
        return {uid: paths[-1].name.split("_")[2] for uid, paths in self._by_instance().items()}

    def _by_instance(self) -> dict[str, list[Path]]:
        found: dict[str, list[Path]] = {}
        whole = [path for path in self.output.iterdir() if path.suffix != ".part"]
        for path in sorted(whole, key=lambda path: int(path.name.split("_")[1])):
            found.setdefault(path.name.split("_")[0], []).append(path)
        return found


def installed_node_modules() -> Path:
    """Install what `tests/peers/package.json` names, once per version of that file, and return its `node_modules`.

    Skips the test, or fails it in CI, when npm can't.
    """
    manifest = _PEERS / "package.json"
    home = _CACHE / hashlib.sha256(manifest.read_bytes()).hexdigest()[:12]
    if not home.exists():
        _CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_CACHE) as workshop:
            shutil.copy(manifest, workshop)
            quiet = ["--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts", "--loglevel=error"]
            npm = subprocess.run([program("npm"), "install", *quiet], cwd=workshop, capture_output=True, check=False)
            if npm.returncode != 0:
                refuse(f"npm could not install dcmjs-dimse: {npm.stderr.decode(errors='replace').strip()[-300:]}")
            modules = Path(workshop, "node_modules")
            # Two runs may install at once: whichever comes second finds the place taken, and both are the same.
            home.mkdir(exist_ok=True)
            if not (home / "node_modules").exists():
                modules.rename(home / "node_modules")
    return home / "node_modules"
