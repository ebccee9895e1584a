"""What can go wrong with the broker of our own.

BrokerError
├── FolderInUseError      another process has the data folder
├── RuntimeFolderError    no private place for the broker's socket
└── ServerStartError      the server program ended or gave no answer; says what it printed
"""

from __future__ import annotations

from gurney.errors import BrokerError

__all__ = ["FolderInUseError", "RuntimeFolderError", "ServerStartError"]


class FolderInUseError(BrokerError):
    """Refuse a data folder that another process serves."""


class RuntimeFolderError(BrokerError):
    """Refuse a runtime folder that others could read, write or own."""

    permanent = True


class ServerStartError(BrokerError):
    """Report a server program that did not come up."""
