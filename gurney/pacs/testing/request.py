"""A message that came to the fake PACS."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pydicom.dataset import Dataset

from gurney.pacs.testing.acts import Operation
from gurney.pacs.testing.datasets import decode
from gurney.pacs.testing.link import Link, Over
from gurney.pacs.testing.upper_layer import read_command_set

__all__ = ["Message", "Request", "number_of", "read_message", "uid_of"]

_NO_DATA_SET = 0x0101


@dataclass(slots=True)
class Message:
    """One message: the elements of its command set, and its data set; of a C-STORE-RQ only digest and size."""

    context_id: int
    elements: Mapping[int, bytes]
    encoded: bytes = field(default=b"", repr=False)
    digest: str = ""
    size: int = 0

    @property
    def command_field(self) -> int:
        """The Command Field (0000,0100)."""
        return number_of(self.elements, 0x0100)


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked, by whom: ``dataset`` is the identifier or whatever else came with it, empty for nothing."""

    operation: Operation
    sop_class_uid: str
    sop_instance_uid: str
    message_id: int
    context_id: int
    transfer_syntax_uid: str
    calling_ae_title: str
    association: int
    elements: Mapping[int, bytes] = field(repr=False)
    dataset: Dataset = field(repr=False)

    @classmethod
    def of(cls, message: Message, transfer_syntax_uid: str, calling_ae_title: str, association: int) -> Request:
        """Read a message as a request. Raises ValueError for an operation that does not exist."""
        elements = message.elements
        return cls(
            Operation(message.command_field),
            uid_of(elements, 0x0002) or uid_of(elements, 0x0003),
            uid_of(elements, 0x1000) or uid_of(elements, 0x1001),
            number_of(elements, 0x0110),
            message.context_id,
            transfer_syntax_uid,
            calling_ae_title,
            association,
            elements,
            decode(message.encoded, transfer_syntax_uid),
        )

    @property
    def move_destination(self) -> str:
        """The AE title in (0000,0600)."""
        return self.elements.get(0x0600, b"").decode("ascii").strip()


def read_message(
    link: Link, on_command: Callable[[Message], object], on_fragment: Callable[[], object] = lambda: None
) -> Message:
    """Receive one message; ``on_command`` hears of its command set before anything of its data set is read."""
    command = b""
    while True:
        pdv = link.pdv()
        if not pdv.is_command:
            raise Over("lost")
        command += pdv.part
        if pdv.is_last:
            break
    message = Message(pdv.context_id, read_command_set(command))
    on_command(message)
    if number_of(message.elements, 0x0800) == _NO_DATA_SET:
        return message
    is_instance = message.command_field == Operation.C_STORE
    digest, parts = hashlib.sha256(), []
    while True:
        pdv = link.pdv()
        if pdv.is_command:
            raise Over("lost")
        on_fragment()
        message.size += len(pdv.part)
        if is_instance:
            digest.update(pdv.part)
        else:
            parts.append(pdv.part)
        if pdv.is_last:
            message.digest, message.encoded = digest.hexdigest(), b"".join(parts)
            return message


def number_of(elements: Mapping[int, bytes], element: int) -> int:
    """Return a number in a command set, 0 where it is missing."""
    return int.from_bytes(elements.get(element, b""), "little")


def uid_of(elements: Mapping[int, bytes], element: int) -> str:
    """Return a UID in a command set, "" where it is missing."""
    return elements.get(element, b"").rstrip(b"\0 ").decode("ascii")
