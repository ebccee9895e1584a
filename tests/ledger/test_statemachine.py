"""Whatever happens in whatever order: no item is lost, sent by two, or falsely done, and the books are right."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.errors import Flaky
from hypothesis.stateful import run_state_machine_as_test
from sqlalchemy import event, text
from sqlalchemy.exc import SQLAlchemyError

from gurney.errors import LedgerError
from gurney.ledger import batches
from gurney.ledger.database import Ledger
from gurney.ledger.models import Base
from tests.ledger.machine import LedgerMachine, watched_decisions
from tests.ledger.mutants import MUTANTS, Mutant
from tests.ledger.world import ManualClock

MakeLedger = Callable[[ManualClock], Ledger]


def settings_of(examples: int, *, shrink: bool = True) -> settings:
    """Give settings for a run that is the same every time."""
    return settings(
        max_examples=examples,
        stateful_step_count=30,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate, Phase.shrink] if shrink else [Phase.generate],
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )


def made_anew(ledger: Ledger) -> MakeLedger:
    """Empty one ledger for each example: opening another one takes longer than the example."""
    tables = [table.name for table in reversed(Base.metadata.sorted_tables) if table.name != "ledger_meta"]
    emptying = [text(f"DELETE FROM {name}") for name in tables]

    def make(clock: ManualClock) -> Ledger:
        with ledger.write() as tx:
            for statement in emptying:
                tx.conn.execute(statement)
        ledger.clock = clock
        return ledger

    return make


@pytest.fixture
def on_sqlite(migrated_sqlite: Path, tmp_path: Path) -> Iterator[MakeLedger]:
    """Make ledgers in SQLite; nobody pulls the plug here, so they need not wait for the disk."""
    path = tmp_path / "ledger.sqlite3"
    shutil.copy(migrated_sqlite, path)
    ledger = Ledger(f"sqlite:///{path}")
    event.listen(ledger._write, "connect", lambda connection, _: connection.execute("PRAGMA synchronous = OFF"))
    yield made_anew(ledger)
    ledger.dispose()


@pytest.fixture
def on_postgresql(migrated_postgresql: str) -> Iterator[MakeLedger]:
    """Make ledgers in PostgreSQL."""
    ledger = Ledger(migrated_postgresql)
    yield made_anew(ledger)
    ledger.dispose()


@pytest.fixture(autouse=True)
def decisions() -> Iterator[None]:
    """Let the machine see what is decided."""
    with watched_decisions():
        yield


def run(make: MakeLedger, examples: int, *, shrink: bool = True) -> None:
    """Run the machine."""
    machine = type("Machine", (LedgerMachine,), {"make_ledger": staticmethod(make)})
    run_state_machine_as_test(machine, settings=settings_of(examples, shrink=shrink))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_ledger_keeps_its_promises_on_sqlite(on_sqlite: MakeLedger) -> None:
    run(on_sqlite, 150)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_ledger_keeps_its_promises_on_postgresql(on_postgresql: MakeLedger) -> None:
    run(on_postgresql, 25)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_ledger_with_a_mistake_is_found_out(
    on_sqlite: MakeLedger, monkeypatch: pytest.MonkeyPatch, mutant: Mutant
) -> None:
    batches._seek.cache_clear()
    batches._neighbours.cache_clear()
    mutant(monkeypatch)
    with pytest.raises((AssertionError, Flaky, LedgerError, SQLAlchemyError)):
        run(on_sqlite, 300, shrink=False)
    monkeypatch.undo()
    batches._seek.cache_clear()
    batches._neighbours.cache_clear()
