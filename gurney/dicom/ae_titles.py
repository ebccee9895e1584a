"""AE titles: what a peer and the standard accept as one."""

from __future__ import annotations

__all__ = ["check_ae_title"]


def check_ae_title(ae_title: str) -> str:
    """Return a valid AE title, else raise ValueError (PS3.5 6.2, VR AE).

    At most 16 characters of the default repertoire, no backslash, no control characters, not only spaces.
    """
    if not isinstance(ae_title, str) or not 1 <= len(ae_title) <= 16:
        raise ValueError(f"AE title {ae_title!r} must have 1 to 16 characters")
    if not ae_title.strip(" "):
        raise ValueError("AE title must not consist of spaces only")
    wrong = next((character for character in ae_title if not " " <= character <= "~" or character == "\\"), None)
    if wrong is not None:
        raise ValueError(f"AE title {ae_title!r} contains {wrong!r}: only printable ASCII without backslash is allowed")
    return ae_title
