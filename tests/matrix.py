"""Which operation was seen with which peer: collected from marks on the tests that show it, written as a page.

``@pytest.mark.seen("C-ECHO", at="storescp")`` says that a test shows an operation with a peer; where the peer is a
parameter of the test, ``at`` can be left out, or says for which of them the mark holds. ``remark`` becomes a note.
``@pytest.mark.lacks(...)`` marks a test that shows that a peer does not offer it. A cell is filled only when every test
that claims it passed::

    pytest -m "seen or lacks" --matrix docs/reference/peers.md

With ``--collect-only`` the page is written as if all of them passed: so a committed page is held against the marks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

__all__ = ["OPERATIONS", "PEERS", "Claim", "page"]

PEERS = {
    "orthanc": "Orthanc",
    "dcmqrscp": "dcmqrscp",
    "storescp": "storescp",
    "wlmscpfs": "wlmscpfs",
    "dcmprscp": "dcmprscp",
    "dcmjs-dimse": "dcmjs-dimse",
    "tiny-pacs": "tiny-pacs",
    "pynetdicom": "pynetdicom",
}
"""The columns, by the name that a parameter of a test gives the peer."""

OPERATIONS = (
    "C-ECHO",
    "C-STORE",
    "C-STORE, transcoded",
    "C-FIND, Study Root",
    "C-FIND, Patient Root",
    "C-FIND, Patient/Study Only",
    "C-FIND, Modality Worklist",
    "C-FIND, General Purpose Worklist",
    "C-FIND, UPS Pull",
    "C-MOVE to a third party",
    "C-MOVE to us",
    "C-GET",
    "C-CANCEL of a C-FIND",
    "C-CANCEL of a C-MOVE",
    "C-CANCEL of a C-GET",
    "Storage commitment, same association",
    "Storage commitment, new association",
    "Performed procedure step",
    "Instance availability",
    "Media creation",
    "Print, grayscale",
    "Print, color",
    "User identity",
    "Role selection",
    "Relational queries",
    "TLS 1.2",
    "TLS 1.3",
    "Mutual TLS",
)

_SEEN, _LACKS = "seen", "lacks"
_KINDS = (_SEEN, _LACKS)
_PROPERTY = "matrix"


class Claim(NamedTuple):
    """What a test says of one cell."""

    kind: str
    operation: str
    peer: str
    remark: str


def claims_of(item: pytest.Item) -> Iterator[Claim]:
    """Read the marks of a test. Raises pytest.UsageError for one that says nothing that the table has."""
    parameters = getattr(item, "callspec", None)
    values = parameters.params.values() if parameters is not None else ()
    here = {PEERS[value] for value in values if isinstance(value, str) and value in PEERS}
    for kind in _KINDS:
        for mark in item.iter_markers(kind):
            at, remark = mark.kwargs.get("at", ""), mark.kwargs.get("remark", "")
            named = {PEERS[at]} if at in PEERS else set()
            if (at and not named) or not (named or here) or not set(mark.args) <= set(OPERATIONS):
                raise pytest.UsageError(f"{item.nodeid}: {kind}{mark.args} at {at!r} is no cell of the matrix")
            for peer in sorted(named & here if named and here else named | here):
                yield from (Claim(kind, operation, peer, remark) for operation in mark.args)


def page(claims: Iterable[Claim]) -> str:
    """Write the page. Raises ValueError when a peer is said to have and to lack the same."""
    kinds: dict[tuple[str, str], set[str]] = defaultdict(set)
    remarks: dict[tuple[str, str], set[str]] = defaultdict(set)
    for claim in claims:
        kinds[claim.operation, claim.peer].add(claim.kind)
        remarks[claim.operation, claim.peer] |= {claim.remark} - {""}
    notes: list[str] = []
    lines = [f"| | {' | '.join(PEERS.values())} |", "|---" * (len(PEERS) + 1) + "|"]
    for operation in OPERATIONS:
        cells = []
        for peer in PEERS.values():
            cell = operation, peer
            if len(kinds[cell]) > 1:
                raise ValueError(f"{peer} is said to have and to lack {operation}")
            word = {_SEEN: "seen", _LACKS: "none"}.get("".join(kinds[cell]), "")
            for remark in sorted(remarks[cell]):
                if remark not in notes:
                    notes.append(remark)
                word += f" [{notes.index(remark) + 1}]"
            cells.append(word)
        lines.append(f"| {operation} | {' | '.join(cells)} |")
    return _PAGE.format(
        table="\n".join(lines), notes="\n".join(f"{number}. {note}" for number, note in enumerate(notes, 1))
    )


# --- For pytest -------------------------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--matrix", metavar="FILE", help="write which operation was seen with which peer")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "seen(*operations, at, remark): shows operations with a peer: see tests/matrix.py"
    )
    config.addinivalue_line("markers", "lacks(*operations, at, remark): shows that a peer does not offer operations")
    path = config.getoption("--matrix")
    # The tests of a parallel run are elsewhere; what they say of themselves comes to the one that started them.
    if path and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Writer(Path(path), expects_all=config.getoption("collectonly")))


def pytest_itemcollected(item: pytest.Item) -> None:
    item.user_properties.extend((_PROPERTY, list(claim)) for claim in claims_of(item))


class _Writer:
    """Notes what each test shows, and writes the page at the end."""

    def __init__(self, path: Path, *, expects_all: bool) -> None:
        self._path, self._expects_all = path, expects_all
        self._shown: set[Claim] = set()
        self._unproved: set[Claim] = set()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        if self._expects_all:
            for item in session.items:
                self._shown |= set(_claims_in(item.user_properties))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        claims = set(_claims_in(report.user_properties))
        if not report.passed:
            self._unproved |= claims
        elif report.when == "call":
            self._shown |= claims

    def pytest_sessionfinish(self) -> None:
        cells = {(claim.operation, claim.peer) for claim in self._unproved}
        self._path.write_text(page(claim for claim in sorted(self._shown) if claim[1:3] not in cells))


def _claims_in(properties: Iterable[tuple[str, object]]) -> Iterator[Claim]:
    for name, value in properties:
        if name == _PROPERTY and isinstance(value, list):
            yield Claim(*value)


_PAGE = """\
# What was seen with which peer

An operation with a peer that we did not write, shown by a test that asks it and looks at what came of it. Written by
`make matrix` from the tests that passed; don't edit it. What one would not expect of each peer stands among the
[quirks](quirks.md).

- **seen**: a test does it, and it works, but for what a note says.
- **none**: a test sees that the peer does not offer it.
- An empty cell: not tried.

{table}

{notes}

Orthanc is a whole archive; dcmqrscp, storescp, wlmscpfs and dcmprscp are DCMTK's servers; tiny-pacs is an archive on
pynetdicom2. dcmjs-dimse and pynetdicom are libraries: our tests wrote the few lines of server that answer with them,
and what is seen there is how the library encodes, negotiates and answers. pynetdicom is also what we stand on, so that
a peer made with it shows least.

**Both ways on the wire.** C-STORE, C-FIND and C-GET, and the C-CANCEL of the last two, were seen by the fast path and
through pynetdicom alone (`fast_path=False`), with the same results. C-ECHO, C-MOVE and the DIMSE-N services have one
way only: their messages are few and short.
"""
