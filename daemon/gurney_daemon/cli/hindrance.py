"""What keeps a destination from getting what is due, and what ends that: said where somebody has just given it work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gurney.transfer.breaker import Shown
from gurney_daemon.cli.tables import duration

__all__ = ["hindrance", "next_probe"]


def hindrance(name: str, state: Mapping[str, Any]) -> str:
    """Say in a line what work for a destination waits for; nothing where it goes at once.

    ``state`` is the destination as ``reports.destination_states`` describes it.
    """
    match Shown(state["state"]):
        case Shown.PAUSED:
            return f"{name} is paused by {state['paused_by']}: it waits until `gurney resume {name}`"
        case Shown.HELD:
            why = state["hold_reason"] or state["last_error"]
            return f"{name} is held ({why}): it waits until a probe succeeds, the next {next_probe(state)}"
        case Shown.OPEN:
            return (
                f"{name} is down ({state['last_error']}): it waits until a probe succeeds, the next {next_probe(state)}"
            )
        case Shown.HALF_OPEN:
            return f"{name} is being probed: it waits for the answer"
        case Shown.CLOSED:
            return ""


def next_probe(state: Mapping[str, Any]) -> str:
    """Say when a destination that is down or held is tried again."""
    seconds = state["next_probe_seconds"]
    return f"in {duration(seconds)}" if seconds else "at once"
