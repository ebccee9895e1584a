"""What a fake PACS holds, and which of it answers a query (PS3.4 C.2.2.2)."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydicom import config, dcmread
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from gurney.pacs.testing.datasets import encode

__all__ = ["Held", "Holdings", "as_held"]

_EXPLICIT = "1.2.840.10008.1.2.1"
_NO_KEYS = frozenset({"QueryRetrieveLevel", "SpecificCharacterSet", "RetrieveAETitle"})
_UNIQUE = {
    "PATIENT": "PatientID",
    "STUDY": "StudyInstanceUID",
    "SERIES": "SeriesInstanceUID",
    "IMAGE": "SOPInstanceUID",
}


@dataclass(frozen=True, slots=True)
class Held:
    """One instance, or an entry of a worklist: as a data set, and encoded."""

    dataset: Dataset = field(repr=False)
    transfer_syntax_uid: str = _EXPLICIT
    encoded: bytes = field(default=b"", repr=False)

    @property
    def sop_class_uid(self) -> str:
        """The SOP Class UID (0008,0016), "" for an entry of a worklist."""
        return str(self.dataset.get("SOPClassUID", ""))

    @property
    def sop_instance_uid(self) -> str:
        """The SOP Instance UID (0008,0018), "" for an entry of a worklist."""
        return str(self.dataset.get("SOPInstanceUID", ""))


def as_held(item: Held | Dataset | str | os.PathLike[str]) -> Held:
    """Read a Part 10 file, whose data set is then sent as it lies; or encode a data set in what its file_meta says."""
    if isinstance(item, Held):
        return item
    if not isinstance(item, Dataset):
        content = Path(item).read_bytes()
        # The preamble, the prefix, and the group of the file meta information behind its length (PS3.10 7.1).
        begin = 132 + 12 + int.from_bytes(content[140:144], "little")
        dataset = dcmread(item, stop_before_pixels=True)
        return Held(dataset, str(dataset.file_meta.TransferSyntaxUID), content[begin:])
    meta = getattr(item, "file_meta", None)
    syntax = str(meta.TransferSyntaxUID) if meta is not None else _EXPLICIT
    return Held(item, syntax, encode(item, syntax))


class Holdings:
    """The instances and worklist entries of one PACS."""

    def __init__(self) -> None:
        self._held: list[Held] = []

    def add(self, held: Held) -> None:
        """Hold one more."""
        self._held.append(held)

    def has(self, sop_instance_uid: str) -> bool:
        """Tell whether an instance is held."""
        return any(held.sop_instance_uid == sop_instance_uid for held in self._held)

    def matches(self, identifier: Dataset, *, heedless: bool = False) -> Iterator[Dataset]:
        """Yield what answers an identifier: the keys that it asks for, filled in."""
        for rows in self._entities(str(identifier.get("QueryRetrieveLevel", ""))):
            found = _filled(identifier, rows)
            if heedless or _is_match(identifier, found):
                yield found

    def instances(self, identifier: Dataset) -> list[Held]:
        """Return the instances that an identifier names by its unique keys."""
        keys = [keyword for keyword in _UNIQUE.values() if identifier.get(keyword)]
        return [
            held
            for held in self._held
            if all(str(held.dataset.get(keyword, "")) in _texts(identifier.get(keyword)) for keyword in keys)
        ]

    def _entities(self, level: str) -> Iterator[Sequence[Held]]:
        """Yield what makes up each patient, study, series or instance; each entry of a worklist is one of its own."""
        keyword = _UNIQUE.get(level)
        if keyword is None:
            yield from ([held] for held in self._held if not held.sop_instance_uid)
            return
        entities: dict[str, list[Held]] = {}
        for held in self._held:
            if held.sop_instance_uid:
                entities.setdefault(str(held.dataset.get(keyword, "")), []).append(held)
        yield from entities.values()


def _count(keyword: str) -> Callable[[Sequence[Held]], str]:
    return lambda rows: str(len({str(held.dataset.get(keyword, "")) for held in rows}))


_COMPUTED: Mapping[str, Callable[[Sequence[Held]], str | list[str]]] = {
    "ModalitiesInStudy": lambda rows: sorted({str(held.dataset.get("Modality", "")) for held in rows}),
    "NumberOfPatientRelatedStudies": _count("StudyInstanceUID"),
    "NumberOfPatientRelatedSeries": _count("SeriesInstanceUID"),
    "NumberOfPatientRelatedInstances": _count("SOPInstanceUID"),
    "NumberOfStudyRelatedSeries": _count("SeriesInstanceUID"),
    "NumberOfStudyRelatedInstances": _count("SOPInstanceUID"),
    "NumberOfSeriesRelatedInstances": _count("SOPInstanceUID"),
    "InstanceAvailability": lambda _: "ONLINE",
}


def _filled(identifier: Dataset, rows: Sequence[Held]) -> Dataset:
    found = _picked(identifier, rows[0].dataset)
    for keyword, compute in _COMPUTED.items():
        if keyword in identifier:
            setattr(found, keyword, compute(rows))
    for keyword in ("QueryRetrieveLevel", "SpecificCharacterSet"):
        if value := (identifier if keyword == "QueryRetrieveLevel" else rows[0].dataset).get(keyword):
            setattr(found, keyword, value)
    return found


def _picked(keys: Dataset, source: Dataset) -> Dataset:
    """Pick what the keys ask for; of sequences what they ask for of each item."""
    picked = Dataset()
    for key in keys:
        value = source[key.tag].value if key.tag in source else None
        if key.VR == "SQ":
            items = value or []
            value = [_picked(key.value[0], item) for item in items] if key.value else items
        picked.add(DataElement(key.tag, key.VR, value, validation_mode=config.IGNORE))
    return picked


def _is_match(keys: Dataset, found: Dataset) -> bool:
    return all(_fits(key, found[key.tag]) for key in keys if key.keyword not in _NO_KEYS)


def _fits(key: DataElement, found: DataElement) -> bool:
    if key.VR == "SQ":
        return not key.value or any(_is_match(key.value[0], item) for item in found.value)
    wanted = _texts(key.value)
    return not wanted or any(_equals(text, value, str(key.VR)) for text in wanted for value in _texts(found.value))


def _equals(wanted: str, value: str, vr: str) -> bool:
    if vr in {"DA", "TM", "DT"} and "-" in wanted:
        first, _, last = wanted.partition("-")
        return (not first or value >= first) and (not last or value <= last)
    if vr == "UI":
        return wanted == value
    pattern = wanted.replace("[", "[[]")
    return (
        fnmatch.fnmatchcase(value.casefold(), pattern.casefold()) if vr == "PN" else fnmatch.fnmatchcase(value, pattern)
    )


def _texts(value: object) -> list[str]:
    values = value if isinstance(value, MultiValue | list) else [value]
    return [text for one in values if one is not None and (text := str(one))]
