"""Set up logs: one event a line, on standard error, for our own loggers and every library's.

``configure_logging`` is called once, at the start of a process and again in each child that is forked. Rotation and
shipping belong to systemd or the container platform.

Ids are bound, not repeated::

    log = get_logger(__name__)
    with bound(destination="archive", lease=7):
        log.info("batch_claimed", instances=200)
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import warnings
from collections.abc import MutableMapping
from types import TracebackType
from typing import Any, Literal, TextIO

import structlog
from structlog.contextvars import bound_contextvars as bound
from structlog.stdlib import get_logger

from gurney.observability.redaction import clean_fields, clean_text, describe_exception

__all__ = ["bound", "configure_logging", "get_logger"]

_OURS = ("gurney", "gurney_daemon", "gurney_workers")
# Their words are about queues and connections. Every other library's text is dropped and its place in the code kept:
# pydicom quotes values in warnings, and pynetdicom prints whole data sets.
_TRUSTED = ("alembic", "celery", "kombu", "redis", "sqlalchemy")

_Event = MutableMapping[str, Any]


def configure_logging(
    form: Literal["auto", "json", "console"] = "auto",
    level: str = "info",
    stream: TextIO | None = None,
    *,
    service: str = "",
    strict: bool = False,
) -> None:
    """Send every log record of this process through one renderer, with no patient data in it.

    form: ``auto`` is ``console`` where ``stream`` is a terminal, else ``json``.
    level: debug, info, warning or error; other libraries never speak below warning.
    stream: standard error unless given.
    service: what each line calls this process, such as ``worker``.
    strict: a call that could leak raises LeakError where it stands; for tests.

    Uncaught exceptions and Python's warnings go the same way, since they too quote values.
    """
    stream = stream or sys.stderr
    as_json = form == "json" or (form == "auto" and not stream.isatty())

    def add_process(_: Any, __: str, event: _Event) -> _Event:
        if service:
            event["service"] = service
        event["pid"] = os.getpid()
        return event

    def guard(_: Any, __: str, event: _Event) -> _Event:
        exc_info = event.pop("exc_info", None)
        fields = clean_fields(event, strict=strict)
        return {**fields, "exc_info": exc_info} if exc_info else fields

    context: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_process,
    ]
    structlog.configure(
        processors=[*context, guard, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        # Cached loggers would keep the set-up that they were first used under, over a fork or a reload.
        cache_logger_on_first_use=False,
    )
    handler = _Handler(stream)
    handler.addFilter(_is_wanted)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*context, structlog.stdlib.ExtraAdder(), _clean_foreign],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _explain_exception,
                _in_order,
                structlog.processors.JSONRenderer(ensure_ascii=False) if as_json else _console(stream),
            ],
        )
    )
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    _catch_the_uncaught()


class _Handler(logging.StreamHandler[TextIO]):
    """Write records; where one can't be written, say so without printing it, as the base class would."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the base class's name
        try:
            self.stream.write(f'{{"event": "log_record_lost", "logger": "{record.name}", "line": {record.lineno}}}\n')
        except (OSError, ValueError):
            # Standard error is gone or closed: there is nowhere left to say anything.
            return


def _is_wanted(record: logging.LogRecord) -> bool:
    # Decided here and not by the loggers' levels, which any library may change later.
    return record.levelno >= logging.WARNING or _belongs(record.name, _OURS)


def _belongs(logger: str, families: tuple[str, ...]) -> bool:
    return logger.partition(".")[0] in families


def _clean_foreign(_: Any, __: str, event: _Event) -> _Event:
    """Redact a record that came through the standard library's logging."""
    record: logging.LogRecord = event["_record"]
    place = f"{record.module}:{record.lineno}"
    exc_info = event.pop("exc_info", None)
    meta = {name: event.pop(name) for name in ("_record", "_from_structlog")}
    if _belongs(record.name, _OURS):
        clean = clean_fields(event)
    elif _belongs(record.name, _TRUSTED):
        # With an exception at hand the arguments quote it; what the record means is in its template.
        text = str(record.msg) if record.exc_info else str(event["event"])
        clean = {**_plain(event), "event": clean_text(text), "place": place}
    else:
        clean = {**_plain(event), "event": "third_party_message", "place": place}
    return {**clean, **meta, **({"exc_info": exc_info} if exc_info else {})}


def _plain(event: _Event) -> dict[str, Any]:
    return {name: event[name] for name in ("level", "logger", "timestamp", "service", "pid") if name in event}


def _explain_exception(_: Any, __: str, event: _Event) -> _Event:
    exc_info = event.pop("exc_info", None)
    if exc_info is True:
        exc_info = sys.exc_info()
    error = exc_info[1] if isinstance(exc_info, tuple) else exc_info
    if isinstance(error, BaseException):
        event["exception"] = describe_exception(error)
    return event


def _in_order(_: Any, __: str, event: _Event) -> _Event:
    # People read lines from the left.
    first = {name: event.pop(name) for name in ("timestamp", "level", "event") if name in event}
    return {**first, **event}


def _console(stream: TextIO) -> structlog.typing.Processor:
    render = structlog.dev.ConsoleRenderer(colors=stream.isatty(), pad_event_to=0)

    def lines(logger: Any, name: str, event: _Event) -> str:
        if "exception" in event:
            event["exception"] = "\n".join(event["exception"])
        return render(logger, name, event)

    return lines


def _catch_the_uncaught() -> None:
    log = get_logger("gurney")

    def uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
        else:
            log.critical("uncaught_exception", exc_info=error)

    def uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
        if not issubclass(args.exc_type, SystemExit):
            name = args.thread.name if args.thread else ""
            log.critical("uncaught_exception", thread=name, exc_info=args.exc_value)

    def unraisable(args: sys.UnraisableHookArgs) -> None:
        log.error("unraisable_exception", exc_info=args.exc_value)

    def show_warning(
        message: Warning | str,  # noqa: ARG001 - it quotes values, so it stays unwritten
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,  # noqa: ARG001
        line: str | None = None,  # noqa: ARG001
    ) -> None:
        log.warning("python_warning", category=category.__name__, place=f"{os.path.basename(filename)}:{lineno}")

    sys.excepthook = uncaught
    threading.excepthook = uncaught_in_thread
    sys.unraisablehook = unraisable
    warnings.showwarning = show_warning
