"""The wire log: what passes on an association, in words, without whom it is about."""

from __future__ import annotations

from gurney.pacs.wire_log.log import WireLevel, WireLog

__all__ = ["WireLevel", "WireLog"]
