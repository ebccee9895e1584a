"""How strict to be with a file, and how much work it may cause."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gurney.dicom.errors import FORGIVABLE, Part10Error, Reason

__all__ = ["FINISHED", "STRICT", "ReadPolicy"]


@dataclass(frozen=True, slots=True)
class ReadPolicy:
    """What to let pass, and the bounds that protect the reader.

    ``forgive`` names the reasons that don't refuse a file, members of :data:`~gurney.dicom.errors.FORGIVABLE` only;
    others raise ValueError. ``max_depth`` counts sequences in sequences. ``value_limit`` is in bytes per kept value; a
    longer one is kept cut. A deflated data set may inflate to ``inflate_ratio`` times its size, to ``inflate_free``
    bytes in any case (an all-black image packs a thousandfold), and never to more than ``inflate_limit``.
    """

    forgive: frozenset[Reason] = frozenset()
    max_depth: int = 64
    value_limit: int = 4096
    inflate_free: int = 64 << 20
    inflate_ratio: int = 250
    inflate_limit: int = 4 << 30

    def __post_init__(self) -> None:
        never = self.forgive - FORGIVABLE
        if never:
            raise ValueError(f"can't be forgiven: {', '.join(sorted(never))}")

    def inflated_size(self, deflated_size: int) -> int:
        """Give how many bytes a deflate stream of that size may become."""
        return min(self.inflate_limit, max(self.inflate_free, self.inflate_ratio * deflated_size))

    def refuse(self, error: Part10Error) -> None:
        """Raise ``error``, unless its reason is forgiven."""
        if error.reason not in self.forgive:
            raise error


STRICT: Final = ReadPolicy()
"""Forgives nothing."""

FINISHED: Final = ReadPolicy(frozenset({Reason.BLANK_PIXELS}))
"""For files that nobody writes any more: a black image is one, and not room that was reserved for an image."""
