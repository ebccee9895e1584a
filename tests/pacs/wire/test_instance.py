"""Whose fault it is that a file can't be sent: its own, our want, or one that can't be told from its disk's."""

from __future__ import annotations

import errno
import os

import pytest

from gurney.pacs import StoreScu
from gurney.pacs.testing import FakePacs
from gurney.pacs.wire.instance import UnusableFileError
from gurney.transfer.outcomes import EventKind
from tests.pacs.conftest import CT_ONLY, MakeRequests


@pytest.mark.parametrize(
    ("numbers", "kind"),
    [
        ((errno.ENOENT, errno.EACCES, errno.ENOTDIR, errno.ELOOP), EventKind.FILE_MISSING),
        ((errno.EMFILE, errno.ENFILE, errno.ENOMEM), EventKind.LOCAL),
        ((errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN), EventKind.UNREADABLE),
    ],
)
def test_what_the_system_says_tells_whose_fault_it_is(numbers: tuple[int, ...], kind: EventKind) -> None:
    for number in numbers:
        event = UnusableFileError.of(OSError(number, os.strerror(number), "/patient")).event
        assert event.kind is kind
        assert event.detail == os.strerror(number)


@pytest.mark.parametrize("call", ["preadv", "fstat"])
@pytest.mark.parametrize("fast_path", [True, False])
def test_an_error_of_the_disk_is_never_the_files_own(
    make_requests: MakeRequests, monkeypatch: pytest.MonkeyPatch, call: str, fast_path: bool
) -> None:
    def fail(*_: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with FakePacs() as pacs, StoreScu(fast_path=fast_path).associate(pacs.remote(), CT_ONLY) as association:
        (request,) = make_requests(1)
        with monkeypatch.context() as patched:
            patched.setattr(os, call, fail)
            (result,) = association.store([request])
    assert result.event.kind is EventKind.UNREADABLE
    assert pacs.stored == []
