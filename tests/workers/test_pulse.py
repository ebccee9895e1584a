"""The lease is renewed while a batch runs; when it may be lost, the batch is told before anybody can take it over."""

from __future__ import annotations

import threading
import time

from gurney.ledger.models import Lease
from gurney_workers.pulse import Pulse
from tests.services import wait_until
from tests.workers.conftest import Ward

TTL = 0.4


def test_a_live_lease_is_renewed(ward: Ward) -> None:
    ward.items(1)
    claim = ward.world.take(ttl=TTL)
    lost = threading.Event()
    with Pulse(ward.world.ledger, claim.ticket, time.monotonic(), lost.set, TTL):
        ward.world.clock.pass_by(TTL / 2)
        before = ward.world.lease(claim).until
        wait_until(lambda: ward.world.lease(claim).until > before, what="a renewal")
        # Many renewals later it is still ours.
        wait_until(lambda: not ward.world.clock.pass_by(TTL / 8) and ward.world.clock.time > before + 4, what="time")
    assert not lost.is_set()


def test_a_lease_that_was_taken_over_ends_the_batch(ward: Ward) -> None:
    ward.items(1)
    claim = ward.world.take(ttl=TTL)
    lost = threading.Event()
    with Pulse(ward.world.ledger, claim.ticket, time.monotonic(), lost.set, TTL) as pulse:
        ward.world.change(Lease, claim.ticket.id, state="lost")
        assert lost.wait(10)
        assert pulse.is_lost


def test_the_fence_falls_by_our_own_clock_when_the_ledger_hangs(ward: Ward) -> None:
    """A ledger that does not answer confirms nothing: no later than three quarters of the lease we stop."""
    ward.items(1)
    claim = ward.world.take(ttl=TTL)
    lost = threading.Event()
    with ward.world.ledger.write(), Pulse(ward.world.ledger, claim.ticket, time.monotonic(), lost.set, TTL) as pulse:
        assert lost.wait(10)
        assert pulse.is_lost


def test_a_claim_that_came_late_gives_no_time(ward: Ward) -> None:
    """The lease counts from when the claim was sent: a process that slept since may hold a lease no more."""
    ward.items(1)
    claim = ward.world.take(ttl=TTL)
    lost = threading.Event()
    with ward.world.ledger.write(), Pulse(ward.world.ledger, claim.ticket, time.monotonic() - TTL, lost.set, TTL):
        assert lost.wait(10)
