"""What is answered to a message: taken, or not and why (HL7 v2.5.1, 2.9.2). Never with what stood in it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from gurney.prefetch.hl7.message import Message

__all__ = ["Code", "Complaint", "acknowledge"]


_EVENT: Final = re.compile(r"[A-Z]\d\d")


class Code(StrEnum):
    """MSA-1, by table 0008: after AE a sender may try again, after AR the same message never helps."""

    ACCEPT = "AA"
    ERROR = "AE"
    REJECT = "AR"


@dataclass(frozen=True, slots=True)
class Complaint:
    """What is wrong: a place such as ``PID^1^3``, a code of table 0357, and our words."""

    place: str
    code: int
    words: str


def acknowledge(message: Message | None, code: Code, complaint: Complaint | None, now: datetime) -> bytes:
    """Write the acknowledgement of a message; None is one of which not even the header could be read."""
    ours, theirs, message_id, event, version = ("", ""), ("", ""), "", "", "2.5.1"
    if message is not None:
        theirs, ours = (message.header(3), message.header(4)), (message.header(5), message.header(6))
        message_id, event, version = message.message_id, message.event, message.header(12) or version
    stamp = now.strftime("%Y%m%d%H%M%S")
    kind = f"ACK^{event}^ACK" if _EVENT.fullmatch(event) else "ACK"
    lines = [
        f"MSH|^~\\&|{_clean(ours[0])}|{_clean(ours[1])}|{_clean(theirs[0])}|{_clean(theirs[1])}|{stamp}||{kind}"
        f"|{stamp}{now.microsecond:06}|P|{_clean(version)}",
        f"MSA|{code}|{_clean(message_id)}",
    ]
    if complaint is not None:
        severity = "E"
        lines.append(f"ERR||{complaint.place}|{complaint.code}^^HL70357|{severity}||||{_clean(complaint.words)}")
    return "".join(f"{line}\r" for line in lines).encode("utf-8")


def _clean(text: str) -> str:
    """Leave out what would change the structure of our answer."""
    return "".join(char for char in text if char >= " " and char not in "|^~\\&")
