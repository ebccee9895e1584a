"""Settings: read once at the process edge, checked whole, refused with every mistake at once.

``load`` reads the file, ``config.d`` beside it and the environment; ``read`` does so too, but refuses nothing yet;
``check`` tells what is unwise; ``show`` writes what counts, with secrets masked.
"""

from gurney.settings.check import check
from gurney.settings.configuration import Configuration
from gurney.settings.load import load, read
from gurney.settings.model import (
    Api,
    Broker,
    Complete,
    Ledger,
    Log,
    Node,
    Prefetch,
    Receiver,
    Remote,
    Retrieve,
    Route,
    Settings,
    Spool,
    Timeouts,
    Watch,
    Workers,
)
from gurney.settings.problems import InvalidSettingsError, Origin, Problem, Severity
from gurney.settings.show import show

__all__ = [
    "Api",
    "Broker",
    "Complete",
    "Configuration",
    "InvalidSettingsError",
    "Ledger",
    "Log",
    "Node",
    "Origin",
    "Prefetch",
    "Problem",
    "Receiver",
    "Remote",
    "Retrieve",
    "Route",
    "Settings",
    "Severity",
    "Spool",
    "Timeouts",
    "Watch",
    "Workers",
    "check",
    "load",
    "read",
    "show",
]
