"""Chores that one daemon at a time does, in a thread of their own, for as long as it holds their role."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gurney.errors import GurneyError, LedgerError
from gurney.ledger import roles
from gurney.ledger.database import Ledger
from gurney.ledger.roles import RoleTicket
from gurney.observability import get_logger

__all__ = ["Chore", "Rounds"]

log = get_logger(__name__)


@dataclass(slots=True)
class Chore:
    """Work to be done ``every`` so many seconds, first when it is ``due`` by the monotonic clock; safe to do twice."""

    every: float
    work: Callable[[], object]
    due: float = 0.0


class Rounds:
    """Go round some chores. ``seconds`` is for how long the role is taken: longer than any chore should last."""

    def __init__(self, role: str, ledger: Ledger, chores: Sequence[Chore], *, holder: str, seconds: float) -> None:
        """Prepare; ``holder`` names this process among all."""
        self._role, self._ledger, self._chores = role, ledger, chores
        self._holder, self._seconds = holder, seconds
        self._ticket: RoleTicket | None = None
        self._keep_at = 0.0

    def run(self, stop: threading.Event) -> None:
        """Go round until told to stop; a ledger that is away is waited for."""
        while not stop.wait(0.25):
            try:
                if self._hold_role():
                    self._do_chores()
            except LedgerError as error:
                self._tell(error)
                stop.wait(1.0)
        if self._ticket is not None:
            try:
                self._ledger.transact(roles.resign, self._ticket)
            except GurneyError as error:
                log.warning("role_not_resigned", role=self._role, reason=str(error))

    def _hold_role(self) -> bool:
        now = time.monotonic()
        if now < self._keep_at:
            return self._ticket is not None
        self._keep_at = now + self._seconds / 4
        if self._ticket is None or not self._ledger.transact(roles.keep, self._ticket, self._seconds):
            self._ticket = self._ledger.transact(roles.assume, self._role, self._holder, self._seconds)
        return self._ticket is not None

    def _do_chores(self) -> None:
        for chore in self._chores:
            if time.monotonic() >= chore.due:
                try:
                    chore.work()
                except LedgerError:
                    raise  # the ones behind it need the ledger too
                except (GurneyError, OSError) as error:
                    self._tell(error)
                finally:
                    chore.due = time.monotonic() + chore.every

    def _tell(self, error: GurneyError | OSError) -> None:
        log.warning("chore_failed", role=self._role, kind=type(error).__name__, reason=_why(error))


def _why(error: GurneyError | OSError) -> str:
    # An OSError's text names the file, which may be a modality's.
    return (error.strerror or "") if isinstance(error, OSError) else str(error)
