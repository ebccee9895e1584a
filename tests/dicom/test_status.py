"""DIMSE statuses in categories and words, and against pynetdicom's tables."""

from __future__ import annotations

import pytest
from pynetdicom import status as theirs

from gurney.dicom.status import Category, Service, categorise, describe, is_stored


@pytest.mark.parametrize(
    ("status", "category"),
    [
        (0x0000, Category.SUCCESS),
        (0x0001, Category.WARNING),
        (0x0107, Category.WARNING),
        (0x0116, Category.WARNING),
        (0xB000, Category.WARNING),
        (0xB006, Category.WARNING),
        (0xB0FF, Category.WARNING),
        (0xFF00, Category.PENDING),
        (0xFF01, Category.PENDING),
        (0xFE00, Category.CANCEL),
        (0x0110, Category.FAILURE),
        (0x0122, Category.FAILURE),
        (0x0213, Category.FAILURE),
        (0xA700, Category.FAILURE),
        (0xA7FF, Category.FAILURE),
        (0xA900, Category.FAILURE),
        (0xC000, Category.FAILURE),
        (0xCFFF, Category.FAILURE),
        (0x0002, Category.UNKNOWN),
        (0x9000, Category.UNKNOWN),
        (0xD000, Category.UNKNOWN),
        (0xFF02, Category.UNKNOWN),
        (0xFFFF, Category.UNKNOWN),
    ],
)
def test_every_status_has_a_category(status: int, category: Category) -> None:
    assert categorise(status) is category


TABLES = {
    Service.C_STORE: theirs.STORAGE_SERVICE_CLASS_STATUS,
    Service.C_FIND: theirs.QR_FIND_SERVICE_CLASS_STATUS,
    Service.C_MOVE: theirs.QR_MOVE_SERVICE_CLASS_STATUS,
    Service.C_GET: theirs.QR_GET_SERVICE_CLASS_STATUS,
    Service.C_ECHO: theirs.VERIFICATION_SERVICE_CLASS_STATUS,
    **dict.fromkeys(
        (Service.N_CREATE, Service.N_SET, Service.N_GET, Service.N_ACTION, Service.N_DELETE),
        theirs.PRINT_JOB_MANAGEMENT_SERVICE_CLASS_STATUS
        | theirs.MEDIA_CREATION_MANAGEMENT_SERVICE_CLASS_STATUS
        | theirs.PROCEDURE_STEP_STATUS,
    ),
}


@pytest.mark.parametrize("service", Service)
def test_categories_are_those_that_pynetdicom_knows_and_all_have_words(service: Service) -> None:
    for status, (category, _) in TABLES[service].items():
        assert categorise(status) == category.lower(), f"{status:04X}"
        assert "not defined" not in describe(status, service), f"{status:04X}"


def test_the_same_number_means_different_things_in_different_services() -> None:
    assert describe(0xB000) == "B000 stored, with data elements coerced (warning)"
    assert describe(0xB000, Service.C_MOVE) == "B000 completed, with failed or warned sub-operations (warning)"
    assert describe(0xA700) == "A700 out of resources (failure)"
    assert describe(0x9999) == "9999 not defined for this service (unknown)"


@pytest.mark.parametrize(
    ("status", "stored"),
    [(0, True), (0xB000, True), (0xB007, True), (0x0111, False), (0xA700, False), (0xFF00, False), (0x9999, False)],
)
def test_only_success_and_warnings_say_that_the_peer_has_the_instance(status: int, stored: bool) -> None:
    assert is_stored(status) is stored
