"""Listen for HL7 v2 over MLLP: a message is acknowledged when what it says is in the ledger, and not before.

Whatever a sender does costs a connection and some memory at most: their number, the size of a message and the time that
it may take are bounded. No log and no answer says what stood in a message.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import threading
import time
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from hl7.mllp import start_hl7_server
from hl7.mllp.streams import HL7StreamReader, HL7StreamWriter

from gurney.errors import LedgerError
from gurney.ledger import aliases, appointments
from gurney.ledger.appointments import HL7, Change, Expected
from gurney.ledger.database import Ledger, Transaction
from gurney.observability import get_logger
from gurney.pacs.association.connection import keep_alive
from gurney.prefetch.hl7.acknowledgement import Code, Complaint, acknowledge
from gurney.prefetch.hl7.meaning import Cancellation, Lacking, Meaning, SamePatient, interpret, moment
from gurney.prefetch.hl7.message import Message, Unreadable, read_message
from gurney.settings.hl7 import Hl7
from gurney_daemon.received import MESSAGES
from gurney_daemon.receiving.receiver import Health, State

__all__ = ["Hl7Listener"]

_BIND_AGAIN_AFTER: Final = 5.0
_GLANCE: Final = 0.25
# HL7 table 0357.
_SEGMENT_SEQUENCE: Final = 100
_REQUIRED_FIELD_MISSING: Final = 101
_INTERNAL_ERROR: Final = 207

_KIND: Final = re.compile(r"[A-Z]{3}\^[A-Z]\d\d")
# A block (HL7 v2.5.1 appendix C: Minimal Lower Layer Protocol).
_BEGINNING: Final = b"\x0b"
_END: Final = b"\x1c\r"

log = get_logger(__name__)


class Hl7Listener:
    """A thread of the daemon. Any number may listen, on any number of hosts: the ledger takes each message once."""

    name = MESSAGES

    def __init__(self, config: Hl7, ledger: Ledger, zone: ZoneInfo, *, clock: Callable[[], float] = time.time) -> None:
        """Prepare; ``clock`` is the one on the wall, and ``zone`` that of times that don't name theirs."""
        self._config, self._ledger, self._zone, self._clock = config, ledger, zone, clock
        self._networks = [ipaddress.ip_network(one, strict=False) for one in config.accept if one]
        self.health = Health(State.STARTING)
        self._open = 0
        self.port: int | None = None

    def run(self, stop: threading.Event) -> None:
        """Listen until told to stop; an address that is taken is waited for."""
        asyncio.run(self._run(stop))

    async def _run(self, stop: threading.Event) -> None:
        config = self._config
        while not stop.is_set():
            try:
                server = await start_hl7_server(
                    self._serve, config.host, config.port, limit=config.max_message, reuse_address=True
                )
            except OSError as error:
                why = f"port {config.port} of {config.host}: {error.strerror or error}"
                if why != self.health.why:
                    log.error("hl7_not_listening", reason=why)
                    self.health = Health(State.PORT_TAKEN, why, self._clock())
                await _wait(stop, _BIND_AGAIN_AFTER)
                continue
            async with server:
                self.port = server.sockets[0].getsockname()[1]
                log.info("hl7_listening", host=config.host, port=self.port)
                self.health = Health(State.RECEIVING, since=self._clock())
                await _wait(stop)
            self.health = Health(State.STOPPED, since=self._clock())
            return

    async def _serve(self, reader: HL7StreamReader, writer: HL7StreamWriter) -> None:
        """Answer the messages of one connection, in their order."""
        address = str(writer.get_extra_info("peername")[0])
        if not self._may_enter(address) or self._open >= self._config.max_connections:
            log.warning("hl7_turned_away", address=address, connections=self._open)
            writer.close()
            return
        # A sender whose host has gone must not keep its place for ever.
        keep_alive(writer.get_extra_info("socket"))
        self._open += 1
        try:
            await self._converse(reader, writer, address)
        except (ConnectionError, TimeoutError):
            log.warning("hl7_connection_lost", address=address)
        finally:
            self._open -= 1
            writer.close()

    async def _converse(self, reader: HL7StreamReader, writer: HL7StreamWriter, address: str) -> None:
        while True:
            try:
                await _beginning(reader)
                block = await self._in_time(_block(reader))
            except asyncio.IncompleteReadError:
                return
            except ValueError:
                # What is left of it can't be told from what comes after it.
                log.warning("hl7_message_too_long", address=address, limit=self._config.max_message)
                complaint = Complaint("", _SEGMENT_SEQUENCE, f"longer than {self._config.max_message} bytes")
                writer.writeblock(acknowledge(None, Code.REJECT, complaint, self._now()))
                await writer.drain()
                return
            # The ledger may keep us waiting: others shall be served meanwhile.
            answer = await asyncio.get_running_loop().run_in_executor(None, self.take, block, address)
            writer.writeblock(answer)
            await self._in_time(writer.drain())

    async def _in_time(self, work: Coroutine[Any, Any, Any]) -> Any:
        return await asyncio.wait_for(work, self._config.message_timeout)

    def _may_enter(self, address: str) -> bool:
        who = ipaddress.ip_address(address.partition("%")[0])
        who = (who.ipv4_mapped or who) if isinstance(who, ipaddress.IPv6Address) else who
        return not self._networks or any(who in network for network in self._networks)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), self._zone)

    # --- One message --------------------------------------------------------------------------------------------------

    def take(self, block: bytes, address: str = "") -> bytes:
        """Take one message and return its acknowledgement."""
        message = None
        try:
            message = read_message(block, self._config.encoding)
            meanings = interpret(message, self._config, self._zone)
            self._enter(message, meanings)
        except Unreadable as error:
            return self._refuse(message, Code.REJECT, Complaint("MSH^1", _SEGMENT_SEQUENCE, str(error)), address)
        except Lacking as error:
            complaint = Complaint(error.place, _REQUIRED_FIELD_MISSING, str(error))
            return self._refuse(message, Code.ERROR, complaint, address)
        except LedgerError as error:
            log.error("hl7_not_entered", reason=str(error))
            complaint = Complaint("", _INTERNAL_ERROR, "can't be kept now, send it again")
            return self._refuse(message, Code.ERROR, complaint, address)
        return acknowledge(message, Code.ACCEPT, None, self._now())

    def _refuse(self, message: Message | None, code: Code, complaint: Complaint, address: str) -> bytes:
        kind = f"{message.kind}^{message.event}" if message is not None else ""
        kind = kind if _KIND.fullmatch(kind) else ""  # who puts a name there shall not read it in the log
        log.warning("hl7_refused", address=address, kind=kind, place=complaint.place, reason=complaint.words)
        return acknowledge(message, code, complaint, self._now())

    def _enter(self, message: Message, meanings: list[Meaning]) -> None:
        now = self._clock()
        told_at = moment(message.told_at, self._zone)
        told_at = now if told_at is None else told_at
        with self._ledger.read() as conn:
            # A duplicate, of which there may be thousands a day, is no transaction.
            news = [one for one in meanings if not _stands(conn, one, told_at)]
        if news:
            self._ledger.transact(_write, news, told_at, now)


def _stands(conn: Any, meaning: Meaning, told_at: float) -> bool:
    match meaning:
        case Expected():
            return appointments.stands(conn, HL7, meaning, told_at)
        case SamePatient():
            return aliases.are_one(conn, meaning.patient_ids)
        case Cancellation():
            return appointments.is_cancelled(conn, HL7, meaning.key, told_at)


def _write(tx: Transaction, meanings: list[Meaning], told_at: float, now: float) -> None:
    for one in meanings:
        match one:
            case Expected():
                if appointments.note(tx, HL7, one, told_at, now, "hl7") is Change.CHANGED:
                    log.info("appointment_changed")
            case Cancellation():
                withdrawn = appointments.cancel(tx, HL7, one.key, told_at, now, "hl7")
                log.info("appointment_cancelled", retrievals_withdrawn=len(withdrawn))
            case SamePatient():
                if aliases.join(tx, one.patient_ids):
                    # Who is expected may have priors under the other number.
                    appointments.see_again(tx, aliases.known_ids(tx.conn, one.patient_ids), now)


async def _beginning(reader: HL7StreamReader) -> None:
    """Wait for a block, however long that takes; what comes between blocks is no message and not kept."""
    while True:
        try:
            await reader.readuntil(_BEGINNING)
        except asyncio.LimitOverrunError as overrun:
            await reader.readexactly(overrun.consumed)
        else:
            return


async def _block(reader: HL7StreamReader) -> bytes:
    """Read what is in a block that has begun. Raises ValueError for one that is too long."""
    try:
        block: bytes = await reader.readuntil(_END)
    except asyncio.LimitOverrunError as error:
        raise ValueError(str(error)) from None
    # A sender that broke off begins anew: what stands before is half a message, maybe of another patient.
    return block[: -len(_END)].rpartition(_BEGINNING)[2]


async def _wait(stop: threading.Event, seconds: float | None = None) -> None:
    """Wait until told to stop, or for so long."""
    until = None if seconds is None else time.monotonic() + seconds
    while not stop.is_set() and (until is None or time.monotonic() < until):
        await asyncio.sleep(_GLANCE)
