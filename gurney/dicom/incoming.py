"""How a file is named that is on its way into a folder: whoever looks through folders leaves it alone.

It lies beside its future place, so that its last step is a rename. What a killed process leaves of one is named so too.
"""

from __future__ import annotations

from typing import Final

__all__ = ["INCOMING", "is_incoming"]

INCOMING: Final = ".incoming-"
"""What such a name begins with."""


def is_incoming(name: str) -> bool:
    """Tell whether a name, without its folder, is that of a file on its way."""
    return name.startswith(INCOMING)
