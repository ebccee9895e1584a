"""What an archive may do with a storage commitment request: refuse it, go, never answer, answer after our death."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pynetdicom import AE
from pynetdicom.presentation import build_context
from sqlalchemy import select

from gurney.dicom.uids import STORAGE_COMMITMENT_SOP_CLASS
from gurney.ledger.models import Commitment
from gurney.pacs.testing import Break, Commit, FakePacs, Operation, Respond, Where
from tests.faults.conftest import MakeSite
from tests.faults.harness import Site, remote
from tests.faults.instances import CT, Instance, make_study
from tests.services import wait_until
from tests.services.ports import free_port

pytestmark = [pytest.mark.fault, pytest.mark.slow]


def begin(make_site: MakeSite, pacs: FakePacs, port: int) -> Site:
    site = make_site(remote(pacs, commitment="after_study"), watch={"after": "delete"})
    listens = f'\n[[receiver]]\nname = "answers"\nport = {port}\nsend_to = ["pacs"]\n'
    site.config.write_text(site.config.read_text() + listens)
    site.start().wait_until_ready()
    return site


def standing(site: Site) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(site.run("status", "--json").stdout)["proofs"]["pacs"]
    return told


def asked(pacs: FakePacs) -> list[Dataset]:
    """Return the requests for commitment, in order."""
    return [one.dataset for one in pacs.requests if one.operation is Operation.N_ACTION and one.dataset is not None]


def report(port: int, calling: str, transaction_uid: str, study: list[Instance]) -> int:
    """Tell on an association of the archive's own that it has committed itself; return the status of the answer."""
    said = Dataset()
    said.TransactionUID = transaction_uid
    said.ReferencedSOPSequence = Items()
    for one in study:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = CT, one.sop_instance_uid
        said.ReferencedSOPSequence.append(item)
    assoc = AE(calling).associate("127.0.0.1", port, [build_context(STORAGE_COMMITMENT_SOP_CLASS)], ae_title="GURNEY")
    assert assoc.is_established
    answer, _ = assoc.send_n_event_report(said, 1, STORAGE_COMMITMENT_SOP_CLASS, f"{STORAGE_COMMITMENT_SOP_CLASS}.1")
    assoc.release()
    return int(answer.Status)


@pytest.mark.parametrize(
    ("act", "why"),
    [(Respond(0x0110), "processing failure"), (Break(), "abort")],
    ids=["refuses", "aborts"],
)
def test_a_request_that_is_not_taken_is_said_and_made_again(
    make_site: MakeSite, pacs: FakePacs, act: Respond | Break, why: str
) -> None:
    pacs.on_request(Operation.N_ACTION, act)
    site = begin(make_site, pacs, free_port())
    site.drop(*make_study(3))
    wait_until(lambda: standing(site)["trouble"], 60, "it was asked in vain")
    assert why in standing(site)["trouble"]
    assert (standing(site)["wanted"], standing(site)["overdue"]) == (3, 3)
    site.run("prove", "--to", "pacs")
    wait_until(lambda: (standing(site)["wanted"], standing(site)["overdue"]) == (0, 0), 60, "it is asked again")
    with site.books.ledger.read() as conn:
        states = list(conn.scalars(select(Commitment.state).order_by(Commitment.requested_at)))
    assert states == ["overdue", "committed"], "two requests, each with a UID of its own"


def test_an_answer_counts_after_our_death_from_whom_it_was_asked_and_once(make_site: MakeSite, pacs: FakePacs) -> None:
    pacs.on_every(Operation.N_ACTION, Commit(where=Where.NOWHERE))
    port = free_port()
    site = begin(make_site, pacs, port)
    study = make_study(4)
    site.drop(*study)
    wait_until(lambda: standing(site)["requested"] == 4, 60, "it is asked")
    site.started[0].daemon().kill()
    wait_until(lambda: len(site.started[0].events("receiver_state")) >= 2, 60, "another daemon listens")
    (request,) = asked(pacs)
    uid = str(request.TransactionUID)
    assert report(port, "STRANGER", uid, study) != 0
    assert report(port, pacs.ae_title, "2.25.4711", study) != 0
    assert standing(site)["requested"] == 4
    assert report(port, pacs.ae_title, uid, study[:3]) == 0
    assert standing(site)["requested"] == 1
    assert report(port, pacs.ae_title, uid, study) == 0
    assert report(port, pacs.ae_title, uid, study) == 0
    assert standing(site)["requested"] == 0
    wait_until(lambda: not [path for path in site.inbox.rglob("*.dcm") if ".gurney-trash" not in path.parts], 60)
    assert len(asked(pacs)) == 1
    assert len(site.books.attempts()) == 4
