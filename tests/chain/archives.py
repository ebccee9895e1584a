"""The peers that we did not write, and what each of them holds: data sets by SOP Instance UID, as they lie there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import pydicom
import pytest

from tests.services import require
from tests.services.dcmjs import DcmjsStoreScp, installed_node_modules
from tests.services.dcmtk import DcmQrScp, StoreScp
from tests.services.orthanc import Orthanc

__all__ = ["ARCHIVES", "Archive", "Archives", "DicomService", "Held"]

Held = dict[str, list[bytes]]
"""Data sets by SOP Instance UID; a peer that counts deliveries has one for each."""


class DicomService(Protocol):
    """A service that is called by an AE title."""

    @property
    def ae_title(self) -> str: ...

    @property
    def port(self) -> int: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: Any) -> None: ...


class Archive(ABC):
    """One kind of peer."""

    name: ClassVar[str]
    binaries: ClassVar[tuple[str, ...]]

    @abstractmethod
    def start(self, folder: Path) -> DicomService:
        """Start it, empty."""

    @abstractmethod
    def held(self) -> Held:
        """Return what it holds."""


class _Storescp(Archive):
    name, binaries = "storescp", ("storescp",)

    def start(self, folder: Path) -> DicomService:
        self._service = StoreScp(folder)
        return self._service

    def held(self) -> Held:
        return _read(self._service.files())


class _Dcmqrscp(Archive):
    name, binaries = "dcmqrscp", ("dcmqrscp",)

    def start(self, folder: Path) -> DicomService:
        self._service = DcmQrScp(folder)
        return self._service

    def held(self) -> Held:
        return _read(self._service.files())


class _Orthanc(Archive):
    name, binaries = "orthanc", ("Orthanc",)

    def start(self, folder: Path) -> DicomService:
        self._service = Orthanc(folder)
        return self._service

    def held(self) -> Held:
        return {uid: [_dataset(self._service.instance_file(uid))] for uid in self._service.sop_instance_uids()}


class _Dcmjs(Archive):
    name, binaries = "dcmjs", ("node", "npm")

    def start(self, folder: Path) -> DicomService:
        self._service = DcmjsStoreScp(folder, installed_node_modules())
        return self._service

    def held(self) -> Held:
        return self._service.datasets()


ARCHIVES: tuple[type[Archive], ...] = (_Storescp, _Dcmqrscp, _Orthanc, _Dcmjs)


class Archives:
    """Every peer that is installed here, running. What is missing skips the tests that ask for it, with its reason."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.running: dict[str, tuple[Archive, DicomService]] = {}
        self._missing: dict[str, BaseException] = {}
        for kind in ARCHIVES:
            archive = kind()
            place = folder / kind.name
            place.mkdir()
            try:
                require(*kind.binaries)
                service = stack.enter_context(archive.start(place))
            except pytest.skip.Exception as skipped:
                self._missing[kind.name] = skipped
                continue
            self.running[kind.name] = archive, service

    def get(self, name: str) -> Archive:
        """Return one of them, or skip the test."""
        if name in self._missing:
            raise self._missing[name]
        return self.running[name][0]


def _read(files: Iterable[Path]) -> Held:
    held: Held = defaultdict(list)
    for path in files:
        uid = str(pydicom.dcmread(path, specific_tags=["SOPInstanceUID"], stop_before_pixels=True).SOPInstanceUID)
        held[uid].append(_dataset(path.read_bytes()))
    return dict(held)


def _dataset(part10: bytes) -> bytes:
    """Return what follows the meta header, whose first element says how long the rest of it is (PS3.10 7.1)."""
    return part10[132 + 12 + int.from_bytes(part10[140:144], "little") :]
