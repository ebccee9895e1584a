"""Ledger time: one clock for every process, that no wall clock and no reboot can set back."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from gurney.ledger import leases
from gurney.ledger.clock import BootClock, ServerClock, clock_for
from gurney.ledger.database import Ledger
from gurney.ledger.models import Clock, Lease
from tests.ledger.world import World, ids_of


@pytest.fixture
def ledger(fresh_url: str) -> Iterator[Ledger]:
    """A ledger on its own clock."""
    ledger = Ledger(fresh_url)
    yield ledger
    ledger.dispose()


@pytest.fixture
def on_host(migrated_sqlite: Path, tmp_path: Path) -> Iterator[Ledger]:
    """A ledger on its host's clock, which only SQLite uses."""
    shutil.copy(migrated_sqlite, tmp_path / "ledger.sqlite3")
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite3'}")
    yield ledger
    ledger.dispose()


@pytest.fixture
def boot(monkeypatch: pytest.MonkeyPatch) -> Boot:
    """A host whose boot clock and wall clock a test sets."""
    boot = Boot()
    monkeypatch.setattr("gurney.ledger.clock._boot_id", lambda: boot.boot_id)
    monkeypatch.setattr(BootClock, "_elapsed", staticmethod(lambda: boot.elapsed))
    monkeypatch.setattr("gurney.ledger.clock.time.time", lambda: boot.wall)
    return boot


class Boot:
    """What a host's clocks say."""

    boot_id = "first"
    elapsed = 50.0
    wall = 1_700_000_000.0

    def reboot(self, wall: float) -> None:
        self.boot_id, self.elapsed, self.wall = "second", 3.0, wall


def _process(ledger: Ledger) -> Ledger:
    """Open the same ledger as another process does."""
    return Ledger(ledger.url.render_as_string(hide_password=False))


def test_each_database_has_its_clock() -> None:
    assert isinstance(clock_for("sqlite"), BootClock)
    assert isinstance(clock_for("postgresql"), ServerClock)


def test_time_is_near_the_wall_clock_and_goes_on(ledger: Ledger) -> None:
    first = ledger.now()
    assert abs(first - time.time()) < 60
    with ledger.write() as tx:
        second = tx.now
        assert tx.now == second, "a transaction has one time"
    assert ledger.now() >= second >= first


def test_processes_agree_whatever_their_wall_clocks_say(on_host: Ledger, boot: Boot) -> None:
    assert on_host.now() == boot.wall
    boot.wall += 3_600.0
    boot.elapsed += 1.0
    other = _process(on_host)
    assert other.now() == on_host.now() == 1_700_000_001.0
    other.dispose()


def test_a_reboot_never_sets_time_back(on_host: Ledger, boot: Boot) -> None:
    on_host.now()
    boot.elapsed += 5_000.0
    with on_host.write() as tx:
        assert isinstance(on_host.clock, BootClock)
        on_host.clock.remember(tx.conn)
    boot.reboot(wall=0.0)  # its battery is flat
    after = _process(on_host)
    assert after.now() == 1_700_005_000.0
    boot.elapsed += 2.0
    assert after.now() == 1_700_005_002.0
    after.dispose()


def test_a_reboot_takes_over_the_wall_clock_when_that_is_later(on_host: Ledger, boot: Boot) -> None:
    on_host.now()
    boot.reboot(wall=1_700_009_000.0)
    after = _process(on_host)
    assert after.now() == 1_700_009_000.0
    after.dispose()


def test_an_offset_that_was_rolled_back_is_not_kept(on_host: Ledger, boot: Boot) -> None:
    def interrupted() -> None:
        with on_host.write() as tx:
            assert tx.now == boot.wall
            raise RuntimeError("too late")

    with pytest.raises(RuntimeError, match="too late"):
        interrupted()
    boot.wall += 100.0
    other = _process(on_host)
    assert other.now() == on_host.now()
    other.dispose()
    with on_host.read() as conn:
        assert conn.scalar(select(Clock.boot_id)) == "first"


def test_a_lease_in_the_far_future_does_not_hold_its_items_for_ever(world: World) -> None:
    """A clock that ran a year ahead wrote it, before somebody set it right."""
    world.items(2)
    claim = world.take()
    world.change(Lease, claim.ticket.id, until=world.clock.time + 365 * 86_400.0)
    assert ids_of(world.take()) == ids_of(claim)
    assert world.lease(claim).state == "lost"


def test_a_lease_is_renewed_from_the_present(world: World) -> None:
    world.items(1)
    claim = world.take()
    world.clock.pass_by(30)
    world.renew(claim)
    assert world.lease(claim).until == world.clock.time + leases.LEASE_SECONDS
