"""One connection to a fake PACS, from its association request to its end."""

from __future__ import annotations

import socket
import time

from gurney.pacs.testing.acts import (
    Accept,
    Break,
    Garbage,
    How,
    InPlaceOfAccept,
    InstanceAct,
    Operation,
    Reject,
    Respond,
    Stall,
    When,
)
from gurney.pacs.testing.answers import RequestAct
from gurney.pacs.testing.archive import Archive
from gurney.pacs.testing.link import Link, Over
from gurney.pacs.testing.peer import Peer
from gurney.pacs.testing.record import Stored
from gurney.pacs.testing.request import Message, Request, read_message, uid_of
from gurney.pacs.testing.script import Script, ScriptFailed
from gurney.pacs.testing.turn import Turn
from gurney.pacs.testing.upper_layer import Proposed, accept, read_associate_rq, reject

__all__ = ["Visit"]


class Visit:
    """Serve one association by the script."""

    def __init__(self, connection: socket.socket, script: Script, archive: Archive, limit: int, pace: float) -> None:
        self._link = Link(connection, pace)
        self._peer = Peer(self._link, {})
        self._script = script
        self._archive = archive
        self._record = archive.record
        self._limit = limit
        self._number = 0
        self._calling_ae_title = ""
        self._act: InstanceAct | RequestAct | None = None

    def serve(self) -> None:
        """Run to the end of the connection."""
        guests = self._record.enter()
        ending = "lost"
        try:
            self._associate(guests)
            while True:
                self._serve_message()
        except Over as over:
            ending = over.ending
        except ScriptFailed as failure:
            self._record.fail(failure)
        except (OSError, ValueError):
            pass  # cut by us, or reset by the peer
        finally:
            self._record.note_pdu(self._link.longest_pdu)
            self._record.leave(ending)
            self._link.close()

    def cut(self) -> None:
        """Reset the connection from another thread, so that :meth:`serve` ends."""
        self._link.cut()

    # --- The association ----------------------------------------------------------------------------------------------

    def _associate(self, guests: int) -> None:
        kind, body = self._link.pdu()
        if kind != 0x01:
            raise Over("lost")
        request = read_associate_rq(body)
        self._calling_ae_title = request.calling_ae_title
        self._number, act = self._script.next_association()
        if self._limit and guests > self._limit:
            act = Reject(2, 3, 2)
        if isinstance(act, Reject):
            self._link.send(reject(act.result, act.source, act.reason))
            raise Over("rejected")
        if isinstance(act, InPlaceOfAccept):
            self._refuse(act)
            return
        self._link.wait_at(act.gate)
        time.sleep(act.delay)
        answer, contexts = accept(request, act.max_pdu, lambda context: _judge(act, context))
        self._peer = Peer(self._link, contexts, request.max_pdu)
        self._link.on_release = act.release
        self._link.send(answer)

    def _refuse(self, act: InPlaceOfAccept) -> None:
        match act:
            case InPlaceOfAccept.SILENCE:
                self._link.hold()
            case InPlaceOfAccept.HALF_AN_ANSWER:
                self._link.send(b"\x02\x00\x00\x00\x01\x00\x00\x01")
                self._link.hold()
            case InPlaceOfAccept.GARBAGE:
                self._link.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                self._link.hold()
            case InPlaceOfAccept.ABORT:
                self._link.suffer(Break(How.ABORT))
            case InPlaceOfAccept.RESET:
                self._link.suffer(Break(How.RESET))
            case InPlaceOfAccept.CLOSE:
                self._link.suffer(Break(How.CLOSE))

    # --- Messages -----------------------------------------------------------------------------------------------------

    def _serve_message(self) -> None:
        """Receive one message, or take one that waits, and act on it; responses and late cancels ask for nothing."""
        self._act = None
        if self._peer.waiting:
            message = self._peer.waiting.popleft()
            self._begin(message)
            self._interrupt(When.MIDDLE)
        else:
            message = read_message(self._link, self._begin, lambda: self._interrupt(When.MIDDLE))
        self._record.note_pdu(self._link.longest_pdu)
        if self._act is None:
            return
        self._interrupt(When.AFTER)
        if isinstance(self._act, Garbage):
            self._link.send(self._act.sent)
            self._link.hold()
        if message.command_field == Operation.C_STORE:
            self._answer_store(message)
        else:
            self._answer(message)
        self._interrupt(When.ANSWERED)

    def _begin(self, message: Message) -> None:
        """Choose what is done with a message whose command set has come, at least."""
        field = message.command_field
        if field == Operation.C_CANCEL:
            self._record.cancels += 1
        elif field == Operation.C_STORE:
            self._act = self._script.next_instance(uid_of(message.elements, 0x1000))
        elif field in set(Operation):
            sop_class_uid = uid_of(message.elements, 0x0002) or uid_of(message.elements, 0x0003)
            self._act = self._script.next_request(Operation(field), sop_class_uid)
        self._interrupt(When.BEFORE)

    def _answer_store(self, message: Message) -> None:
        respond = self._act if isinstance(self._act, Respond) else Respond()
        self._peer.hesitate(respond, message.context_id)
        if respond.is_honest and respond.status is not None and _is_stored(respond.status):
            sop_class_uid, transfer_syntax_uid = self._peer.contexts[message.context_id]
            self._record.store(
                Stored(
                    uid_of(message.elements, 0x1000),
                    sop_class_uid,
                    transfer_syntax_uid,
                    message.digest,
                    message.size,
                    respond.status,
                    self._number,
                )
            )
        self._peer.respond(respond, message)

    def _answer(self, message: Message) -> None:
        _, transfer_syntax_uid = self._peer.contexts[message.context_id]
        request = Request.of(message, transfer_syntax_uid, self._calling_ae_title, self._number)
        self._record.ask(request)
        act = self._act
        if act is None or isinstance(act, Break | Stall):
            # The act comes after the answer, which is an honest one.
            act = self._script.honest(request.operation, request.sop_class_uid)
        Turn(self._peer, message, request, self._archive).perform(act)

    def _interrupt(self, when: When) -> None:
        if isinstance(self._act, Break | Stall) and self._act.when is when:
            self._link.suffer(self._act)


def _judge(act: Accept, context: Proposed) -> tuple[int, str]:
    syntax = act.other_syntax or context.transfer_syntaxes[0]
    pair = (context.abstract_syntax, context.transfer_syntaxes[0])
    return act.refuse.get(pair, act.refuse.get(context.abstract_syntax, 0)), syntax


def _is_stored(status: int) -> bool:
    return status in (0x0000, 0x0001, 0x0107, 0x0116) or status >> 12 == 0xB
