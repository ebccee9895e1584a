"""Film sessions and film boxes, before they are sent."""

from __future__ import annotations

import pytest

from gurney.pacs import FilmBox, FilmOrientation, FilmSession, InvalidAttributes, PrintPriority

SESSION = "1.2.840.10008.5.1.1.1"


def test_what_is_left_to_the_printer_is_not_told() -> None:
    assert {element.keyword for element in FilmSession().attributes()} == {"NumberOfCopies", "PrintPriority"}
    told = {element.keyword for element in FilmBox().attributes(SESSION, "1.2")}
    assert told == {"ImageDisplayFormat", "ReferencedFilmSessionSequence"}


def test_what_is_wished_is_told() -> None:
    session = FilmSession(3, priority=PrintPriority.HIGH, medium_type="PAPER", destination="BIN_1", label="Doe")
    told = session.attributes()
    assert (told.NumberOfCopies, told.PrintPriority, told.MediumType) == (3, "HIGH", "PAPER")
    assert (told.FilmDestination, told.FilmSessionLabel) == ("BIN_1", "Doe")
    assert "Doe" not in repr(session)
    box = FilmBox("STANDARD\\2,3", orientation=FilmOrientation.LANDSCAPE, film_size="A4", max_density=300)
    film = box.attributes(SESSION, "1.2")
    assert (film.ImageDisplayFormat, film.FilmOrientation, film.FilmSizeID) == ("STANDARD\\2,3", "LANDSCAPE", "A4")
    assert film.MaxDensity == 300
    assert film.ReferencedFilmSessionSequence[0].ReferencedSOPInstanceUID == "1.2"


@pytest.mark.parametrize("layout", ["STANDARD\\4,5", "ROW\\2,3,2", "COL\\1,2", "SLIDE", "SUPERSLIDE", "CUSTOM\\7"])
def test_every_image_display_format_of_the_standard_goes(layout: str) -> None:
    assert FilmBox(layout).attributes(SESSION, "1.2").ImageDisplayFormat == layout


@pytest.mark.parametrize("layout", ["", "2x2", "STANDARD\\0,1", "STANDARD\\2", "ROW\\", "CUSTOM", "STANDARD\\1,1\n"])
def test_what_is_no_image_display_format_does_not_go(layout: str) -> None:
    with pytest.raises(InvalidAttributes, match="ImageDisplayFormat"):
        FilmBox(layout).attributes(SESSION, "1.2")


@pytest.mark.parametrize(
    "session",
    [
        FilmSession(0),
        FilmSession(1.5),  # type: ignore[arg-type]  # what an application may compute
        FilmSession("2"),  # type: ignore[arg-type]  # what a form may give
        FilmSession(1 << 31),
        FilmSession(priority="URGENT"),  # type: ignore[arg-type]  # what a typo would be
        FilmSession(medium_type="more than sixteen characters"),
    ],
)
def test_what_no_session_can_be_is_refused(session: FilmSession) -> None:
    with pytest.raises(InvalidAttributes):
        session.attributes()


@pytest.mark.parametrize(
    ("box", "problem"),
    [
        (FilmBox(min_density=-1), "MinDensity is no valid US"),
        (FilmBox(min_density=300, max_density=20), "MinDensity is above MaxDensity"),
        (FilmBox(orientation="ASKEW"), "FilmOrientation is none of PORTRAIT, LANDSCAPE"),  # type: ignore[arg-type]
    ],
)
def test_what_no_film_can_be_is_refused(box: FilmBox, problem: str) -> None:
    with pytest.raises(InvalidAttributes, match=problem):
        box.attributes(SESSION, "1.2")
