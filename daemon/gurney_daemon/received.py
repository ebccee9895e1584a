"""Names under which the ledger knows doors that are no [[receiver]]. Apart, so that a status need not load the wire."""

from __future__ import annotations

from typing import Final

__all__ = ["MESSAGES", "RETRIEVED"]

RETRIEVED: Final = "retrieve"
"""What is retrieved; no watch or receiver may have this name."""

MESSAGES: Final = "hl7"
"""Who listens for messages; no watch or receiver may have this name."""
