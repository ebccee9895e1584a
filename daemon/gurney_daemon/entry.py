"""The command that every installation brings: that of the library alone lacks what the command line is made of."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line; say in one line what to install where that is missing (exit code 2)."""
    try:
        from gurney_daemon.cli import main as run

        # A command's module is imported when it is asked for.
        run()
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing.startswith("gurney"):
            raise  # a fault of ours
        words = f"{missing} is not installed, which the command needs and the library does not"
        print(f'gurney: {words}: pip install "gurney[daemon]"', file=sys.stderr)  # noqa: T201 - a command's last words
        sys.exit(2)
