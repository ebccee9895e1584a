"""The wire log says what passed, on both ways over the wire, and never about whom."""

from __future__ import annotations

import logging
import re
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
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
from gurney.pacs.association_words import association_lines, proposals_of
from gurney.pacs.command import encode_command
from gurney.pacs.command_words import command_words
from gurney.pacs.dataset import encode_dataset
from gurney.pacs.element_words import element_lines
from gurney.pacs.overheard import MOST_KEPT, Fragments, Kept, Overheard
from gurney.pacs.scu import VERIFICATION
from gurney.pacs.testing import Break, FakePacs, InPlaceOfAccept, Reject, Respond
from gurney.pacs.testing.acts import How
from tests.pacs.conftest import CT, CT_ONLY, EXPLICIT, MakeRequests
from tests.services import require
from tests.services.certificates import Authority
from tests.services.dcmtk import DcmQrScp, StoreScp

IMPLICIT = "1.2.840.10008.1.2"
SYNTAXES = (IMPLICIT, EXPLICIT, "1.2.840.10008.1.2.2")

# Whatever may identify somebody, in every kind of value that can hold it.
IDENTIFYING: dict[str, object] = {
    "PatientName": "PLANTED^ANNA",
    "PatientID": "PLANTED-4711",
    "PatientBirthDate": "19610203",
    "PatientBirthTime": "050607",
    "PatientAge": "061Y",
    "PatientSize": "1.7654321",
    "PatientWeight": "76.54321",
    "PatientAddress": "PLANTED ROAD 7",
    "PatientComments": "PLANTED comment",
    "AdditionalPatientHistory": "PLANTED history",
    "AccessionNumber": "PLANTEDACC",
    "StudyID": "PLANTEDSTUDY",
    "StudyDate": "20240317",
    "StudyTime": "111213",
    "StudyDescription": "PLANTED description",
    "ReferringPhysicianName": "PLANTED^DOCTOR",
    "InstitutionName": "PLANTED HOSPITAL",
    "AcquisitionDateTime": "20240317111213.5",
    "IssuerOfPatientID": "PLANTED ISSUER",
    "RetrieveURL": "http://planted.example/anna",
    "PatientSex": "PLANTEDF",
    "RequestedProcedureID": "PLANTEDPROC",
    "SmokingStatus": "PLANTEDSMOKES",
}
TELLTALE = re.compile(r"planted|\banna\b|19610203|050607|061Y|1\.76543|76\.543|20240317|111213", re.IGNORECASE)


class Lines(list[str]):
    """A target in memory."""

    def __call__(self, line: str) -> None:
        self.append(line)

    @property
    def words(self) -> list[str]:
        """The lines without time and association."""
        return [line.split(" ", 2)[2] for line in self]


def identifying() -> Dataset:
    """Make a data set that holds all of it, on the surface, in sequences, in private elements and where it may not."""
    dataset = Dataset()
    for keyword, value in IDENTIFYING.items():
        setattr(dataset, keyword, value)
    inner = Dataset()
    inner.PatientID = "PLANTED-INNER"
    inner.PatientName = "PLANTED^INNER"
    dataset.OtherPatientIDsSequence = [inner]
    dataset.private_block(0x0009, "PLANTED CREATOR", create=True).add_new(0x01, "LO", "PLANTED PRIVATE")
    dataset.add_new(0x00420011, "OB", b"PLANTED DOCUMENT")
    dataset.add_new(0x00091001, "UN", b"PLANTED UNKNOWN")
    dataset.add_new(0x00281201, "OW", b"PLANTED LUT DATA")
    return dataset


def kept(dataset: Dataset, transfer_syntax_uid: str) -> Kept:
    encoded = encode_dataset(dataset, transfer_syntax_uid)
    return Kept(encoded, len(encoded))


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


class TestElements:
    @pytest.mark.parametrize("syntax", SYNTAXES)
    def test_nothing_that_identifies_is_shown(self, syntax: str) -> None:
        lines = list(element_lines(kept(identifying(), syntax), syntax))
        assert not TELLTALE.search("\n".join(lines))
        assert len(lines) > len(IDENTIFYING), "every element is told of, all the same"
        assert not any("can't be followed" in line for line in lines)

    @pytest.mark.parametrize("syntax", SYNTAXES)
    def test_text_and_numbers_are_shown_where_that_is_asked_for(self, syntax: str) -> None:
        text = "\n".join(element_lines(kept(identifying(), syntax), syntax, reveal=True))
        for value in IDENTIFYING.values():
            assert str(value) in text
        assert "PLANTED^INNER" in text
        assert "DOCUMENT" not in text
        assert "LUT DATA" not in text

    def test_what_identifies_nobody_is_shown(self) -> None:
        dataset = Dataset()
        dataset.Modality, dataset.Rows, dataset.NumberOfStudyRelatedInstances = "CT", 512, "17"
        dataset.SOPClassUID, dataset.StudyInstanceUID = CT, "1.2.3"
        dataset.RetrieveAETitle = ["ARCHIVE", "OTHER"]
        assert list(element_lines(kept(dataset, EXPLICIT), EXPLICIT)) == [
            "(0008,0016) UI SOPClassUID, 26 bytes: CT Image Storage (1.2.840.10008.5.1.4.1.1.2)",
            "(0008,0054) AE RetrieveAETitle, 14 bytes: ARCHIVE\\OTHER",
            "(0008,0060) CS Modality, 2 bytes: CT",
            "(0020,000D) UI StudyInstanceUID, 6 bytes: 1.2.3",
            "(0020,1208) IS NumberOfStudyRelatedInstances, 2 bytes: 17",
            "(0028,0010) US Rows, 2 bytes: 512",
        ]

    @pytest.mark.parametrize(
        ("tag", "vr", "value"),
        [
            ((0x0008, 0x0060), b"CS", b"Planted^Anna"),
            ((0x0008, 0x0060), b"LO", b"\x1b[2Jplanted\r\n"),
            ((0x0020, 0x000D), b"UI", b"PLANTED^ANNA"),
            ((0x0020, 0x000D), b"UI", b"1.2.3\\PLANTED "),
            ((0x0008, 0x0054), b"AE", b"planted anna"),
            ((0x0008, 0x0060), b"PN", b"DOE JANE"),
        ],
        ids=[
            "a name as a modality",
            "a terminal's codes",
            "a name as a UID",
            "a name behind a UID",
            "a name as a title",
            "a name in capitals",
        ],
    )
    def test_what_is_not_what_its_tag_says_is_not_shown(self, tag: tuple[int, int], vr: bytes, value: bytes) -> None:
        encoded = struct.pack("<HH2sH", *tag, vr, len(value)) + value
        (line,) = element_lines(Kept(encoded, len(encoded)), EXPLICIT)
        assert line.endswith(f"{len(value)} bytes [redacted]")

    def test_hostile_text_is_escaped_where_it_is_shown(self) -> None:
        value = b"\x1b[2J\r\nfaked line\x00\xff"
        encoded = struct.pack("<HH2sH", 0x0010, 0x0010, b"PN", len(value)) + value
        (line,) = element_lines(Kept(encoded, len(encoded)), EXPLICIT, reveal=True)
        assert line.isprintable()
        assert "[2J\\r\\nfaked line\\x00" in line

    def test_an_end_that_is_missing_is_said(self) -> None:
        whole = encode_dataset(identifying(), EXPLICIT)
        lines = list(element_lines(Kept(whole[:200], len(whole)), EXPLICIT))
        assert lines[-1].startswith("... and what can't be followed, from byte ")
        assert lines[-1].endswith(f" of {len(whole)} of which only the beginning is kept")

    def test_depth_and_number_are_bounded(self) -> None:
        deep = struct.pack("<HH2sHIHHI", 0x0040, 0xA730, b"SQ", 0, 0xFFFFFFFF, 0xFFFE, 0xE000, 0xFFFFFFFF) * 1_000
        assert len(list(element_lines(Kept(deep, len(deep)), EXPLICIT))) < 40
        many = struct.pack("<HH2sH", 0x0010, 0x0010, b"PN", 0) * 8_000
        assert len(list(element_lines(Kept(many, len(many)), EXPLICIT))) < 500

    def test_pixels_are_passed_over(self) -> None:
        dataset = Dataset()
        dataset.Rows = 1
        dataset.add_new(0x7FE00010, "OW", b"PLANTED " * 1_000)
        lines = list(element_lines(kept(dataset, EXPLICIT), EXPLICIT, reveal=True))
        assert lines[-1] == "(7FE0,0010) OW PixelData, 8000 bytes"

    @given(st.binary(max_size=300), st.sampled_from(SYNTAXES), st.booleans())
    def test_nothing_makes_it_raise(self, data: bytes, syntax: str, reveal: bool) -> None:
        for line in element_lines(Kept(data, len(data) + 7), syntax, reveal=reveal):
            assert line.isprintable()

    @given(st.binary(max_size=300), st.sampled_from([1, 2, 3, 7]))
    def test_nor_do_associations_and_commands(self, data: bytes, kind: int) -> None:
        proposals_of(data)
        for line in [*association_lines(kind, data, {}), command_words(data), command_words(data, reveal=True)]:
            assert line.isprintable()


class TestCommands:
    def test_a_response_is_told_with_its_counts(self) -> None:
        encoded = encode_command(
            {0x0100: 0x8021, 0x0120: 5, 0x0800: 0x0101, 0x0900: 0xB000, 0x1021: 3, 0x1022: 1, 0x0902: b"PLANTED"}
        )
        assert command_words(encoded) == (
            "C-MOVE-RSP, to message ID 5, completed 3, failed 1, "
            "status B000 completed, with failed or warned sub-operations (warning), error comment 7 bytes [redacted]"
        )
        assert command_words(encoded, reveal=True).endswith("error comment PLANTED")

    @pytest.mark.parametrize(
        ("field", "name"),
        [
            (0x0FFF, "C-CANCEL-RQ"),
            (0x8100, "N-EVENT-REPORT-RSP"),
            (0x0140, "N-CREATE-RQ"),
            (0x7777, "a message of type 7777"),
        ],
    )
    def test_messages_have_their_names(self, field: int, name: str) -> None:
        assert command_words(encode_command({0x0100: field, 0x0800: 0x0101})) == name

    def test_what_is_unknown_is_named_and_not_shown(self) -> None:
        words = command_words(encode_command({0x0100: 1, 0x0800: 0x0101, 0x5110: b"PLANTED"}))
        assert words == "C-STORE-RQ, and (0000,5110)"


class Heard:
    """Whatever is overheard, one thing after the other."""

    def __init__(self) -> None:
        self.things: list[object] = []

    def on_pdu(self, kind: int, body: Kept) -> None:
        self.things.append(("pdu", kind, body))

    def on_data(self, length: int, fragments: tuple[Fragments, ...]) -> None:
        self.things.append(("data", length, fragments))

    def on_command(self, context_id: int, command: Kept) -> None:
        self.things.append(("command", context_id, command))

    def on_dataset(self, context_id: int, dataset: Kept) -> None:
        self.things.append(("data set", context_id, dataset))

    def on_nonsense(self, what: str) -> None:
        self.things.append(("nonsense", what))


def data_tf(*fragments: tuple[int, int, bytes]) -> bytes:
    body = b"".join(struct.pack(">IBB", len(part) + 2, context, control) + part for context, control, part in fragments)
    return struct.pack(">BBI", 4, 0, len(body)) + body


STREAM = (
    struct.pack(">BBI", 5, 0, 4)
    + bytes(4)
    + data_tf((1, 1, b"com"), (1, 3, b"mand"), (1, 0, b"da"))
    + data_tf((1, 0, b""), (1, 2, b"ta"))
    + data_tf()
    + struct.pack(">BBI", 7, 0, 0)
)


class TestOverheard:
    def heard(self, stream: bytes, cut: Callable[[int], int] = lambda _: 1 << 20) -> list[object]:
        heard = Heard()
        overheard, at = Overheard(heard), 0
        while at < len(stream):
            length = cut(at)
            overheard.hear(memoryview(stream)[at : at + length])
            at += length
        return heard.things

    def test_messages_are_put_together(self) -> None:
        assert self.heard(STREAM) == [
            ("pdu", 5, Kept(bytes(4), 4)),
            ("data", 27, (Fragments(1, 1, 1, 3), Fragments(1, 3, 1, 4), Fragments(1, 0, 1, 2))),
            ("command", 1, Kept(b"command", 7)),
            ("data", 14, (Fragments(1, 0, 1, 0), Fragments(1, 2, 1, 2))),
            ("data set", 1, Kept(b"data", 4)),
            ("data", 0, ()),
            ("pdu", 7, Kept(b"", 0)),
        ]

    @given(st.lists(st.integers(1, 9), min_size=len(STREAM), max_size=len(STREAM)))
    def test_however_the_bytes_come(self, cuts: list[int]) -> None:
        assert self.heard(STREAM, lambda at: cuts[at]) == self.heard(STREAM)

    @pytest.mark.parametrize(
        "stream",
        [
            b"GET / HTTP/1.1\r\n\r\n",
            struct.pack(">BBIIBB", 4, 0, 10, 11, 1, 0) + bytes(20),
            struct.pack(">BBIIBB", 4, 0, 10, 1, 1, 0) + bytes(20),
            struct.pack(">BBI", 4, 0, 3) + bytes(20),
        ],
        ids=["http", "a fragment too long", "a fragment too short", "a header cut off"],
    )
    def test_nonsense_is_said_once(self, stream: bytes) -> None:
        things = self.heard(stream + STREAM, lambda _: 3)
        assert [thing[0] for thing in things if isinstance(thing, tuple)] == ["nonsense"]

    @given(st.binary(max_size=200))
    def test_nothing_makes_it_raise(self, stream: bytes) -> None:
        self.heard(STREAM + b"\x04\x00" + stream, lambda _: 7)

    def test_of_what_is_long_the_beginning_is_kept(self) -> None:
        pdu = data_tf((1, 0, bytes(60_000)))
        last = data_tf((1, 2, b"\1"))
        things = self.heard(pdu * 100 + last)
        assert things[-1] == ("data set", 1, Kept(bytes(MOST_KEPT), 6_000_001))


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
