"""The wire log says what passed, on both ways over the wire, and never about whom."""

from __future__ import annotations

import logging
import re
from contextlib import suppress
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from gurney.pacs import (
    AssociationFailure,
    PatientRootQuery,
    QueryRetrieveScu,
    RemoteAE,
    StoreRequest,
    StoreResult,
    StoreScu,
    Timeouts,
    Tls,
    TlsIdentity,
    UserIdentity,
    WireLevel,
    WireLog,
)
from gurney.pacs.association.scu import VERIFICATION
from gurney.pacs.testing import Break, FakePacs, InPlaceOfAccept, Reject, Respond
from gurney.pacs.testing.acts import How
from gurney.pacs.wire.dataset import encode_dataset
from tests.pacs.conftest import CT, CT_ONLY, EXPLICIT, MakeRequests
from tests.pacs.planted import TELLTALE
from tests.services import require
from tests.services.certificates import Authority
from tests.services.dcmtk import DcmQrScp, StoreScp

IMPLICIT = "1.2.840.10008.1.2"
SYNTAXES = (IMPLICIT, EXPLICIT, "1.2.840.10008.1.2.2")


class Lines(list[str]):
    """A target in memory."""

    def __call__(self, line: str) -> None:
        self.append(line)

    @property
    def words(self) -> list[str]:
        """The lines without time and association."""
        return [line.split(" ", 2)[2] for line in self]


def stored(scu: StoreScu, pacs: FakePacs, requests: list[StoreRequest]) -> list[StoreResult]:
    with scu.associate(pacs.remote(), CT_ONLY) as association:
        return list(association.store(requests))


@pytest.fixture(params=[True, False], ids=["fast", "plain"])
def fast_path(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


class TestAssociations:
    def test_a_store_is_told_from_the_request_to_the_release(
        self, fast_path: bool, make_requests: MakeRequests
    ) -> None:
        lines = Lines()
        with FakePacs() as pacs:
            pacs.on_instance(1, Respond(0xB000, comment="PLANTED^ANNA was coerced"))
            scu = StoreScu("US", wire_log=WireLog(lines), fast_path=fast_path)
            stored(scu, pacs, make_requests(2))
        assert not TELLTALE.search("\n".join(lines))
        told = [line for line in lines.words if not line[3:].startswith("  ")]
        assert told == [
            f"-- connected to FAKEPACS at 127.0.0.1:{pacs.port}",
            told[1],
            told[2],
            "-> C-STORE-RQ, message ID 1, affected SOP class CT Image Storage (1.2.840.10008.5.1.4.1.1.2), "
            "affected SOP instance 1.2.3.1, priority medium, a data set follows, in context 1",
            "-> data set, 1000 bytes, in context 1: Explicit VR Little Endian (1.2.840.10008.1.2.1)",
            told[5],
            "-> C-STORE-RQ, message ID 2, affected SOP class CT Image Storage (1.2.840.10008.5.1.4.1.1.2), "
            "affected SOP instance 1.2.3.2, priority medium, a data set follows, in context 1",
            "-> data set, 1000 bytes, in context 1: Explicit VR Little Endian (1.2.840.10008.1.2.1)",
            told[8],
            "-> A-RELEASE-RQ, 4 bytes",
            "<- A-RELEASE-RP, 4 bytes",
            told[11],
        ]
        assert told[1].startswith("-> A-ASSOCIATE-RQ, ")
        assert told[2].startswith("<- A-ASSOCIATE-AC, ")
        assert "status B000 stored, with data elements coerced (warning)" in told[5]
        assert "error comment 24 bytes [redacted]" in told[5]
        assert "to message ID 2" in told[8]
        assert "status 0000 success (success)" in told[8]
        assert told[11].startswith("-- connection closed")
        assert (
            "<-   context 1 CT Image Storage (1.2.840.10008.5.1.4.1.1.2): accepted in "
            "Explicit VR Little Endian (1.2.840.10008.1.2.1)"
        ) in lines.words
        assert "->   calling AE title US, called AE title FAKEPACS, protocol version 1" in lines.words

    def test_lines_carry_the_time_and_one_association(self, make_requests: MakeRequests) -> None:
        lines = Lines()
        scu = StoreScu(wire_log=WireLog(lines))
        with FakePacs() as pacs:
            scu.verify(pacs.remote())
            scu.verify(pacs.remote())
        times, associations = zip(*(line.split(" ", 2)[:2] for line in lines), strict=True)
        assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", time) for time in times)
        assert len(set(associations)) == 2
        assert list(times) == sorted(times)

    def test_a_rejection_is_told_in_words(self) -> None:
        assert self._failed(Reject(1, 1, 7)) == (
            "<-   association rejected (1/1/7): permanently, by the peer's application, "
            "it does not answer to the called AE title"
        )

    def test_an_abort_is_told_in_words(self) -> None:
        assert self._failed(InPlaceOfAccept.ABORT).startswith("<-   association aborted by the ")

    def test_what_is_not_dicom_is_said_and_followed_no_further(self) -> None:
        assert "nothing more can be followed this way: no PDU begins with the byte" in self._failed(
            InPlaceOfAccept.GARBAGE
        )

    def _failed(self, act: Reject | InPlaceOfAccept) -> str:
        lines = Lines()
        with FakePacs() as pacs:
            pacs.on_association(1, act)
            with pytest.raises(AssociationFailure):
                StoreScu(wire_log=WireLog(lines)).verify(pacs.remote(Timeouts(acse=1)))
        return next(line for line in reversed(lines.words) if line.startswith("<-"))

    def test_a_reset_is_told(self, fast_path: bool, make_requests: MakeRequests) -> None:
        lines = Lines()
        with FakePacs() as pacs:
            pacs.on_instance(1, Break(How.RESET))
            scu = StoreScu(wire_log=WireLog(lines), fast_path=fast_path)
            with suppress(AssociationFailure):
                stored(scu, pacs, make_requests(1))
        assert lines.words[-1] in {"-- connection lost: Connection reset by peer", "-- connection closed by the peer"}

    def test_who_asks_is_never_told(self) -> None:
        lines = Lines()
        user = UserIdentity.username("planted-anna", "planted-secret", wants_response=True)
        scu = StoreScu(user_identity=user, wire_log=WireLog(lines, reveal_patient_data=True))
        with FakePacs() as pacs:
            scu.verify(pacs.remote())
        assert "->   user identity: passcode [never shown]" in lines.words
        assert not TELLTALE.search("\n".join(lines))

    def test_fragments_of_a_data_set_are_summed_up(self, fast_path: bool, make_requests: MakeRequests) -> None:
        lines = Lines()
        with FakePacs() as pacs:
            scu = StoreScu(wire_log=WireLog(lines, level=WireLevel.PDU), fast_path=fast_path)
            stored(scu, pacs, make_requests(1, size=3_000_000))
        assert len(lines) < 40
        (many,) = [line for line in lines.words if " times, " in line]
        assert re.fullmatch(r"-> P-DATA-TF \d\d times, \d{7} bytes in all: data set in context 1", many)
        assert any(
            re.fullmatch(r"-> P-DATA-TF, \d+ bytes: data set in context 1, \d+ bytes, last", line)
            for line in lines.words
        )
        assert any(line.startswith("-> P-DATA-TF, ") and ": command in context 1, " in line for line in lines.words)


class TestQueries:
    def test_a_query_of_a_real_archive_names_nobody(self, fast_path: bool, dcmqrscp: DcmQrScp, tmp_path: Path) -> None:
        lines = self._asked(dcmqrscp, tmp_path, fast_path=fast_path)
        text = "\n".join(lines)
        assert not TELLTALE.search(text)
        assert "(0010,0010) PN PatientName, 12 bytes [redacted]" in text
        assert "(0008,0052) CS QueryRetrieveLevel, 8 bytes: PATIENT" in text
        assert "status FF00 pending, a match follows (pending), a data set follows" in text

    def test_patients_are_named_where_that_is_asked_for(self, dcmqrscp: DcmQrScp, tmp_path: Path) -> None:
        lines = self._asked(dcmqrscp, tmp_path, fast_path=True, reveal_patient_data=True)
        assert sum("(0010,0010) PN PatientName, 12 bytes: PLANTED^ANNA" in line for line in lines) == 3

    def _asked(
        self, archive: DcmQrScp, folder: Path, *, fast_path: bool, reveal_patient_data: bool = False
    ) -> list[str]:
        peer = RemoteAE(archive.ae_title, "127.0.0.1", archive.port)
        dataset = Dataset()
        dataset.PatientName, dataset.PatientID = "PLANTED^ANNA", "PLANTED-4711"
        dataset.SOPClassUID, dataset.SOPInstanceUID = CT, "1.2.3.1"
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3.2", "1.2.3.3"
        path = folder / "instance"
        encoded = encode_dataset(dataset, EXPLICIT)
        path.write_bytes(encoded)
        with StoreScu().associate(peer, CT_ONLY) as association:
            (result,) = association.store([StoreRequest(str(path), CT, "1.2.3.1", EXPLICIT, 0)])
        assert result.status == 0
        lines = Lines()
        log = WireLog(lines, level=WireLevel.PDU, reveal_patient_data=reveal_patient_data)
        scu = QueryRetrieveScu(wire_log=log, fast_path=fast_path)
        with scu.find(peer, PatientRootQuery(patient_name="PLANTED^ANNA", patient_birth_date="19610203-")) as search:
            list(search)
        with scu.find(peer, PatientRootQuery(patient_name="PLANTED^ANNA")) as search:
            assert len(list(search)) == 1
        return lines


class TestTargets:
    def test_a_file_is_appended_to_and_its_owners(self, tmp_path: Path) -> None:
        path = tmp_path / "wire.log"
        path.touch(0o600)
        path.write_text("before\n")
        with FakePacs() as pacs, WireLog(path) as log:
            StoreScu(wire_log=log).verify(pacs.remote())
        text = path.read_text()
        assert text.startswith("before\n")
        assert "C-ECHO-RSP" in text

    def test_a_new_file_is_for_its_owner_only(self, tmp_path: Path) -> None:
        WireLog(tmp_path / "wire.log").close()
        assert (tmp_path / "wire.log").stat().st_mode & 0o777 == 0o600

    def test_a_logger_gets_each_line(self, caplog: pytest.LogCaptureFixture) -> None:
        logger = logging.getLogger("tests.wire")
        with caplog.at_level(logging.INFO, "tests.wire"), FakePacs() as pacs:
            StoreScu(wire_log=WireLog(logger)).verify(pacs.remote())
        assert any("C-ECHO-RQ, message ID 1" in record.getMessage() for record in caplog.records)

    def test_a_target_that_fails_costs_no_image(
        self, fast_path: bool, make_requests: MakeRequests, caplog: pytest.LogCaptureFixture
    ) -> None:
        def full(_line: str) -> None:
            raise OSError(28, "No space left on device")

        with FakePacs() as pacs, caplog.at_level(logging.WARNING, "gurney"):
            scu = StoreScu(wire_log=WireLog(full), fast_path=fast_path)
            results = stored(scu, pacs, make_requests(3))
        assert [result.status for result in results] == [0, 0, 0]
        assert [record.getMessage() for record in caplog.records] == ["wire_log_failed error=OSError"]

    def test_a_file_that_is_closed_meanwhile_costs_nothing_either(self, tmp_path: Path) -> None:
        log = WireLog(tmp_path / "wire.log")
        with FakePacs() as pacs, StoreScu(wire_log=log).associate(pacs.remote(), [VERIFICATION]) as association:
            log.close()
            association.verify()


def test_without_a_log_nothing_is_in_between() -> None:
    with FakePacs() as pacs, StoreScu().associate(pacs.remote(), [VERIFICATION]) as association:
        assert type(association._assoc.wire.connection).__name__ == "PlainSocket"


@pytest.mark.peer
def test_what_tls_hides_is_logged_as_it_was_said(fast_path: bool, make_requests: MakeRequests, tmp_path: Path) -> None:
    require("storescp")
    authority = Authority(tmp_path)
    server, client = authority.issue("server"), authority.issue("client")
    options = ["--enable-tls", str(server.key), str(server.certificate), "--add-cert-file", str(authority.file)]
    tls = Tls(ca=authority.file, identity=TlsIdentity(client.certificate, client.key))
    lines = Lines()
    (tmp_path / "peer").mkdir()
    with StoreScp(tmp_path / "peer", options=options) as peer:
        remote = RemoteAE(peer.ae_title, "127.0.0.1", peer.port, tls=tls)
        StoreScu(wire_log=WireLog(lines), fast_path=fast_path).verify(remote)
    assert re.fullmatch(rf"-- connected to STORESCP at 127.0.0.1:{peer.port}, TLSv1\.\d with \w+", lines.words[0])
    assert any(line.startswith("<- C-ECHO-RSP, to message ID 1") for line in lines.words)
