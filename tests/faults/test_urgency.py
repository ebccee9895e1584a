"""What is urgent goes first, and nobody waits for another's slow archive. By the order of arrivals, not by time."""

from __future__ import annotations

from pathlib import Path

import pytest

from gurney.pacs.testing import FakePacs, Gate, Respond
from gurney.transfer.states import ItemState
from tests.faults.books import account_of, check
from tests.faults.conftest import MakeSite
from tests.faults.harness import remote
from tests.faults.instances import drop, make_study

pytestmark = [pytest.mark.fault, pytest.mark.slow]


def test_stat_goes_out_before_a_routine_batch_that_holds_every_association_ends(
    make_site: MakeSite, pacs: FakePacs, tmp_path: Path
) -> None:
    site = make_site(remote(pacs, max_associations=1), workers={"stat_slot": True, "processes": 1})
    routine, stat = make_study(40), make_study(3)
    gate = Gate()
    pacs.on_instance(5, Respond(gate=gate))
    site.start().wait_until_ready()
    site.drop(*routine)
    gate.wait_until_reached()
    drop(tmp_path, *stat)
    site.run("send", *map(str, tmp_path.glob("*/*.dcm")), "--to", "pacs", "--priority", "stat")
    site.books.wait_until(lambda: site.books.destination().stat_waiting_at is not None, "STAT to ask for a slot")
    gate.open()
    site.books.wait_until_stored(43)
    site.books.wait_until_complete()
    check(site.books, routine + stat, account_of(pacs))
    urgent = {instance.sop_instance_uid for instance in stat}
    order = [uid in urgent for uid in pacs.stored_uids()]
    # The one at the gate, and one that was perhaps made ready behind it, but no more.
    assert order.index(True) in {5, 6}
    assert order[order.index(True) :][:3] == [True] * 3
    assert len(order) == 43


def test_a_slow_destination_holds_up_nobody_else(make_site: MakeSite) -> None:
    gate = Gate()
    with FakePacs(instance=Respond(gate=gate)) as slow, FakePacs() as other:
        site = make_site(remote(slow, "slow", max_associations=4), remote(other, "other"))
        studies = [make_study(5) for _ in range(4)]
        sent = [instance for study in studies for instance in study]
        site.start().wait_until_ready()
        site.drop(*sent)
        site.books.wait_until_stored(len(sent), destination="other")
        late = make_study(5)
        site.drop(*late)
        site.books.wait_until_stored(len(sent) + len(late), destination="other")
        assert slow.stored == []
        assert ItemState.DONE not in site.books.states("slow")
        gate.open()
        site.books.wait_until_stored(2 * (len(sent) + len(late)))
        site.books.wait_until_complete()
        check(site.books, sent + late, account_of(slow), destination="slow")
        check(site.books, sent + late, account_of(other), destination="other")
