"""Measure how fast a file's header is read and its completeness proven, against pydicom.

    python benchmarks/headers.py [--files 500] [--rounds 21]

Both readers take turns over the same files in one process, so that only their ratio counts; it is the median over the
rounds. pydicom's ``dcmread(stop_before_pixels=True)`` reads the header and leaves the rest of the file unseen; ours
also walks to the end and checks what it finds. The bar is 8 times pydicom.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid

from benchmarks.corpus import SHAPES, instance
from gurney.dicom.part10 import IDENTITY_TAGS, read_part10

BAR = 8.0


def with_a_scanners_header(dataset: Dataset) -> None:
    """Add what a real scanner adds: references, a hundred acquisition and private elements."""
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = CTImageStorage, generate_uid()
    dataset.ReferencedImageSequence = [reference, reference]
    dataset.KVP, dataset.SliceThickness, dataset.DataCollectionDiameter = 120, 1.5, 500
    for group in (0x0019, 0x0021, 0x0027):
        block = dataset.private_block(group, "GURNEY BENCHMARK", create=True)
        for element in range(0x30):
            block.add_new(element, "DS" if element % 2 else "LO", "1.25" if element % 2 else "a private word")


def make_corpus(folder: Path, count: int, syntax: str, *, scanner: bool) -> list[str]:
    """Write ``count`` images of one study in four series."""
    study, series = generate_uid(), [generate_uid() for _ in range(4)]
    paths = []
    for number in range(count):
        dataset = instance(study, series[number * 4 // count], number, SHAPES["ct"])
        if scanner:
            with_a_scanners_header(dataset)
        dataset.file_meta.TransferSyntaxUID = UID(syntax)
        path = folder / f"{number:05d}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        paths.append(str(path))
    return paths


def ours(paths: list[str]) -> None:
    """Open, read, walk to the end, close."""
    for path in paths:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            read_part10(fd)
        finally:
            os.close(fd)


def ours_with_values(paths: list[str]) -> None:
    """The same, and every kept value as text or number, as the ledger wants them."""
    for path in paths:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            part10 = read_part10(fd)
        finally:
            os.close(fd)
        for tag in IDENTITY_TAGS:
            part10.value(tag)


def pydicoms(paths: list[str]) -> None:
    """Read up to the pixel data."""
    for path in paths:
        pydicom.dcmread(path, stop_before_pixels=True)


def pydicoms_with_values(paths: list[str]) -> None:
    """The same, and the same values."""
    for path in paths:
        dataset = pydicom.dcmread(path, stop_before_pixels=True)
        for tag in IDENTITY_TAGS:
            if tag in dataset:
                _ = dataset[tag].value


def seconds(reader: Callable[[list[str]], None], paths: list[str]) -> float:
    """Time one pass over the files."""
    start = time.perf_counter()
    reader(paths)
    return time.perf_counter() - start


def compare(
    name: str, paths: list[str], rounds: int, our: Callable[[list[str]], None], their: Callable[[list[str]], None]
) -> float:
    """Print and give the median ratio of their time to ours, the two interleaved."""
    our(paths)
    their(paths)
    times = [(seconds(our, paths), seconds(their, paths)) for _ in range(rounds)]
    ratios = sorted(theirs / our_time for our_time, theirs in times)
    ratio = statistics.median(ratios)
    each = [statistics.median(column) / len(paths) * 1e6 for column in zip(*times, strict=True)]
    spread = f"{ratios[len(ratios) // 4]:5.1f} to {ratios[-1 - len(ratios) // 4]:5.1f}"
    print(f"{name:42} {each[0]:7.1f} us {each[1]:8.1f} us   {ratio:5.1f} x   ({spread})", flush=True)
    return ratio


def main() -> int:
    """Print the table; 1 if the bar is missed."""
    parser = argparse.ArgumentParser(description="Header reading against pydicom")
    parser.add_argument("--files", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=21)
    options = parser.parse_args()
    # pydicom warns of what it is asked to read; that would be timed too.
    warnings.simplefilter("ignore")
    print(f"{'a file each, page cache warm':42} {'ours':>10} {'pydicom':>11}   {'ratio':>7}   (middle half)")
    with tempfile.TemporaryDirectory(prefix="gurney-headers-") as folder:
        shapes = [
            ("plain CT", ExplicitVRLittleEndian, False),
            ("CT with a scanner's header", ExplicitVRLittleEndian, True),
            ("the same, implicit VR", ImplicitVRLittleEndian, True),
        ]
        barred = []
        for name, syntax, scanner in shapes:
            place = Path(folder) / name
            place.mkdir()
            paths = make_corpus(place, options.files, syntax, scanner=scanner)
            barred.append(compare(name, paths, options.rounds, ours, pydicoms))
            compare("  and all identity values", paths, options.rounds, ours_with_values, pydicoms_with_values)
            for path in paths:
                os.unlink(path)
    met = min(barred) >= BAR
    print(f"bar: {BAR:.0f} x pydicom, header and completeness: {'met' if met else 'MISSED'}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
