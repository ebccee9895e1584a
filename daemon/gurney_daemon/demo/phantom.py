"""Pixels of a head that nobody has: spans of skull and brain under noise, in pure Python."""

from __future__ import annotations

import math
import random
from typing import Final

__all__ = ["pixels"]

# Upper bytes of 12-bit values; the lower ones are noise.
_AIR, _BRAIN, _BONE = 0, 4, 9
_SKULL: Final = 0.9


def pixels(matrix: int, height: float, seed: int, *, little_endian: bool) -> bytes:
    """Make one slice of ``matrix`` x ``matrix`` 16-bit pixels, 12 of them used; equal arguments give equal bytes.

    ``height`` is the slice's place between the neck, 0, and the crown, 1.
    """
    radius = matrix * 0.46 * math.sqrt(1 - (0.9 * height) ** 2)
    levels = b"".join(_row(matrix, row - matrix / 2 + 0.5, radius) for row in range(matrix))
    noise = random.Random(seed).randbytes(len(levels))  # noqa: S311 - pixels, not secrets
    image = bytearray(2 * len(levels))
    low = 0 if little_endian else 1
    image[low::2], image[1 - low :: 2] = noise, levels
    return bytes(image)


def _row(matrix: int, distance: float, radius: float) -> bytes:
    head = _half_width(radius, distance)
    brain = _half_width(radius * _SKULL, distance)
    air, bone = bytes([_AIR]) * (matrix // 2 - head), bytes([_BONE]) * (head - brain)
    return air + bone + bytes([_BRAIN]) * (2 * brain) + bone + air


def _half_width(radius: float, distance: float) -> int:
    return int(math.sqrt(max(0.0, radius**2 - distance**2)))
