"""The connection beneath an association: names, addresses, and what is told of them."""

from __future__ import annotations

import contextlib
import socket
from dataclasses import replace
from typing import Any

import pytest

from gurney.pacs import ConnectFailed, RemoteAE, Scu, Timeouts
from gurney.pacs.events import AfterConnect, AfterResolve
from gurney.pacs.testing import FakePacs
from tests.services import free_port


def test_addresses_are_told_before_the_connection() -> None:
    scu, told = Scu(), list[AfterResolve | AfterConnect]()
    scu.events.after_resolve(told.append)
    scu.events.after_connect(told.append)
    with FakePacs() as pacs:
        remote = pacs.remote()
        scu.verify(remote)
    assert told == [AfterResolve(remote, ("127.0.0.1",)), AfterConnect(remote)]


def test_they_are_told_where_nobody_listens_at_them() -> None:
    scu, told = Scu(), list[AfterResolve]()
    scu.events.after_resolve(told.append)
    with pytest.raises(ConnectFailed, match="refused"):
        scu.verify(RemoteAE("NOBODY", "127.0.0.1", free_port(), Timeouts(connect=2)))
    assert [event.addresses for event in told] == [("127.0.0.1",)]


def test_a_name_that_nobody_has_is_none() -> None:
    scu, told = Scu(), list[AfterResolve]()
    scu.events.after_resolve(told.append)
    with pytest.raises(ConnectFailed, match="name not resolved"):
        scu.verify(RemoteAE("NOBODY", "nobody.invalid", 104, Timeouts(connect=5)))
    assert told == []


def first_at(monkeypatch: pytest.MonkeyPatch, family: int, address: tuple[str, int]) -> None:
    """Let each name have another address before its own."""
    resolve = socket.getaddrinfo

    def resolved(*args: Any, **options: Any) -> list[Any]:
        return [(family, socket.SOCK_STREAM, 0, "", address), *resolve(*args, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", resolved)


def test_an_address_of_a_kind_that_this_system_does_not_speak_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """As those of IPv6 are where the kernel has none (FAULTS 86)."""
    first_at(monkeypatch, socket.AF_BRIDGE, ("::1", 104))
    with FakePacs() as pacs:
        assert Scu().verify(pacs.remote()).is_success


def test_an_address_that_leads_nowhere_leaves_time_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    with FakePacs() as pacs, contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):  # whoever comes after those has no answer
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        first_at(monkeypatch, socket.AF_INET, full.getsockname())
        remote = replace(pacs.remote(), timeouts=Timeouts(connect=1))
        assert Scu().verify(remote).is_success
