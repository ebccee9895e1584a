"""``python -m gurney_daemon.demo [--keep]``: exit code 0 only if folder, ledger and PACS agree to the byte."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from rich.console import Console

from gurney.errors import GurneyError
from gurney.transfer.states import SETTLED
from gurney_daemon.demo.accounts import LedgerReader
from gurney_daemon.demo.archive import holdings
from gurney_daemon.demo.comparison import Entry, find_differences, tabulate
from gurney_daemon.demo.display import Bars, show_bars, show_differences, show_table
from gurney_daemon.demo.modality import Dropped, drop
from gurney_daemon.demo.stage import Interrupted, Stage, StageError, set_stage
from gurney_daemon.demo.study import SERIES, make_study

_KEPT: Final = Path("demo-data")
_TICK: Final = 0.2
# Nothing in the demo takes nearly as long; a machine that is busy with other things gets its time.
_START_SECONDS: Final = 60.0
_STILL_SECONDS: Final = 60.0


def main() -> int:
    """Run the demo; 0 when everything agrees, 1 when something differs or failed."""
    parser = argparse.ArgumentParser(prog="gurney_daemon.demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave everything running until Ctrl-C")
    keep = parser.parse_args().keep
    console = Console()
    folder = _make_folder(keep)
    failed = True
    try:
        with set_stage(folder) as stage:
            failed = not _run(stage, console)
            if keep:
                _leave_running(stage, console)
    except Interrupted:
        console.print("Interrupted." if failed else "Stopped.")
    except (GurneyError, OSError) as error:
        failed = True
        console.print(str(error), markup=False, highlight=False)
    if failed or keep:
        console.print(f"Configuration, logs and all data are in {folder}", highlight=False, soft_wrap=True)
    else:
        shutil.rmtree(folder)
    return int(failed)


def _make_folder(keep: bool) -> Path:
    if keep:
        _KEPT.mkdir(exist_ok=True)
    return Path(tempfile.mkdtemp(prefix="gurney-demo-", dir=_KEPT if keep else None)).resolve()


def _run(stage: Stage, console: Console) -> bool:
    """Drop the study, follow it, compare; tell whether everything agrees."""
    began = time.monotonic()
    with LedgerReader(stage.ledger_url) as ledger:
        with console.status("Starting a PACS and gurney up"):
            _wait_for(ledger, stage)
        with show_bars(console, sum(plan.instances for plan in SERIES)) as bars:
            dropped = _drop(stage, ledger, bars)
            _follow(stage, ledger, bars, len(dropped))
        entries = ledger.entries()
    held = list(holdings(stage.held))
    show_table(console, tabulate(dropped, entries, held))
    differences = list(find_differences(dropped, entries, held))
    show_differences(console, differences)
    verdict = f"differ in {len(differences)} points" if differences else "agree to the byte"
    console.print(f"Folder, ledger and PACS {verdict}; {time.monotonic() - began:.0f} s.", highlight=False)
    return not differences


def _wait_for(ledger: LedgerReader, stage: Stage) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not ledger.is_ready():
        stage.check()
        if time.monotonic() > deadline:
            raise StageError(f"gurney up made no ledger in {_START_SECONDS:.0f} s; see {stage.log}")
        time.sleep(_TICK)


def _drop(stage: Stage, ledger: LedgerReader, bars: Bars) -> list[Dropped]:
    dropped: list[Dropped] = []
    for burst in drop(make_study(), stage.incoming):
        stage.check()
        dropped += burst
        _show(bars, len(dropped), ledger.entries())
    return dropped


def _follow(stage: Stage, ledger: LedgerReader, bars: Bars, total: int) -> None:
    """Wait until every instance is settled, or until nothing has moved for long: the comparison says what is wrong."""
    seen: dict[str, Entry] = {}
    moved_at = time.monotonic()
    while time.monotonic() < moved_at + _STILL_SECONDS:
        stage.check()
        entries = ledger.entries()
        if entries != seen:
            seen, moved_at = entries, time.monotonic()
            _show(bars, total, entries)
        if len(entries) >= total and all(entry.state in SETTLED for entry in entries.values()):
            return
        time.sleep(_TICK)


def _show(bars: Bars, dropped: int, entries: dict[str, Entry]) -> None:
    settled = sum(entry.state in SETTLED for entry in entries.values())
    bars.update(in_folder=dropped, in_ledger=len(entries), stored=settled)


def _leave_running(stage: Stage, console: Console) -> None:
    """Say how to go on, and wait for Ctrl-C. Raises Interrupted then."""
    command = [os.path.join(os.path.dirname(sys.executable), "gurney"), "--config", str(stage.configuration), "status"]
    for line in (
        "",
        "Everything is left running. The web dashboard comes with a later version; until then:",
        f"  drop files into   {stage.incoming}",
        f"  see what happens  {shlex.join(command)}",
        f"  what arrived      {stage.held}",
        f"  the log           {stage.log}",
        "Ctrl-C ends it.",
    ):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    while True:
        stage.check()
        time.sleep(_TICK)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        sys.exit(main())
    sys.exit(1)
