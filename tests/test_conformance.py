"""The conformance statement says what is negotiated: its tables are the code's, and live associations agree."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pynetdicom import AE, evt
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext, build_context

import gurney.pacs
from gurney.dicom.uids import STORAGE_COMMITMENT_SOP_CLASS, VERIFICATION_SOP_CLASS
from gurney.pacs.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from gurney.pacs.query.models import MODALITY_WORKLIST, STUDY_ROOT
from tests.faults.harness import Site
from tests.faults.instances import CT, make_study
from tests.services.ports import free_port
from tests.services.waiting import wait_until

ROOT = Path(__file__).parents[1]
Pair = tuple[str, str]
EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"


def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_conformance", ROOT / "docs" / "generate_conformance.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


statement = _generator()


@dataclass
class Recorder:
    """A peer that takes every association and remembers what was proposed."""

    port: int = field(default_factory=free_port)
    proposals: list[set[tuple[str, str]]] = field(default_factory=list)
    requestors: set[tuple[str, str, int]] = field(default_factory=set)
    extended: int = 0

    def note(self, event: Any) -> None:
        requestor = event.assoc.requestor
        proposed = {
            (str(context.abstract_syntax), str(syntax))
            for context in requestor.requested_contexts
            for syntax in context.transfer_syntax
        }
        self.proposals.append(proposed)
        name = requestor.implementation_version_name
        self.requestors.add((str(requestor.implementation_class_uid), str(name), requestor.maximum_length))
        self.extended += len(requestor.sop_class_extended) + (requestor.user_identity is not None)

    def has_seen(self, *pairs: tuple[str, str]) -> bool:
        return any(set(pairs) <= proposed for proposed in self.proposals)


@pytest.fixture(scope="module")
def peer() -> Iterator[Recorder]:
    recorder = Recorder()
    ae = AE("PEER")
    for uid in (CT, VERIFICATION_SOP_CLASS, STORAGE_COMMITMENT_SOP_CLASS, STUDY_ROOT.find, MODALITY_WORKLIST.find):
        ae.add_supported_context(uid, [EXPLICIT, IMPLICIT])
    handlers = [
        (evt.EVT_REQUESTED, recorder.note),
        (evt.EVT_C_STORE, lambda _: 0x0000),
        (evt.EVT_C_FIND, lambda _: iter(())),
        (evt.EVT_N_ACTION, lambda _: (0x0000, None)),
    ]
    server = ae.start_server(("127.0.0.1", recorder.port), block=False, evt_handlers=handlers)  # type: ignore[arg-type]
    yield recorder
    server.shutdown()


@dataclass
class Running:
    """A Gurney with every AE of the statement."""

    site: Site
    receiver: int
    retrieve: int


@pytest.fixture(scope="module")
def running(peer: Recorder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    receiver, retrieve = free_port(), free_port()
    remote = {"name": "peer", "ae_title": "PEER", "host": "127.0.0.1", "port": peer.port, "commitment": "after_study"}
    target = remote | {"name": "target", "ae_title": "TARGET", "commitment": "none", "verify": "find"}
    folder = tmp_path_factory.mktemp("conformance")
    site = Site(folder / "site", [remote, target], retrieve={"port": retrieve})
    tables = [
        {"receiver": {"name": "main", "port": receiver, "send_to": ["peer"]}},
        {
            "prefetch": {
                "name": "next",
                "worklist": "peer",
                "from": ["peer"],
                "to": ["target"],
                "schedule": "0 20 * * *",
            }
        },
    ]
    for table in tables:
        for name, keys in table.items():
            written = "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
            site.config.write_text(f"{site.config.read_text()}\n[[{name}]]\n{written}")
    try:
        one = site.start()
        one.wait_until_ready()
        wait_until(lambda: len(one.events("receiver_state")) == 2, 30, "both doors are open")
        yield Running(site, receiver, retrieve)
    finally:
        site.close()


def answered(port: int, called: str, pairs: list[Pair], *, as_scp: bool = False) -> dict[Pair, int]:
    """Propose a context for each pair and return the results (PS3.8 table 9-18)."""
    results: dict[Pair, int] = {}
    for start in range(0, len(pairs), 128):
        ae = AE("CALLER")
        contexts = [build_context(uid, syntax) for uid, syntax in pairs[start : start + 128]]
        roles = [_role(uid) for uid, _ in pairs[start : start + 128]] if as_scp else None
        assoc = ae.associate("127.0.0.1", port, contexts, ae_title=called, ext_neg=roles)  # type: ignore[arg-type]
        both: list[PresentationContext] = [*assoc.accepted_contexts, *assoc.rejected_contexts]
        for context in both:
            results[str(context.abstract_syntax), str(context.transfer_syntax[0])] = context.result or 0
        if assoc.is_established:
            said = (assoc.acceptor.implementation_class_uid, assoc.acceptor.implementation_version_name)
            assert tuple(map(str, said)) == (IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME)
            assoc.release()
    return results


def _role(uid: str) -> SCP_SCU_RoleSelectionNegotiation:
    role = SCP_SCU_RoleSelectionNegotiation()
    role.sop_class_uid, role.scu_role, role.scp_role = uid, False, True  # type: ignore[assignment]  # it converts
    return role


def test_its_tables_are_those_of_the_code() -> None:
    assert statement.STATEMENT.read_text() == statement.text(), "run `make docs`"
    assert len(re.findall(r"<!-- table: ", statement.STATEMENT.read_text())) == len(statement._TABLES)


def test_what_it_says_of_the_library_is_exported() -> None:
    assert set(statement._LIBRARY.values()) <= set(gurney.pacs.__all__)


@pytest.mark.slow
@pytest.mark.parametrize("door", ["receiver", "retrieve"])
def test_every_storage_class_and_transfer_syntax_is_taken(running: Running, door: str) -> None:
    port, title = (running.receiver, "GURNEY") if door == "receiver" else (running.retrieve, "GURNEY_QR")
    pairs = [(uid, EXPLICIT) for uid in statement.storage_classes()]
    pairs += [(CT, syntax) for syntax in statement.transfer_syntaxes() if syntax != EXPLICIT]
    pairs += [(VERIFICATION_SOP_CLASS, syntax) for syntax in (EXPLICIT, IMPLICIT)]
    pairs.append(("1.2.826.0.1.3680043.10.1561.99", EXPLICIT))  # a private one, which nobody knows
    results = answered(port, title, pairs)
    assert len(results) == len(pairs)
    assert [pair for pair, result in results.items() if result != 0] == []


@pytest.mark.slow
def test_what_it_does_not_name_is_refused(running: Running) -> None:
    others = [STUDY_ROOT.find, STUDY_ROOT.move, STUDY_ROOT.get, MODALITY_WORKLIST.find, "1.2.840.10008.5.1.1.9"]
    pairs = [(VERIFICATION_SOP_CLASS, EXPLICIT), *((uid, EXPLICIT) for uid in others)]
    results = answered(running.receiver, "GURNEY", pairs)
    assert {uid: results[uid, EXPLICIT] for uid in others} == dict.fromkeys(others, 3)


@pytest.mark.slow
def test_a_peer_may_report_commitments_in_the_role_of_scp(running: Running) -> None:
    pairs = [(STORAGE_COMMITMENT_SOP_CLASS, syntax) for syntax in (EXPLICIT, IMPLICIT)]
    assert set(answered(running.receiver, "GURNEY", pairs, as_scp=True).values()) == {0}


@pytest.mark.slow
def test_another_called_ae_title_is_rejected(running: Running) -> None:
    assoc = AE("CALLER").associate("127.0.0.1", running.receiver, [build_context(CT)], ae_title="SOMEBODY")
    assert assoc.is_rejected
    primitive = assoc.acceptor.primitive
    assert primitive is not None
    assert (primitive.result, primitive.result_source, primitive.diagnostic) == (1, 1, 7)


@pytest.mark.slow
def test_our_own_associations_propose_what_it_says(running: Running, peer: Recorder) -> None:
    study = make_study(2)
    running.site.drop(*study)
    running.site.run("retrieve", "--from", "peer", "--study", study[0].study_instance_uid)
    running.site.run("prefetch", "run", "next")
    running.site.run("prefetch", "run", "next", "--patient", "P0")
    both = (EXPLICIT, IMPLICIT)
    wanted = {
        "storage": [(CT, EXPLICIT)],
        "commitment": [(STORAGE_COMMITMENT_SOP_CLASS, syntax) for syntax in both],
        "retrieve": statement.retrieve_proposals(),
        "worklist": [(MODALITY_WORKLIST.find, syntax) for syntax in both],
        "query": [(STUDY_ROOT.find, syntax) for syntax in both],
    }
    for what, pairs in wanted.items():
        wait_until(lambda pairs=pairs: peer.has_seen(*pairs), 60, f"an association for {what}")
    known = {pair for pairs in wanted.values() for pair in pairs}
    known |= {(uid, syntax) for uid in (VERIFICATION_SOP_CLASS, STUDY_ROOT.get) for syntax in both}
    assert set().union(*peer.proposals) <= known, "nothing is proposed that it does not name"
    assert peer.requestors == {(IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, 16384)}
    assert peer.extended == 0
