"""What is of the wrong kind is refused where it is given, by its name, and its value is not repeated."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gurney.pacs import (
    DicomEngine,
    FindChange,
    InvalidQuery,
    Listener,
    ListenerError,
    Query,
    QueryRetrieveScu,
    RemoteAE,
    Retrieval,
    RetrieveChange,
    Scu,
    SopReference,
    StorageCommitmentScu,
    StoreScu,
    UserIdentity,
)
from gurney.pacs.testing import FakePacs

SECRET = "Doe^Jane"
REMOTE = RemoteAE("PACS", "127.0.0.1", 11112)


@pytest.fixture(autouse=True)
def engine() -> Iterator[None]:
    with DicomEngine():
        yield


@pytest.mark.parametrize(
    ("give", "said"),
    [
        (lambda: Scu().verify(SECRET), "the remote AE must be a RemoteAE, not str"),
        (lambda: list(QueryRetrieveScu().find(SECRET, Query())), "the remote AE must be a RemoteAE, not str"),
        (lambda: RemoteAE("PACS", "pacs", 104, SECRET), "timeouts must be a Timeouts, not str"),
        (lambda: RemoteAE("PACS", "pacs", 104, tls=True), "tls must be a Tls, not bool"),
        (lambda: StoreScu(compression=SECRET), "compression must be a Compression, not str"),
        (lambda: Scu(user_identity=SECRET), "user_identity must be a UserIdentity, not str"),
        (lambda: Scu(wire_log=SECRET), "wire_log must be a WireLog, not str"),
        (lambda: Scu().associate(REMOTE, [SECRET]), "each proposal must be a ContextProposal, not str"),
        (lambda: UserIdentity(7, b"joe"), "kind must be a UserIdentityKind, not int"),
        (lambda: Listener("SELF", tls=True), "tls must be a InboundTls, not bool"),
        (lambda: Listener("SELF", port="11112"), "port must be a int, not str"),
        (lambda: FindChange(identifier=SECRET), "identifier must be a Dataset, not str"),
        (lambda: RetrieveChange(priority=99), "priority must be a DimsePriority, not int"),
        (
            lambda: StorageCommitmentScu().commit(REMOTE, [SopReference("1.2.3", "1.2.4")], wait=5),
            "wait must be a CommitmentWait, not int",
        ),
    ],
)
def test_it_is_a_type_error_that_names_the_argument(give: Callable[[], object], said: str) -> None:
    with pytest.raises(TypeError, match=re.escape(said)) as raised:
        give()
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize("port", [-1, 70000])
def test_a_listener_has_a_port_that_there_is(port: int) -> None:
    with pytest.raises(ValueError, match="port must be 0-65535"):
        Listener("SELF", port=port)


@pytest.mark.parametrize("limit", ["5", 0, 2.5, -1])
def test_a_limit_counts_matches(limit: int) -> None:
    with pytest.raises(InvalidQuery, match="'limit' is no whole number from 1"):
        QueryRetrieveScu().find(REMOTE, Query(), limit=limit)


@pytest.mark.parametrize("uid", ["1.2.x", "", "1." * 40, None])
def test_an_implementation_class_uid_is_a_uid(uid: str) -> None:
    with pytest.raises(ValueError, match=r"implementation_class_uid .* is no UID"):
        Scu(implementation_class_uid=uid)


@pytest.mark.parametrize("name", ["", "X" * 17, "GÜRNEY", "A\nB", None])
def test_an_implementation_version_name_fits_into_a_request(name: str) -> None:
    with pytest.raises(ValueError, match=r"implementation_version_name .* 1 to 16 printable ASCII characters"):
        Scu(implementation_version_name=name)


@pytest.mark.parametrize("term", ["FOO", "utf-8", "", None])
def test_a_character_set_is_a_defined_term(term: str) -> None:
    with pytest.raises(ValueError, match=r"is no defined term of a character set: take one of .*ISO_IR 100"):
        QueryRetrieveScu(character_set=term)


def test_a_listener_that_does_not_listen_takes_nothing(tmp_path: Path) -> None:
    idle = Listener("SELF", tmp_path)
    with FakePacs() as pacs, pytest.raises(ListenerError, match="does not listen: start it"):
        list(QueryRetrieveScu().move_to_self(pacs.remote(), Retrieval(study_instance_uid="1.2.3"), idle))
    assert [request.operation.name for request in pacs.requests] == []
