"""Plan the presentation contexts of an association (PS3.8 9.3.2.2).

One context per pair of SOP class and transfer syntax: a peer picks one syntax of a context, so a context that offers
two leaves it to chance whether the files of the other can go as they lie on disk.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

__all__ = ["MAX_CONTEXTS", "ContextProposal", "context_id", "plan_contexts"]

# Context IDs are the odd numbers of one byte.
MAX_CONTEXTS: Final = 128


@dataclass(frozen=True, slots=True, order=True)
class ContextProposal:
    """One abstract syntax with one transfer syntax."""

    sop_class_uid: str
    transfer_syntax_uid: str


def plan_contexts(pairs: Iterable[tuple[str, str]]) -> list[list[ContextProposal]]:
    """Give what to propose for these pairs of SOP class and transfer syntax, one list per association.

    Repeated pairs count once, and the order is that of the UIDs, so that the same work always makes the same request. A
    SOP class that fits one association is not spread over two.
    """
    by_class: dict[str, list[ContextProposal]] = {}
    for proposal in sorted({ContextProposal(*pair) for pair in pairs}):
        by_class.setdefault(proposal.sop_class_uid, []).append(proposal)
    associations: list[list[ContextProposal]] = []
    for proposals in by_class.values():
        if not associations or len(associations[-1]) + len(proposals) > MAX_CONTEXTS:
            associations.extend(
                proposals[first : first + MAX_CONTEXTS] for first in range(0, len(proposals), MAX_CONTEXTS)
            )
        else:
            associations[-1].extend(proposals)
    return associations


def context_id(index: int) -> int:
    """Give the ID of the proposal at ``index`` of its association: 1, 3, 5 to 255. Raises ValueError past the 128th."""
    if not 0 <= index < MAX_CONTEXTS:
        raise ValueError(f"an association has at most {MAX_CONTEXTS} presentation contexts, there is no number {index}")
    return 2 * index + 1
