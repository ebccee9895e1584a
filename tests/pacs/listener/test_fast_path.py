"""Instances that a listener takes from the wire itself, and what else comes on the same association."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from pynetdicom.dimse import DIMSEServiceProvider

from gurney.pacs import Listener, StoreScu, Timeouts
from gurney.pacs.association.scu import VERIFICATION
from gurney.pacs.testing.upper_layer import fragments, p_data
from tests.pacs.callers import at, echoes, established, is_cut, store_command
from tests.pacs.conftest import CT_ONLY, MakeRequests
from tests.services.waiting import wait_until


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    return folder


@pytest.fixture
def listener(folder: Path) -> Iterator[Listener]:
    with Listener("GURNEY", folder) as listener:
        yield listener


def test_pynetdicom_sees_no_instance(
    listener: Listener, folder: Path, make_requests: MakeRequests, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    receive = DIMSEServiceProvider.receive_primitive

    def spy(provider: DIMSEServiceProvider, primitive: object) -> None:
        if provider.assoc.is_acceptor:
            seen.append(primitive)
        receive(provider, primitive)

    monkeypatch.setattr(DIMSEServiceProvider, "receive_primitive", spy)
    with StoreScu("FRIEND").associate(at(listener), CT_ONLY) as association:
        assert all(result.is_stored for result in association.store(make_requests(5)))
    assert len([*folder.iterdir()]) == 5
    assert not seen


def test_echoes_and_instances_take_turns(listener: Listener, folder: Path, make_requests: MakeRequests) -> None:
    requests = make_requests(6)
    proposals = [*CT_ONLY, VERIFICATION]
    with StoreScu("FRIEND").associate(at(listener), proposals) as association:
        for request in requests:
            assert association.verify().is_success
            (result,) = association.store([request])
            assert result.is_stored
    assert len([*folder.iterdir()]) == 6


def test_it_stops_at_once_though_associations_stand_idle(folder: Path, make_requests: MakeRequests) -> None:
    listener = Listener("GURNEY", folder)
    listener.start()
    idle = [StoreScu("FRIEND").associate(at(listener), CT_ONLY) for _ in range(3)]
    for number, association in enumerate(idle):
        (result,) = association.store(make_requests(3)[number : number + 1])
        assert result.is_stored
    listener.stop()
    for association in idle:
        wait_until(lambda association=association: not association.is_usable)  # type: ignore[misc]  # of this turn
        association.abort()
    assert not [thread for thread in threading.enumerate() if thread.name == "accepted association"]


def test_silence_between_instances_ends_an_association(folder: Path) -> None:
    with (
        Listener("GURNEY", folder, timeouts=Timeouts(network=0.5)) as listener,
        closing(established(listener)) as peer,
    ):
        assert is_cut(peer)
        assert echoes(listener)


def test_half_an_instance_leaves_nothing(listener: Listener, folder: Path) -> None:
    with closing(established(listener)) as peer:
        for pdv in fragments(1, store_command("1.2.3"), 1000, is_command=True):
            peer.sendall(p_data(pdv))
        first, *_ = fragments(1, b"\0" * 10_000, 1000, is_command=False)
        peer.sendall(p_data(first))
        wait_until(lambda: [*folder.iterdir()])
    wait_until(lambda: not [*folder.iterdir()])
    assert echoes(listener)
