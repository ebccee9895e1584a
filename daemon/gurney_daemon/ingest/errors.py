"""What can come between a file and the ledger, beside what is wrong with the file itself.

GurneyError
├── IngestError          a file or a folder can't be dealt with now, or not at all
│   ├── FileChanged      the file does not look as it did: wait for it again
│   ├── FolderOffline    the watched folder can't be read, or its share is not mounted: wait
│   └── SpoolOffline     the spool can't be written, or is another's: intake stops
└── ReleaseRefused       what is asked of a quarantined file can't be done (permanent)
"""

from __future__ import annotations

from gurney.errors import GurneyError
from gurney_daemon.ingest.signature import Signature

__all__ = ["FileChanged", "FolderOffline", "IngestError", "NoSuchDestination", "ReleaseRefused", "SpoolOffline"]


class IngestError(GurneyError):
    """Report what keeps files from being taken in."""


class FileChanged(IngestError):
    """Report a file that changed while we looked; ``signature`` is how it looks now, None if it is no file any more."""

    def __init__(self, signature: Signature | None) -> None:
        super().__init__("the file has changed since it was looked at")
        self.signature = signature


class FolderOffline(IngestError):
    """Report a watched folder that can't be read, so that nothing is concluded from what is not seen."""


class SpoolOffline(IngestError):
    """Report a spool that can't hold anything now; what was accepted before is not touched."""


class NoSuchDestination(GurneyError):
    """Refuse to take in files for a destination that the ledger does not know."""

    permanent = True


class ReleaseRefused(GurneyError):
    """Refuse to release or discard a quarantined file."""

    permanent = True
