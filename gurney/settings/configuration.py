"""A configuration as it was read: whole where it is right, and where it is not, what still reaches that which runs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches

from gurney.settings.environment import table_of
from gurney.settings.model import Settings
from gurney.settings.problems import InvalidSettingsError, Problem

__all__ = ["Configuration"]

# What leads to the ledger, to the broker, and to the files that are held.
_WAYS = ("node", "ledger", "broker", "spool")


@dataclass(frozen=True, slots=True)
class Configuration:
    """``settings`` with stand-ins for what is wrong, and every problem that was found, warnings too."""

    settings: Settings
    problems: tuple[Problem, ...]

    @property
    def mistakes(self) -> tuple[Problem, ...]:
        """The problems with which nothing may start."""
        return tuple(problem for problem in self.problems if problem.is_error)

    def whole(self) -> Settings:
        """Return everything, for what starts or sends. Raises InvalidSettingsError for any mistake."""
        if self.mistakes:
            raise InvalidSettingsError(self.problems)
        return self.settings

    def reach(self) -> Settings:
        """Return what it takes to look at and to steer what runs; sections that this does not take may be wrong.

        What runs goes on with the settings that it started with, and must not be out of reach while somebody edits
        the next ones. Where a mistake stands elsewhere, only ``node``, ``ledger``, ``broker`` and ``spool`` are what
        was configured; the rest is at its defaults.

        :raises InvalidSettingsError: when the mistake may be about one of those four.
        """
        if not self.mistakes:
            return self.settings
        if any(self._may_mislead(mistake) for mistake in self.mistakes):
            raise InvalidSettingsError(self.problems)
        return Settings(**{name: getattr(self.settings, name) for name in _WAYS})

    def _may_mislead(self, mistake: Problem) -> bool:
        """Tell whether, for a mistake, another ledger or broker than the configured one could be taken for it."""
        table = re.split(r"[.\[]", mistake.key)[0] or table_of(mistake.origin.source)
        if not table:
            return not self._needs_no_other_file()
        if table in Settings.model_fields:
            return table in _WAYS
        # An unknown table may be one of ours, misspelt.
        meant = get_close_matches(table, Settings.model_fields, n=1)
        return bool(meant) and meant[0] in _WAYS

    def _needs_no_other_file(self) -> bool:
        """Tell whether ledger and broker are known, whatever a file says that can't be read.

        Nothing may be written in two files, and the environment goes before all of them.
        """
        broker = self.settings.broker.url or ("node", "data_dir") in self.settings.provenance.origins
        return bool(self.settings.ledger.url and broker)
