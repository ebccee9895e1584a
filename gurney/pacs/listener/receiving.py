"""A listener for who keeps instances elsewhere than in a folder, and has rules of its own for who may call."""

from __future__ import annotations

import time

from gurney.pacs.listener.accepted import AcceptedAssociation
from gurney.pacs.listener.intake import Doorkeeper, Intake
from gurney.pacs.listener.listener import Listener
from gurney.pacs.remote import Timeouts
from gurney.pacs.tls.options import InboundTls

__all__ = ["ReceivingListener"]


class ReceivingListener(Listener):
    """A :class:`Listener` whose instances an ``intake`` keeps, and into which a ``doorkeeper`` lets peers."""

    def __init__(
        self,
        ae_title: str,
        intake: Intake,
        doorkeeper: Doorkeeper | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        max_associations: int = 32,
        timeouts: Timeouts | None = None,
        tls: InboundTls | None = None,
    ) -> None:
        """Prepare as a listener does; without a doorkeeper everybody who calls ``ae_title`` comes in.

        Raises ValueError for an AE title that is none.
        """
        super().__init__(ae_title, host=host, port=port, max_associations=max_associations, timeouts=timeouts, tls=tls)
        self._intake, self._doorkeeper = intake, doorkeeper

    def cut_older_than(self, seconds: float) -> int:
        """End the associations that have lasted longer, whatever they are at; return how many.

        Who is never silent and never done would keep its place for ever, and what it keeps open with it.
        """
        before = time.monotonic() - seconds
        with self._guard:
            old = [
                one
                for one in self._threads.values()
                if isinstance(one, AcceptedAssociation) and one.accepted_at < before
            ]
        for one in old:
            one.drop()
        return len(old)
