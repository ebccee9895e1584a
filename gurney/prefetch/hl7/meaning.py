"""What a message means for prefetch: an appointment, a cancellation, patient IDs that are one patient's, or nothing.

Hospitals use the fields as they like; so where what stands is configuration (``[hl7.fields]``). What each message and
order control code does is in HL7 v2.5.1, chapters 3 (ADT), 4 (ORM, OMI) and 10 (SIU).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

from gurney.errors import GurneyError
from gurney.ledger.appointments import Expected
from gurney.prefetch.hl7.message import Message, Segment
from gurney.settings.hl7 import Hl7

__all__ = ["Cancellation", "Lacking", "Meaning", "SamePatient", "interpret", "moment"]

_ORDERS: Final = frozenset({"ORM", "OMI", "OMG"})
_NEW: Final = frozenset({"NW", "SN", "XO", "XX", "SC", "RP", "RO", "PA", "CH", "RF"})
_WITHDRAWN: Final = frozenset({"CA", "OC", "CR", "DC", "OD", "DR", "UC"})
_SCHEDULED: Final = frozenset({"S12", "S13", "S14"})
_UNSCHEDULED: Final = frozenset({"S15", "S16", "S17", "S26"})
_MERGES: Final = frozenset({"A18", "A30", "A34", "A36", "A39", "A40"})
_UPDATES: Final = frozenset({"A01", "A04", "A05", "A08", "A28", "A31"})
_LONGEST_KEY: Final = 128


class Lacking(GurneyError):
    """Report a message without what it must have; ``place`` is where that should stand, such as ``PID^1^3``."""

    permanent = True

    def __init__(self, place: str, words: str) -> None:
        super().__init__(words)
        self.place = place


@dataclass(frozen=True, slots=True)
class Cancellation:
    """An order or appointment that is no more."""

    key: str


@dataclass(frozen=True, slots=True)
class SamePatient:
    """Patient IDs that are one patient's."""

    patient_ids: tuple[str, ...] = field(repr=False)


Meaning = Expected | Cancellation | SamePatient


def interpret(message: Message, config: Hl7, zone: ZoneInfo) -> list[Meaning]:
    """Say what follows from a message, in order; nothing for what is none of our business. Raises Lacking."""
    reader = _Reader(config, zone)
    if message.kind in _ORDERS:
        return list(reader.orders(message.segments))
    if message.kind == "SIU":
        return list(reader.schedule(message))
    if message.kind == "ADT" and message.event in _MERGES:
        return list(reader.merges(message.segments))
    if message.kind == "ADT" and message.event in _UPDATES:
        return list(reader.same_patient(message.segments))
    return []


def moment(text: str, zone: ZoneInfo) -> float | None:
    """Read a time stamp (HL7 v2.5.1, 2.A.22), in ``zone`` unless it names its own; None for what is none."""
    digits, sign, offset = text, "", ""
    for mark in "+-":
        if mark in text:
            digits, sign, offset = text.partition(mark)
    digits = digits.partition(".")[0].strip()
    try:
        if len(digits) < 8:
            return None
        at = datetime.strptime(digits[:14].ljust(14, "0"), "%Y%m%d%H%M%S").replace(tzinfo=zone)
        if sign:
            ahead = timedelta(hours=int(offset[:2]), minutes=int(offset[2:4] or 0))
            at = at.replace(tzinfo=timezone(ahead if sign == "+" else -ahead))
    except ValueError:
        return None
    return at.timestamp()


class _Reader:
    """Reads by one configuration."""

    def __init__(self, config: Hl7, zone: ZoneInfo) -> None:
        self._fields, self._zone = config.fields, zone
        self._types, self._issuers = frozenset(config.id_types), frozenset(config.id_issuers)

    def orders(self, segments: Sequence[Segment]) -> Iterator[Meaning]:
        """Read each order of a message: it begins with its ORC; what stands before the first is for all."""
        starts = [n for n, segment in enumerate(segments) if segment.name == "ORC"]
        if not starts:
            raise Lacking("ORC^1", "there is no ORC segment")
        shared = segments[: starts[0]]
        yield from self.same_patient(shared)
        for begin, end in pairwise([*starts, len(segments)]):
            group = [*shared, *segments[begin:end]]
            control = next(segments[begin].texts(1))
            if control in _WITHDRAWN:
                yield Cancellation(self._key(group, "ORC^1^2"))
            elif control in _NEW:
                yield self._appointment(group, "ORC^1^2")

    def schedule(self, message: Message) -> Iterator[Meaning]:
        """Read an appointment."""
        if message.event in _UNSCHEDULED:
            yield Cancellation(self._key(message.segments, "SCH^1^1"))
        elif message.event in _SCHEDULED:
            yield from self.same_patient(message.segments)
            yield self._appointment(message.segments, "SCH^1^1")

    def merges(self, segments: Sequence[Segment]) -> Iterator[Meaning]:
        """Read which IDs were merged: each MRG belongs to the PID before it."""
        survivor: list[Segment] = []
        seen = False
        for segment in segments:
            if segment.name == "PID":
                survivor = [segment]
            elif segment.name == "MRG":
                seen = True
                named, prior = any(segment.texts(1)), self._counting(segment, 1)
                ids = tuple(dict.fromkeys([*self._patient_ids(survivor), *prior]))
                if prior and len(ids) > 1:
                    yield SamePatient(ids)
                elif not survivor or not named or not (self._types or self._issuers):
                    raise Lacking("MRG^1^1", "it does not name two patient IDs to merge")
        if not seen:
            raise Lacking("MRG^1", "there is no MRG segment")

    def same_patient(self, segments: Iterable[Segment]) -> Iterator[Meaning]:
        """Read the IDs of a patient, where there are several."""
        ids = self._patient_ids(segments)
        if len(ids) > 1:
            yield SamePatient(ids)

    def _appointment(self, group: Sequence[Segment], key_place: str) -> Expected:
        ids = self._patient_ids(group)
        if not ids:
            raise Lacking("PID^1^3", "there is no patient ID")
        scheduled = self._first(group, self._fields.scheduled)
        return Expected(
            self._key(group, key_place),
            ids,
            moment(scheduled, self._zone),
            self._first(group, self._fields.accession)[:64],
            self._first(group, self._fields.study_instance_uid)[:64],
            self._first(group, self._fields.procedure_code)[:64],
            self._first(group, self._fields.description)[:256],
            self._first(group, self._fields.modality)[:16],
        )

    def _key(self, group: Sequence[Segment], place: str) -> str:
        key = self._first(group, self._fields.order)
        if not key:
            raise Lacking(place, "nothing tells this order from others")
        return key[:_LONGEST_KEY]

    def _patient_ids(self, segments: Iterable[Segment]) -> tuple[str, ...]:
        known = [segment for segment in segments if segment.name in {place[:3] for place in self._fields.patient_id}]
        found: dict[str, None] = {}
        for place in self._fields.patient_id:
            name, number, component, subcomponent = _parts(place)
            for segment in (one for one in known if one.name == name):
                found |= dict.fromkeys(self._counting(segment, number, component, subcomponent))
            if found and not self._types and number == 3:
                break  # PID-2 and PID-4 are what older messages have in its place
        return tuple(found)

    def _counting(self, segment: Segment, number: int, component: int = 1, subcomponent: int = 1) -> list[str]:
        """Return the IDs of a field that are of a type and an issuer that count.

        These stand beside the ID in what is an extended composite ID (CX), as PID-3 is; other fields may lack them.
        """
        repetitions = zip(
            segment.texts(number, component, subcomponent),
            segment.texts(number, 4),
            segment.texts(number, 5),
            strict=True,
        )
        may_lack = number != 3
        return [
            text[:256]
            for text, issuer, kind in repetitions
            if text and _counts(issuer, self._issuers, may_lack) and _counts(kind, self._types, may_lack)
        ]

    def _first(self, group: Sequence[Segment], places: Iterable[str]) -> str:
        for place in places:
            name, *where = _parts(place)
            for segment in group:
                if segment.name == name and (text := next(segment.texts(*where))):
                    return text
        return ""


def _counts(text: str, wanted: frozenset[str], may_lack: bool) -> bool:
    return not wanted or text in wanted or (may_lack and not text)


def _parts(place: str) -> tuple[str, int, int, int]:
    name, number, *inner = place.split(".")
    component, subcomponent = ([int(part) for part in inner] + [1, 1])[:2]
    return name, int(number), component, subcomponent
