"""Instances that peers push, into the spool and the ledger."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gurney.pacs import DicomEngine, Listener, RemoteAE, StoreScu
from gurney.transfer.routing import Door
from gurney_daemon.ingest.admission import Admission
from gurney_daemon.ingest.inspection import Source
from gurney_daemon.ingest.routes import DoorRoutes
from gurney_daemon.ingest.spool import Shelf
from gurney_daemon.receiving.landing import Landing
from gurney.transfer.routing import compile_routes
from tests.daemon.ingest.conftest import *
from tests.daemon.ingest.instances import drop
from tests.services.presence import program


def test_thin(site, tmp_path):
    out = tmp_path / "out"; out.mkdir()
    for n in range(5):
        drop(out, f"1.2.3.{n+1}")
    shelf = Shelf(site.spool, "main")
    routes = DoorRoutes(compile_routes([]), "main", ("archive",), door=Door.RECEIVE)
    admission = Admission(Source("main", door="receive"), site.ledger, shelf, routes, actor="receiver")
    landing = Landing(shelf, admission, site.ring)
    with DicomEngine(), Listener("GURNEY", intake=landing) as l:
        r = subprocess.run([program("storescu"), "-v","-aec", "GURNEY", "127.0.0.1", str(l.port), "+sd", str(out)], capture_output=True, text=True)
        print(r.stdout, r.stderr)
    print([dict(f._mapping) for f in site.files()][:1])
    print(len(site.items()), site.bells)
    assert len(site.items()) == 5
