"""Transcode in a process that may die: a codec is a C library, and a broken frame can end the process that decodes it.

The process starts with the first instance that needs a codec, serves one instance at a time, and ends with the program,
or when it takes too long. What crosses its pipes is JSON and the encoded data sets, in both directions alike::

    4 bytes     length of the JSON
    8 bytes     length of the data set
    JSON, data set
"""

from __future__ import annotations

import atexit
import json
import os
import resource
import struct
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass
from typing import IO, Any, Final

from gurney.dicom.codecs import NATIVE_SYNTAXES
from gurney.dicom.errors import CodecMissing, TranscodingError
from gurney.dicom.transcoding import LARGEST, Loss, Transcoded, transcode
from gurney.dicom.uids import EXPLICIT_VR_BIG_ENDIAN

__all__ = ["PATIENCE", "serve", "transcode_apart"]

PATIENCE: Final = 300.0
"""Seconds that one instance may take."""

_HEAD: Final = struct.Struct(">IQ")
_UNCOMPRESSED: Final = NATIVE_SYNTAXES | {EXPLICIT_VR_BIG_ENDIAN}
_ROOM: Final = 4 << 30
"""Bytes of address space for the interpreter and its libraries."""
_COPIES: Final = 6
"""Of the decoded pixel data, that may exist at once."""


def transcode_apart(
    encoded: bytes, source: str, target: str, *, loss: Loss | None = None, largest: int = LARGEST
) -> Transcoded:
    """Do as :func:`gurney.dicom.transcoding.transcode` does, in a process apart where a codec is needed.

    Raises as that does, and TranscodingError where the codec crashed, or took longer than :data:`PATIENCE`.
    """
    if source in _UNCOMPRESSED and target in NATIVE_SYNTAXES:
        return transcode(encoded, source, target, loss=loss, largest=largest)
    asked = _Asked(source, target, largest, loss.ratio if loss else None, loss.near if loss else None)
    return _Process.current().ask(asked, encoded)


@dataclass(frozen=True, slots=True)
class _Asked:
    source: str
    target: str
    largest: int
    ratio: float | None
    near: int | None

    @property
    def loss(self) -> Loss | None:
        return None if self.ratio is None or self.near is None else Loss(self.ratio, self.near)


class _Process:
    """The process, from outside. One thread asks at a time; a fork makes one of its own."""

    _current: _Process | None = None
    _choosing = threading.Lock()

    def __init__(self) -> None:
        self._owner = os.getpid()
        self._asking = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def current(cls) -> _Process:
        """Return this process's."""
        with cls._choosing:
            if cls._current is None or cls._current._owner != os.getpid():
                cls._current = cls()
                atexit.register(cls._current.end)
            return cls._current

    @classmethod
    def forget(cls) -> None:
        """Leave it to the parent, in a child that has just been forked: neither its locks nor its process are ours."""
        cls._choosing = threading.Lock()
        if cls._current is not None and cls._current._process is not None:
            # Nobody shall wait for a process that is not a child of this one.
            cls._current._process.returncode = 0
        cls._current = None

    def ask(self, asked: _Asked, encoded: bytes) -> Transcoded:
        """Have one instance transcoded."""
        with self._asking:
            process = self._running()
            is_late = threading.Event()

            def give_up() -> None:
                is_late.set()
                process.kill()

            watch = threading.Timer(PATIENCE, give_up)
            watch.daemon = True
            watch.start()
            try:
                if process.stdin is None or process.stdout is None:
                    raise AssertionError("it has pipes")
                _write(process.stdin, asdict(asked), encoded)
                answer, result = _read(process.stdout)
            except (OSError, EOFError) as error:
                self._end()
                why = f"took more than {PATIENCE:g} seconds" if is_late.is_set() else "crashed: is the file broken?"
                raise TranscodingError(f"the codec {why}") from error
            except BaseException:  # interrupted in the middle: what would be answered next answers this one
                self._end()
                raise
            finally:
                watch.cancel()
        if "error" in answer:
            raise (CodecMissing if answer["missing"] else TranscodingError)(answer["error"])
        return Transcoded(result, answer["sop_instance_uid"])

    def end(self) -> None:
        """End it; nothing happens if it was inherited from a parent, whose it is."""
        if self._owner == os.getpid():
            with self._asking:
                self._end()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    # What was still in its buffer has nowhere to go.
                    continue

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is not None:
            self._end()
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-c", "from gurney.dicom.apart import serve; serve()"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                start_new_session=True,  # a Ctrl+C is for the program, which ends it
            )
        return self._process


os.register_at_fork(after_in_child=_Process.forget)


def serve() -> None:
    """Be the process: answer until nobody asks any more."""
    source, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    # A codec that prints would spoil the answer.
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)
    while True:
        try:
            question, encoded = _read(source)
        except EOFError:
            return
        asked = _Asked(**question)
        _bound(asked.largest)
        try:
            result = transcode(encoded, asked.source, asked.target, loss=asked.loss, largest=asked.largest)
        except TranscodingError as error:
            _write(answers, {"error": str(error), "missing": isinstance(error, CodecMissing)}, b"")
        except MemoryError:
            _write(answers, {"error": "there is not enough memory to transcode it", "missing": False}, b"")
        else:
            _write(answers, {"sop_instance_uid": result.sop_instance_uid}, result.encoded)


def _bound(largest: int) -> None:
    """Let a codec that wants too much fail, before the host ends something else for it."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = _ROOM + _COPIES * largest
    resource.setrlimit(resource.RLIMIT_AS, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


def _write(pipe: IO[bytes], said: dict[str, Any], encoded: bytes) -> None:
    text = json.dumps(said).encode()
    pipe.write(_HEAD.pack(len(text), len(encoded)))
    pipe.write(text)
    pipe.write(encoded)
    pipe.flush()


def _read(pipe: IO[bytes]) -> tuple[dict[str, Any], bytes]:
    head = _exactly(pipe, _HEAD.size)
    text, encoded = _HEAD.unpack(head)
    said: dict[str, Any] = json.loads(_exactly(pipe, text))
    return said, _exactly(pipe, encoded)


def _exactly(pipe: IO[bytes], count: int) -> bytes:
    data = pipe.read(count)
    if len(data) < count:
        raise EOFError
    return data
