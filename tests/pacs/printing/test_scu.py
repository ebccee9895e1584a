"""Printing on DCMTK's `dcmprscp`, which stores what it would print; colour and faults, on dcmjs-dimse."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from gurney.dicom.status import Category
from gurney.pacs import (
    AssociationAborted,
    ContextRefused,
    FilmBox,
    FilmOrientation,
    FilmSession,
    InvalidAttributes,
    OperationFailed,
    Polarity,
    PrintManagementScu,
    RemoteAE,
)
from gurney.pacs.events import BeforeNormalized, NormalizedChange
from tests.pacs.printing.test_image import RGB, TWELVE, image
from tests.services.dcmjs import DcmjsNormalizedScp, installed_node_modules
from tests.services.presence import require
from tests.services.printer import DcmPrScp
from tests.services.waiting import wait_until

pytestmark = pytest.mark.peer


@pytest.fixture(scope="module")
def printer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DcmPrScp]:
    require("dcmprscp")
    with DcmPrScp(tmp_path_factory.mktemp("dcmprscp")) as printer:
        yield printer


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DcmjsNormalizedScp]:
    with DcmjsNormalizedScp(tmp_path_factory.mktemp("dcmjs"), installed_node_modules()) as other:
        yield other


@pytest.fixture
def film_printer(printer: DcmPrScp) -> RemoteAE:
    return RemoteAE(printer.ae_title, "127.0.0.1", printer.port)


@pytest.fixture
def colour_printer(other: DcmjsNormalizedScp) -> RemoteAE:
    return RemoteAE(other.ae_title, "127.0.0.1", other.port)


@pytest.fixture
def scu() -> PrintManagementScu:
    return PrintManagementScu("GURNEY")


def test_a_printer_tells_its_status(scu: PrintManagementScu, film_printer: RemoteAE) -> None:
    status = scu.printer_status(film_printer)
    assert (status.status, status.info) == ("NORMAL", "NORMAL")
    assert status.is_normal


@pytest.mark.seen("Print, grayscale", at="dcmprscp")
def test_a_film_is_printed_with_its_images(scu: PrintManagementScu, film_printer: RemoteAE, printer: DcmPrScp) -> None:
    before = {*printer.images()}
    terms = FilmSession(2, medium_type="BLUE FILM", destination="MAGAZINE")
    with scu.session(film_printer, terms) as session:
        box = FilmBox("STANDARD\\2,2", film_size="14INX17IN", orientation=FilmOrientation.LANDSCAPE)
        film = session.add_film(box)
        assert len(film.image_boxes) == 4
        film.set_image(1, image(PixelData=b"\1\2\3\4\5\6"))
        film.set_image(3, image(**TWELVE), polarity=Polarity.REVERSE, width_mm=100)
        assert film.print().category is Category.SUCCESS
        assert session.printer_status().is_normal
    stored = [dcmread(path) for path in printer.images() if path not in before]
    assert {(one.BitsStored, one.PixelData) for one in stored} == {(8, b"\1\2\3\4\5\6"), (12, bytes(range(12)))}
    (printed,) = (dcmread(path) for path in printer.prints())
    assert printed.FilmBoxContentSequence[0].ImageDisplayFormat == "STANDARD\\2,2"
    assert printed.PrintManagementCapabilitiesSequence
    assert {box.ImageBoxPosition for box in printed.ImageBoxContentSequence} == {1, 3}


@pytest.mark.parametrize(
    ("terms", "box", "words"),
    [
        (FilmSession(destination="BIN_9"), FilmBox(), "0106 invalid attribute value"),
        (FilmSession(), FilmBox("STANDARD\\9,9"), "0106 invalid attribute value"),
    ],
    ids=["destination", "layout"],
)
def test_what_the_printer_does_not_have_it_refuses(
    scu: PrintManagementScu, film_printer: RemoteAE, terms: FilmSession, box: FilmBox, words: str
) -> None:
    with pytest.raises(OperationFailed, match=f"N-CREATE failed: {words}"), scu.session(film_printer, terms) as session:
        session.add_film(box)


@pytest.mark.lacks("Print, color", at="dcmprscp")
def test_a_printer_for_films_has_no_colours(scu: PrintManagementScu, film_printer: RemoteAE) -> None:
    with (
        pytest.raises(ContextRefused, match="Basic Color Print Management Meta SOP Class is not accepted"),
        scu.session(film_printer, color=True),
    ):
        pass


@pytest.mark.seen("Print, grayscale", at="dcmjs-dimse")
def test_a_second_reading_of_a_film(
    scu: PrintManagementScu, colour_printer: RemoteAE, other: DcmjsNormalizedScp
) -> None:
    asked = len(other.requests())
    with scu.session(colour_printer, FilmSession(medium_type="BLUE FILM")) as session:
        film = session.add_film(FilmBox("STANDARD\\1,1"))
        film.set_image(1, image(**TWELVE))
        assert film.print().category is Category.SUCCESS
        film.delete()
    put = next(request for request in other.requests()[asked:] if request["service"] == "N-SET")
    (item,) = put["elements"]["BasicGrayscaleImageSequence"]
    assert (item["BitsStored"], item["PixelData"]) == (12, [12])


@pytest.mark.seen("Print, color", at="dcmjs-dimse")
def test_a_colour_image_is_printed(
    scu: PrintManagementScu, colour_printer: RemoteAE, other: DcmjsNormalizedScp
) -> None:
    asked = len(other.requests())
    with scu.session(colour_printer, FilmSession(medium_type="PAPER"), color=True) as session:
        film = session.add_film(FilmBox("STANDARD\\1,2"))
        film.set_image(2, image(**RGB))
        session.print()
        film.delete()
    requests = other.requests()[asked:]
    services = [request["service"] for request in requests]
    assert services == ["N-CREATE", "N-CREATE", "N-SET", "N-ACTION", "N-DELETE", "N-DELETE"]
    (item,) = requests[2]["elements"]["BasicColorImageSequence"]
    assert (item["PlanarConfiguration"], item["PixelData"]) == (1, [18])
    assert requests[2]["elements"]["ImageBoxPosition"] == 2
    assert requests[-1]["uid"] == session.sop_instance_uid


def test_a_session_without_a_film_is_not_printed_and_deleted_all_the_same(
    scu: PrintManagementScu, colour_printer: RemoteAE, other: DcmjsNormalizedScp
) -> None:
    with (
        pytest.raises(OperationFailed, match="C600 the film session has no film box"),
        scu.session(colour_printer) as session,
    ):
        session.print()
    assert other.requests()[-1] == {"service": "N-DELETE", "uid": session.sop_instance_uid, "elements": {}}


def test_an_error_of_ours_comes_through_and_nothing_stays_on_the_printer(
    scu: PrintManagementScu, colour_printer: RemoteAE, other: DcmjsNormalizedScp
) -> None:
    with pytest.raises(KeyError, match="mine"), scu.session(colour_printer) as session:
        raise KeyError("mine")
    assert other.requests()[-1]["service"] == "N-DELETE"
    assert other.requests()[-1]["uid"] == session.sop_instance_uid


def test_a_printer_that_aborts_is_not_asked_to_delete(
    scu: PrintManagementScu, colour_printer: RemoteAE, other: DcmjsNormalizedScp
) -> None:
    with pytest.raises(AssociationAborted), scu.session(colour_printer) as session:
        session.services.n_action("1.2.840.10008.5.1.1.2", "1.2.999.70002", 1)
    assert other.requests()[-1]["service"] == "N-ACTION"


def test_a_warning_is_told_and_the_film_is_printed(scu: PrintManagementScu, colour_printer: RemoteAE) -> None:
    with scu.session(colour_printer) as session:
        film = session.add_film()
        film.image_boxes = ["1.2.999.46596"]
        result = film.set_image(1, image())
        assert result.words == "B604 the image was made smaller to fit (warning)"
        film.print()


def test_what_the_printer_reports_is_taken(
    scu: PrintManagementScu, colour_printer: RemoteAE, other: DcmjsNormalizedScp
) -> None:
    heard = threading.Event()

    @scu.events.event_report
    def hear(event: object) -> None:
        heard.set()

    with scu.session(colour_printer) as session:
        session.services.n_action("1.2.840.10008.5.1.1.2", "1.2.999.70005", 1)
        assert heard.wait(5)
        wait_until(lambda: {"service": "N-EVENT-REPORT", "status": 0} in other.requests(), 5, "the answer to arrive")
        assert session.last_report is not None
        assert (session.last_report.status, session.last_report.info) == ("WARNING", "CHECK PRINTER")


def test_what_can_not_be_is_not_sent(scu: PrintManagementScu, colour_printer: RemoteAE) -> None:
    connections: list[object] = []
    scu.events.after_connect(connections.append)
    with pytest.raises(InvalidAttributes, match="NumberOfCopies"), scu.session(colour_printer, FilmSession(0)):
        pass
    assert connections == []
    with scu.session(colour_printer) as session:
        with pytest.raises(InvalidAttributes, match="ImageDisplayFormat"):
            session.add_film(FilmBox("2x2"))
        film = session.add_film()
        for position in (-1, 0, 2):
            with pytest.raises(IndexError, match=f"image boxes 1 to 1, not {position}"):
                film.set_image(position, image())
        for width in (0.0, -1.0, float("nan"), float("inf")):
            with pytest.raises(InvalidAttributes, match="RequestedImageSize is not a width"):
                film.set_image(1, image(), width_mm=width)
        assert film.set_image(1, image(), width_mm=100 / 3).category is Category.SUCCESS
        with pytest.raises(InvalidAttributes, match="Polarity is none of NORMAL, REVERSE"):
            film.set_image(1, image(), polarity="UPSIDE DOWN")  # type: ignore[arg-type]  # what a typo would be
        with pytest.raises(InvalidAttributes, match="BitsStored"):
            film.set_image(1, image(BitsStored=16))


def test_a_listener_changes_a_film(
    scu: PrintManagementScu, colour_printer: RemoteAE, other: DcmjsNormalizedScp
) -> None:
    @scu.events.before_n_create
    def on_a4(event: BeforeNormalized) -> NormalizedChange | None:
        if event.attributes is None or "ImageDisplayFormat" not in event.attributes:
            return None
        changed = Dataset()
        changed.update(event.attributes)
        changed.FilmSizeID = "A4"
        return NormalizedChange(changed)

    with scu.session(colour_printer) as session:
        session.add_film()
        assert other.requests()[-1]["elements"]["FilmSizeID"] == "A4"
