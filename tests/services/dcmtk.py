"""DCMTK's servers: `storescp`, which writes what it reads, `dcmqrscp`, a small archive, and `wlmscpfs`, a worklist."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from tests.services.ports import LOOPBACK
from tests.services.presence import program
from tests.services.process import Service

__all__ = ["DcmQrScp", "StoreScp", "WlmScpFs"]


class _DcmtkServer(Service):
    ae_title: str

    def environment(self) -> Mapping[str, str]:
        # DCMTK leaves Nagle's algorithm on, which costs 40 ms on some messages.
        return {**os.environ, "TCP_NODELAY": "1"}


class StoreScp(_DcmtkServer):
    """A Storage SCP that writes each instance bit for bit as it came (`+B`), one file per C-STORE.

    A second C-STORE of one instance makes a second file, so that deliveries can be counted. `options` are added to
    its command line, e.g. `["--abort-after"]` or `["--sleep-during", "2"]`. It accepts every SOP class and all
    transfer syntaxes that DCMTK knows, over any number of associations at once.
    """

    name = "storescp"
    ae_title = "STORESCP"

    def __init__(self, folder: Path, *, port: int | None = None, options: Iterable[str] = ()) -> None:
        super().__init__(folder, port=port)
        self.output = folder / "received"
        self.output.mkdir(exist_ok=True)
        self._options = list(options)

    def command(self) -> list[str]:
        accept = ["--fork", "--accept-all", "--promiscuous", "--max-pdu", "131072", "--aetitle", self.ae_title]
        write = ["--bit-preserving", "--unique-filenames", "--output-directory", str(self.output)]
        return [program("storescp"), *accept, *write, *self._options, str(self.port)]

    def files(self) -> list[Path]:
        """Return what arrived, as Part 10 files; one that is just being written may be among them."""
        return sorted(path for path in self.output.iterdir() if path.is_file())


class DcmQrScp(_DcmtkServer):
    """An archive with query and retrieve. `move_destinations` maps AE titles to ports on loopback.

    `options` are added to its command line.
    """

    name = "dcmqrscp"
    ae_title = "DCMQRSCP"

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        move_destinations: Mapping[str, int] = {},
        options: Iterable[str] = (),
    ) -> None:
        super().__init__(folder, port=port)
        self._options = list(options)
        self.storage = folder / "storage"
        self.storage.mkdir(exist_ok=True)
        self._move_destinations = move_destinations

    def command(self) -> list[str]:
        configuration = self.folder / "dcmqrscp.cfg"
        configuration.write_text(self._configuration())
        return [program("dcmqrscp"), "--fork", "--bit-preserving", *self._options, "--config", str(configuration)]

    def files(self) -> list[Path]:
        """Return what it holds, as Part 10 files."""
        return sorted(path for path in self.storage.iterdir() if path.is_file() and path.name != "index.dat")

    def _configuration(self) -> str:
        hosts = [
            f"peer{number} = ({ae_title}, {LOOPBACK}, {port})"
            for number, (ae_title, port) in enumerate(self._move_destinations.items())
        ]
        lines = [
            f"NetworkTCPPort = {self.port}",
            "MaxPDUSize = 131072",
            "MaxAssociations = 16",
            "HostTable BEGIN",
            *hosts,
            "HostTable END",
            "VendorTable BEGIN",
            "VendorTable END",
            "AETable BEGIN",
            f"{self.ae_title} {self.storage} RW (1000, 4096mb) ANY",
            "AETable END",
        ]
        return "\n".join(lines) + "\n"


class WlmScpFs(_DcmtkServer):
    """A Modality Worklist SCP that answers from files, read anew at each query."""

    name = "wlmscpfs"
    ae_title = "WORKLIST"

    def __init__(self, folder: Path, *, port: int | None = None, options: Iterable[str] = ()) -> None:
        super().__init__(folder, port=port)
        self._entries = folder / self.ae_title
        self._entries.mkdir()
        (self._entries / "lockfile").touch()
        self._options = list(options)

    def command(self) -> list[str]:
        return [
            program("wlmscpfs"), "--single-process", "--keep-char-set", "--disable-file-reject", "--data-files-path",
            str(self.folder), *self._options, str(self.port),
        ]  # fmt: skip

    def schedule(self, name: str, entry: Dataset) -> None:
        """Add an entry to the worklist, as the file that it reads."""
        entry.file_meta = FileMetaDataset()
        entry.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        entry.save_as(self._entries / f"{name}.wl", implicit_vr=False, little_endian=True, enforce_file_format=False)
