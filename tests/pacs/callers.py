"""What calls a listener in its tests: by pynetdicom, by our own SCUs, and by bytes that no toolkit would send."""

from __future__ import annotations

import socket
import struct

from pynetdicom import AE
from pynetdicom.association import Association

from gurney.pacs import Listener, RemoteAE, Scu, Timeouts
from gurney.pacs.testing.upper_layer import Proposed, associate, command_set
from tests.pacs.conftest import CT, EXPLICIT

__all__ = ["VERIFICATION", "at", "caller", "connected", "echoes", "established", "is_cut", "store_command"]

VERIFICATION = "1.2.840.10008.1.1"


def at(listener: Listener, ae_title: str = "GURNEY") -> RemoteAE:
    return RemoteAE(ae_title, "127.0.0.1", listener.port, Timeouts(acse=20, store=20))


def echoes(listener: Listener) -> bool:
    return Scu("FRIEND").verify(at(listener)).is_success


def caller(listener: Listener, *classes: str, syntaxes: tuple[str, ...] = (EXPLICIT,)) -> Association:
    ae = AE("FRIEND")
    for uid in classes:
        ae.add_requested_context(uid, list(syntaxes))
    return ae.associate("127.0.0.1", listener.port, ae_title="GURNEY")


def connected(listener: Listener) -> socket.socket:
    return socket.create_connection(("127.0.0.1", listener.port), timeout=20)


def established(listener: Listener, sop_class_uid: str = CT) -> socket.socket:
    peer = connected(listener)
    peer.sendall(associate("GURNEY", "FRIEND", [Proposed(1, sop_class_uid, (EXPLICIT,))], ()))
    assert peer.recv(1 << 16)[:1] == b"\x02"
    return peer


def is_cut(peer: socket.socket) -> bool:
    """Wait until the other side closes or aborts; what it says before that is read away."""
    try:
        while peer.recv(1 << 16):
            pass
    except ConnectionError:
        pass
    return True


def store_command(sop_instance_uid: str, sop_class_uid: str = CT) -> bytes:
    def uid(text: str) -> bytes:
        return text.encode() + b"\0" * (len(text) % 2)

    return command_set(
        {
            0x0002: uid(sop_class_uid),
            0x0100: struct.pack("<H", 1),
            0x0110: struct.pack("<H", 1),
            0x0700: struct.pack("<H", 0),
            0x0800: struct.pack("<H", 1),
            0x1000: uid(sop_instance_uid),
        }
    )
