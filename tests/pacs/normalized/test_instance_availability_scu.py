"""Instance availability notifications, before they are sent and at dcmjs-dimse."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from gurney.pacs import (
    Availability,
    AvailableInstance,
    InstanceAvailability,
    InstanceAvailabilityScu,
    InvalidAttributes,
    OperationFailed,
    RemoteAE,
)
from gurney.pacs.testing import FakePacs
from tests.services.dcmjs import DcmjsNormalizedScp, installed_node_modules

CT = "1.2.840.10008.5.1.4.1.1.2"
SERIES = {"1.2.3.4": [AvailableInstance(CT, "1.2.3.4.1", "ARCHIVE", Availability.NEARLINE)]}


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DcmjsNormalizedScp]:
    with DcmjsNormalizedScp(tmp_path_factory.mktemp("dcmjs"), installed_node_modules()) as peer:
        yield peer


@pytest.mark.peer
@pytest.mark.seen("Instance availability", at="dcmjs-dimse")
def test_a_peer_is_notified(peer: DcmjsNormalizedScp) -> None:
    remote = RemoteAE(peer.ae_title, "127.0.0.1", peer.port)
    notification = InstanceAvailability("1.2.3", SERIES, performed_procedure_steps=["1.2.9"])
    result = InstanceAvailabilityScu("ARCHIVE").notify(remote, notification)
    assert (result.status, result.sop_instance_uid) == (0, notification.sop_instance_uid)
    told = peer.requests()[-1]["elements"]
    assert told["StudyInstanceUID"] == "1.2.3"
    assert told["ReferencedPerformedProcedureStepSequence"][0]["ReferencedSOPInstanceUID"] == "1.2.9"
    (series,) = told["ReferencedSeriesSequence"]
    assert series["ReferencedSOPSequence"] == [
        {
            "ReferencedSOPClassUID": CT,
            "ReferencedSOPInstanceUID": "1.2.3.4.1",
            "InstanceAvailability": "NEARLINE",
            "RetrieveAETitle": "ARCHIVE",
        }
    ]


@pytest.mark.peer
def test_a_refusal_is_raised(peer: DcmjsNormalizedScp) -> None:
    remote = RemoteAE(peer.ae_title, "127.0.0.1", peer.port)
    with pytest.raises(OperationFailed, match="0213 resource limitation"):
        InstanceAvailabilityScu().notify(remote, InstanceAvailability("1.2.3", SERIES, sop_instance_uid="1.2.999.531"))


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"sop_instance_uid": "1.2.a"}, "its SOP Instance UID is not a UID"),
        (
            {"series": {"1.2.4": [AvailableInstance(CT, "1.2.5", "PACS", "SOON")]}},  # type: ignore[arg-type]
            "InstanceAvailability is none of ONLINE, NEARLINE, OFFLINE, UNAVAILABLE",
        ),
    ],
)
def test_what_can_not_be_told_costs_no_association(changed: dict[str, Any], problem: str) -> None:
    notification = InstanceAvailability("1.2.3", {"1.2.4": [AvailableInstance(CT, "1.2.5", "PACS")]})
    with FakePacs() as pacs:
        with pytest.raises(InvalidAttributes, match=problem):
            InstanceAvailabilityScu().notify(pacs.remote(), replace(notification, **changed))
        assert pacs.associations == 0


def test_nothing_is_told_that_the_standard_does_not_allow() -> None:
    told = InstanceAvailability("1.2.3", SERIES).attributes()
    assert {element.keyword for element in told} == {
        "ReferencedPerformedProcedureStepSequence",
        "StudyInstanceUID",
        "ReferencedSeriesSequence",
    }


@pytest.mark.parametrize(
    ("study", "series", "problem"),
    [
        ("", SERIES, "StudyInstanceUID has no value"),
        ("1.2.3", {}, "ReferencedSeriesSequence has no value"),
        ("1.2.3", {"1.2": []}, "ReferencedSeriesSequence.ReferencedSOPSequence has no value"),
        ("1.2.3", {"1.2": [AvailableInstance(CT, "1.2", "")]}, "RetrieveAETitle has no value"),
        ("1.2.3", {"1.2": [AvailableInstance(CT, "", "A")]}, "ReferencedSOPInstanceUID has no value"),
        ("1.2.3", {"../x": SERIES["1.2.3.4"]}, "SeriesInstanceUID is no valid UI"),
    ],
)
def test_what_a_notification_lacks_is_told(
    study: str, series: dict[str, list[AvailableInstance]], problem: str
) -> None:
    with pytest.raises(InvalidAttributes) as refused:
        InstanceAvailability(study, series).attributes()
    assert problem in str(refused.value)
