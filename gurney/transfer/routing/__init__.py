"""Where an instance goes: rules in CEL over its tags and over where it came from.

:func:`compile_routes` checks every rule and refuses what could fail or run long later;
:meth:`RouteTable.decide` is pure and takes microseconds. ``docs/reference/routing.md`` is the page for those
who write rules.
"""

from __future__ import annotations

from gurney.transfer.routing.rules import (
    FOLLOWERS,
    Door,
    Provenance,
    RouteRule,
    RoutingDecision,
    RuleExplanation,
    Send,
    Verdict,
    When,
)
from gurney.transfer.routing.table import RouteTable, compile_routes

__all__ = [
    "FOLLOWERS",
    "Door",
    "Provenance",
    "RouteRule",
    "RouteTable",
    "RoutingDecision",
    "RuleExplanation",
    "Send",
    "Verdict",
    "When",
    "compile_routes",
]
