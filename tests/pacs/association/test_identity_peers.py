"""Who we say we are, as dcmjs-dimse sees and judges it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gurney.pacs import AssociationRejected, QueryRetrieveScu, RemoteAE, UserIdentity, UserIdentityKind
from gurney.pacs.association.scu import VERIFICATION
from tests.services.dcmjs import installed_node_modules
from tests.services.dcmjs_query import DcmjsQueryScp
from tests.services.presence import require

pytestmark = pytest.mark.peer

USERS = {"alice": "secret", "bob": ""}


@pytest.fixture(scope="module")
def dcmjs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DcmjsQueryScp]:
    require("node", "npm")
    with DcmjsQueryScp(tmp_path_factory.mktemp("dcmjs"), installed_node_modules()) as peer:
        yield peer


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DcmjsQueryScp]:
    require("node", "npm")
    with DcmjsQueryScp(tmp_path_factory.mktemp("strict"), installed_node_modules(), users=USERS) as peer:
        yield peer


def at(peer: DcmjsQueryScp) -> RemoteAE:
    return RemoteAE(peer.ae_title, "127.0.0.1", peer.port)


@pytest.mark.seen("C-ECHO", at="dcmjs-dimse")
def test_a_peer_sees_who_we_are(dcmjs: DcmjsQueryScp) -> None:
    scu = QueryRetrieveScu("WARD7", implementation_class_uid="1.2.3.4", implementation_version_name="WARD_1")
    assert scu.verify(RemoteAE("DCMJS", "127.0.0.1", dcmjs.port, max_pdu=32768)).is_success
    seen = dcmjs.seen()[-1]
    assert (seen["callingAeTitle"], seen["implementationClassUid"]) == ("WARD7", "1.2.3.4")
    assert (seen["maxPduLength"], seen["identityType"]) == (32768, 0)


@pytest.mark.parametrize(
    "identity",
    [
        UserIdentity.username("bob", wants_response=True),
        UserIdentity.username("alice", "secret", wants_response=True),
    ],
    ids=["username", "passcode"],
)
@pytest.mark.seen("User identity", at="dcmjs-dimse")
def test_a_user_that_a_peer_knows_is_welcome(strict: DcmjsQueryScp, identity: UserIdentity) -> None:
    scu = QueryRetrieveScu("GURNEY", user_identity=identity)
    with scu.associate(at(strict), [VERIFICATION]) as association:
        assert association.identity_response == b"welcome"
        assert association.verify().is_success
    assert strict.seen()[-1]["identityType"] == identity.kind


@pytest.mark.parametrize("kind", [UserIdentityKind.KERBEROS, UserIdentityKind.SAML, UserIdentityKind.JWT])
@pytest.mark.seen("User identity", at="dcmjs-dimse")
def test_tickets_assertions_and_tokens_reach_a_peer_as_they_are(dcmjs: DcmjsQueryScp, kind: UserIdentityKind) -> None:
    scu = QueryRetrieveScu("GURNEY", user_identity=UserIdentity(kind, b"opaque"))
    assert scu.verify(at(dcmjs)).is_success
    assert (dcmjs.seen()[-1]["identityType"], dcmjs.seen()[-1]["identity"]) == (kind, "opaque")


@pytest.mark.parametrize(
    "identity",
    [None, UserIdentity.username("mallory"), UserIdentity.username("alice", "guess")],
    ids=["nobody", "unknown", "wrong-passcode"],
)
def test_a_user_that_a_peer_does_not_know_is_rejected_in_words(
    strict: DcmjsQueryScp, identity: UserIdentity | None
) -> None:
    with pytest.raises(AssociationRejected, match="permanently, by the peer's application") as rejected:
        QueryRetrieveScu("GURNEY", user_identity=identity).verify(at(strict))
    assert "guess" not in str(rejected.value)
