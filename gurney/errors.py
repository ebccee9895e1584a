"""The one error tree.

    GurneyError
    ├── ConfigError          the configuration can't be used; names file, line, key and remedy
    ├── DicomFileError       a file is not what it must be (gurney.dicom.errors refines it)
    ├── AssociationError     negotiating, keeping or ending an association (gurney.pacs.errors refines it)
    ├── LedgerError          the ledger refused or could not be reached (gurney.ledger.errors refines it)
    └── BrokerError          the doorbell's broker can't be started or reached

Every error knows whether trying the same thing again can help: ``permanent``.
No message carries patient data: UIDs, AE titles, paths of our own and status codes only.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = ["AssociationError", "BrokerError", "ConfigError", "DicomFileError", "GurneyError", "LedgerError"]


class GurneyError(Exception):
    """Root of everything that Gurney raises on purpose."""

    permanent: ClassVar[bool] = False


class ConfigError(GurneyError):
    """Refuse a configuration, so that nothing starts on a mistake."""

    permanent = True


class DicomFileError(GurneyError):
    """Refuse a file, with the reason that quarantine shows."""

    permanent = True


class AssociationError(GurneyError):
    """Report an association that could not be made or kept."""


class LedgerError(GurneyError):
    """Report a ledger that refused a change or could not be reached."""


class BrokerError(GurneyError):
    """Report a broker that can't be started or reached; work waits in the ledger."""
