"""Ask for an association (PS3.8 7.1): pynetdicom negotiates, on a connection of ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from pydicom.uid import UID
from pynetdicom.ae import ApplicationEntity
from pynetdicom.pdu_primitives import (
    SCP_SCU_RoleSelectionNegotiation,
    SOPClassExtendedNegotiation,
    UserIdentityNegotiation,
)
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.transport import AddressInformation

from gurney.dicom.ae_titles import check_ae_title
from gurney.dicom.presentation import ContextProposal, context_id
from gurney.dicom.uids import is_valid_uid
from gurney.pacs.contexts import ContextResult, NegotiatedContext, NegotiatedContexts
from gurney.pacs.errors import BadResponse, ClosedAtRequest
from gurney.pacs.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from gurney.pacs.remote import RemoteAE
from gurney.pacs.terms import AssociationTerms, Role
from gurney.pacs.wire.paced_association import PacedAssociation
from gurney.pacs.wire.transport import Transport
from gurney.pacs.wire.witness import Witness

__all__ = ["Identity", "Negotiated", "negotiate"]

SHORTEST_USABLE_PDU = 8
"""A PDV's header takes 6 bytes of it and its data must be even (PS3.8 D.1, E.1)."""


@dataclass(frozen=True, slots=True)
class Identity:
    """How we introduce ourselves (PS3.7 D.3.3.2). Raises ValueError for what can't be written into a request."""

    calling_ae_title: str
    implementation_class_uid: str = IMPLEMENTATION_CLASS_UID
    implementation_version_name: str = IMPLEMENTATION_VERSION_NAME

    def __post_init__(self) -> None:
        check_ae_title(self.calling_ae_title)
        uid, name = self.implementation_class_uid, self.implementation_version_name
        if not isinstance(uid, str) or not is_valid_uid(uid):
            raise ValueError(f"implementation_class_uid {uid!r} is no UID: give digits and dots (PS3.5 9.1)")
        if not isinstance(name, str) or not 1 <= len(name) <= 16 or not (name.isascii() and name.isprintable()):
            raise ValueError(
                f"implementation_version_name {name!r} must have 1 to 16 printable ASCII characters (PS3.7 D.3.3.2.3)"
            )


@dataclass(frozen=True, slots=True)
class Negotiated:
    """An association as it was answered. ``max_pdu`` is the peer's limit (PS3.8 D.1), 0 for none.

    ``roles`` are those that the peer accepted, by SOP class; ``extended`` is its answer to extended negotiation, and
    holds no class that it does not know; ``identity_response`` is its answer to a user identity that asked for one.
    """

    assoc: PacedAssociation
    witness: Witness
    contexts: NegotiatedContexts
    max_pdu: int
    roles: Mapping[str, Role] = field(default_factory=dict)
    extended: Mapping[str, bytes] = field(default_factory=dict)
    identity_response: bytes | None = field(default=None, repr=False)


def negotiate(connection: Transport, remote: RemoteAE, identity: Identity, terms: AssociationTerms) -> Negotiated:
    """Associate over a connection, which is closed again if nothing comes of it.

    A peer that refuses every context still gives an answer, with the association already ended: look at
    ``contexts.any_accepted``.

    Raises a refinement of :class:`~gurney.pacs.errors.AssociationFailure`.
    """
    with ExitStack() as undo:
        undo.callback(connection.close)
        try:
            address = AddressInformation.from_tuple(connection.getpeername())
        except OSError as error:
            raise connection.failure or ClosedAtRequest(
                str(remote), "connection reset by the peer", "a peer that is restarting, or a firewall"
            ) from error
        # pynetdicom looks at their values now: there is nothing to be undone yet.
        items = list(_items(terms))
        requested = [_requested(context_id(place), proposal) for place, proposal in enumerate(terms.proposals)]
        assoc = PacedAssociation(_entity(remote, identity), connection)
        undo.pop_all()
    witness = Witness(assoc, str(remote), is_secured=remote.tls is not None)
    assoc.name = f"association with {remote.ae_title}"
    assoc.acceptor.ae_title = remote.ae_title
    assoc.acceptor.address_info = address
    assoc.requestor.ae_title = identity.calling_ae_title
    assoc.requestor.maximum_length = remote.max_pdu
    # Of itself pynetdicom takes over the class UID only.
    assoc.requestor.implementation_version_name = identity.implementation_version_name
    assoc.requestor.requested_contexts = requested
    for item in items:
        assoc.requestor.add_negotiation_item(item)
    assoc.request()
    if assoc.is_established:
        assoc.start()
    contexts = _answers(assoc, terms.proposals)
    if not assoc.is_established:
        assoc.dispose()
        if not contexts.all or contexts.any_accepted:
            raise witness.refusal()
        return Negotiated(assoc, witness, contexts, 0)
    max_pdu = assoc.acceptor.maximum_length
    if max_pdu is None:
        max_pdu = remote.max_pdu
    if 0 < max_pdu < SHORTEST_USABLE_PDU:
        assoc.end()
        raise BadResponse(f"{remote} takes PDUs of {max_pdu} bytes at most: too short to carry anything")
    return Negotiated(
        assoc,
        witness,
        contexts,
        max_pdu,
        {
            str(uid): Role(str(uid), scu=bool(item.scu_role), scp=bool(item.scp_role))
            for uid, item in assoc.acceptor.role_selection.items()
        },
        {str(uid): answer for uid, answer in assoc.acceptor.sop_class_extended.items()},
        assoc.acceptor.user_identity.server_response if assoc.acceptor.user_identity is not None else None,
    )


def _entity(remote: RemoteAE, identity: Identity) -> ApplicationEntity:
    ae = ApplicationEntity(identity.calling_ae_title)
    ae.implementation_class_uid = identity.implementation_class_uid
    ae.implementation_version_name = identity.implementation_version_name
    ae.connection_timeout = remote.timeouts.connect
    ae.acse_timeout = remote.timeouts.acse
    ae.dimse_timeout = remote.timeouts.store
    ae.network_timeout = remote.timeouts.network
    return ae


def _items(
    terms: AssociationTerms,
) -> Iterator[SCP_SCU_RoleSelectionNegotiation | SOPClassExtendedNegotiation | UserIdentityNegotiation]:
    """Give what the user information holds besides the contexts (PS3.7 D.3.3)."""
    for role in terms.roles:
        selection = SCP_SCU_RoleSelectionNegotiation()
        selection.sop_class_uid = UID(role.sop_class_uid)
        selection.scu_role, selection.scp_role = role.scu, role.scp
        yield selection
    for sop_class_uid, information in terms.extended.items():
        extended = SOPClassExtendedNegotiation()
        extended.sop_class_uid = UID(sop_class_uid)
        extended.service_class_application_information = information
        yield extended
    if terms.user_identity is not None:
        user = UserIdentityNegotiation()
        user.user_identity_type = int(terms.user_identity.kind)
        user.positive_response_requested = terms.user_identity.wants_response
        user.primary_field = terms.user_identity.primary
        if terms.user_identity.secondary:
            user.secondary_field = terms.user_identity.secondary
        yield user


def _requested(number: int, proposal: ContextProposal) -> PresentationContext:
    context = build_context(proposal.sop_class_uid, [proposal.transfer_syntax_uid])
    context.context_id = number
    return context


def _answers(assoc: PacedAssociation, proposals: Sequence[ContextProposal]) -> NegotiatedContexts:
    """Pair each proposal with its answer; without any answer there are no contexts."""
    answers = {context.context_id: context for context in [*assoc.accepted_contexts, *assoc.rejected_contexts]}
    contexts = []
    for place, proposal in enumerate(proposals):
        answer = answers.get(context_id(place))
        if answer is not None:
            contexts.append(
                NegotiatedContext(
                    context_id(place),
                    proposal.sop_class_uid,
                    proposal.transfer_syntax_uid,
                    _result(answer, proposal),
                )
            )
    return NegotiatedContexts(contexts)


def _result(answer: PresentationContext, proposal: ContextProposal) -> ContextResult:
    """Read one answer. A context that was accepted in another syntax than the proposed one is of no use."""
    syntax = str(answer.transfer_syntax[0]) if answer.transfer_syntax else ""
    if answer.result == ContextResult.ACCEPTED and syntax != proposal.transfer_syntax_uid:
        return ContextResult.TRANSFER_SYNTAXES_NOT_SUPPORTED
    known = {int(result): result for result in ContextResult}
    return known.get(-1 if answer.result is None else answer.result, ContextResult.NO_REASON)
