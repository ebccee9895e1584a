"""What a database says of a row that it refuses quotes the row, path and patient included: nobody repeats it."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError

from gurney.ledger.database import Ledger
from gurney.observability import configure_logging
from gurney_daemon.ingest.admission import Admission
from gurney_daemon.ingest.inspection import Source
from gurney_daemon.ingest.settling import SettledFile
from gurney_daemon.ingest.signature import Signature
from gurney_daemon.ingest.spool import Shelf, open_spool
from tests.daemon.cli.conftest import _process_logging
from tests.daemon.ingest.instances import PATIENT, ct_bytes, drop
from tests.daemon.ingest.site import Site

__all__ = ["_process_logging"]

NAME = PATIENT.partition("^")[0]


@pytest.fixture
def site(either_ledger: Ledger, tmp_path: Path) -> Iterator[Site]:
    site = Site(either_ledger, open_spool(either_ledger, "main", str(tmp_path / "spool")), tmp_path / "ct1")
    yield site
    site.close()


def test_a_row_that_the_database_refuses_is_not_quoted_in_the_log(site: Site) -> None:
    log = io.StringIO()
    configure_logging("json", "debug", log)
    file = drop(site.folder, f"{PATIENT}.dcm", ct_bytes())
    # A policy that the schema does not know: neither the file nor its quarantine can be written.
    source = Source("ct1", after="burn")
    admission = Admission(source, site.ledger, Shelf(site.spool, "ct1"), site.routes(), actor="watch:ct1")
    settled = [SettledFile(os.fsencode(file), Signature.of(file.lstat()))]
    quoted = os.fsencode(file)[:20].hex()  # as PostgreSQL writes bytes, and cuts them
    raised: list[BaseException] = []

    def admit() -> None:
        try:
            admission.admit(settled)
        except IntegrityError as error:
            raised.append(error)
            raise  # as any mistake of ours would end a thread

    thread = threading.Thread(target=admit)
    thread.start()
    thread.join()
    (error,) = raised
    if site.ledger.dialect == "postgresql":
        assert quoted in str(error), "what is not to be repeated"
    written = log.getvalue()
    assert "group_refused" in written
    assert "uncaught_exception" in written
    assert "IntegrityError" in written
    assert NAME not in written
    assert quoted not in written
