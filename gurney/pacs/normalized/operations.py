"""The DIMSE-N services on any association: create, set, get, act on and delete a SOP instance (PS3.7 10.1)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from io import BytesIO

from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pynetdicom.dimse_primitives import N_ACTION, N_CREATE, N_DELETE, N_GET, N_SET

from gurney.dicom.status import Category, Service, categorise
from gurney.dicom.uids import is_valid_uid
from gurney.pacs.association.association import Association
from gurney.pacs.association.normalized_events import (
    AfterNormalized,
    BeforeNormalized,
    NormalizedChange,
    NormalizedResult,
)
from gurney.pacs.errors import AssociationEnded, BadResponse, InvalidAttributes, OperationFailed
from gurney.pacs.hooks import AfterHook, BeforeHook
from gurney.pacs.wire.dataset import decode_dataset, encode_dataset

__all__ = ["NormalizedServices"]

_Request = N_CREATE | N_SET | N_GET | N_ACTION | N_DELETE


class NormalizedServices:
    """Ask for DIMSE-N services on an association; one at a time, as for everything on it.

    Where instances of one SOP class are managed in the context of another, as all those of print management are in
    the context of a Meta SOP class (PS3.4 H.3.2), ``context_class_uid`` names that other.

    Every method returns what the peer answered with success or a warning. Each raises OperationFailed for an answer
    of failure, a refinement of AssociationFailure for an association that ends (ContextRefused among them, and
    DimseTimeout after ``Timeouts.normalized`` seconds without a sign of life), ValueError for attributes that can't be
    encoded, a tag, an action type or a UID that is none, InvalidAttributes where a listener changes a request that has
    nothing to change, and whatever a listener of a before-event raises.
    """

    def __init__(self, association: Association, context_class_uid: str | None = None) -> None:
        self.association = association
        self._context_class_uid = context_class_uid

    def n_create(
        self, sop_class_uid: str, sop_instance_uid: str | None = None, attributes: Dataset | None = None
    ) -> NormalizedResult:
        """Create a SOP instance (PS3.7 10.1.5); without a UID the peer makes one, which the result tells."""
        return self._ask(Service.N_CREATE, sop_class_uid, sop_instance_uid or "", attributes)

    def n_set(self, sop_class_uid: str, sop_instance_uid: str, modifications: Dataset) -> NormalizedResult:
        """Change attributes of a SOP instance (PS3.7 10.1.3)."""
        return self._ask(Service.N_SET, sop_class_uid, sop_instance_uid, modifications)

    def n_get(self, sop_class_uid: str, sop_instance_uid: str, tags: Sequence[int] = ()) -> NormalizedResult:
        """Get attributes of a SOP instance, all of them if none is named (PS3.7 10.1.2)."""
        try:
            asked = [Tag(tag) for tag in tags]
        except (OverflowError, TypeError) as error:
            raise ValueError("'tags' holds something that is not an attribute's tag, such as 0x00100010") from error
        return self._ask(Service.N_GET, sop_class_uid, sop_instance_uid, None, tags=asked)

    def n_action(
        self, sop_class_uid: str, sop_instance_uid: str, action_type_id: int, information: Dataset | None = None
    ) -> NormalizedResult:
        """Have an action done on a SOP instance (PS3.7 10.1.4); its types are the SOP class's own, 0 to 65535."""
        if action_type_id not in range(1 << 16):
            raise ValueError(f"{action_type_id!r} is no action type ID: a whole number from 0 to 65535")
        return self._ask(Service.N_ACTION, sop_class_uid, sop_instance_uid, information, action_type_id=action_type_id)

    def n_delete(self, sop_class_uid: str, sop_instance_uid: str) -> NormalizedResult:
        """Delete a SOP instance (PS3.7 10.1.6)."""
        return self._ask(Service.N_DELETE, sop_class_uid, sop_instance_uid, None)

    def _ask(
        self,
        service: Service,
        sop_class_uid: str,
        sop_instance_uid: str,
        attributes: Dataset | None,
        *,
        tags: Sequence[int] = (),
        action_type_id: int | None = None,
    ) -> NormalizedResult:
        if not is_valid_uid(sop_instance_uid) and (sop_instance_uid or service is not Service.N_CREATE):
            raise ValueError(f"{sop_instance_uid!r} is no UID of a SOP instance")
        association = self.association
        before, after = self._hooks(service)
        asked = before.ask(
            BeforeNormalized(association.remote, service, sop_class_uid, sop_instance_uid, attributes, action_type_id),
            _otherwise,
        )
        context = association.context_for(self._context_class_uid or sop_class_uid)
        request = _request(asked, tags)
        if asked.attributes:  # one without an element can't be told from none: it has no bytes
            _carry(request, BytesIO(encode_dataset(asked.attributes, context.transfer_syntax_uid)))
        result: NormalizedResult | None = None
        status: int | None = None
        try:
            with closing(
                association.converse(request, context.sop_class_uid, association.remote.timeouts.normalized)
            ) as responses:
                response = next(responses, None)
            if response is None:
                # It was cancelled from another thread; N services have no C-CANCEL, so the association is over.
                raise association.failure or AssociationEnded("cancelled")
            status = response.Status or 0
            if categorise(status) not in {Category.SUCCESS, Category.WARNING}:
                raise OperationFailed(service, status, str(response.ErrorComment or ""), error_id=response.ErrorID)
            result = _result(asked, response, context.transfer_syntax_uid)
            return result
        finally:
            after.tell(
                AfterNormalized(
                    association.remote,
                    service,
                    sop_class_uid,
                    result.sop_instance_uid if result is not None else sop_instance_uid,
                    status,
                    result.attributes if result is not None else None,
                    action_type_id,
                )
            )

    def _hooks(
        self, service: Service
    ) -> tuple[BeforeHook[BeforeNormalized, NormalizedChange], AfterHook[AfterNormalized]]:
        events = self.association.events
        return {
            Service.N_CREATE: (events.before_n_create, events.after_n_create),
            Service.N_SET: (events.before_n_set, events.after_n_set),
            Service.N_GET: (events.before_n_get, events.after_n_get),
            Service.N_ACTION: (events.before_n_action, events.after_n_action),
            Service.N_DELETE: (events.before_n_delete, events.after_n_delete),
        }[service]


def _otherwise(asked: BeforeNormalized, change: NormalizedChange) -> BeforeNormalized:
    """Apply the change of a listener. Raises InvalidAttributes where the request carries nothing to change."""
    if asked.service in {Service.N_GET, Service.N_DELETE}:
        hook = f"before_{asked.service.lower().replace('-', '_')}"
        raise InvalidAttributes(
            f"an {asked.service}",
            [f"it carries no attributes, and a listener of {hook} returned some: return None, or raise"],
        )
    return replace(asked, attributes=change.attributes)


def _request(asked: BeforeNormalized, tags: Sequence[int]) -> _Request:
    """Make the request, but for its data set."""
    if asked.service is Service.N_CREATE:
        create = N_CREATE()
        create.AffectedSOPClassUID = asked.sop_class_uid
        create.AffectedSOPInstanceUID = asked.sop_instance_uid or None
        return create
    request: N_SET | N_GET | N_ACTION | N_DELETE
    if asked.service is Service.N_GET:
        request = N_GET()
        request.AttributeIdentifierList = [Tag(tag) for tag in tags] or None
    elif asked.service is Service.N_ACTION:
        request = N_ACTION()
        request.ActionTypeID = asked.action_type_id
    else:
        request = N_SET() if asked.service is Service.N_SET else N_DELETE()
    request.RequestedSOPClassUID = asked.sop_class_uid
    request.RequestedSOPInstanceUID = asked.sop_instance_uid
    return request


def _carry(request: _Request, encoded: BytesIO) -> None:
    match request:
        case N_CREATE():
            request.AttributeList = encoded
        case N_SET():
            request.ModificationList = encoded
        case N_ACTION():
            request.ActionInformation = encoded


def _result(asked: BeforeNormalized, response: _Request, transfer_syntax_uid: str) -> NormalizedResult:
    """Read an answer that is no failure. Raises BadResponse for one that is not about what was asked."""
    affected = str(response.AffectedSOPInstanceUID or "")
    if asked.sop_instance_uid and affected and affected != asked.sop_instance_uid:
        raise BadResponse(f"an {asked.service} response about another SOP instance")
    if not (affected or asked.sop_instance_uid):
        raise BadResponse("an N-CREATE response that does not say which SOP instance was created")
    match response:
        case N_ACTION():
            encoded = response.ActionReply
        case N_DELETE():
            encoded = None
        case _:
            encoded = response.AttributeList
    try:
        encoded_bytes = encoded.getvalue() if encoded is not None else b""
        attributes = decode_dataset(encoded_bytes, transfer_syntax_uid) if encoded_bytes else None
    except Exception as error:  # the parser raises of every kind at what is no data set
        raise BadResponse(f"an {asked.service} response with attributes that can't be decoded") from error
    tags = getattr(response, "AttributeIdentifierList", None) or ()
    return NormalizedResult(
        asked.service,
        response.Status or 0,
        asked.sop_class_uid,
        affected or asked.sop_instance_uid,
        attributes,
        str(response.ErrorComment or ""),
        (int(tags),) if isinstance(tags, int) else tuple(int(tag) for tag in tags),
    )
