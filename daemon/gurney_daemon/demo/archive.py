"""A PACS for the demo: pynetdicom's Storage SCP, which keeps every data set as it came off the wire.

It runs as a process of its own, ``python -m gurney_daemon.demo.archive FOLDER --parent PID``, and prints its port.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import os
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydicom.filereader import read_file_meta_info
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, evt

from gurney.jobs.tether import tie_to_parent
from gurney_daemon.demo.part10 import dataset_of

__all__ = ["AE_TITLE", "Held", "holdings"]

AE_TITLE: Final = "DEMOPACS"
_VERIFICATION: Final = "1.2.840.10008.1.1"
_LONGEST_PDU: Final = 131072
_OUT_OF_RESOURCES: Final = 0xA700


@dataclass(frozen=True, slots=True)
class Held:
    """One arrival at the PACS; ``digest`` is the SHA-256 of the data set that it keeps."""

    sop_instance_uid: str
    transfer_syntax_uid: str
    digest: str


def holdings(folder: Path) -> Iterator[Held]:
    """Read what the PACS keeps in ``folder``, in the order of arrival."""
    for path in sorted(folder.glob("*.dcm")):
        meta = read_file_meta_info(path)
        yield Held(
            str(meta.MediaStorageSOPInstanceUID),
            str(meta.TransferSyntaxUID),
            hashlib.sha256(dataset_of(path.read_bytes())).hexdigest(),
        )


class Archive:
    """Keep each arrival as a file of its own, so that an instance which came twice is seen twice."""

    def __init__(self, folder: Path) -> None:
        """Keep everything in ``folder``."""
        self._folder = folder
        self._numbers = itertools.count(1)

    def keep(self, event: evt.Event) -> int:
        """Write the data set with a meta header of our own, then answer success (PS3.4 B.2.3)."""
        # The wire decides about neither name nor place.
        path = self._folder / f"{next(self._numbers):06d}.dcm"
        unfinished = path.with_suffix(".part")
        try:
            unfinished.write_bytes(event.encoded_dataset())
            unfinished.rename(path)
        except OSError:
            return _OUT_OF_RESOURCES
        return 0x0000

    def serve(self) -> None:
        """Listen on a free port of loopback, print it, and serve until SIGTERM."""
        ae = AE(AE_TITLE)
        ae.maximum_pdu_size = _LONGEST_PDU
        ae.add_supported_context(_VERIFICATION)
        for context in AllStoragePresentationContexts:
            ae.add_supported_context(str(context.abstract_syntax), ALL_TRANSFER_SYNTAXES)
        ended = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: ended.set())
        server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, self.keep)])
        assert server is not None  # noqa: S101 - only a blocking server is none
        sys.stdout.write(f"{server.server_address[1]}\n")
        sys.stdout.flush()
        ended.wait()
        ae.shutdown()


def main() -> None:
    """Run the PACS."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--parent", type=int, required=True, help="the process to end with")
    arguments = parser.parse_args()
    tie_to_parent(arguments.parent)
    arguments.folder.mkdir(exist_ok=True)
    Archive(arguments.folder).serve()
    # pynetdicom's threads wait for peers that may be gone.
    os._exit(0)


if __name__ == "__main__":
    main()
