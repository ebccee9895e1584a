"""The ledger's world, for what the daemon does to it."""

from tests.ledger.conftest import fresh_url, migrated_postgresql, migrated_sqlite, world

__all__ = ["fresh_url", "migrated_postgresql", "migrated_sqlite", "world"]
