"""One request of the peer's that is no C-STORE, and the steps of its answer."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import ExitStack
from dataclasses import replace

from gurney.pacs.kinds import check_one_of
from gurney.pacs.testing.acts import Break, Counts, Garbage, Operation, Respond, Stall
from gurney.pacs.testing.answers import Answer, Ask, Commit, Find, RequestAct, Retrieve, Send, Step
from gurney.pacs.testing.archive import Archive
from gurney.pacs.testing.errand import errand
from gurney.pacs.testing.holdings import as_held
from gurney.pacs.testing.honest import commit, find, retrieve
from gurney.pacs.testing.link import Over
from gurney.pacs.testing.peer import Peer
from gurney.pacs.testing.request import Message, Request
from gurney.pacs.testing.script import ScriptFailed

__all__ = ["Turn"]

_UNREACHABLE = 0xA702
_PENDING = (0xFF00, 0xFF01)


class Turn:
    """Answer one request by its act."""

    def __init__(self, peer: Peer, message: Message, request: Request, archive: Archive) -> None:
        self._peer, self._message, self._request, self._archive = peer, message, request, archive
        self._counts: Counts | None = None
        self._is_final = False
        self._errand = ExitStack()
        self._courier: Peer | None = None

    def perform(self, act: RequestAct) -> None:
        """Take all steps, or those up to a C-CANCEL that is heeded."""
        on_cancel: Respond | Break | Stall | None = Answer().on_cancel
        if isinstance(act, Answer | Find | Retrieve):
            on_cancel = act.on_cancel
        with self._errand:
            self._walk(self._steps_of(act), on_cancel)
            if isinstance(act, Answer) and not self._is_final:
                # A script that merely forgets its final response would keep whoever asked waiting, and the test with
                # it.
                self._take(self._with_counts(Respond()))

    def _steps_of(self, act: RequestAct) -> Iterable[Step]:
        match act:
            case Answer():
                return self._scripted(act)
            case Find():
                return find(act, self._request, self._archive)
            case Retrieve():
                return retrieve(act, self._request, self._archive)
            case Commit():
                return commit(act, self._request, self._archive)
        return (act,)

    def _scripted(self, answer: Answer) -> Generator[Step, int | None]:
        """Give the steps of somebody's own, each of which may be a mistake of his."""
        status: int | None = None
        try:
            steps = iter(answer.steps(self._request) if callable(answer.steps) else answer.steps)
            while True:
                # A generator hears what became of the step before.
                step = steps.send(status) if isinstance(steps, Generator) and status is not None else next(steps)
                check_one_of(step, Step, "a step of an answer")
                status = yield step
        except StopIteration:
            return
        except GeneratorExit:
            raise
        except Exception as error:  # a user's script, whatever it raises
            raise ScriptFailed(f"the script of {self._request.operation.name} failed: {error}") from error

    def _walk(self, steps: Iterable[Step], on_cancel: Respond | Break | Stall | None) -> None:
        iterator = iter(steps)
        status: int | None = None
        while True:
            try:
                # A generator hears what became of the step before.
                step = (
                    iterator.send(status) if isinstance(iterator, Generator) and status is not None else next(iterator)
                )
            except StopIteration:
                return
            self._peer.hear()
            if self._request.message_id in self._peer.cancelled and on_cancel is not None:
                self._archive.record.cancels += 1
                step, iterator = self._with_counts(on_cancel), iter(())
            status = self._take(step)

    def _take(self, step: Step) -> int | None:
        match step:
            case Respond():
                self._counts = step.counts or self._counts
                self._is_final = self._is_final or step.status not in _PENDING
                self._peer.hesitate(step, self._message.context_id)
                self._peer.respond(step, self._message)
            case Send():
                return self._store(step)
            case Ask():
                return self._peer.ask(step, self._message.context_id)
            case Garbage():
                self._peer.link.send(step.sent)
                self._peer.link.hold()
            case Break() | Stall():
                self._peer.link.suffer(step)
        return None

    def _with_counts(self, step: Respond | Break | Stall) -> Step:
        return replace(step, counts=step.counts or self._counts) if isinstance(step, Respond) else step

    def _store(self, send: Send) -> int:
        """Send an instance where it belongs: a move's to its destination."""
        if self._request.operation is not Operation.C_MOVE:
            return self._peer.store(send)
        try:
            if self._courier is None:
                self._courier = self._errand.enter_context(
                    errand(self._archive, self._request.move_destination, self._pairs(send))
                )
            return self._courier.store(send, (self._request.calling_ae_title, self._request.message_id))
        except (Over, OSError):
            # The next one goes over an association of its own.
            self._courier = None
            self._errand.close()
            return _UNREACHABLE

    def _pairs(self, send: Send) -> list[tuple[str, str]]:
        first = [as_held(send.instance)] if send.instance is not None else []
        return [
            (held.sop_class_uid, held.transfer_syntax_uid)
            for held in (*first, *self._archive.holdings.instances(self._request.dataset))
        ]
