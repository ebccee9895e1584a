"""tiny-pacs: an archive on pynetdicom2, a second reading of the standard in Python."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.services.ports import LOOPBACK
from tests.services.process import Service

__all__ = ["TinyPacs"]


class TinyPacs(Service):
    """An archive in memory. `move_destinations` maps AE titles to ports on loopback; `settings` overrides its `ae`."""

    name = "tiny-pacs"
    ae_title = "TINY_PACS"

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        move_destinations: Mapping[str, int] = {},
        settings: Mapping[str, Any] = {},
    ) -> None:
        super().__init__(folder, port=port)
        self._settings = settings
        self._move_destinations = move_destinations

    def command(self) -> list[str]:
        configuration = self.folder / "tiny-pacs.json"
        configuration.write_text(json.dumps(self._configuration()))
        return [sys.executable, "-m", "tiny_pacs", "run", "--config", str(configuration)]

    def _configuration(self) -> dict[str, Any]:
        devices = {
            title: {"aet": title, "address": LOOPBACK, "port": port} for title, port in self._move_destinations.items()
        }
        return {
            "ae": {"ae_title": [self.ae_title], "port": self.port, "dump_ds": False, **self._settings},
            "log": {
                "version": 1,
                "handlers": {"console": {"class": "logging.StreamHandler"}},
                "root": {"level": "WARNING", "handlers": ["console"]},
            },
            "components": {"Devices": {"on": True, "auto_add": True, "devices": devices}},
        }
