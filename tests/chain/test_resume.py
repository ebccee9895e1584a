"""What has arrived is never sent again: late instances, copies, conflicts, restarts and rescans. DCMTK counts."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest

from gurney.transfer.states import FileState, ItemState
from tests.faults.books import check
from tests.faults.conftest import MakeSite
from tests.faults.harness import remote
from tests.faults.instances import Instance, digest_of, make_study
from tests.services.dcmtk import StoreScp

pytestmark = [pytest.mark.peer, pytest.mark.slow]


def account_of(peer: StoreScp) -> list[tuple[str, str]]:
    """Return what DCMTK has written: one file for each C-STORE."""
    return [
        (str(pydicom.dcmread(path, specific_tags=["SOPInstanceUID"]).SOPInstanceUID), digest_of(path.read_bytes()))
        for path in peer.files()
    ]


def test_late_instances_join_their_study_and_nothing_is_sent_twice(storescp: StoreScp, make_site: MakeSite) -> None:
    site = make_site(remote(storescp))
    study = make_study(12)
    early, late, latest = study[:5], study[5:9], study[9:]
    site.start()
    site.drop(*early)
    site.books.wait_until_stored(5)
    site.books.wait_until_complete()
    site.drop(*late)
    site.books.wait_until_stored(9)
    site.books.wait_until_complete()
    # In the middle of everything, the same once more under other names.
    site.drop(*latest, *early)
    site.books.wait_until_stored(12)
    site.books.wait_until(lambda: site.books.files()[FileState.ACCEPTED] == 17, "the copies to be recognised")
    site.books.wait_until_complete()
    assert len({line.transfer_id for line in site.books.items()}) == 1, "one study, one transfer"
    check(site.books, study, account_of(storescp))
    assert len(storescp.files()) == 12


def test_a_restart_resends_nothing_and_finds_what_came_meanwhile(storescp: StoreScp, make_site: MakeSite) -> None:
    site = make_site(remote(storescp))
    first, meanwhile, after_the_crash = make_study(20), make_study(5), make_study(5)
    gurney = site.start()
    site.drop(*first)
    site.books.wait_until_stored(20)
    gurney.stop()
    site.drop(*meanwhile)
    gurney = site.start()
    # The scan that finds these has passed by the others.
    site.books.wait_until_stored(25)
    gurney.kill()
    site.drop(*after_the_crash)
    site.wait_until_ended()
    site.start()
    site.books.wait_until_stored(30)
    site.books.wait_until_complete()
    check(site.books, [*first, *meanwhile, *after_the_crash], account_of(storescp))
    assert Counter(Counter(uid for uid, _ in account_of(storescp)).values()) == {1: 30}


def test_other_bytes_under_a_known_uid_are_a_conflict_and_not_sent(storescp: StoreScp, make_site: MakeSite) -> None:
    site = make_site(remote(storescp))
    study = make_study(3)
    site.start()
    site.drop(*study)
    site.books.wait_until_stored(3)
    site.drop(_altered(study[0]))
    site.books.wait_until(lambda: site.books.files()[FileState.QUARANTINED] == 1, "the conflict")
    check(site.books, study, account_of(storescp))
    assert len(storescp.files()) == 3
    assert site.books.states() == {ItemState.DONE: 3}


def test_what_the_console_purges_is_sent_from_the_spool(storescp: StoreScp, make_site: MakeSite) -> None:
    storescp.stop()
    site = make_site(remote(storescp))
    study = make_study(6)
    site.start()
    site.drop(*study)
    site.books.wait_until(lambda: len(site.books.items()) == 6, "the study to be taken in")
    _purge(site.inbox)
    storescp.start()
    site.books.let_pass_until_settled()
    check(site.books, study, account_of(storescp))


def _altered(instance: Instance) -> Instance:
    part10 = instance.part10.replace(b"PLANTED-NUMBER", b"PLANTED-MEMBER")
    return replace(instance, part10=part10, digest=digest_of(part10))


def _purge(folder: Path) -> None:
    for path in folder.iterdir():
        shutil.rmtree(path)
