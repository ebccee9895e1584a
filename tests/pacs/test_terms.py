from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gurney.dicom.presentation import ContextProposal
from gurney.pacs import AssociationTerms, DicomEngine, Role, Scu, UserIdentity, UserIdentityKind
from gurney.pacs.testing import FakePacs

TERMS = AssociationTerms((ContextProposal("1.2.840.10008.1.1", "1.2.840.10008.1.2"),))


def test_a_role_is_the_user_of_its_class_unless_said_otherwise() -> None:
    assert (Role("1.2.3").scu, Role("1.2.3").scp) == (True, False)


def test_a_name_alone_and_a_name_with_a_passcode() -> None:
    alone, both = UserIdentity.username("Jürgen"), UserIdentity.username("jane", "geheim", wants_response=True)
    assert (alone.kind, alone.primary, alone.secondary) == (UserIdentityKind.USERNAME, "Jürgen".encode(), b"")
    assert (both.kind, both.primary, both.secondary) == (UserIdentityKind.PASSCODE, b"jane", b"geheim")
    assert (alone.wants_response, both.wants_response) == (False, True)


@pytest.mark.parametrize("kind", [UserIdentityKind.KERBEROS, UserIdentityKind.SAML, UserIdentityKind.JWT])
def test_a_ticket_is_one_opaque_field(kind: UserIdentityKind) -> None:
    assert UserIdentity(kind, b"\0ticket\xff").primary == b"\0ticket\xff"
    with pytest.raises(ValueError, match="secondary"):
        UserIdentity(kind, b"ticket", b"passcode")


@pytest.mark.parametrize("kind", list(UserIdentityKind), ids=lambda kind: kind.name)
def test_an_identity_of_nobody_is_refused(kind: UserIdentityKind) -> None:
    with pytest.raises(ValueError, match="primary"):
        UserIdentity(kind, b"")


def test_an_identity_fits_into_a_request_or_is_refused() -> None:
    """SAML assertions grow; past 65,535 bytes the request could not be written."""
    scu = Scu(user_identity=UserIdentity(UserIdentityKind.SAML, b"x" * 60_000))
    with DicomEngine(), FakePacs() as pacs:
        assert scu.verify(pacs.remote()).is_success
    with pytest.raises(ValueError, match="60001 bytes does not fit"):
        UserIdentity(UserIdentityKind.PASSCODE, b"jane", b"x" * 59_997)


def test_a_passcode_and_its_kind_go_together() -> None:
    with pytest.raises(ValueError, match="passcode"):
        UserIdentity(UserIdentityKind.PASSCODE, b"jane")
    with pytest.raises(ValueError, match="passcode"):
        UserIdentity.username("jane", "")


def test_an_identity_says_no_secret_of_itself() -> None:
    said = repr(UserIdentity.username("jane", "geheim"))
    assert "jane" not in said
    assert "geheim" not in said


def test_the_same_terms_for_another_user() -> None:
    jane = UserIdentity.username("jane")
    changed = TERMS.with_identity(jane)
    assert changed.user_identity is jane
    assert (changed.proposals, changed.roles, dict(changed.extended)) == (TERMS.proposals, (), {})
    assert TERMS.user_identity is None
    assert changed.with_identity(None) == TERMS


@pytest.mark.parametrize(
    "uid",
    ["", "1.2.ü", "1.2.x", "1.2 ", "../1", "1." * 40 + "1", 5],
    ids=["empty", "umlaut", "letter", "space", "path", "long", "number"],
)
@pytest.mark.parametrize("place", ["a role", "an extended negotiation", "a proposed context"])
def test_what_is_no_uid_is_refused_before_the_wire(uid: str, place: str) -> None:
    changes: dict[str, dict[str, Any]] = {
        "a role": {"roles": (Role(uid),)},
        "an extended negotiation": {"extended": {uid: b"\1"}},
        "a proposed context": {"proposals": (ContextProposal(uid, "1.2.840.10008.1.2"),)},
    }
    with pytest.raises(ValueError, match=f"the SOP class of {place} is no UID"):
        replace(TERMS, **changes[place])


def test_no_peer_hears_of_a_role_that_is_none() -> None:
    words = r"the SOP class of a role is no UID: '1\.2\.ü'; give digits and dots"
    with DicomEngine(), FakePacs() as pacs, pytest.raises(ValueError, match=words):
        Scu().associate(pacs.remote(), TERMS.proposals, roles=[Role("1.2.ü", scp=True)])
    assert (pacs.associations, pacs.endings) == (0, [])
