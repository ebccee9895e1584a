"""What no timeout ends, a watcher sees: whatever moves leaves a mark, and what hangs can be aborted."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from gurney.pacs import (
    AssociationEnded,
    AssociationFailure,
    AssociationLost,
    Progress,
    StoreResult,
    StoreScu,
    Timeouts,
)
from gurney.pacs.testing import FakePacs
from tests.pacs.conftest import CT_ONLY, MakeRequests, take
from tests.services import wait_until
from tests.services.hanging import hanging_file

SHORT = Timeouts(connect=2, acse=1, store=0.4, network=2)


@pytest.fixture(params=[True, False], ids=["fast", "plain"])
def scu(request: pytest.FixtureRequest) -> StoreScu:
    return StoreScu(fast_path=request.param)


def test_whatever_moves_leaves_a_mark(scu: StoreScu, make_requests: MakeRequests) -> None:
    progress = Progress()
    marks = [progress.moved_at]
    with FakePacs() as pacs, scu.associate(pacs.remote(SHORT), CT_ONLY, progress) as association:
        marks.append(progress.moved_at)
        for _ in association.store(make_requests(3)):
            marks.append(progress.moved_at)
    assert marks == sorted(set(marks))


def test_a_slow_peer_leaves_marks_though_it_says_nothing(scu: StoreScu, make_requests: MakeRequests) -> None:
    progress = Progress()
    seen = set()
    with FakePacs(pace=6_000_000) as pacs:
        remote = pacs.remote(Timeouts(connect=2, acse=2, store=5))
        with scu.associate(remote, CT_ONLY, progress) as association:
            thread = threading.Thread(target=list, args=(association.store(make_requests(1, size=12_000_000)),))
            thread.start()
            while thread.is_alive():
                seen.add(progress.moved_at)
                time.sleep(0.005)
            thread.join()
    assert len(seen) > 5


@pytest.mark.parametrize("let_through", [0, 1], ids=["at-its-beginning", "in-its-middle"])
def test_an_abort_reaches_the_peer_though_a_file_hangs(
    scu: StoreScu, make_requests: MakeRequests, let_through: int
) -> None:
    first, second = make_requests(2, size=40_000_000)
    outcome: list[tuple[list[StoreResult], AssociationFailure | None]] = []
    progress = Progress()
    with FakePacs() as pacs, ExitStack() as file:
        association = scu.associate(pacs.remote(Timeouts(connect=2, acse=2, store=30)), CT_ONLY, progress)
        hanging = file.enter_context(hanging_file(Path(second.path), let_through=let_through))
        thread = threading.Thread(target=lambda: outcome.append(take(association.store([first, second]))))
        thread.start()
        hanging.wait_until_read()
        stood_at = progress.moved_at
        time.sleep(0.1)
        assert progress.moved_at == stood_at
        association.abort()
        wait_until(lambda: pacs.endings, what="the peer to hear of it")
        assert thread.is_alive()
        file.close()
        thread.join(10)
        assert not thread.is_alive()
    assert not association.is_usable
    results, failure = outcome[0]
    assert isinstance(failure, AssociationEnded | AssociationLost)
    assert len(results) == 2
    assert not results[1].is_stored
