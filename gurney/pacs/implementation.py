"""The name of this implementation, in associations and in the files that it writes (PS3.7 D.3.3.2, PS3.10 7.1)."""

from __future__ import annotations

__all__ = ["IMPLEMENTATION_CLASS_UID", "IMPLEMENTATION_VERSION_NAME"]

IMPLEMENTATION_CLASS_UID = "2.25.23095734136575356246886372902894165874"
IMPLEMENTATION_VERSION_NAME = "GURNEY_0_1"
