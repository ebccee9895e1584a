"""The name under which the ledger knows what is retrieved. Apart, so that a status need not load the wire."""

from __future__ import annotations

from typing import Final

__all__ = ["RETRIEVED"]

RETRIEVED: Final = "retrieve"
"""The source's name; no watch or receiver may have it."""
