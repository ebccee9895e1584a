"""What a destination may get is shared by the batches on their way to it, and nobody who waits is stuck."""

from __future__ import annotations

import threading

import pytest

from gurney.pacs import RemoteAE
from gurney.pacs.throttle import Throttle
from gurney.transfer.states import ItemState
from gurney_workers.peer import Peer
from gurney_workers.share import Share
from tests.services import wait_until
from tests.workers.conftest import Ward

PEER = Peer(
    RemoteAE("A", "127.0.0.1", 104), "US", fast_path=True, bytes_per_second=3_000_000.0, instances_per_minute=120
)


def rates(share: Share) -> tuple[float, float]:
    assert share.bytes is not None
    assert share.instances is not None
    return share.bytes.rate, share.instances.rate


def test_each_batch_has_its_part_and_a_lone_one_all(ward: Ward) -> None:
    ward.world.destination(max_associations=3)
    ward.items(3, study="1.1")
    ward.items(3, study="1.2")
    first = ward.world.take(instances=3)
    shares = [Share(PEER), Share(PEER)]
    ledger = ward.world.ledger
    ledger.transact(shares[0].settle, first.ticket)
    assert rates(shares[0]) == (3_000_000.0, 2.0)
    second = ward.world.take(instances=3)
    ledger.transact(shares[1].settle, second.ticket)
    ledger.transact(shares[0].renew, first.ticket, 60.0)
    assert rates(shares[0]) == rates(shares[1]) == (1_500_000.0, 1.0)
    ward.world.finish(second)
    ledger.transact(shares[0].renew, first.ticket, 60.0)
    assert rates(shares[0]) == (3_000_000.0, 2.0)


def test_what_has_no_limit_shares_nothing() -> None:
    share = Share(Peer(RemoteAE("A", "127.0.0.1", 104), "US", fast_path=True))
    assert not share.is_limited
    assert (share.bytes, share.instances) == (None, None)


@pytest.mark.parametrize("fast_path", [True, False])
def test_a_batch_within_its_bandwidth_arrives_whole(
    ward: Ward, monkeypatch: pytest.MonkeyPatch, fast_path: bool
) -> None:
    taken: list[float] = []
    take = Throttle.take
    monkeypatch.setattr(Throttle, "take", lambda self, n: (taken.append(n), take(self, n))[1])
    ids = ward.items(3)
    ward.serve(bytes_per_second=20_000.0, fast_path=fast_path)
    assert set(ward.world.states(ids)) == {ItemState.DONE}
    assert len(taken) == len(ids), "each has asked whether it may go"
    sizes = [ward.world.item(one).size for one in ids]
    assert sum(taken) >= sum(sizes), "and for all of its bytes"


def test_a_batch_that_waits_for_its_share_ends_when_it_must_stop(ward: Ward) -> None:
    ids = ward.items(3)
    serving = threading.Thread(target=ward.serve, kwargs={"instances_per_minute": 1})
    serving.start()
    wait_until(ward.pacs.stored_uids, 20, "the first has gone")
    ward.draining.append(True)
    serving.join(30)
    assert not serving.is_alive()
    assert ward.world.states(ids).count(ItemState.READY) == 2
