"""From a request to what goes out: its context, its bytes, and what listeners want otherwise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Self

from pydicom.dataset import Dataset

from gurney.pacs.carriers import StoreCommand
from gurney.pacs.contexts import NegotiatedContext, NegotiatedContexts
from gurney.pacs.dataset import decode_dataset, encode_dataset
from gurney.pacs.events import BeforeCStore, Events, Skip, StoreChange
from gurney.pacs.instance import EncodedDataset, InstanceFile, Payload, StoreRequest, UnusableFileError
from gurney.pacs.remote import RemoteAE
from gurney.pacs.response import Awaited
from gurney.transfer.outcomes import Event, EventKind

__all__ = ["Preparation", "RefusedRequestError"]


class RefusedRequestError(Exception):
    """Report a request that fails by itself, with the event that says why."""

    def __init__(self, event: Event) -> None:
        super().__init__(event.detail)
        self.event = event

    @classmethod
    def of(cls, kind: EventKind, detail: str, *, result: int | None = None) -> Self:
        """Make the event."""
        return cls(Event(kind, result=result, detail=detail))


class Preparation:
    """Prepare the requests of one association."""

    def __init__(
        self,
        remote: RemoteAE,
        contexts: NegotiatedContexts,
        events: Events,
        next_message_id: Callable[[], int],
    ) -> None:
        self._remote = remote
        self._contexts = contexts
        self._events = events
        self._next_message_id = next_message_id
        self.is_stopped = False

    def prepare(self, request: StoreRequest) -> tuple[StoreCommand, Payload]:
        """Find the context, open the file, ask the listeners. Raises :class:`RefusedRequestError`."""
        context = self._context(request)
        command = StoreCommand(
            request.sop_class_uid,
            request.sop_instance_uid,
            request.priority,
            Awaited(self._next_message_id(), context.context_id),
        )
        payload = _open(request)
        if not self._events.before_c_store:
            return command, payload
        try:
            return self._ask(request, command, payload)
        except BaseException:  # whatever a listener raises goes on; the file is nobody's then
            payload.close()
            raise

    def _context(self, request: StoreRequest) -> NegotiatedContext:
        context = self._contexts.find(request.sop_class_uid, request.transfer_syntax_uid)
        if context is None:
            raise RefusedRequestError.of(EventKind.NO_CONTEXT, "its presentation context was never proposed")
        if not context.is_accepted:
            raise RefusedRequestError.of(EventKind.NO_CONTEXT, context.result.words, result=int(context.result))
        return context

    def _ask(self, request: StoreRequest, command: StoreCommand, payload: Payload) -> tuple[StoreCommand, Payload]:
        event = BeforeCStore(
            remote=self._remote,
            request=request,
            context_id=command.awaited.context_id,
            message_id=command.awaited.message_id,
            priority=command.priority,
            decode=lambda: decode_dataset(payload.read(), request.transfer_syntax_uid),
        )
        try:
            event = self._events.before_c_store.ask(event, _changed)
            changed = _encode(event.dataset, request) if event.dataset is not None else None
        except Exception as error:  # a listener's failure, of whatever kind, is this item's
            # Only its type: a message may quote the data set.
            raise RefusedRequestError.of(EventKind.VETOED, f"before_c_store raised {type(error).__name__}") from error
        if event.skip is not Skip.NOTHING:
            self.is_stopped = event.skip is Skip.ALL
            raise RefusedRequestError.of(EventKind.VETOED, "skipped by a listener")
        command = command._replace(priority=event.priority)
        if changed is None or event.dataset is None:
            return command, payload
        payload.close()
        return command._replace(sop_instance_uid=str(event.dataset.SOPInstanceUID)), changed


def _open(request: StoreRequest) -> Payload:
    if request.dataset is None:
        try:
            return InstanceFile(request)
        except UnusableFileError as error:
            raise RefusedRequestError(error.event) from error
    try:
        return _encode(request.dataset, request)
    except ValueError as error:
        raise RefusedRequestError.of(EventKind.VETOED, str(error)) from error


def _encode(dataset: Dataset, request: StoreRequest) -> EncodedDataset:
    if str(dataset.SOPClassUID) != request.sop_class_uid:
        raise ValueError("the data set is of another SOP class than its request")
    return EncodedDataset(encode_dataset(dataset, request.transfer_syntax_uid))


def _changed(event: BeforeCStore, change: StoreChange) -> BeforeCStore:
    """Apply one listener's change, so that the next one decodes what this one made."""
    if change.dataset is not None:
        dataset = change.dataset
        event = replace(event, dataset=dataset, decode=lambda: dataset)
    if change.priority is not None:
        event = replace(event, priority=change.priority)
    return replace(event, skip=change.skip) if change.skip is not Skip.NOTHING else event
