"""Store every instance in a folder, show how far it is, and say what was not stored and why."""

import argparse
import sys
from pathlib import Path

from gurney.pacs import LOSSLESS, NATIVE, DicomEngine, GurneyError, RemoteAE, StoreScu

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("host")
parser.add_argument("port", type=int)
parser.add_argument("ae_title")
parser.add_argument("folder", type=Path)
parser.add_argument("--transcode", action="store_true", help="what the archive refuses as it is")
parser.add_argument("--every", type=int, default=100, help="instances between two lines")
arguments = parser.parse_args()

archive = RemoteAE(arguments.ae_title, arguments.host, arguments.port)
scu = StoreScu("GURNEY", compression=LOSSLESS if arguments.transcode else NATIVE)

try:
    with DicomEngine(), scu.store_folder(archive, arguments.folder) as storing:
        tally = storing.tally
        for result in storing:
            if not result.is_stored and not result.is_skipped:
                print(result.request.path, result.event.kind.value, result.event.detail)
            if tally.done % arguments.every == 0:
                print(f"{tally.done} done, {tally.bytes_sent >> 20} MiB", file=sys.stderr)
        print(f"{tally.stored} stored, {tally.skipped} skipped, {tally.failed} failed")
except GurneyError as error:
    raise SystemExit(str(error)) from error
