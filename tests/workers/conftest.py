"""A slot in this process, with real files in a spool, a real ledger and a PACS on loopback."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gurney.jobs import Doorbell, Lane, make_app
from gurney.ledger import roles
from gurney.ledger.database import Ledger
from gurney.ledger.models import Spool
from gurney.ledger.reconciling import RECONCILER, RECONCILER_SECONDS
from gurney.ledger.schema import migrate
from gurney.ledger.spools import MARKER
from gurney.ledger.terms import BatchLimits
from gurney.pacs import RemoteAE, Timeouts
from gurney.pacs.testing import FakePacs
from gurney.transfer.windows import ALWAYS, Window
from gurney_workers.folders import Folders
from gurney_workers.slot import Peer, Slot
from tests.ledger.world import ManualClock, World

PACS_TIMEOUTS = Timeouts(connect=2, acse=2, store=1, network=5)


@pytest.fixture(scope="session")
def empty_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated ledger to copy."""
    path = tmp_path_factory.mktemp("workers") / "ledger.sqlite3"
    migrate(f"sqlite:///{path}")
    return path


@dataclass
class Ward:
    """A world whose instances lie in a spool, and whose one remote is a fake PACS."""

    world: World
    spool: Path
    pacs: FakePacs
    doorbell: Doorbell
    draining: list[bool] = field(default_factory=list)

    def items(self, n: int, *, size: int = 1_000, **more: object) -> list[int]:
        """Add instances with their files."""
        ids = self.world.items(n, size=size, **more)  # type: ignore[arg-type]
        for item_id in ids:
            # The world's files carry their serial number as name and time; items are numbered alike.
            path = self.spool / f"{item_id}.dcm"
            path.write_bytes(b"\0" * 400 + item_id.to_bytes(4, "big") * (size // 4))
            os.utime(path, ns=(item_id, item_id))
        return ids

    def slot(
        self,
        *,
        remote: RemoteAE | None = None,
        folders: Folders | None = None,
        stat_only: bool = False,
        window: Window = ALWAYS,
        stat_passes: bool = True,
        bytes_per_second: float | None = None,
        instances_per_minute: int = 0,
        fast_path: bool = True,
        on_blocked: Callable[[], object] = lambda: None,
        **limits: int,
    ) -> Slot:
        """Make a slot; the test opens and closes it."""
        peer = Peer(
            remote or self.pacs.remote(PACS_TIMEOUTS),
            "GURNEY",
            fast_path=fast_path,
            window=window,
            stat_passes=stat_passes,
            bytes_per_second=bytes_per_second,
            instances_per_minute=instances_per_minute,
        )
        return Slot(
            Ledger(str(self.world.ledger.url), clock=self.world.clock),
            self.doorbell,
            {"archive": peer},
            pool="main",
            lanes=(Lane.STAT,) if stat_only else (Lane.STAT, Lane.WORK),
            host_slots=2,
            limits=BatchLimits(**limits),
            batch_seconds=30,
            draining=lambda: bool(self.draining),
            folders=folders or Folders(()),
            on_blocked=on_blocked,
        )

    def serve(self, rings: int = 1, **more: object) -> None:
        """Answer some rings with a slot of its own."""
        slot = self.slot(**more)  # type: ignore[arg-type]
        slot.open()
        try:
            for _ in range(rings):
                slot.serve("archive", "main")
        finally:
            slot.close()

    def waiting(self, lane: Lane) -> int | None:
        """Count the rings that nobody took."""
        return self.doorbell.waiting("main", lane)


@pytest.fixture
def ward(tmp_path: Path, empty_ledger: Path) -> Iterator[Ward]:
    """A ward; at the end its counts must equal the truth."""
    shutil.copy(empty_ledger, tmp_path / "ledger.sqlite3")
    world = World(Ledger(f"sqlite:///{tmp_path}/ledger.sqlite3", clock=ManualClock()))
    spool = tmp_path / "spool"
    spool.mkdir()
    (spool / MARKER).write_text("main")
    world.change(Spool, world.spool("main"), path=str(spool))
    # A daemon is there, so that no slot rings of its own accord: tests count the rings.
    world.ledger.transact(roles.assume, RECONCILER, "daemon", RECONCILER_SECONDS)
    # The in-process transport is one for the whole process: rings of other tests may still wait there.
    app = make_app("memory://", name=f"ward-{uuid.uuid4()}")
    doorbell = Doorbell(app)
    with FakePacs() as pacs:
        yield Ward(world, spool, pacs, doorbell)
    doorbell.close()
    world.assert_counts_are_true()
    world.ledger.dispose()
