"""Run migrations on the ledger that ``gurney.ledger.schema`` names. Each runs in one transaction, with time limits."""

from alembic import context
from sqlalchemy import text

from gurney.ledger.database import Ledger
from gurney.ledger.models import Base


def run() -> None:
    """Apply what is missing; on PostgreSQL one migrator at a time, and never behind a long lock."""
    ledger = Ledger(context.config.attributes["url"], create=True)
    try:
        with ledger.write() as tx:
            if tx.conn.dialect.name == "postgresql":
                tx.conn.execute(text("SELECT pg_advisory_xact_lock(hashtext('gurney.migrate'))"))
                tx.conn.execute(text("SET LOCAL lock_timeout = '10s'"))
                tx.conn.execute(text("SET LOCAL statement_timeout = '30min'"))
            context.configure(
                connection=tx.conn,
                target_metadata=Base.metadata,
                transactional_ddl=True,
            )
            context.run_migrations()
    finally:
        ledger.dispose()


run()
