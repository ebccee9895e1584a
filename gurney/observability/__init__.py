"""Logs that can be shown to anyone."""

from gurney.observability.logging import bound, configure_logging, get_logger

__all__ = ["bound", "configure_logging", "get_logger"]
