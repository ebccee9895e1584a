"""The ledger: the truth about every instance, in SQLite or PostgreSQL."""
