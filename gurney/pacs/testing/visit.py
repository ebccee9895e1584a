"""One connection to a fake PACS, from its association request to its end."""

from __future__ import annotations

import hashlib
import socket
import struct
import time
from collections.abc import Mapping
from contextlib import suppress

from gurney.pacs.testing.record import Record, Stored
from gurney.pacs.testing.script import (
    Accept,
    Break,
    Garbage,
    Gate,
    How,
    InPlaceOfAccept,
    InstanceAct,
    Reject,
    Respond,
    Script,
    Stall,
    When,
)
from gurney.pacs.testing.upper_layer import (
    RELEASE_RP,
    RELEASE_RQ,
    Proposed,
    abort,
    accept,
    command_set,
    p_data,
    read_associate_rq,
    read_command_set,
    reject,
)

__all__ = ["Visit"]

_C_STORE_RQ, _C_ECHO_RQ = 0x0001, 0x0030
_NO_DATA_SET = struct.pack("<H", 0x0101)
_WRONG_CONTEXT_ID = 251
_GLANCE = 0.02


class _Over(Exception):
    def __init__(self, ending: str) -> None:
        super().__init__(ending)
        self.ending = ending


class Visit:
    """Serve one association by the script."""

    def __init__(self, connection: socket.socket, script: Script, record: Record, limit: int, pace: float) -> None:
        self._socket = connection
        self._stream = connection.makefile("rb", buffering=1 << 18)
        self._script = script
        self._record = record
        self._limit = limit
        self._pace = pace
        self._number = 0
        self._is_cut = False
        self._contexts: Mapping[int, tuple[str, str]] = {}
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def serve(self) -> None:
        """Run to the end of the connection."""
        guests = self._record.enter()
        ending = "lost"
        try:
            self._associate(guests)
            while True:
                self._message()
        except _Over as over:
            ending = over.ending
        except (OSError, ValueError):
            pass  # cut by us, or reset by the peer
        finally:
            self._record.leave(ending)
            self._stream.close()
            self._socket.close()

    def cut(self) -> None:
        """Reset the connection from another thread, so that :meth:`serve` ends."""
        self._is_cut = True
        with suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._socket.shutdown(socket.SHUT_RDWR)

    # --- The association ----------------------------------------------------------------------------------------------

    def _associate(self, guests: int) -> None:
        kind, body = self._pdu()
        if kind != 0x01:
            raise _Over("lost")
        request = read_associate_rq(body)
        self._number, act = self._script.next_association()
        if self._limit and guests > self._limit:
            act = Reject(2, 3, 2)
        if isinstance(act, Reject):
            self._socket.sendall(reject(act.result, act.source, act.reason))
            raise _Over("rejected")
        if isinstance(act, InPlaceOfAccept):
            self._refuse(act)
            return
        self._wait_at(act.gate)
        time.sleep(act.delay)
        answer, self._contexts = accept(request, act.max_pdu, lambda context: _judge(act, context))
        self._socket.sendall(answer)

    def _refuse(self, act: InPlaceOfAccept) -> None:
        match act:
            case InPlaceOfAccept.SILENCE:
                self._hold()
            case InPlaceOfAccept.HALF_AN_ANSWER:
                self._socket.sendall(b"\x02\x00\x00\x00\x01\x00\x00\x01")
                self._hold()
            case InPlaceOfAccept.GARBAGE:
                self._socket.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                self._hold()
            case InPlaceOfAccept.ABORT:
                self._end(How.ABORT)
            case InPlaceOfAccept.RESET:
                self._end(How.RESET)
            case InPlaceOfAccept.CLOSE:
                self._end(How.CLOSE)

    # --- Messages -----------------------------------------------------------------------------------------------------

    def _message(self) -> None:
        """Receive one message and act on it."""
        command = b""
        act: InstanceAct | None = None
        digest, size = hashlib.sha256(), 0
        request: dict[int, bytes] = {}
        while True:
            for context_id, control, part in self._pdvs():
                if control & 1:
                    command += part
                    if not control & 2:
                        continue
                    request = read_command_set(command)
                    if _number(request.get(0x0100)) != _C_STORE_RQ:
                        self._answer_other(context_id, request)
                        return
                    act = self._script.next_instance(_uid(request.get(0x1000, b"")))
                    self._interrupt(act, When.BEFORE)
                    continue
                if act is None:
                    raise _Over("lost")
                self._interrupt(act, When.MIDDLE)
                digest.update(part)
                size += len(part)
                if control & 2:
                    self._answer(act, context_id, request, digest.hexdigest(), size)
                    return

    def _answer(self, act: InstanceAct, context_id: int, request: dict[int, bytes], digest: str, size: int) -> None:
        self._interrupt(act, When.AFTER)
        if isinstance(act, Garbage):
            self._socket.sendall(act.sent)
            self._hold()
        respond = act if isinstance(act, Respond) else Respond()
        self._wait_at(respond.gate)
        if respond.delay:
            time.sleep(respond.delay)
        if respond.ask_first:
            self._socket.sendall(p_data(context_id, command_set({0x0002: b"1.2.840.10008.1.1\0", **_echo_rq()})))
        encoded = self._response(respond, context_id, request)
        is_honest = not respond.wrong_message_id and not respond.wrong_context_id and respond.status is not None
        if is_honest and respond.status is not None and _is_stored(respond.status):
            sop_class_uid, transfer_syntax_uid = self._contexts[context_id]
            sop_instance_uid = _uid(request.get(0x1000, b""))
            self._record.store(
                Stored(sop_instance_uid, sop_class_uid, transfer_syntax_uid, digest, size, respond.status, self._number)
            )
        if respond.drip:
            for byte in encoded:
                self._socket.sendall(bytes((byte,)))
                time.sleep(respond.drip)
        else:
            self._socket.sendall(encoded)
        self._interrupt(act, When.ANSWERED)

    def _response(self, respond: Respond, context_id: int, request: dict[int, bytes]) -> bytes:
        message_id = _number(request.get(0x0110)) or 0
        elements = {
            0x0002: request.get(0x0002, b""),
            0x0100: struct.pack("<H", 0x8001),
            0x0120: struct.pack("<H", message_id ^ 0x0100 if respond.wrong_message_id else message_id),
            0x0800: _NO_DATA_SET,
            0x1000: request.get(0x1000, b""),
        }
        if respond.status is not None:
            elements[0x0900] = struct.pack("<H", respond.status)
        if respond.comment:
            text = respond.comment.encode("ascii")
            elements[0x0902] = text + b" " * (len(text) % 2)
        if respond.offending_elements:
            elements[0x0901] = b"".join(
                struct.pack("<HH", tag >> 16, tag & 0xFFFF) for tag in respond.offending_elements
            )
        answered = _WRONG_CONTEXT_ID if respond.wrong_context_id else context_id
        return p_data(answered, command_set(elements), respond.pdvs, one_pdu=respond.one_pdu)

    def _answer_other(self, context_id: int, request: dict[int, bytes]) -> None:
        """Answer a C-ECHO; take note of no other message."""
        if _number(request.get(0x0100)) == _C_ECHO_RQ:
            elements = {
                0x0002: request.get(0x0002, b""),
                0x0100: struct.pack("<H", 0x8030),
                0x0120: request.get(0x0110, b"\0\0"),
                0x0800: _NO_DATA_SET,
                0x0900: struct.pack("<H", 0),
            }
            self._socket.sendall(p_data(context_id, command_set(elements)))

    def _wait_at(self, gate: Gate | None) -> None:
        while gate is not None and not gate.arrive(_GLANCE):
            if self._is_cut:
                raise _Over("lost")

    # --- Ends and interruptions ---------------------------------------------------------------------------------------

    def _interrupt(self, act: InstanceAct, when: When) -> None:
        if isinstance(act, Stall) and act.when is when:
            self._hold()
        if isinstance(act, Break) and act.when is when:
            self._end(act.how, act.source, act.reason)

    def _end(self, how: How, source: int = 0, reason: int = 0) -> None:
        if how is How.RELEASE:
            self._socket.sendall(RELEASE_RQ)
            self._hold()
        if how in (How.ABORT, How.ABORT_AND_STAY):
            self._socket.sendall(abort(source, reason))
        if how is How.ABORT_AND_STAY:
            self._hold()
        if how is How.RESET:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise _Over("ended by the script")

    def _hold(self) -> None:
        """Keep the connection open without reading, until the peer has closed it or we are stopped."""
        self._socket.settimeout(_GLANCE)
        while True:
            time.sleep(_GLANCE)
            state = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
            if state != _ESTABLISHED:
                raise _Over(self._parting())

    def _parting(self) -> str:
        """Tell from what the peer left behind whether it aborted."""
        with suppress(OSError):
            while chunk := self._socket.recv(1 << 16):
                if chunk.endswith(abort(0, 0)) or chunk.endswith(abort(2, 0)):
                    return "aborted"
        return "lost"

    # --- Bytes --------------------------------------------------------------------------------------------------------

    def _pdvs(self) -> list[tuple[int, int, bytes]]:
        """Receive one P-DATA-TF; other PDUs end the visit."""
        kind, body = self._pdu()
        if kind == 0x05:
            self._socket.sendall(RELEASE_RP)
            raise _Over("released")
        if kind == 0x07:
            raise _Over("aborted")
        if kind != 0x04:
            raise _Over("lost")
        pdvs, at = [], 0
        while at < len(body):
            length, context_id, control = struct.unpack_from(">IBB", body, at)
            pdvs.append((context_id, control, body[at + 6 : at + 4 + length]))
            at += 4 + length
        return pdvs

    def _pdu(self) -> tuple[int, bytes]:
        kind, _, length = struct.unpack(">BBI", self._read(6))
        if kind == 0x04:
            self._record.note_pdu(length)
            if self._pace:
                time.sleep(length / self._pace)
        return kind, self._read(length)

    def _read(self, length: int) -> bytes:
        data: bytes | None = self._stream.read(length)
        if data is None or len(data) < length:
            raise _Over("lost")
        return data


_ESTABLISHED = 1
"""TCP_ESTABLISHED, the first byte of Linux's struct tcp_info."""


def _judge(act: Accept, context: Proposed) -> tuple[int, str]:
    syntax = act.other_syntax or context.transfer_syntaxes[0]
    pair = (context.abstract_syntax, context.transfer_syntaxes[0])
    return act.refuse.get(pair, act.refuse.get(context.abstract_syntax, 0)), syntax


def _is_stored(status: int) -> bool:
    return status in (0x0000, 0x0001, 0x0107, 0x0116) or status >> 12 == 0xB


def _echo_rq() -> dict[int, bytes]:
    return {0x0100: struct.pack("<H", _C_ECHO_RQ), 0x0110: struct.pack("<H", 7), 0x0800: _NO_DATA_SET}


def _number(value: bytes | None) -> int | None:
    return int.from_bytes(value, "little") if value else None


def _uid(value: bytes) -> str:
    return value.rstrip(b"\0 ").decode("ascii")
