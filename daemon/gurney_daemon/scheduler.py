"""Do the rules of prefetch when they are due, in one daemon at a time.

A time counts as seen to only when it has been, so that a daemon that dies on the way does it again: what was asked for
already is not asked for twice.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from zoneinfo import ZoneInfo

from gurney.ledger import appointments, schedules
from gurney.ledger.database import Ledger
from gurney.ledger.forwarding import Bell
from gurney.observability import get_logger
from gurney.pacs import DicomEngine
from gurney.prefetch.appointments import Seen, see_to
from gurney.prefetch.orders import see_to_orders
from gurney.prefetch.schedules import is_scheduled, missed, next_time
from gurney.settings import Prefetch, Settings
from gurney_daemon.rounds import Chore, Rounds

__all__ = ["SCHEDULER", "Scheduler"]

SCHEDULER = "scheduler"
"""The role of the daemon that does them."""

_ROLE_SECONDS = 600.0
_LOOK_EVERY = 1.0
_TRY_AGAIN_AFTER = 300.0
_MOST_TRIES = 12
_FORGET_EVERY = 3600.0
_REMEMBERED = 30 * 86_400.0

log = get_logger(__name__)


class Scheduler:
    """A thread of the daemon."""

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        ring: Callable[[Sequence[Bell]], None],
        *,
        holder: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Prepare; ``holder`` names this process among all, ``clock`` is the one on the wall."""
        self._settings, self._ledger, self._ring, self._clock = settings, ledger, ring, clock
        self._zone = ZoneInfo(settings.node.timezone)
        self._rules = {rule.name: rule for rule in settings.prefetch if is_scheduled(rule)}
        self._by_message = [rule for rule in settings.prefetch if rule.hl7]
        self._stop = threading.Event()
        chores = [
            Chore(_LOOK_EVERY, self.step),
            Chore(_LOOK_EVERY, self.follow),
            Chore(_FORGET_EVERY, self.forget),
        ]
        self._rounds = Rounds(SCHEDULER, ledger, chores, holder=holder, seconds=_ROLE_SECONDS)
        self._is_known = False

    def run(self, stop: threading.Event) -> None:
        """Do what is due until told to stop; a ledger that is away is waited for."""
        self._stop = stop
        with DicomEngine():
            self._rounds.run(stop)

    def step(self) -> None:
        """Do each rule that is due. Raises LedgerError."""
        now = self._clock()
        if not self._is_known:
            plans = {
                name: (f"{rule.schedule} {rule.every or ''}", next_time(rule, self._zone, now))
                for name, rule in self._rules.items()
            }
            self._ledger.transact(schedules.keep, plans)
            self._is_known = True
        with self._ledger.read() as conn:
            known = schedules.schedules(conn)
        for name, rule in self._rules.items():
            row = known[name]
            if row["look_at"] <= now and not self._stop.is_set():
                self._do(rule, row["due_at"], row["tries"], now)

    def follow(self) -> None:
        """See to what messages told of. Raises LedgerError."""
        for rule in self._by_message:
            if not self._stop.is_set():
                see_to_orders(
                    self._settings,
                    self._ledger,
                    rule,
                    self._clock(),
                    self._ring,
                    actor=SCHEDULER,
                    is_over=self._stop.is_set,
                )

    def forget(self) -> None:
        """Forget appointments that are long past. Raises LedgerError."""
        while not self._stop.is_set() and self._ledger.transact(appointments.forget, self._clock() - _REMEMBERED):
            pass

    def _do(self, rule: Prefetch, due_at: float, tries: int, now: float) -> None:
        total, words = Seen(), ""
        times = missed(rule, self._zone, due_at, now)
        for at in times:
            seen = see_to(
                self._settings,
                self._ledger,
                rule,
                at,
                now,
                self._ring,
                actor=SCHEDULER,
                is_over=self._stop.is_set,
            )
            total.comers += seen.comers
            total.retrievals += seen.retrievals
            words = seen.words or words
            if seen.trouble and tries < _MOST_TRIES:
                log.warning("prefetch_put_off", rule=rule.name, reason=seen.trouble)
                self._ledger.transact(schedules.put_off, rule.name, now + _TRY_AGAIN_AFTER, seen.words)
                return
        self._ledger.transact(
            lambda tx: schedules.done(
                tx,
                rule.name,
                now,
                next_time(rule, self._zone, max(now, due_at)),
                patients=total.comers,
                retrievals=total.retrievals,
                words=words if times else "missed while nobody ran; skipped, as catch_up says",
            )
        )
