from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import psutil
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import RLELossless

from gurney.transfer.states import ItemState
from gurney_daemon.demo.archive import Held
from gurney_daemon.demo.comparison import Entry, Row, find_differences, tabulate
from gurney_daemon.demo.modality import Dropped, drop
from gurney_daemon.demo.part10 import dataset_of
from gurney_daemon.demo.phantom import pixels
from gurney_daemon.demo.study import SERIES, Made, make_study
from tests.services import wait_until


@pytest.fixture(scope="module")
def study() -> list[Made]:
    return list(make_study())


class TestStudy:
    def test_has_several_hundred_instances_in_several_syntaxes(self, study: list[Made]) -> None:
        assert len(study) == sum(plan.instances for plan in SERIES) == 500
        assert len({made.sop_instance_uid for made in study}) == len(study)
        assert len({made.transfer_syntax_uid for made in study}) == 7

    def test_each_file_is_what_its_plan_says(self, study: list[Made]) -> None:
        instances = iter(study)
        for plan in SERIES:
            made = next(instances)
            dataset = dcmread(BytesIO(made.content))
            assert dataset.file_meta.TransferSyntaxUID == plan.transfer_syntax_uid == made.transfer_syntax_uid
            assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID == made.sop_instance_uid
            assert (dataset.SOPClassUID, dataset.Modality) == (plan.sop_class_uid, plan.modality)
            assert dataset.pixel_array.any() if not plan.donor else dataset.PixelData
            for _ in range(plan.instances - 1):
                next(instances)

    def test_one_study_a_series_for_each_plan(self, study: list[Made]) -> None:
        headers = [dcmread(BytesIO(made.content), stop_before_pixels=True) for made in study]
        assert len({header.StudyInstanceUID for header in headers}) == 1
        assert len({header.SeriesInstanceUID for header in headers}) == len(SERIES)

    def test_compressed_pixels_are_the_phantom(self, study: list[Made]) -> None:
        made = next(made for made in study if made.transfer_syntax_uid == RLELossless)
        number = next(place for place, plan in enumerate(SERIES, 1) if plan.transfer_syntax_uid == RLELossless)
        dataset = dcmread(BytesIO(made.content))
        expected = pixels(dataset.Rows, 1 / 60, 1000 * number + 1, little_endian=True)
        assert dataset.pixel_array.astype("<u2").tobytes() == expected

    def test_byte_order_swaps_the_same_pixels(self) -> None:
        little, big = (pixels(32, 0.5, 7, little_endian=choice) for choice in (True, False))
        assert little[0::2] == big[1::2]
        assert little[1::2] == big[0::2]
        assert little != big


def test_the_data_set_is_all_that_follows_group_2() -> None:
    path = Path(str(get_testdata_file("CT_small.dcm", download=False)))
    content = path.read_bytes()
    with path.open("rb") as file:
        dcmread(file, stop_before_pixels=True, specific_tags=[])
    rest = dataset_of(content)
    assert rest[:4] == b"\x08\x00\x05\x00"
    assert content.endswith(rest)
    with pytest.raises(ValueError, match="does not begin"):
        dataset_of(bytes(200))


def test_the_modality_leaves_whole_files_only(study: list[Made], tmp_path: Path) -> None:
    bursts = list(drop(study[:50], tmp_path))
    assert [len(burst) for burst in bursts] == [40, 10]
    assert sorted(path.suffix for path in tmp_path.rglob("*.*")) == [".dcm"] * 50
    for made in study[:50]:
        assert (tmp_path / made.folder / made.name).read_bytes() == made.content


DROPPED = [Dropped("1.1", "syntax A", "digest 1"), Dropped("1.2", "syntax B", "digest 2")]
LEDGER = {"1.1": Entry("syntax A", ItemState.DONE), "1.2": Entry("syntax B", ItemState.DONE)}
HELD = [Held("1.1", "syntax A", "digest 1"), Held("1.2", "syntax B", "digest 2")]


class TestComparison:
    def test_agreement_is_silent(self) -> None:
        assert list(find_differences(DROPPED, LEDGER, HELD)) == []

    @pytest.mark.parametrize(
        ("ledger", "held", "difference"),
        [
            ({"1.1": LEDGER["1.1"]}, HELD, "1.2: not in the ledger"),
            ({**LEDGER, "1.2": Entry("syntax B", None)}, HELD, "1.2: on its way nowhere in the ledger"),
            (
                {**LEDGER, "1.2": Entry("syntax B", ItemState.FAILED, "0122: refused")},
                HELD,
                "1.2: failed in the ledger (0122: refused)",
            ),
            ({**LEDGER, "1.2": Entry("syntax B", ItemState.WARNED)}, HELD, "1.2: warned in the ledger"),
            (
                {**LEDGER, "1.2": Entry("syntax A", ItemState.DONE)},
                HELD,
                "1.2: the ledger has it in transfer syntax syntax A",
            ),
            ({**LEDGER, "1.3": LEDGER["1.2"]}, HELD, "1.3: in the ledger, but never dropped"),
            (LEDGER, HELD[:1], "1.2: not at the PACS"),
            (LEDGER, [HELD[0], replace(HELD[1], digest="other")], "1.2: the PACS has other bytes"),
            (
                LEDGER,
                [HELD[0], replace(HELD[1], transfer_syntax_uid="syntax A")],
                "1.2: the PACS has it in transfer syntax syntax A",
            ),
            (LEDGER, [*HELD, HELD[0]], "1.1: the PACS got it 2 times"),
            (LEDGER, [*HELD, replace(HELD[0], sop_instance_uid="1.3")], "1.3: at the PACS, but never dropped"),
        ],
    )
    def test_each_difference_is_named(self, ledger: dict[str, Entry], held: list[Held], difference: str) -> None:
        assert list(find_differences(DROPPED, ledger, held)) == [difference]

    def test_rows_count_by_syntax(self) -> None:
        ledger = {**LEDGER, "1.2": Entry("syntax B", ItemState.FAILED)}
        rows = tabulate(DROPPED, ledger, [HELD[0], replace(HELD[1], digest="other")])
        assert rows == [Row("syntax A", 1, 1, 1, 1, 1), Row("syntax B", 1, 1, 0, 1, 0)]


class Run:
    """The demo as a user starts it, in a folder of its own by which its processes are found."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        self.output = folder / "output"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gurney_daemon.demo", *arguments],
                cwd=folder,
                env={**os.environ, "TMPDIR": str(folder), "COLUMNS": "100"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def text(self) -> str:
        return self.output.read_text()

    def stage(self) -> Path:
        """Wait for the folder that everything runs in."""
        return wait_until(lambda: [path.parent for path in self.folder.rglob("incoming")], 60, "a watched folder")[0]

    def wait(self) -> int:
        return self.process.wait(100)

    def others(self) -> list[psutil.Process]:
        """Every process that was started for this run, whoever its parent is by now."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get("TMPDIR") == str(self.folder) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return [process for process in found if process.pid != self.process.pid]

    def named(self, *words: str) -> psutil.Process:
        """Wait for the process with these words in its command line."""

        def find() -> psutil.Process | None:
            for process in self.others():
                with suppress(psutil.Error):
                    if set(words) <= set(process.cmdline()):
                        return process
            return None

        return wait_until(find, 60, f"the process {words}")


@contextmanager
def demo(folder: Path, *arguments: str) -> Iterator[Run]:
    run = Run(folder, *arguments)
    try:
        yield run
    finally:
        for process in [psutil.Process(run.process.pid), *run.others()] if run.process.poll() is None else run.others():
            with suppress(psutil.Error):
                process.kill()
        run.process.wait()


@pytest.mark.slow
class TestDemo:
    def test_agrees_and_leaves_nothing(self, tmp_path: Path) -> None:
        with demo(tmp_path) as run:
            assert run.wait() == 0, run.text()
            assert "Folder, ledger and PACS agree to the byte" in run.text()
            lines = [line.split() for line in run.text().splitlines()]
            assert ["All", "500", "500", "500", "500", "500"] in lines
            assert run.others() == []
            assert [path.name for path in tmp_path.iterdir()] == ["output"]

    def test_a_stranger_in_the_folder_is_a_difference(self, tmp_path: Path) -> None:
        path = str(get_testdata_file("CT_small.dcm", download=False))
        uid = dcmread(path, stop_before_pixels=True).SOPInstanceUID
        with demo(tmp_path) as run:
            stage = run.stage()
            shutil.copy(path, stage / "incoming")
            assert run.wait() == 1, run.text()
            assert f"{uid}: in the ledger, but never dropped" in run.text()
            assert f"{uid}: at the PACS, but never dropped" in run.text()
            assert "agree" not in run.text()
            # What went wrong can be looked into.
            assert (stage / "gurney.log").exists()
            assert run.others() == []

    def test_kept_it_runs_until_it_is_told(self, tmp_path: Path) -> None:
        with demo(tmp_path, "--keep") as run:
            wait_until(lambda: "Ctrl-C ends it." in run.text(), 100, "the demo to be done")
            stage = run.stage()
            assert stage.parent == tmp_path / "demo-data"
            shutil.copy(str(get_testdata_file("CT_small.dcm", download=False)), stage / "incoming")
            wait_until(lambda: len(list((stage / "pacs").glob("*.dcm"))) == 501, 30, "one more instance at the PACS")
            run.process.send_signal(signal.SIGINT)
            assert run.wait() == 0, run.text()
            assert run.others() == []
            assert (stage / "gurney.toml").exists()

    def test_sigterm_in_the_middle_leaves_no_process(self, tmp_path: Path) -> None:
        with demo(tmp_path) as run:
            wait_until(lambda: len(list((run.stage() / "incoming").rglob("*.dcm"))) > 100, 60, "a hundred files")
            run.process.terminate()
            assert run.wait() == 1
            assert "Interrupted." in run.text()
            assert run.others() == []

    def test_says_that_gurney_has_died(self, tmp_path: Path) -> None:
        with demo(tmp_path) as run:
            gurney = run.named("gurney_daemon", "up")
            wait_until(lambda: any((run.stage() / "incoming").iterdir()), 60, "the first files")
            gurney.kill()
            assert run.wait() == 1
            assert "gurney up ended with code -9" in run.text()
            # Its workers hear of its death from the kernel, and drain.
            wait_until(lambda: run.others() == [], 60, "its workers to end")

    def test_a_killed_demo_leaves_no_process(self, tmp_path: Path) -> None:
        with demo(tmp_path) as run:
            run.named("gurney_daemon", "up")
            run.process.kill()
            wait_until(lambda: run.others() == [], 60, "everything to end")
