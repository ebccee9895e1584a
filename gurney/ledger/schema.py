"""Bring the ledger's schema to this code's version, and refuse to work on any other.

Expand, deploy, contract: ``ledger_meta`` says which schema the ledger has and the oldest code that may write to it.
Only ``gurney up`` and ``gurney migrate`` change it.
"""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import inspect, select

from gurney.ledger.database import Ledger
from gurney.ledger.errors import LedgerMismatch
from gurney.ledger.models import LedgerMeta

if TYPE_CHECKING:
    from alembic.config import Config

__all__ = ["MIN_CODE", "SCHEMA", "check_schema", "migrate", "migrations_folder", "new_generation"]

# The schema that this code writes, and the oldest code that can live with it. The newest migration stores both.
SCHEMA = 2
MIN_CODE = 1


def migrations_folder() -> Path:
    """Return where the migrations lie: inside an installed package, or at the top of a checkout."""
    installed = Path(__file__).parent / "_migrations"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "migrations"


def alembic_config(url: str) -> Config:
    """Make Alembic's configuration for a ledger; there is no ini file."""
    from alembic.config import Config  # every command checks the schema, few migrate: this import is half a second

    config = Config()
    config.set_main_option("script_location", str(migrations_folder()))
    config.attributes["url"] = url
    return config


def migrate(url: str) -> None:
    """Apply every migration that the ledger lacks; safe to run twice, and again after being killed halfway.

    Raises :class:`LedgerMismatch` when the ledger is newer than this code.
    """
    from alembic import command

    ledger = Ledger(url, create=True)
    try:
        _refuse_newer(ledger)
    finally:
        ledger.dispose()
    command.upgrade(alembic_config(url), "head")


def check_schema(ledger: Ledger) -> None:
    """Raise :class:`LedgerMismatch`, with what to do, unless code and ledger fit."""
    with ledger.read() as conn:
        if not inspect(conn).has_table("ledger_meta"):
            raise LedgerMismatch("this ledger is empty: run 'gurney migrate' (or 'gurney up', which does it) first")
    _refuse_newer(ledger)
    with ledger.read() as conn:
        schema = conn.scalar(select(LedgerMeta.schema_version))
    if schema is None or schema < SCHEMA:
        raise LedgerMismatch(
            f"this ledger has schema {schema}, this version of Gurney needs {SCHEMA}: back it up, "
            "then run 'gurney migrate'"
        )


def _refuse_newer(ledger: Ledger) -> None:
    with ledger.read() as conn:
        if not inspect(conn).has_table("ledger_meta"):
            return
        row = conn.execute(select(LedgerMeta.schema_version, LedgerMeta.min_code)).one_or_none()
    if row is not None and row.min_code > SCHEMA:
        raise LedgerMismatch(
            f"this ledger has schema {row.schema_version} and needs code that knows at least {row.min_code}; this "
            f"version of Gurney knows {SCHEMA}: install the newer version again, or restore the backup made before "
            "the upgrade"
        )


def new_generation() -> str:
    """Return a name for a ledger's life; a restored backup gets a new one."""
    return str(uuid.uuid4())
