"""Everything private to pynetdicom that we touch: the names, and the modules that use them.

pynetdicom negotiates, releases, aborts and times out. Two things that it cannot do are added by the modules of
``WHERE``, the only ones that use its private names: its reactor stops exactly (:class:`PacedAssociation
<gurney.pacs.wire.paced_association.PacedAssociation>`), and its connection can be lent to the wire fast path and given
back with the bytes that were not for us (:class:`WireSocket <gurney.pacs.wire.wire_socket.WireSocket>`).

A test checks that every name in ``PRIVATE_NAMES`` exists in the pynetdicom that is installed.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

from pynetdicom import _config
from pynetdicom.association import Association
from pynetdicom.dimse_messages import DIMSEMessage

__all__ = ["PRIVATE_NAMES", "WHERE", "mend_pdus", "set_log_handlers", "take_datasets_into"]

WHERE = ("seams", "paced_association", "wire_socket")
"""The modules of this room that touch what is listed below."""

PRIVATE_NAMES = {
    "pynetdicom._config": ("LOG_HANDLER_LEVEL",),
    "pynetdicom.association.Association": (
        "_reactor_checkpoint",
        "_is_paused",
        "_kill",
        "_sent_abort",
        "_serve_request",
    ),
    "pynetdicom.dul.DULServiceProvider": ("_decode_pdu", "_idle_timer", "_kill_thread", "_run_loop_delay"),
    "pynetdicom.transport.AssociationSocket": ("_create_socket", "_is_connected", "_ready", "_shutdown_socket"),
}
"""What is overridden, read or set below, by owner: attributes of the class or of an instance of it."""


def set_log_handlers(level: str) -> str:
    """Choose which handlers pynetdicom binds to write PDUs and messages to its log; return the former choice."""
    former, _config.LOG_HANDLER_LEVEL = _config.LOG_HANDLER_LEVEL, level
    return former


def take_datasets_into(assoc: Association, make: Callable[[], BytesIO]) -> None:
    """Let what ``make`` gives take the data set of each message that begins from now on."""
    receive = assoc.dimse.receive_primitive

    def receive_into(primitive: Any) -> None:
        if assoc.dimse.message is None:
            assoc.dimse.message = DIMSEMessage()
            assoc.dimse.message.data_set = make()
        receive(primitive)

    assoc.dimse.receive_primitive = receive_into  # type: ignore[method-assign]  # this instance only


def mend_pdus(assoc: Association, mend: Callable[[bytearray], bytearray]) -> None:
    """Let pynetdicom decode what ``mend`` makes of each PDU that comes."""
    decode = assoc.dul._decode_pdu
    assoc.dul._decode_pdu = lambda bytestream: decode(mend(bytestream))  # type: ignore[method-assign]  # this instance only
