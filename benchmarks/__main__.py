"""Run every benchmark, one after the other, each with its peer in the same run: ``make bench``.

    python -m benchmarks [--quick] [headers] [send] [chain] [ingest] [retrieve] [ledger]

Each row prints what it measured, its bar and whether that is met. Only ratios taken side by side count, and only on a
machine that does nothing else. ``--quick`` is a look at everything in minutes: smaller, and so less certain.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

from benchmarks.figures import machine

# The module of each row, what it is asked for, and what it is asked for in a hurry.
ROWS: dict[str, tuple[str, list[str], list[str]]] = {
    "headers": ("benchmarks.headers", [], ["--files", "200", "--rounds", "7"]),
    "send": ("benchmarks.warm_worker", [], ["ct", "tiny", "--rounds", "3"]),
    "chain": ("benchmarks.chain", [], ["--rounds", "3", "--images", "15"]),
    "ingest": ("benchmarks.ingest", [], ["--files", "1000", "--many", "10000", "--rounds", "1"]),
    "retrieve": (
        "benchmarks.retrieving",
        [],
        ["--matches", "2000", "--images", "300", "--rounds", "3"],
    ),
    "ledger": ("benchmarks.ledger", [], ["--sizes", "10000", "1000000", "--rounds", "3"]),
}


def main() -> int:
    """Run the rows; 1 if any of them could not be measured or missed a bar."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(ROWS)}; all by default")
    parser.add_argument("--quick", action="store_true", help="minutes in place of an hour")
    arguments = parser.parse_args()
    unknown = [row for row in arguments.rows if row not in ROWS]
    if unknown:
        parser.error(f"no row {', '.join(unknown)}; there are {', '.join(ROWS)}")
    print(machine(), flush=True)
    missed = []
    for row in arguments.rows or ROWS:
        module, thorough, quick = ROWS[row]
        print(f"\n{row}", flush=True)
        command = [sys.executable, "-m", module, *(quick if arguments.quick else thorough)]
        if subprocess.run(command, check=False).returncode:
            missed.append(row)
    if missed:
        print(f"\nmissed a bar, or could not be measured: {', '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
