"""An archive in JavaScript: dcmjs-dimse, as in `tests.services.dcmjs`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.services.certificates import Secured
from tests.services.dcmjs import installed_node_modules
from tests.services.presence import program, require
from tests.services.process import Service

__all__ = ["DcmjsArchive"]

_SCRIPT = Path(__file__).parents[1] / "peers" / "archive_scp.js"
_UNCOMPRESSED = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")


class DcmjsArchive(Service):
    """An archive in memory that takes these transfer syntaxes, and knows these ports on loopback by AE title.

    A caller whose AE title is CANCELLER gets one match or instance, and no other before it cancels.
    """

    name = "dcmjs-archive"
    ae_title = "DCMJS"

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        move_destinations: Mapping[str, int] = {},
        transfer_syntax_uids: Sequence[str] = _UNCOMPRESSED,
        secured: Secured | None = None,
        max_tls: str = "TLSv1.3",
    ) -> None:
        super().__init__(folder, port=port)
        require("node", "npm")
        self._node_modules = installed_node_modules()
        said: dict[str, object] = {"syntaxes": [*transfer_syntax_uids], "destinations": dict(move_destinations)}
        if secured is not None:
            server = {"key": str(secured.server.key), "certificate": str(secured.server.certificate)}
            said["tls"] = {**server, "ca": str(secured.ca), "maxVersion": max_tls}
        (folder / "archive.json").write_text(json.dumps(said))

    def command(self) -> list[str]:
        return [program("node"), str(_SCRIPT), str(self.port), str(self.folder)]

    def environment(self) -> Mapping[str, str]:
        return {**os.environ, "NODE_PATH": str(self._node_modules)}
