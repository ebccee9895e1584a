"""What each server offers and what it does not: by the contexts that it accepts, and by what it answers to the rest."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from gurney.dicom.presentation import ContextProposal
from gurney.pacs import (
    GENERAL_PURPOSE_WORKLIST,
    MODALITY_WORKLIST,
    PATIENT_ROOT,
    PATIENT_STUDY_ONLY,
    STUDY_ROOT,
    UPS_PULL,
    DicomEngine,
    RemoteAE,
    Role,
    Scu,
    Timeouts,
    UserIdentity,
)
from gurney.pacs.association.scu import VERIFICATION
from tests.pacs.conftest import CT
from tests.services.dcmtk import DcmQrScp, StoreScp, WlmScpFs
from tests.services.orthanc import Orthanc
from tests.services.presence import program, require
from tests.services.printer import DcmPrScp
from tests.services.tiny_pacs import TinyPacs

pytestmark = pytest.mark.peer

MODELS = (STUDY_ROOT, PATIENT_ROOT, PATIENT_STUDY_ONLY, MODALITY_WORKLIST, GENERAL_PURPOSE_WORKLIST, UPS_PULL)
FINDS = tuple(model.find for model in MODELS)
MOVES = tuple(model.move for model in MODELS if model.move)
GETS = tuple(model.get for model in MODELS if model.get)
COMMITMENT = "1.2.840.10008.1.20.1"
NEEDS = {
    "C-STORE": (CT,),
    "C-STORE, transcoded": (CT,),
    "C-FIND, Study Root": (STUDY_ROOT.find,),
    "C-FIND, Patient Root": (PATIENT_ROOT.find,),
    "C-FIND, Patient/Study Only": (PATIENT_STUDY_ONLY.find,),
    "C-FIND, Modality Worklist": (MODALITY_WORKLIST.find,),
    "C-FIND, General Purpose Worklist": (GENERAL_PURPOSE_WORKLIST.find,),
    "C-FIND, UPS Pull": (UPS_PULL.find,),
    "C-MOVE to a third party": MOVES,
    "C-MOVE to us": MOVES,
    "C-GET": GETS,
    "C-CANCEL of a C-FIND": FINDS,
    "C-CANCEL of a C-MOVE": MOVES,
    "C-CANCEL of a C-GET": GETS,
    "Storage commitment, same association": (COMMITMENT,),
    "Storage commitment, new association": (COMMITMENT,),
    "Performed procedure step": ("1.2.840.10008.3.1.2.3.3",),
    "Instance availability": ("1.2.840.10008.5.1.4.33",),
    "Media creation": ("1.2.840.10008.5.1.1.33",),
    "Print, grayscale": ("1.2.840.10008.5.1.1.9",),
    "Print, color": ("1.2.840.10008.5.1.1.18",),
    "Relational queries": FINDS[:3],
}
"""By operation, the SOP classes of which a peer must take one."""

NO_WORKLISTS = ("C-FIND, Modality Worklist", "C-FIND, General Purpose Worklist", "C-FIND, UPS Pull")
NO_REPORTS = ("Performed procedure step", "Instance availability", "Media creation")
NO_PRINTS = ("Print, grayscale", "Print, color")
NO_COMMITMENT = ("Storage commitment, same association", "Storage commitment, new association")
PATIENT_STUDY = "C-FIND, Patient/Study Only"
OFFERED_BY = {
    "storescp": ("C-STORE", "C-STORE, transcoded"),
    "wlmscpfs": ("C-FIND, Modality Worklist", "C-CANCEL of a C-FIND"),
    "dcmprscp": ("Print, grayscale",),
}
LACKING = {
    "orthanc": (PATIENT_STUDY, *NO_WORKLISTS, *NO_REPORTS, *NO_PRINTS),
    "dcmqrscp": (*NO_WORKLISTS, *NO_COMMITMENT, *NO_REPORTS, *NO_PRINTS),
    "tiny-pacs": (PATIENT_STUDY, *NO_WORKLISTS, *NO_REPORTS, *NO_PRINTS),
    **{peer: tuple(one for one in NEEDS if one not in offered) for peer, offered in OFFERED_BY.items()},
}
SERVERS = {
    "orthanc": ("Orthanc", Orthanc),
    "dcmqrscp": ("dcmqrscp", DcmQrScp),
    "storescp": ("storescp", StoreScp),
    "wlmscpfs": ("wlmscpfs", WlmScpFs),
    "dcmprscp": ("dcmprscp", DcmPrScp),
    "tiny-pacs": ("", TinyPacs),
}
TAKES_ROLES = ("orthanc", "dcmqrscp", "tiny-pacs")


@pytest.fixture(scope="module")
def remote(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RemoteAE]:
    binary, server = SERVERS[request.param]
    if binary:
        require(binary)
    with DicomEngine(), server(tmp_path_factory.mktemp(request.param)) as peer:
        yield RemoteAE(peer.ae_title, "127.0.0.1", peer.port, Timeouts(connect=5, acse=10))


def each(*, lacking: dict[str, tuple[str, ...]]) -> pytest.MarkDecorator:
    """Run a test with each server, which shows that it lacks something."""
    marked = [pytest.param(name, marks=[pytest.mark.lacks(*lacking[name])]) for name in lacking]
    return pytest.mark.parametrize("remote", marked, indirect=True)


@each(lacking=LACKING)
@pytest.mark.seen("C-ECHO")
def test_what_it_does_not_offer_it_refuses(remote: RemoteAE, request: pytest.FixtureRequest) -> None:
    classes = dict.fromkeys(sop_class for needed in NEEDS.values() for sop_class in needed)
    proposals = [
        ContextProposal(uid, syntax) for uid in classes for syntax in ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")
    ]
    with Scu("GURNEY").associate(remote, [VERIFICATION, *proposals]) as association:
        taken = {context.sop_class_uid for context in association.accepted}
        assert association.verify().is_success
    refused = tuple(operation for operation, needed in NEEDS.items() if not taken & {*needed})
    assert refused == LACKING[request.node.callspec.params["remote"]]


@each(lacking=dict.fromkeys(SERVERS, ("User identity",)))
def test_who_does_not_know_user_identities_says_nothing_of_them(remote: RemoteAE) -> None:
    """A positive response is asked for, and none comes: the identity was not looked at (PS3.7 D.3.3.7.2)."""
    scu = Scu("GURNEY", user_identity=UserIdentity.username("alice", "secret", wants_response=True))
    with scu.associate(remote, [VERIFICATION]) as association:
        assert association.identity_response is None


@each(lacking={name: ("Role selection",) for name in SERVERS if name not in TAKES_ROLES})
def test_who_does_not_know_roles_says_nothing_of_them(remote: RemoteAE) -> None:
    proposals = [VERIFICATION, ContextProposal(CT, "1.2.840.10008.1.2")]
    with Scu("GURNEY").associate(remote, proposals, roles=[Role(CT, scu=False, scp=True)]) as association:
        assert association.roles == {}


@pytest.mark.parametrize("name", ["dcmqrscp", "wlmscpfs"])
@pytest.mark.lacks("TLS 1.2", "TLS 1.3", "Mutual TLS")
def test_a_server_without_tls_has_no_option_for_it(name: str) -> None:
    require(name)
    told = subprocess.run([program(name), "--help"], capture_output=True, text=True, check=True, timeout=20).stdout
    assert "general options" in told
    assert "tls" not in told.lower()
