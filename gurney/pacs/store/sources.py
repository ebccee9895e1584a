"""From what an application has, a file or a data set, to what can be asked of a peer."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator, Sized
from typing import Final, Self

from pydicom.dataset import Dataset

from gurney.dicom.errors import Part10Error, Reason, UnfitInstance, UnreadableError
from gurney.dicom.part10 import read_part10
from gurney.dicom.policy import FINISHED, ReadPolicy
from gurney.dicom.uids import is_valid_uid
from gurney.pacs.store.refusals import HELD_BACK, held_back
from gurney.pacs.wire.instance import FileSignature, StoreRequest, StoreResult, UnusableFileError
from gurney.transfer.outcomes import Event, EventKind

__all__ = [
    "BESIDE_INSTANCES",
    "Requests",
    "Source",
    "request_for",
    "request_for_dataset",
    "request_for_file",
    "unsent",
]

Source = str | os.PathLike[str] | Dataset
"""What can be stored: the path of a Part 10 file, or a data set."""

BESIDE_INSTANCES: Final = frozenset({Reason.EMPTY, Reason.NOT_DICOM, Reason.MEDIA_DIRECTORY})
"""What lies beside instances in any folder, and is no loss: text, pictures, the DICOMDIR."""

_OPEN_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


def request_for_file(path: str | os.PathLike[str], *, policy: ReadPolicy = FINISHED) -> StoreRequest:
    """Read a Part 10 file's header into a request.

    A symbolic link is not followed, and a FIFO or device not opened. Raises Part10Error for a file that should not be
    sent, UnfitInstance for what is no file, and OSError where the system refuses it.
    """
    _check_regular(os.lstat(path).st_mode)
    try:
        fd = os.open(path, _OPEN_FLAGS)
    except OSError as error:
        if error.errno == errno.ELOOP:
            # It was put there after we had looked.
            raise UnfitInstance(_KINDS[stat.S_IFLNK]) from error
        raise
    try:
        status = os.fstat(fd)
        _check_regular(status.st_mode)
        part10 = read_part10(fd, wanted=frozenset(), policy=policy)
        # Taken before the reading: a write in the meantime is found out when the file is sent.
        signature = FileSignature.of(status)
    finally:
        os.close(fd)
    return StoreRequest(
        os.fspath(path),
        part10.sop_class_uid,
        part10.sop_instance_uid,
        part10.transfer_syntax_uid,
        part10.dataset_offset,
        signature,
    )


def request_for_dataset(dataset: Dataset) -> StoreRequest:
    """Make a request of a data set in memory, whose ``file_meta`` names the transfer syntax.

    Raises UnfitInstance where it lacks a UID that a C-STORE needs (PS3.7 9.1.1.1).
    """
    meta = getattr(dataset, "file_meta", None)
    return StoreRequest(
        "",
        _uid(dataset, "SOPClassUID", "SOP Class UID (0008,0016)", "say what it is"),
        _uid(dataset, "SOPInstanceUID", "SOP Instance UID (0008,0018)", "pydicom.uid.generate_uid() makes one"),
        _uid(
            meta if meta is not None else Dataset(),
            "TransferSyntaxUID",
            "Transfer Syntax UID (0002,0010)",
            "set dataset.file_meta.TransferSyntaxUID to what its pixel data are encoded in",
        ),
        dataset=dataset,
    )


def request_for(source: Source, *, policy: ReadPolicy = FINISHED) -> StoreRequest:
    """Make a request of a file or a data set, as the two functions above do. Raises TypeError for anything else."""
    checked = _checked(source)
    if isinstance(checked, Dataset):
        return request_for_dataset(checked)
    return request_for_file(checked, policy=policy)


class Requests:
    """Make a request of each of many sources, lazily; of what can't be sent a result that says why.

    Requests and results pass through. A file that is refused for one of the reasons in ``skip`` was never meant to be
    sent, and its result says so. ``has_end`` says that an iterator comes to an end, as a collection always does.
    """

    def __init__(
        self,
        sources: Iterable[Source | StoreRequest | StoreResult],
        *,
        policy: ReadPolicy = FINISHED,
        skip: frozenset[Reason] = frozenset(),
        has_end: bool = False,
    ) -> None:
        self._has_end = has_end or isinstance(sources, Sized)
        self._sources = iter(sources)
        self._policy, self._skip = policy, skip

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> StoreRequest | StoreResult:
        """Read the next source. Raises TypeError for something else, and whatever the sources raise."""
        source = next(self._sources)
        return source if isinstance(source, StoreRequest | StoreResult) else self._read(source)

    def _read(self, source: Source) -> StoreRequest | StoreResult:
        try:
            return request_for(source, policy=self._policy)
        except UnreadableError as error:
            return unsent(source, Event(EventKind.UNREADABLE, detail=error.detail))
        except Part10Error as error:
            return unsent(source, Event(EventKind.UNFIT, detail=str(error)), skipped=error.reason in self._skip)
        except UnfitInstance as error:
            return unsent(source, Event(EventKind.UNFIT, detail=str(error)))
        except OSError as error:
            return unsent(source, UnusableFileError.of(error).event)
        except ValueError:
            return unsent(source, Event(EventKind.FILE_MISSING, detail="not a file name"))

    def hold_back(self) -> Iterator[StoreResult]:
        """Take what is left, unopened, as results that say so; nothing of what may be endless.

        Raises as :meth:`__next__`.
        """
        for source in self._sources if self._has_end else ():
            if isinstance(source, StoreResult):
                yield source
            elif isinstance(source, StoreRequest):
                yield held_back(source)
            else:
                yield unsent(_checked(source), HELD_BACK, skipped=True)


def unsent(source: Source, event: Event, *, skipped: bool = False) -> StoreResult:
    """Make the result of what never became a request; its ``request`` has the path and no UIDs."""
    request = StoreRequest("" if isinstance(source, Dataset) else os.fspath(source), "", "", "")
    if isinstance(source, Dataset):
        request = request._replace(dataset=source)
    return StoreResult(request, event, "", is_skipped=skipped)


_KINDS = {
    stat.S_IFLNK: "a symbolic link, which is not followed: name the file itself",
    stat.S_IFDIR: "a folder: store_folder() sends what is in one",
    stat.S_IFIFO: "a FIFO, not a file",
    stat.S_IFSOCK: "a socket, not a file",
    stat.S_IFCHR: "a device, not a file",
    stat.S_IFBLK: "a device, not a file",
}


def _checked(source: Source) -> Source:
    if not isinstance(source, Dataset | str | os.PathLike):
        raise TypeError(f"a path or a pydicom Dataset can be stored, not {type(source).__name__}")
    return source


def _check_regular(mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise UnfitInstance(_KINDS.get(stat.S_IFMT(mode), "not a regular file"))


def _uid(dataset: Dataset, keyword: str, name: str, remedy: str) -> str:
    value = dataset.get(keyword)
    if not value:
        raise UnfitInstance(f"the data set has no {name}: {remedy}")
    if not is_valid_uid(str(value)):
        raise UnfitInstance(f"the data set's {name} is not a UID: {remedy}")
    return str(value)
