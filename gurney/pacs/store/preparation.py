"""From a request to what goes out: its context, its bytes, and what listeners want otherwise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from pydicom.dataset import Dataset

from gurney.dicom.uids import is_valid_uid
from gurney.pacs.contexts import NegotiatedContexts
from gurney.pacs.hooks import WrongAnswer
from gurney.pacs.kinds import WrongKind
from gurney.pacs.remote import RemoteAE
from gurney.pacs.store.compression import NATIVE, Compression
from gurney.pacs.store.conversion import Outbound, Ways
from gurney.pacs.store.events import BeforeCStore, Skip, StoreChange, StoreEvents
from gurney.pacs.store.refusals import HELD_BACK, RefusedRequestError
from gurney.pacs.wire.carriers import StoreCommand
from gurney.pacs.wire.dataset import decode_dataset, encode_dataset
from gurney.pacs.wire.instance import EncodedDataset, InstanceFile, Payload, StoreRequest, UnusableFileError
from gurney.pacs.wire.response import Awaited
from gurney.transfer.outcomes import EventKind

__all__ = ["Preparation", "PreparedRequest"]


class PreparedRequest(NamedTuple):
    """What is to be sent for a request, and in which transfer syntax."""

    command: StoreCommand
    payload: Payload
    transfer_syntax_uid: str


class Preparation:
    """Prepare the requests of one association."""

    def __init__(
        self,
        remote: RemoteAE,
        contexts: NegotiatedContexts,
        events: StoreEvents,
        next_message_id: Callable[[], int],
        compression: Compression = NATIVE,
    ) -> None:
        self._remote = remote
        self._ways = Ways(contexts, compression)
        self._events = events
        self._next_message_id = next_message_id
        self.is_stopped = False

    def prepare(self, request: StoreRequest) -> PreparedRequest:
        """Find the context, open the file, transcode it if it must be, ask the listeners.

        Raises RefusedRequestError.
        """
        ways = self._ways.of(request)
        payload = _open(request)
        try:
            outbound = self._ways.convert(request, ways, payload)
        except UnusableFileError as error:
            payload.close()
            raise RefusedRequestError(error.event) from error
        except BaseException:  # whatever it is goes on; the file is nobody's then
            payload.close()
            raise
        command = StoreCommand(
            request.sop_class_uid,
            outbound.sop_instance_uid,
            request.priority,
            Awaited(self._next_message_id(), outbound.context.context_id),
        )
        if not self._events.before_c_store:
            return PreparedRequest(command, outbound.payload, outbound.context.transfer_syntax_uid)
        try:
            return self._ask(request, command, outbound)
        except BaseException:  # whatever a listener raises goes on; the file is nobody's then
            outbound.payload.close()
            raise

    def _ask(self, request: StoreRequest, command: StoreCommand, outbound: Outbound) -> PreparedRequest:
        payload, syntax = outbound.payload, outbound.context.transfer_syntax_uid
        event = BeforeCStore(
            remote=self._remote,
            request=request,
            context_id=command.awaited.context_id,
            message_id=command.awaited.message_id,
            priority=command.priority,
            decode=lambda: decode_dataset(payload.read(), syntax),
        )
        try:
            event = self._events.before_c_store.ask(event, _changed)
        except WrongAnswer as error:
            raise RefusedRequestError.of(EventKind.VETOED, str(error)) from error
        except WrongKind as error:
            raise RefusedRequestError.of(EventKind.VETOED, f"a listener of before_c_store: {error}") from error
        except Exception as error:  # a listener's failure, of whatever kind, is this item's
            # Only its type: a message may quote the data set.
            raise RefusedRequestError.of(EventKind.VETOED, f"before_c_store raised {type(error).__name__}") from error
        if event.skip is not Skip.NOTHING:
            self.is_stopped = event.skip is Skip.ALL
            raise RefusedRequestError(HELD_BACK)
        command = command._replace(priority=event.priority)
        if event.dataset is None:
            return PreparedRequest(command, payload, syntax)
        try:
            changed = _encode(event.dataset, request.sop_class_uid, syntax)
        except ValueError as error:
            raise RefusedRequestError.of(EventKind.VETOED, f"before_c_store returned what can't go: {error}") from error
        payload.close()
        return PreparedRequest(command._replace(sop_instance_uid=str(event.dataset.SOPInstanceUID)), changed, syntax)


def _open(request: StoreRequest) -> Payload:
    if request.dataset is None:
        try:
            return InstanceFile(request)
        except UnusableFileError as error:
            raise RefusedRequestError(error.event) from error
    try:
        return _encode(request.dataset, request.sop_class_uid, request.transfer_syntax_uid)
    except ValueError as error:
        raise RefusedRequestError.of(EventKind.UNFIT, str(error)) from error


def _encode(dataset: Dataset, sop_class_uid: str, transfer_syntax_uid: str) -> EncodedDataset:
    for keyword in ("SOPClassUID", "SOPInstanceUID"):
        if not is_valid_uid(str(dataset.get(keyword, ""))):
            raise ValueError(f"the data set has no {keyword}")
    if str(dataset.SOPClassUID) != sop_class_uid:
        raise ValueError("the data set is of another SOP class than its request")
    return EncodedDataset(encode_dataset(dataset, transfer_syntax_uid))


def _changed(event: BeforeCStore, change: StoreChange) -> BeforeCStore:
    """Apply one listener's change, so that the next one decodes what this one made."""
    if change.dataset is not None:
        dataset = change.dataset
        event = replace(event, dataset=dataset, decode=lambda: dataset)
    if change.priority is not None:
        event = replace(event, priority=change.priority)
    return replace(event, skip=change.skip) if change.skip is not Skip.NOTHING else event
