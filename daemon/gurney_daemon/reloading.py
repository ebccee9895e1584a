"""Which changes of the configuration a running ``gurney up`` can't take up: what it holds or has opened itself.

Everything else is read anew by its processes when a reload starts them again.
"""

from __future__ import annotations

from gurney.settings import Settings

__all__ = ["fixed_at_start"]


def fixed_at_start(old: Settings, new: Settings) -> list[str]:
    """Return the settings that differ and take a restart.

    The data folder is locked, the embedded broker runs or does not, the ledger has been migrated: with half of that
    old and half new, messages would go where nobody listens, and items into a ledger that nobody sends from.
    """
    both = {
        "[node] data_dir": (old.node.data_dir, new.node.data_dir),
        "[ledger] url": (old.ledger_url, new.ledger_url),
        "[broker] url": (old.broker.url, new.broker.url),
    }
    return [name for name, (before, after) in both.items() if before != after]
