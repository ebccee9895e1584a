"""A watcher in its own thread, on a real folder and a real ledger."""

from __future__ import annotations

import os

from gurney.ledger.forwarding import Bell
from gurney.transfer.states import FileState, ItemState
from tests.daemon.ingest.instances import ct_bytes, drop
from tests.daemon.ingest.site import Site


def test_a_file_becomes_an_item_and_a_ring(site: Site) -> None:
    path = drop(site.folder, "study/1.dcm")
    site.start()
    (file,) = site.wait_for_files(1, FileState.ACCEPTED)
    assert file.path == os.fsencode(path)
    (item,) = site.items()
    assert (item.state, item.file_id, item.spool_id) == (ItemState.READY, file.id, site.spool.id)
    held = site.spool.path_of(file.spool_path)
    assert os.path.samefile(held, path)
    assert site.bells == [Bell("archive", site.spool.id, "work")]


def test_what_was_dropped_while_nobody_watched_and_what_comes_later(site: Site) -> None:
    drop(site.folder, "early.dcm")
    site.start()
    site.wait_for_files(1, FileState.ACCEPTED)
    drop(site.folder, "late/er.dcm", ct_bytes(study="1.9"))
    site.wait_for_files(2, FileState.ACCEPTED)
    assert len(site.items()) == 2
