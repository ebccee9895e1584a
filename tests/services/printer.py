"""DCMTK's `dcmprscp`: a printer that stores what it would print."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.services.certificates import Secured
from tests.services.ports import LOOPBACK
from tests.services.presence import program
from tests.services.process import Service

__all__ = ["DcmPrScp"]


class DcmPrScp(Service):
    """A printer for grayscale films, of one image or of two by two."""

    name = "dcmprscp"
    ae_title = "DCMPRSCP"

    def __init__(self, folder: Path, *, port: int | None = None, secured: Secured | None = None) -> None:
        super().__init__(folder, port=port)
        self._secured = secured
        self.database = folder / "database"
        for place in (self.database, folder / "spool", folder / "log"):
            place.mkdir(exist_ok=True)

    def environment(self) -> Mapping[str, str]:
        # DCMTK leaves Nagle's algorithm on, which costs 40 ms on some messages.
        return {**os.environ, "TCP_NODELAY": "1"}

    def command(self) -> list[str]:
        if self._secured is not None:
            self._place_authority(self._secured.ca)
        configuration = self.folder / "dcmpstat.cfg"
        configuration.write_text(self._configuration())
        return [program("dcmprscp"), "--config", str(configuration), "--printer", "PRINTER"]

    def images(self) -> list[Path]:
        """Return the images of what was printed, as Part 10 files, in no order."""
        return list(self.database.glob("HG_*.dcm"))

    def prints(self) -> list[Path]:
        """Return what was printed: a Stored Print Storage for each film, as Part 10 files, in no order."""
        return list(self.database.glob("SP_*.dcm"))

    def _place_authority(self, ca: Path) -> None:
        """Put a CA where it is looked for: under the hash of its name."""
        command = [program("openssl"), "x509", "-hash", "-noout", "-in", str(ca)]
        name = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.strip()
        (self.folder / "trusted").mkdir(exist_ok=True)
        shutil.copy(ca, self.folder / "trusted" / f"{name}.0")

    def _configuration(self) -> str:
        secured = []
        if self._secured is not None:
            server = self._secured.server
            secured = ["UseTLS = true", f"Certificate = {server.certificate}", f"PrivateKey = {server.key}"]
        lines = [
            "[[GENERAL]]",
            "[APPLICATION]",
            f"LogDirectory = {self.folder / 'log'}",
            "[PRINT]",
            f"Directory = {self.folder / 'spool'}",
            "[TLS]",
            "TLSDirectory = /",
            f"CACertificateDirectory = {self.folder / 'trusted'}",
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
            *secured,
        ]
        return "\n".join(lines) + "\n"
