"""The DIMSE-N services against dcmjs-dimse, which was told to know every one of them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from pydicom.dataset import Dataset

from gurney.dicom.presentation import ContextProposal
from gurney.dicom.status import Category, Service
from gurney.pacs import (
    Association,
    AssociationAborted,
    AssociationEnded,
    BadResponse,
    ContextRefused,
    DimseTimeout,
    EventReport,
    NormalizedChange,
    NormalizedServices,
    OperationFailed,
    RemoteAE,
    Scu,
    Timeouts,
)
from gurney.pacs.events import AfterNormalized, BeforeNormalized
from tests.services.dcmjs import DcmjsNormalizedScp, installed_node_modules
from tests.services.waiting import wait_until

pytestmark = pytest.mark.peer

STEP = "1.2.840.10008.3.1.2.3.3"
META, SESSION = "1.2.840.10008.5.1.1.9", "1.2.840.10008.5.1.1.1"
EXPLICIT = "1.2.840.10008.1.2.1"
SILENCE, ABORT, OTHER_MESSAGE, OTHER_INSTANCE, REPORT_FIRST, REPORT_LATER, ABORT_LATER = (
    f"1.2.999.{number}" for number in range(70001, 70008)
)


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DcmjsNormalizedScp]:
    with DcmjsNormalizedScp(tmp_path_factory.mktemp("dcmjs"), installed_node_modules()) as peer:
        yield peer


@pytest.fixture
def remote(peer: DcmjsNormalizedScp) -> RemoteAE:
    return RemoteAE(peer.ae_title, "127.0.0.1", peer.port, Timeouts(connect=5, acse=10, normalized=20))


@pytest.fixture
def scu() -> Scu:
    return Scu("GURNEY")


@pytest.fixture
def association(scu: Scu, remote: RemoteAE) -> Iterator[Association]:
    with scu.associate(remote, [ContextProposal(STEP, EXPLICIT), ContextProposal(META, EXPLICIT)]) as association:
        yield association


@pytest.fixture
def services(association: Association) -> NormalizedServices:
    return NormalizedServices(association)


def attributes(**values: object) -> Dataset:
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


IN_PROGRESS = attributes(PerformedProcedureStepStatus="IN PROGRESS", PerformedProcedureStepID="S1")


def test_an_instance_is_created_changed_read_acted_on_and_deleted(
    services: NormalizedServices, peer: DcmjsNormalizedScp
) -> None:
    created = services.n_create(STEP, "1.2.3.1", IN_PROGRESS)
    assert (created.service, created.status, created.category) == (Service.N_CREATE, 0, Category.SUCCESS)
    assert (created.sop_class_uid, created.sop_instance_uid) == (STEP, "1.2.3.1")
    assert created.attributes is not None
    assert created.attributes.PerformedProcedureStepID == "S1"
    services.n_set(STEP, "1.2.3.1", attributes(PerformedProcedureStepDescription="done soon"))
    got = services.n_get(STEP, "1.2.3.1", [0x00400254])
    assert got.attributes is not None
    assert got.attributes.PerformedProcedureStepDescription == "done soon"
    assert services.n_action(STEP, "1.2.3.1", 7, attributes(NumberOfCopies=2)).attributes is None
    assert services.n_delete(STEP, "1.2.3.1").words == "0000 success (success)"
    with pytest.raises(OperationFailed, match="0112 no such SOP instance"):
        services.n_get(STEP, "1.2.3.1")
    asked = [request for request in peer.requests() if request["uid"] == "1.2.3.1"]
    assert [request["service"] for request in asked] == ["N-CREATE", "N-SET", "N-GET", "N-ACTION", "N-DELETE", "N-GET"]
    assert (asked[3]["action"], asked[3]["elements"]["NumberOfCopies"]) == (7, 2)


def test_the_peer_makes_a_uid_where_we_give_none(services: NormalizedServices) -> None:
    assert services.n_create(STEP, None, IN_PROGRESS).sop_instance_uid.startswith("2.25.")


def test_a_data_set_without_an_element_goes_as_none(services: NormalizedServices) -> None:
    assert services.n_create(STEP, "1.2.3.2", Dataset()).status == 0


def test_instances_of_one_class_are_managed_in_the_context_of_a_meta_sop_class(association: Association) -> None:
    session = NormalizedServices(association, META).n_create(SESSION, None, attributes(NumberOfCopies=1))
    assert session.sop_class_uid == SESSION
    with pytest.raises(ContextRefused, match="Basic Film Session"):
        NormalizedServices(association).n_create(SESSION, None, attributes(NumberOfCopies=1))


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0x0105, "0105 no such attribute (failure)"),
        (0x0110, "0110 processing failure (failure)"),
        (0x0111, "0111 duplicate SOP instance (failure)"),
        (0x0213, "0213 resource limitation (failure)"),
        (0xC616, "C616 a film box is not printed yet"),
        (0x9999, "9999 not defined for this service (unknown)"),
        (0xFE00, "FE00 cancelled (cancel)"),
    ],
)
def test_a_failure_is_raised_in_words_and_the_association_goes_on(
    services: NormalizedServices, status: int, words: str
) -> None:
    with pytest.raises(OperationFailed) as failed:
        services.n_set(STEP, f"1.2.999.{status}", IN_PROGRESS)
    assert "as the test wants it" in failed.value.comment
    assert "as the test wants it" not in str(failed.value)
    assert failed.value.status == status
    assert str(failed.value).startswith(f"N-SET failed: {words}")
    assert services.n_create(STEP, None, IN_PROGRESS).status == 0


@pytest.mark.parametrize("status", [0x0001, 0x0107, 0x0116, 0xB605])
def test_a_warning_is_returned(services: NormalizedServices, status: int) -> None:
    result = services.n_set(STEP, f"1.2.999.{status}", IN_PROGRESS)
    assert (result.status, result.category) == (status, Category.WARNING)
    assert result.comment == "as the test wants it"
    assert result.comment not in repr(result)


def test_an_abort_in_the_middle_is_told(services: NormalizedServices) -> None:
    with pytest.raises(AssociationAborted):
        services.n_set(STEP, ABORT, IN_PROGRESS)
    assert not services.association.is_usable


def test_silence_ends_with_a_timeout_and_the_association(scu: Scu, remote: RemoteAE) -> None:
    hurried = replace(remote, timeouts=Timeouts(acse=5, normalized=0.2))
    association = scu.associate(hurried, [ContextProposal(STEP, EXPLICIT)])
    with pytest.raises(DimseTimeout, match=r"no response for 0\.2 s"):
        NormalizedServices(association).n_set(STEP, SILENCE, IN_PROGRESS)
    assert not association.is_usable


@pytest.mark.parametrize("uid", [OTHER_MESSAGE, OTHER_INSTANCE])
def test_an_answer_to_something_else_is_none(services: NormalizedServices, uid: str) -> None:
    with pytest.raises(BadResponse):
        services.n_set(STEP, uid, IN_PROGRESS)


def test_what_can_not_be_cancelled_is_aborted(services: NormalizedServices) -> None:
    timer = threading.Timer(0.2, services.association.cancel)
    timer.start()
    with pytest.raises(AssociationEnded, match="cancelled"):
        services.n_set(STEP, SILENCE, IN_PROGRESS)
    timer.join()
    assert not services.association.is_usable


def test_an_abort_of_ours_ends_the_wait(services: NormalizedServices) -> None:
    timer = threading.Timer(0.2, services.association.abort)
    timer.start()
    with pytest.raises(AssociationEnded, match="aborted by us"):
        services.n_action(STEP, SILENCE, 1)
    timer.join()


@pytest.mark.parametrize("uid", ["", "x", "1.2/3", "1." * 40 + "1"])
def test_what_is_no_uid_is_not_sent(services: NormalizedServices, peer: DcmjsNormalizedScp, uid: str) -> None:
    before = len(peer.requests())
    with pytest.raises(ValueError, match="no UID"):
        services.n_delete(STEP, uid)
    assert len(peer.requests()) == before


def test_listeners_change_attributes_and_hear_of_the_answer(
    scu: Scu, services: NormalizedServices, peer: DcmjsNormalizedScp
) -> None:
    heard: list[AfterNormalized] = []
    scu.events.after_n_create(heard.append)

    @scu.events.before_n_create
    def describe(event: BeforeNormalized) -> NormalizedChange:
        assert (event.service, event.sop_class_uid, event.sop_instance_uid) == (Service.N_CREATE, STEP, "1.2.3.3")
        return NormalizedChange(attributes(PerformedProcedureStepDescription="by a listener"))

    services.n_create(STEP, "1.2.3.3", IN_PROGRESS)
    assert peer.requests()[-1]["elements"] == {"PerformedProcedureStepDescription": "by a listener"}
    (after,) = heard
    assert (after.status, after.sop_instance_uid) == (0, "1.2.3.3")


@pytest.mark.parametrize("service", ["n_create", "n_set", "n_get", "n_action", "n_delete"])
def test_a_listener_prevents_what_it_raises_at(
    scu: Scu, services: NormalizedServices, peer: DcmjsNormalizedScp, service: str
) -> None:
    def refuse(event: BeforeNormalized) -> None:
        raise PermissionError("not at night")

    asked = len(peer.requests())
    with getattr(scu.events, f"before_{service}").listening(refuse), pytest.raises(PermissionError):
        {
            "n_create": lambda: services.n_create(STEP),
            "n_set": lambda: services.n_set(STEP, "1.2", IN_PROGRESS),
            "n_get": lambda: services.n_get(STEP, "1.2"),
            "n_action": lambda: services.n_action(STEP, "1.2", 1),
            "n_delete": lambda: services.n_delete(STEP, "1.2"),
        }[service]()
    assert len(peer.requests()) == asked
    assert services.n_create(STEP, None, IN_PROGRESS).status == 0


def test_a_listener_hears_of_what_has_no_answer(scu: Scu, services: NormalizedServices) -> None:
    heard: list[AfterNormalized] = []
    scu.events.after_n_set(heard.append)
    with pytest.raises(AssociationAborted):
        services.n_set(STEP, ABORT, IN_PROGRESS)
    assert [event.status for event in heard] == [None]


def answers(peer: DcmjsNormalizedScp) -> list[int]:
    return [request["status"] for request in peer.requests() if request["service"] == "N-EVENT-REPORT"]


@pytest.mark.parametrize("when", [REPORT_FIRST, REPORT_LATER])
@pytest.mark.parametrize("taken", [0x0000, 0x0113, None])
def test_an_event_report_is_answered_by_what_a_listener_says(
    association: Association, peer: DcmjsNormalizedScp, when: str, taken: int | None
) -> None:
    heard: list[EventReport] = []
    before = len(answers(peer))

    def take(event: EventReport) -> EventReport | None:
        heard.append(event)
        # Who asks answers, or the association: a thread of its own would answer in the midst of what we send.
        assert type(threading.current_thread()) is not threading.Thread
        return event.taken(taken) if taken is not None else None

    services = NormalizedServices(association, META)
    with association.event_report.listening(take):
        services.n_action(SESSION, when, 1)
        assert association.attend(lambda: bool(heard), 5)
        assert association.attend(lambda: len(answers(peer)) > before, 5)
    (report,) = heard
    assert (report.sop_class_uid, report.event_type_id) == ("1.2.840.10008.5.1.1.16", 2)
    assert report.information is not None
    assert report.information.PrinterStatusInfo == "CHECK PRINTER"
    assert answers(peer)[before:] == [0x0110 if taken is None else taken]


def test_an_event_report_is_answered_while_nothing_is_asked(
    scu: Scu, association: Association, peer: DcmjsNormalizedScp
) -> None:
    heard = threading.Event()
    before = len(answers(peer))

    @scu.events.event_report
    def take(event: EventReport) -> EventReport:
        heard.set()
        return event.taken()

    NormalizedServices(association, META).n_action(SESSION, REPORT_LATER, 1)
    assert heard.wait(5)
    wait_until(lambda: len(answers(peer)) > before, 5, "the peer to have its answer")
    assert answers(peer)[before:] == [0]
    assert NormalizedServices(association).n_create(STEP, "1.2.3.4", IN_PROGRESS).status == 0


def test_a_listener_that_raises_has_not_taken_a_report(
    association: Association, peer: DcmjsNormalizedScp, caplog: pytest.LogCaptureFixture
) -> None:
    before = len(answers(peer))

    def fail(event: EventReport) -> None:
        raise KeyError("Doe^Jane")

    with association.event_report.listening(fail):
        NormalizedServices(association, META).n_action(SESSION, REPORT_FIRST, 1)
        assert association.attend(lambda: len(answers(peer)) > before, 5)
    assert answers(peer)[before:] == [0x0110]
    assert "event_report_failed error=KeyError" in caplog.text
    assert "Doe" not in caplog.text


def test_to_attend_ends_in_time_or_with_the_association(association: Association) -> None:
    assert not association.attend(lambda: False, 0.1)
    NormalizedServices(association, META).n_action(SESSION, ABORT_LATER, 1)
    with pytest.raises(AssociationAborted):
        association.attend(lambda: False, 5)
