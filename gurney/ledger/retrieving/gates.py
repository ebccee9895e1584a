"""Whether a source may be asked, and towards whom: the breakers of retrieving, by the rules of ``transfer.breaker``.

A source has a gate of its own, and one for each way out of it: to us, and to each third party. So a workstation that is
switched off stops what is to go there, and a port of ours that nobody reaches what is to come here, never the archive.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import select

from gurney.ledger import trail
from gurney.ledger.database import Transaction
from gurney.ledger.models import RetrieveGate
from gurney.transfer import breaker
from gurney.transfer.breaker import Admit, Breaker, Gate

__all__ = ["ITSELF", "TO_US", "Gates", "toward"]

ITSELF: Final = ""
"""The gate of the source itself."""

TO_US: Final = "."
"""The way to us: no remote can have this name."""

_COLUMNS: Final = (
    "breaker",
    "faults",
    "opened_at",
    "probe_at",
    "probes",
    "hold_reason",
    "hold_since",
    "last_success_at",
)


def toward(direct_to: str) -> str:
    """Name the way that a retrieval takes."""
    return direct_to or TO_US


@dataclass(slots=True)
class Gates:
    """All gates of one source, for one transaction that has locked the source's row."""

    tx: Transaction
    source_id: int
    _gates: dict[str, Gate] = field(default_factory=dict)

    @classmethod
    def of(cls, tx: Transaction, source_id: int) -> Gates:
        """Read them."""
        rows = tx.conn.execute(select(RetrieveGate.__table__).where(RetrieveGate.source_id == source_id))
        found = {
            row.toward: Gate(**{name: getattr(row, name) for name in _COLUMNS} | {"breaker": Breaker(row.breaker)})
            for row in rows
        }
        return cls(tx, source_id, found)

    def __getitem__(self, way: str) -> Gate:
        return self._gates.get(way, Gate())

    @property
    def known(self) -> Mapping[str, Gate]:
        """Those about which something has been learned."""
        return self._gates

    def closed_ways(self) -> dict[str, breaker.Admission]:
        """Return the ways that can't be taken now, and why."""
        admissions = {way: breaker.may_claim(gate, self.tx.now) for way, gate in self._gates.items()}
        return {way: one for way, one in admissions.items() if one.admit is Admit.DENIED}

    def put(self, way: str, gate: Gate, error: str = "") -> None:
        """Write a gate that has changed; a change of what is shown of it is audited."""
        before = self[way]
        if gate == before and not error:
            return
        values: dict[str, object] = {name: getattr(gate, name) for name in _COLUMNS}
        values |= {"breaker": gate.breaker.value, "hold_reason": gate.hold_reason[:400]}
        if error:
            values |= {"last_error": error[:400], "last_error_at": self.tx.now}
        self.tx.conn.execute(
            self.tx.upsert(RetrieveGate)
            .values(source_id=self.source_id, toward=way, **values)
            .on_conflict_do_update(index_elements=[RetrieveGate.source_id, RetrieveGate.toward], set_=values)
        )
        self._gates[way] = gate
        if breaker.shown(gate) != breaker.shown(before):
            trail.record(
                self.tx,
                "ledger",
                "retrieve_gate.state",
                destination_id=self.source_id,
                toward=way,
                old=breaker.shown(before).value,
                new=breaker.shown(gate).value,
                reason=gate.hold_reason or error,
            )
