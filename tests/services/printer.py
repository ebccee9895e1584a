"""DCMTK's `dcmprscp`: a printer that stores what it would print."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from tests.services.ports import LOOPBACK
from tests.services.presence import program
from tests.services.process import Service

__all__ = ["DcmPrScp"]


class DcmPrScp(Service):
    """A printer for grayscale films, of one image or of two by two."""

    name = "dcmprscp"
    ae_title = "DCMPRSCP"

    def __init__(self, folder: Path, *, port: int | None = None) -> None:
        super().__init__(folder, port=port)
        self.database = folder / "database"
        for place in (self.database, folder / "spool", folder / "log"):
            place.mkdir(exist_ok=True)

    def environment(self) -> Mapping[str, str]:
        # DCMTK leaves Nagle's algorithm on, which costs 40 ms on some messages.
        return {**os.environ, "TCP_NODELAY": "1"}

    def command(self) -> list[str]:
        configuration = self.folder / "dcmpstat.cfg"
        configuration.write_text(self._configuration())
        return [program("dcmprscp"), "--config", str(configuration), "--printer", "PRINTER"]

    def images(self) -> list[Path]:
        """Return the images of what was printed, as Part 10 files, in no order."""
        return list(self.database.glob("HG_*.dcm"))

    def prints(self) -> list[Path]:
        """Return what was printed: a Stored Print Storage for each film, as Part 10 files, in no order."""
        return list(self.database.glob("SP_*.dcm"))

    def _configuration(self) -> str:
        lines = [
            "[[GENERAL]]",
            "[APPLICATION]",
            f"LogDirectory = {self.folder / 'log'}",
            "[PRINT]",
            f"Directory = {self.folder / 'spool'}",
            "[DATABASE]",
            f"Directory = {self.database}",
            "[[COMMUNICATION]]",
            "[PRINTER]",
            f"Aetitle = {self.ae_title}",
            "Description = A printer",
            f"Hostname = {LOOPBACK}",
            f"Port = {self.port}",
            "Type = LOCALPRINTER",
            "DisplayFormat = 1,1\\2,2",
            "FilmSizeID = 14INX17IN",
            "FilmDestination = MAGAZINE",
            "MediumType = PAPER\\BLUE FILM",
            "MagnificationType = REPLICATE\\CUBIC\\NONE",
            "MaxPDU = 32768",
            "Supports12Bit = true",
            "SupportsImageSize = true",
        ]
        return "\n".join(lines) + "\n"
