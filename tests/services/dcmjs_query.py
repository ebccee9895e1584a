"""A peer in JavaScript that answers queries: dcmjs-dimse, as in `tests.services.dcmjs`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.services.presence import program
from tests.services.process import Service

__all__ = ["DcmjsQueryScp"]

_PEERS = Path(__file__).parents[1] / "peers"


class DcmjsQueryScp(Service):
    """A C-FIND SCP for any SOP class that answers each with what it is told, and checks who asks.

    `answers` maps a SOP Class UID to matches, in dcmjs's JSON by keyword. `users` maps names to passcodes: with some,
    an association without one of them is rejected; the others are told "welcome" where they ask for a response.
    """

    name = "dcmjs-query"
    ae_title = "DCMJS"

    def __init__(
        self,
        folder: Path,
        node_modules: Path,
        *,
        answers: Mapping[str, list[dict[str, Any]]] = {},
        users: Mapping[str, str] = {},
        port: int | None = None,
    ) -> None:
        super().__init__(folder, port=port)
        self._node_modules = node_modules
        self._seen = folder / "seen.jsonl"
        (folder / "script.json").write_text(json.dumps({"answers": dict(answers), "users": dict(users)}))

    def command(self) -> list[str]:
        return [program("node"), str(_PEERS / "query_scp.js"), str(self.port), str(self.folder)]

    def environment(self) -> Mapping[str, str]:
        return {**os.environ, "NODE_PATH": str(self._node_modules)}

    def seen(self) -> list[dict[str, Any]]:
        """Return what it saw, in order: each association request, and each identifier by SOP class."""
        return [json.loads(line) for line in self._seen.read_text().splitlines()] if self._seen.exists() else []
