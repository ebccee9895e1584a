"""Speak to a Valkey or Redis server on a unix socket, without a client: is it well, and if it is a stray, end it."""

from __future__ import annotations

import os
import signal
import socket
import struct
from typing import Final

from gurney.errors import BrokerError

__all__ = ["answers", "evict"]

_PEER_CREDENTIALS: Final = struct.Struct("iII")  # struct ucred: pid, uid, gid (unix(7))


def answers(path: str, timeout: float) -> bool:
    """Tell whether a server on ``path`` answers a PING within ``timeout`` seconds.

    A connection alone proves nothing: the kernel accepts it for a server that is stopped or still loading.
    """
    try:
        with _connect(path, timeout) as line:
            line.sendall(b"PING\r\n")
            return line.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def evict(path: str, timeout: float) -> int | None:
    """End the server that holds ``path`` and remove its socket; give its process id, or None when nobody held it.

    For a server that outlived its owner, so call it only while holding the owner's lock. It keeps nothing on disk and
    may be hung, hence SIGKILL. Raises :class:`BrokerError` when it belongs to another user or won't end.
    """
    try:
        line = _connect(path, timeout)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ConnectionRefusedError:
        os.unlink(path)
        return None
    except OSError as error:
        raise BrokerError(f"a server on {path} can't be reached to be replaced: {error.strerror or error}") from error
    with line:
        # The kernel names the process that listens: no pid file that may be stale.
        pid, uid, _ = _PEER_CREDENTIALS.unpack(
            line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER_CREDENTIALS.size)
        )
        if uid != os.geteuid():
            raise BrokerError(f"{path} is held by process {pid} of user {uid}, which is not ours to end")
        if pid <= 1:  # zero is a process that this one can't see, and to kill() would mean ourselves
            raise BrokerError(f"{path} is held by a process of another container: stop it there")
        try:
            os.kill(pid, signal.SIGKILL)
            while line.recv(64):  # until the kernel closes what the dead process held
                pass
        except (ConnectionResetError, ProcessLookupError):
            pass
        except TimeoutError as error:
            raise BrokerError(f"process {pid}, which holds {path}, did not end within {timeout:g} s") from error
    os.unlink(path)
    return int(pid)


def _connect(path: str, timeout: float) -> socket.socket:
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    line.settimeout(timeout)
    try:
        line.connect(path)
    except OSError:
        line.close()
        raise
    return line
