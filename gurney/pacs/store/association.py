"""An association of a Storage SCU: instances go out one after another, each with its result (PS3.4 B.2)."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sized
from dataclasses import replace
from typing import NamedTuple

from gurney.pacs.association.association import Association
from gurney.pacs.association.negotiation import Negotiated
from gurney.pacs.errors import AssociationEnded, AssociationFailure
from gurney.pacs.progress import Progress
from gurney.pacs.remote import RemoteAE
from gurney.pacs.several import several
from gurney.pacs.store.compression import NATIVE, Compression
from gurney.pacs.store.events import AfterCStore, StoreEvents
from gurney.pacs.store.preparation import Preparation
from gurney.pacs.store.refusals import RefusedRequestError, held_back
from gurney.pacs.throttle import Throttle
from gurney.pacs.wire.carriers import Carrier, FastCarrier, PlainCarrier, Prepared
from gurney.pacs.wire.instance import StoreRequest, StoreResult, UnusableFileError
from gurney.pacs.wire.response import Response
from gurney.transfer.outcomes import Event, EventKind

__all__ = ["StoreAssociation"]

# What most responses are.
_STORED = Event(EventKind.RESPONSE, status=0)


class _Ready(NamedTuple):
    """A request that is ready to go out."""

    request: StoreRequest
    sop_instance_uid: str
    transfer_syntax_uid: str
    prepared: Prepared

    def result(self, event: Event, seconds: float, response: Response | None = None) -> StoreResult:
        """Return what came of it; the bytes count only once they were answered."""
        if response is None:
            return StoreResult(
                self.request,
                event,
                self.sop_instance_uid,
                seconds=seconds,
                transfer_syntax_uid=self.transfer_syntax_uid,
            )
        return StoreResult(
            self.request,
            event,
            self.sop_instance_uid,
            response.status,
            response.comment,
            response.offending_elements,
            self.prepared.size,
            seconds,
            self.transfer_syntax_uid,
        )

    def neighbour(self) -> StoreResult:
        """Return the result of a request that was never sent, because its association ended."""
        self.prepared.payload.close()
        return self.result(Event(EventKind.NEIGHBOUR), 0.0)


class _Raised(NamedTuple):
    """What the caller's own requests raised in place of the next."""

    error: Exception


_Step = _Ready | StoreResult | _Raised | None


class StoreAssociation(Association):
    """An association that stores. Get one from :meth:`gurney.pacs.StoreScu.associate`."""

    _events: StoreEvents

    def __init__(
        self,
        remote: RemoteAE,
        negotiated: Negotiated,
        events: StoreEvents,
        progress: Progress,
        *,
        fast_path: bool,
        compression: Compression = NATIVE,
        throttle: Throttle | None = None,
    ) -> None:
        super().__init__(remote, negotiated, events, progress, fast_path=fast_path)
        self._carrier: Carrier | None = None
        self._preparation = Preparation(remote, self.contexts, events, self.next_message_id, compression)
        if self._is_over:
            return
        patience = remote.timeouts.store
        if fast_path:
            self._carrier = FastCarrier(self._assoc, self._witness, negotiated.max_pdu, patience, progress, throttle)
        else:
            self._carrier = PlainCarrier(self._assoc, self._witness, patience, progress, throttle)

    def store(self, requests: Iterable[StoreRequest]) -> Iterator[StoreResult]:
        """Send instances in order and yield the result of each (C-STORE, PS3.7 9.1.1).

        The requests are taken lazily: the next one while the peer works on the one before, no more. Each request taken
        has one result. A request that fails by itself (its context refused, its file missing or changed, vetoed by a
        listener) has a result that says so, and the association goes on. When a result is yielded nothing is in
        flight, so the iteration may stop there: end the requests to stop it without loss. What they raise comes to the
        caller after the results of those taken before, and the association stays usable. After a listener's
        ``Skip.ALL`` nothing is opened or sent: those that are left of a collection have a result that ``is_skipped``,
        and from an iterator, which may be endless, no more is taken.

        When the association fails, the instance in flight has a result with ``event.in_flight``; it may or may not be
        stored. One that was taken but not sent has a NEIGHBOUR. Then the failure is raised, a refinement of
        :class:`~gurney.pacs.errors.AssociationFailure`. If the peer refused every context, each request is answered
        with that refusal and nothing is raised.
        """
        with self._busy():
            carrier = self._carrier
            if carrier is None:
                yield from self._refuse_all(requests)
                return
            self._preparation.is_stopped = False
            following = iter(several(requests, "store", "use StoreScu.store() for a file or a data set"))
            with carrier:
                yield from self._store_all(carrier, following)
            if self._preparation.is_stopped and isinstance(requests, Sized):
                yield from map(self._told, map(held_back, following))

    def _let_go(self) -> None:
        super()._let_go()
        if self._carrier is not None:
            self._carrier.leave()

    def _store_all(self, carrier: Carrier, requests: Iterator[StoreRequest]) -> Iterator[StoreResult]:
        step = self._take(carrier, requests)
        while step is not None:
            if isinstance(step, _Raised):
                raise step.error
            if isinstance(step, StoreResult):
                yield self._told(step)
                step = self._take(carrier, requests)
                continue
            result, following, failure = self._exchange(carrier, step, requests)
            yield self._told(result)
            if failure is not None:
                if isinstance(following, _Ready):
                    following = following.neighbour()
                if isinstance(following, StoreResult):
                    yield self._told(following)
                if isinstance(following, _Raised):
                    raise failure from following.error
                raise failure
            step = following

    def _take(self, carrier: Carrier, requests: Iterator[StoreRequest]) -> _Step:
        """Take one request and make it ready, or say why it can't be."""
        try:
            request = None if self._preparation.is_stopped else next(requests, None)
        except Exception as error:  # noqa: BLE001  (the caller's own, of whatever kind, waits for what is in flight)
            return _Raised(error)
        if request is None:
            return None
        self._progress.mark()
        try:
            command, payload, syntax = self._preparation.prepare(request)
        except RefusedRequestError as error:
            return error.result(request)
        try:
            return _Ready(request, command.sop_instance_uid, syntax, carrier.prepare(command, payload))
        except UnusableFileError as error:
            payload.close()
            return StoreResult(request, error.event, command.sop_instance_uid)

    def _exchange(
        self, carrier: Carrier, current: _Ready, requests: Iterator[StoreRequest]
    ) -> tuple[StoreResult, _Step, AssociationFailure | None]:
        """Send one instance and take the next while its response is awaited: its result, the next, what failed."""
        following: _Step = None
        is_sent = is_answered = False
        begun = time.monotonic()
        try:
            with self._on_wire:
                self._check_open()
                carrier.check_quiet()
                is_sent = True
                carrier.send(current.prepared)
            following = self._take(carrier, requests)
            with self._on_wire:
                response = carrier.receive(current.prepared)
            is_answered = True
        except AssociationFailure as failure:
            self._end(failure)
            lost = replace(failure.event, in_flight=True) if is_sent else Event(EventKind.NEIGHBOUR)
            return current.result(lost, time.monotonic() - begun), following, failure
        except UnusableFileError as error:
            ended = AssociationEnded("a file failed while it was sent, and a message begun can only be aborted")
            self._end(ended)
            return current.result(error.event, time.monotonic() - begun), following, ended
        finally:
            current.prepared.payload.close()
            if not is_answered:
                # A signal may have come in between: what is in flight then stays unanswered for good.
                self._end(AssociationEnded("left with a request unanswered"))
        event = _STORED
        if response.status or response.comment:
            event = Event(EventKind.RESPONSE, status=response.status, comment=response.comment)
        return current.result(event, time.monotonic() - begun, response), following, None

    def _refuse_all(self, requests: Iterable[StoreRequest]) -> Iterator[StoreResult]:
        """Answer each request with why its context was refused, when none was accepted."""
        for request in requests:
            try:
                self._preparation.prepare(request)
            except RefusedRequestError as error:
                yield self._told(error.result(request))

    def _told(self, result: StoreResult) -> StoreResult:
        if self._events.after_c_store:
            self._events.after_c_store.tell(AfterCStore(self.remote, result))
        return result
