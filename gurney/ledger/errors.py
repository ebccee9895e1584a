"""Refinements of :class:`gurney.errors.LedgerError`.

LedgerError
├── LedgerUnavailable    can't be reached, or too busy: wait and try again
├── LedgerMismatch       code and schema don't fit: refuse to start (permanent)
├── LedgerCorrupt        the database file is damaged: refuse to start (permanent)
├── LeaseLost            the lease has run out or was taken: abort the association, write nothing
├── StaleRead            what a decision was based on has changed: decide again
└── SpoolMismatch        a folder is not the spool that the ledger knows by that name: refuse it (permanent)
"""

from __future__ import annotations

from gurney.errors import LedgerError

__all__ = ["LeaseLost", "LedgerCorrupt", "LedgerMismatch", "LedgerUnavailable", "SpoolMismatch", "StaleRead"]


class LedgerUnavailable(LedgerError):
    """Report a ledger that can't be reached; nothing was written as far as we know."""


class LedgerMismatch(LedgerError):
    """Refuse to work on a schema that this code does not know."""

    permanent = True


class LedgerCorrupt(LedgerError):
    """Refuse to work on a damaged database file."""

    permanent = True


class LeaseLost(LedgerError):
    """Tell a worker that its lease is no longer its own, so that it aborts and writes nothing more."""

    permanent = True


class StaleRead(LedgerError):
    """Tell a caller that what it decided on has changed since it looked."""


class SpoolMismatch(LedgerError):
    """Refuse a folder that is not the spool that the ledger knows by its name."""

    permanent = True
