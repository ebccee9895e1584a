"""The steps of a batch at which a process may die. Each holds the batch there until its block ends."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from gurney.pacs.testing import Accept, FakePacs, Gate, Respond
from tests.faults.harness import Site
from tests.faults.instances import Instance
from tests.services import wait_until

__all__ = ["STEPS", "Step"]

Step = Callable[[Site, FakePacs, Sequence[Instance]], AbstractContextManager[None]]


@contextmanager
def claimed(site: Site, pacs: FakePacs, study: Sequence[Instance]) -> Iterator[None]:
    """Leased, and not connected: the peer's host takes no connection."""
    pacs.stop()
    with _no_answer_at(pacs.port):
        site.drop(*study)
        _wait_for_a_lease(site)
        yield
    pacs.start()


@contextmanager
def associating(site: Site, pacs: FakePacs, study: Sequence[Instance]) -> Iterator[None]:
    """The association is requested, and not answered."""
    gate = Gate()
    pacs.on_association(pacs.associations + 1, Accept(gate=gate))
    site.drop(*study)
    gate.wait_until_reached()
    yield
    gate.open()


@contextmanager
def request_sent(site: Site, pacs: FakePacs, study: Sequence[Instance]) -> Iterator[None]:
    """An instance in the middle has gone out wholly. The peer has stored it, and not answered."""
    gate = _gate_at(pacs, len(study) // 2)
    site.drop(*study)
    gate.wait_until_reached()
    yield
    gate.open()


@contextmanager
def response_received(site: Site, pacs: FakePacs, study: Sequence[Instance]) -> Iterator[None]:
    """The first half is answered, and the next is out; nothing of it can be written into the ledger."""
    first, gate = _gate_at(pacs, 1), _gate_at(pacs, len(study) // 2)
    site.drop(*study)
    first.wait_until_reached()
    with site.books.locked():
        first.open()
        gate.wait_until_reached()
        yield
    gate.open()


@contextmanager
def before_commit(site: Site, pacs: FakePacs, study: Sequence[Instance]) -> Iterator[None]:
    """Everything is answered and the association released; the last commit waits for the ledger."""
    released = pacs.endings.count("released")
    first = _gate_at(pacs, 1)
    site.drop(*study)
    first.wait_until_reached()
    with site.books.locked():
        first.open()
        wait_until(lambda: pacs.endings.count("released") > released, 30, "the association to be released")
        yield


STEPS: tuple[Step, ...] = (claimed, associating, request_sent, response_received, before_commit)


def _gate_at(pacs: FakePacs, number: int) -> Gate:
    """Put a gate before the response to the instance of this number, counted from now."""
    gate = Gate()
    pacs.on_instance(pacs.instances + number, Respond(gate=gate))
    return gate


def _wait_for_a_lease(site: Site) -> None:
    wait_until(lambda: site.books.leases("live"), 30, "a lease")


@contextmanager
def _no_answer_at(port: int) -> Iterator[None]:
    """Let connections to a port hang: its queue is full, so the kernel drops what comes."""
    with socket.create_server(("127.0.0.1", port), backlog=0), socket.socket() as one, socket.socket() as other:
        for filler in (one, other):
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        yield
