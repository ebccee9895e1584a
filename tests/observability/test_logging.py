from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from gurney.errors import LedgerError
from gurney.observability import bound, configure_logging, get_logger
from gurney.observability.redaction import LeakError

PLANTED = "PLANTED^NAME"

Events = Callable[[], list[dict[str, Any]]]


def test_an_event_carries_its_fields_and_the_process(events: Events) -> None:
    get_logger("gurney_workers.batch").info("batch_claimed", instances=200)
    event = events()[0]
    assert event.pop("timestamp").endswith("Z")
    assert event == {
        "level": "info",
        "event": "batch_claimed",
        "instances": 200,
        "logger": "gurney_workers.batch",
        "service": "test",
        "pid": os.getpid(),
    }


def test_ids_are_bound_and_let_go(events: Events) -> None:
    log = get_logger("gurney")
    with bound(destination="archive", lease=7):
        log.info("inside")
        logging.getLogger("gurney.pacs").info("library_inside")
    log.info("outside")
    assert [each.get("destination") for each in events()] == ["archive", "archive", None]


def test_the_level_counts(stream: io.StringIO) -> None:
    configure_logging("json", "warning", stream)
    get_logger("gurney").info("quiet")
    logging.getLogger("gurney.pacs").info("quiet")
    assert stream.getvalue() == ""
    get_logger("gurney").warning("loud")
    assert "loud" in stream.getvalue()


def test_the_console_is_for_people(stream: io.StringIO) -> None:
    configure_logging("console", "info", stream)
    try:
        raise LedgerError("the ledger is away")
    except LedgerError:
        get_logger("gurney").exception("settle_failed", lease=7)
    written = stream.getvalue()
    assert "settle_failed" in written
    assert "lease=7" in written
    assert "gurney.errors.LedgerError: the ledger is away\n" in written
    assert "\x1b" not in written


def test_where_nobody_looks_it_is_json(stream: io.StringIO) -> None:
    configure_logging("auto", "info", stream)
    get_logger("gurney").info("hello")
    assert stream.getvalue().startswith("{")


def test_setting_up_twice_writes_once(events: Events, stream: io.StringIO) -> None:
    configure_logging("json", "debug", stream)
    get_logger("gurney").info("once")
    assert len(events()) == 1


def test_strict_raises_where_the_call_stands(stream: io.StringIO) -> None:
    configure_logging("json", "info", stream, strict=True)
    with pytest.raises(LeakError):
        get_logger("gurney").info("found", patient_name=PLANTED)


def test_fields_of_our_libraries_loggers_are_kept_and_guarded(events: Events) -> None:
    logging.getLogger("gurney.pacs").warning("rejected", extra={"remote": "archive", "patient_id": PLANTED})
    event = events()[0]
    assert (event["event"], event["remote"], event["patient_id"]) == ("rejected", "archive", "[redacted]")


@pytest.mark.parametrize("logger", ["pynetdicom", "pynetdicom.dimse", "pydicom", "asyncio", "unknown"])
def test_other_libraries_words_are_dropped_and_their_place_kept(
    events: Events, stream: io.StringIO, logger: str
) -> None:
    # A library may raise its own level; pynetdicom's debug_logger does, and prints data sets.
    logging.getLogger(logger).setLevel(logging.DEBUG)
    logging.getLogger(logger).debug(PLANTED)
    logging.getLogger(logger).info(PLANTED)
    assert stream.getvalue() == ""
    logging.getLogger(logger).error("Bad value %s", PLANTED, extra={"value": PLANTED})
    assert PLANTED not in stream.getvalue()
    assert events()[0]["event"] == "third_party_message"
    assert events()[0]["place"].startswith("test_logging:")


def test_the_brokers_words_are_kept_without_secrets(events: Events) -> None:
    logging.getLogger("celery.worker").warning("Cannot connect to %s", "redis://:hunter2@h/0")
    assert events()[0]["event"] == "Cannot connect to redis://***@h/0"


def test_what_quotes_an_exception_is_written_as_its_template(events: Events, stream: io.StringIO) -> None:
    try:
        int(PLANTED)
    except ValueError as error:
        logging.getLogger("celery.app.trace").error("Task %s raised %r", "ring", error, exc_info=True)
    assert events()[0]["event"] == "Task %s raised %r"
    assert events()[0]["exception"][0] == "ValueError"
    assert PLANTED not in stream.getvalue()


def test_a_statements_parameters_stay_unwritten(events: Events, stream: io.StringIO) -> None:
    engine = create_engine("sqlite://", echo=False)
    logging.getLogger("sqlalchemy.engine").setLevel(logging.DEBUG)
    with engine.connect() as connection:
        connection.execute(text("SELECT :name"), {"name": PLANTED})
        try:
            connection.execute(text("SELECT * FROM nowhere WHERE name = :name"), {"name": PLANTED})
        except SQLAlchemyError as error:
            get_logger("gurney").exception("query_failed", error=error)
    engine.dispose()
    logging.getLogger("sqlalchemy.engine").setLevel(logging.NOTSET)
    assert [each["event"] for each in events()] == ["query_failed"]
    assert PLANTED not in stream.getvalue()


def test_a_record_that_cannot_be_written_is_not_printed(
    events: Events, stream: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    # pytest's own handler came back after the fixture, and raises on such a record.
    configure_logging("json", "debug", stream)
    template = "two %s %s"
    logging.getLogger("gurney.pacs").warning(template, PLANTED)
    assert events()[0]["event"] == "log_record_lost"
    assert PLANTED not in capsys.readouterr().err


def test_a_stream_that_is_closed_stops_nobody(events: Events, stream: io.StringIO) -> None:
    stream.close()
    get_logger("gurney").info("unheard")


def test_warnings_lose_their_text(events: Events, stream: io.StringIO) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        # catch_warnings puts showwarning back, so set-up comes inside.
        configure_logging("json", "debug", stream)
        warnings.warn(f"Invalid value for VR PN: {PLANTED}", UserWarning, stacklevel=1)
    assert [(each["event"], each["category"]) for each in events()] == [("python_warning", "UserWarning")]
    assert PLANTED not in stream.getvalue()


def test_a_thread_that_dies_is_logged_without_its_words(events: Events, stream: io.StringIO) -> None:
    def die() -> None:
        raise ValueError(PLANTED)

    thread = threading.Thread(target=die, name="pump")
    thread.start()
    thread.join()
    event = events()[0]
    assert (event["event"], event["thread"], event["level"]) == ("uncaught_exception", "pump", "critical")
    assert PLANTED not in stream.getvalue()


def test_a_process_that_dies_is_logged_without_its_words() -> None:
    program = (
        "from gurney.observability import configure_logging\n"
        "configure_logging('json')\n"
        "class Broken:\n"
        f"    def __del__(self): raise ValueError('{PLANTED}')\n"
        "Broken()\n"
        f"raise ValueError('{PLANTED}')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert PLANTED not in done.stderr
    assert "unraisable_exception" in done.stderr
    assert "uncaught_exception" in done.stderr
