"""What every command starts from: the settings, read once, and the ledger and the broker, opened when asked for.

What does that is imported there, too: help takes no settings, and to check those takes neither SQLAlchemy nor Celery.
"""

from __future__ import annotations

import getpass
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import typer

from gurney.errors import GurneyError

if TYPE_CHECKING:
    from gurney.ledger.database import Ledger
    from gurney.ledger.forwarding import Bell
    from gurney.settings import Configuration, Settings

__all__ = ["Edge", "failing_in_json", "print_json"]


def print_json(document: Any) -> None:
    """Print one JSON document on standard output."""
    json.dump(document, sys.stdout, indent=2, sort_keys=False, default=str)
    sys.stdout.write("\n")


@contextmanager
def failing_in_json(*, wanted: bool) -> Iterator[None]:
    """Have whatever ends the block say so in a document too, for scripts that read standard output alone."""
    try:
        yield
    except (GurneyError, typer.BadParameter) as error:
        if wanted:
            print_json({"ok": False, "error": str(error)})
        raise


@dataclass
class Edge:
    """The process edge of one command: the only place that reads settings."""

    config: str | None

    @cached_property
    def configuration(self) -> Configuration:
        """The configuration as it was read, right or wrong."""
        from gurney.settings import read

        return read(self.config)

    @property
    def settings(self) -> Settings:
        """The whole configuration, for what starts or sends. Raises ConfigError with every mistake."""
        return self.configuration.whole()

    @cached_property
    def reach(self) -> Settings:
        """What leads to the ledger, the broker and the spool, for what looks and steers; the rest may be wrong.

        Says so where it is. Raises ConfigError when nobody can tell where those are.
        """
        reach = self.configuration.reach()
        if mistakes := self.configuration.mistakes:
            more = f" ({len(mistakes) - 1} more)" if len(mistakes) > 1 else ""
            typer.echo(
                f"gurney: warning: the configuration is wrong, and nothing can be started with it: "
                f"`gurney config check` tells all. {mistakes[0]}{more}",
                err=True,
            )
        return reach

    @property
    def actor(self) -> str:
        """Who is named in the trail for what this command does."""
        try:
            return getpass.getuser()
        except (KeyError, OSError):  # a container's user need not have a name
            return f"uid {os.getuid()}"

    @property
    def has_ledger(self) -> bool:
        """Whether there is a ledger to tell: one that was named, or one that was made where it lies by default."""
        if self.reach.ledger.url:
            return True
        try:
            os.stat(self.reach.ledger_url.removeprefix("sqlite:///"))
        except FileNotFoundError:
            return False
        except OSError:  # it may be there: whoever opens it is told what is wrong
            return True
        return True

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        """Open the ledger. Raises LedgerError, with what to do, when it can't be used."""
        from gurney.ledger.database import Ledger
        from gurney.ledger.schema import check_schema

        ledger = Ledger(self.reach.ledger_url)
        try:
            check_schema(ledger)
            yield ledger
        finally:
            ledger.dispose()

    def ring(self, ledger: Ledger, bells: Sequence[Bell]) -> None:
        """Ring for work that a command has made due. Without a broker the reconciler will, within seconds."""
        if not bells:
            return
        from gurney.jobs import Doorbell, embedded_url, make_app
        from gurney_daemon.ringing import Ringer

        url = self.reach.broker.url or embedded_url(self.reach.node.data_dir)
        if url is None:
            return
        doorbell = Doorbell(make_app(url))
        Ringer(ledger, doorbell)(bells)
        doorbell.close()
