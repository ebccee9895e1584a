from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from gurney.dicom import apart, uids
from gurney.dicom.errors import CodecMissing, TranscodingError
from gurney.dicom.transcoding import Loss, transcode
from tests.dicom.images import shipped
from tests.services import wait_until

EXPLICIT, IMPLICIT = uids.EXPLICIT_VR_LITTLE_ENDIAN, uids.IMPLICIT_VR_LITTLE_ENDIAN


@pytest.fixture(autouse=True)
def no_process_left() -> Iterator[None]:
    yield
    apart._Process.current().end()


def pid() -> int:
    process = apart._Process.current()._process
    assert process is not None
    return process.pid


def test_it_does_the_same() -> None:
    source = shipped("SC_rgb_jpeg_gdcm.dcm")
    for target, loss in [(EXPLICIT, None), (uids.JPEG_LS_LOSSLESS, None), (uids.JPEG_2000, Loss(ratio=8))]:
        here = transcode(source.encoded, source.transfer_syntax_uid, target, loss=loss)
        assert apart.transcode_apart(source.encoded, source.transfer_syntax_uid, target, loss=loss) == here


def test_errors_come_across_and_one_process_serves_many() -> None:
    source, twelve_bits = shipped("MR_small_RLE.dcm"), shipped("JPGExtended.dcm")
    with pytest.raises(TranscodingError, match="8192 bytes of pixel data"):
        apart.transcode_apart(source.encoded, source.transfer_syntax_uid, EXPLICIT, largest=8191)
    first = pid()
    with pytest.raises(CodecMissing, match="GPL"):
        apart.transcode_apart(twelve_bits.encoded, twelve_bits.transfer_syntax_uid, EXPLICIT)
    assert pid() == first


def test_without_a_codec_no_process_is_needed() -> None:
    source = shipped("MR_small_implicit.dcm")
    assert apart.transcode_apart(source.encoded, IMPLICIT, EXPLICIT).encoded
    assert apart._Process.current()._process is None


def test_a_frame_that_ends_a_codec_ends_that_process_only() -> None:
    """GDCM aborts over some broken frames; here somebody does it for it."""
    source = shipped("MR_small_RLE.dcm")
    apart.transcode_apart(source.encoded, source.transfer_syntax_uid, EXPLICIT)
    stopped = pid()
    os.kill(stopped, signal.SIGSTOP)
    killer = threading.Timer(0.1, os.kill, (stopped, signal.SIGABRT))
    continuer = threading.Timer(0.2, os.kill, (stopped, signal.SIGCONT))
    killer.start(), continuer.start()
    with pytest.raises(TranscodingError, match="the codec crashed"):
        apart.transcode_apart(source.encoded, source.transfer_syntax_uid, EXPLICIT)
    continuer.join()
    assert apart.transcode_apart(source.encoded, source.transfer_syntax_uid, EXPLICIT).encoded
    assert pid() != stopped


def test_a_process_that_has_died_meanwhile_is_replaced() -> None:
    source = shipped("MR_small_RLE.dcm")
    apart.transcode_apart(source.encoded, source.transfer_syntax_uid, EXPLICIT)
    first = pid()
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: apart._Process.current()._process.poll() is not None, 10, "it to end")  # type: ignore[union-attr]
    assert apart.transcode_apart(source.encoded, source.transfer_syntax_uid, EXPLICIT).encoded


def test_a_codec_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    source = shipped("MR_small_RLE.dcm")
    apart.transcode_apart(source.encoded, source.transfer_syntax_uid, EXPLICIT)
    os.kill(pid(), signal.SIGSTOP)
    monkeypatch.setattr(apart, "PATIENCE", 0.2)
    with pytest.raises(TranscodingError, match=r"took more than 0\.2 seconds"):
        apart.transcode_apart(source.encoded, source.transfer_syntax_uid, EXPLICIT)


def test_threads_share_it() -> None:
    source = shipped("MR_small_RLE.dcm")
    with ThreadPoolExecutor(4) as pool:
        results = pool.map(
            lambda _: apart.transcode_apart(source.encoded, source.transfer_syntax_uid, EXPLICIT), range(12)
        )
        assert len(set(results)) == 1


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_has_one_of_its_own() -> None:
    source = shipped("MR_small_RLE.dcm")
    apart.transcode_apart(source.encoded, source.transfer_syntax_uid, EXPLICIT)
    child = os.fork()
    if not child:
        # Nothing of pytest's may run here.
        inherited = apart._Process._current
        try:
            apart.transcode_apart(source.encoded, source.transfer_syntax_uid, EXPLICIT)
            apart._Process.current().end()
        finally:
            os._exit(0 if inherited is None and apart._Process._current is not None else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    first = pid()
    assert apart.transcode_apart(source.encoded, source.transfer_syntax_uid, EXPLICIT).encoded
    assert pid() == first


def test_it_ends_with_the_program() -> None:
    code = (
        "from tests.dicom.images import shipped; from gurney.dicom import apart; s = shipped('MR_small_RLE.dcm');"
        "apart.transcode_apart(s.encoded, s.transfer_syntax_uid, '1.2.840.10008.1.2.1');"
        "print(apart._Process.current()._process.pid); {}"
    )
    for ending in ("", "import os; os._exit(1)", "import os; os.kill(os.getpid(), 9)"):
        run = subprocess.run(
            [sys.executable, "-c", f"{code.format('import sys; sys.stdout.flush()')}; {ending}"],
            stdout=subprocess.PIPE,
            timeout=60,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        child = int(run.stdout)
        wait_until(
            lambda child=child: not os.path.exists(f"/proc/{child}/cmdline") or _is_zombie(child), 10, "it to end"
        )


def _is_zombie(process: int) -> bool:
    with open(f"/proc/{process}/stat") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0] == "Z"
