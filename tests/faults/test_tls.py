"""A destination that is reached by TLS alone, and what happens to its instances while that can't be."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gurney.pacs import request_for_file
from gurney.pacs.testing import FakePacs
from gurney.transfer.states import ItemState
from tests.faults.books import check
from tests.faults.conftest import MakeSite
from tests.faults.harness import remote
from tests.faults.instances import digest_of, make_study
from tests.services.certificates import Authority
from tests.services.dcmtk import StoreScp
from tests.services.presence import require

pytestmark = [pytest.mark.fault, pytest.mark.slow, pytest.mark.peer]


def arrived(archive: StoreScp) -> list[tuple[str, str]]:
    """What it has written: SOP Instance UID and digest of the data set."""
    return [(request_for_file(path).sop_instance_uid, digest_of(path.read_bytes())) for path in archive.files()]


def test_a_certificate_that_can_not_be_used_holds_its_remote_alone(make_site: MakeSite, tmp_path: Path) -> None:
    require("storescp")
    authority = Authority(tmp_path)
    server, client = authority.issue("server"), authority.issue("client")
    options = ["--enable-tls", str(server.key), str(server.certificate), "--add-cert-file", str(authority.file)]
    ca = tmp_path / "to-come.pem"
    tls = {"ca": str(ca), "certificate": str(client.certificate), "key": str(client.key)}
    (tmp_path / "storescp").mkdir()
    with FakePacs() as other, StoreScp(tmp_path / "storescp", options=options) as archive:
        site = make_site(remote(archive, "archive", tls=tls), remote(other, "other"))
        study = make_study(3)
        assert "to-come.pem can't be read" in site.run("config", "check").stdout
        site.start()
        site.drop(*study)
        books = site.books
        books.wait_until(lambda: len(books.items()) == 6, "every item to be there")
        books.wait_until_idle()
        assert set(books.states("other")) == {ItemState.DONE}
        assert set(books.states("archive")) == {ItemState.READY}
        assert {line.attempts for line in books.items("archive")} == {0}
        assert "to-come.pem" in books.destination("archive").hold_reason

        shutil.copy(authority.file, ca)
        books.let_pass_until_settled()
        books.wait_until_complete()
        check(books, study, arrived(archive), destination="archive")
        assert books.destination("archive").hold_reason == ""
