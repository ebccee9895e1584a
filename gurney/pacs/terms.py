"""What an association is asked for: contexts, roles, extended negotiation, the user's identity (PS3.7 annex D.3.3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum

from gurney.dicom.presentation import ContextProposal
from gurney.dicom.uids import is_valid_uid
from gurney.pacs.kinds import of_kind

__all__ = ["AssociationTerms", "Role", "UserIdentity", "UserIdentityKind"]

_MOST_OF_AN_IDENTITY = 60_000
"""Bytes. All user information of a request, roles and the like included, has 65,535 (PS3.8 9.3.2.3)."""


@dataclass(frozen=True, slots=True)
class Role:
    """Which roles we take for a SOP class; without one we are its user only (PS3.7 D.3.3.4)."""

    sop_class_uid: str
    scu: bool = True
    scp: bool = False


class UserIdentityKind(IntEnum):
    """How a user is identified (PS3.7 table D.3-14)."""

    USERNAME = 1
    PASSCODE = 2
    KERBEROS = 3
    SAML = 4
    JWT = 5


@dataclass(frozen=True, slots=True)
class UserIdentity:
    """Who asks: a name, a name with a passcode, or an opaque ticket, assertion or token (PS3.7 D.3.3.7).

    With ``wants_response`` a peer that accepts the association says whether it took the identity. The fields are kept
    out of representations: they are secrets, or name a person.
    """

    kind: UserIdentityKind
    primary: bytes = field(repr=False)
    secondary: bytes = field(default=b"", repr=False)
    wants_response: bool = False

    def __post_init__(self) -> None:
        of_kind(self.kind, UserIdentityKind, "kind")
        if not self.primary:
            raise ValueError("a user identity needs its primary field")
        if bool(self.secondary) != (self.kind is UserIdentityKind.PASSCODE):
            raise ValueError("a passcode, and nothing else, goes into the secondary field")
        if (length := len(self.primary) + len(self.secondary)) > _MOST_OF_AN_IDENTITY:
            raise ValueError(
                f"a user identity of {length} bytes does not fit into an association request, which has room for "
                f"{_MOST_OF_AN_IDENTITY}: take a shorter ticket or token"
            )

    @classmethod
    def username(cls, name: str, passcode: str | None = None, *, wants_response: bool = False) -> UserIdentity:
        """Identify a user by name, and by passcode where one is given; both go as UTF-8."""
        if passcode is None:
            return cls(UserIdentityKind.USERNAME, name.encode(), wants_response=wants_response)
        return cls(UserIdentityKind.PASSCODE, name.encode(), passcode.encode(), wants_response)


@dataclass(frozen=True, slots=True)
class AssociationTerms:
    """Everything that an association request proposes.

    ``extended`` holds, by SOP class UID, the bytes of its Service-class-application-information (PS3.7 D.3.3.5).

    Raises ValueError for what is no UID where one belongs: a request with it can't be written, or the peer closes, and
    either looked like a fault of the peer's.
    """

    proposals: tuple[ContextProposal, ...]
    roles: tuple[Role, ...] = ()
    extended: Mapping[str, bytes] = field(default_factory=dict)
    user_identity: UserIdentity | None = None

    def __post_init__(self) -> None:
        for proposal in self.proposals:
            of_kind(proposal, ContextProposal, "each proposal")
            _check_uid(proposal.sop_class_uid, "the SOP class of a proposed context")
            _check_uid(proposal.transfer_syntax_uid, "the transfer syntax of a proposed context")
        for role in self.roles:
            of_kind(role, Role, "each role")
            _check_uid(role.sop_class_uid, "the SOP class of a role")
        for sop_class_uid in self.extended:
            _check_uid(sop_class_uid, "the SOP class of an extended negotiation")

    def with_identity(self, user_identity: UserIdentity | None) -> AssociationTerms:
        """Return the same terms for another user."""
        return replace(self, user_identity=user_identity)


def _check_uid(value: object, what: str) -> None:
    if not isinstance(value, str) or not is_valid_uid(value):
        raise ValueError(f"{what} is no UID: {value!r}; give digits and dots, 64 characters at most (PS3.5 9.1)")
