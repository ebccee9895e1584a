"""The connection beneath an association: names, addresses, and what is told of them."""

from __future__ import annotations

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
