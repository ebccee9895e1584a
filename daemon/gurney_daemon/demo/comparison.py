"""Hold three accounts of one study against each other: what was dropped, what the ledger says, what the PACS keeps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gurney.transfer.states import ItemState
from gurney_daemon.demo.archive import Held
from gurney_daemon.demo.modality import Dropped

__all__ = ["Entry", "Row", "find_differences", "tabulate"]


@dataclass(frozen=True, slots=True)
class Entry:
    """What the ledger says of one instance; ``state`` is None while it goes nowhere."""

    transfer_syntax_uid: str
    state: ItemState | None
    words: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """The three accounts of one transfer syntax, in instances."""

    transfer_syntax_uid: str
    dropped: int
    in_ledger: int
    done: int
    held: int
    identical: int


def find_differences(dropped: Iterable[Dropped], ledger: Mapping[str, Entry], held: Sequence[Held]) -> Iterator[str]:
    """Say of each instance where the accounts differ; nothing where they agree."""
    arrivals = {one.sop_instance_uid: one for one in held}
    times = Counter(one.sop_instance_uid for one in held)
    expected = set()
    for one in dropped:
        uid = one.sop_instance_uid
        expected.add(uid)
        yield from _against_ledger(one, ledger.get(uid))
        yield from _against_pacs(one, arrivals.get(uid))
        if times[uid] > 1:
            yield f"{uid}: the PACS got it {times[uid]} times"
    for uid in sorted(ledger.keys() - expected):
        yield f"{uid}: in the ledger, but never dropped"
    for uid in sorted(arrivals.keys() - expected):
        yield f"{uid}: at the PACS, but never dropped"


def _against_ledger(one: Dropped, entry: Entry | None) -> Iterator[str]:
    if entry is None:
        yield f"{one.sop_instance_uid}: not in the ledger"
    elif entry.transfer_syntax_uid != one.transfer_syntax_uid:
        yield f"{one.sop_instance_uid}: the ledger has it in transfer syntax {entry.transfer_syntax_uid}"
    elif entry.state is not ItemState.DONE:
        state = "on its way nowhere" if entry.state is None else entry.state.name.lower()
        yield f"{one.sop_instance_uid}: {state} in the ledger{f' ({entry.words})' if entry.words else ''}"


def _against_pacs(one: Dropped, arrival: Held | None) -> Iterator[str]:
    if arrival is None:
        yield f"{one.sop_instance_uid}: not at the PACS"
    elif arrival.transfer_syntax_uid != one.transfer_syntax_uid:
        yield f"{one.sop_instance_uid}: the PACS has it in transfer syntax {arrival.transfer_syntax_uid}"
    elif arrival.digest != one.digest:
        yield f"{one.sop_instance_uid}: the PACS has other bytes"


def tabulate(dropped: Sequence[Dropped], ledger: Mapping[str, Entry], held: Sequence[Held]) -> list[Row]:
    """Count by transfer syntax, in the order of dropping."""
    digests = {one.sop_instance_uid: one.digest for one in dropped}
    by_dropped = Counter(one.transfer_syntax_uid for one in dropped)
    by_ledger = Counter(entry.transfer_syntax_uid for entry in ledger.values())
    by_done = Counter(entry.transfer_syntax_uid for entry in ledger.values() if entry.state is ItemState.DONE)
    by_held = Counter(one.transfer_syntax_uid for one in held)
    by_identical = Counter(one.transfer_syntax_uid for one in held if digests.get(one.sop_instance_uid) == one.digest)
    syntaxes = dict.fromkeys([*by_dropped, *by_ledger, *by_held])
    return [
        Row(syntax, by_dropped[syntax], by_ledger[syntax], by_done[syntax], by_held[syntax], by_identical[syntax])
        for syntax in syntaxes
    ]
