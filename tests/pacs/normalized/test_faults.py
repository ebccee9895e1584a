"""Answers to DIMSE-N requests that no real peer gives: what lies, or is no answer, is never a success."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydicom.dataset import Dataset

from gurney.dicom.presentation import ContextProposal
from gurney.pacs import (
    Association,
    AssociationAborted,
    AssociationFailure,
    AssociationLost,
    BadResponse,
    DimseTimeout,
    InvalidAttributes,
    NormalizedChange,
    NormalizedServices,
    Scu,
    Timeouts,
)
from gurney.pacs.testing import Break, FakePacs, Garbage, How, Operation, Respond, Stall, When
from gurney.pacs.testing.acts import InstanceAct

STEP = "1.2.840.10008.3.1.2.3.3"
EXPLICIT = "1.2.840.10008.1.2.1"
RESPONSE_UID, IDENTIFIERS = 0x1000, 0x1005


@pytest.fixture
def pacs() -> Iterator[FakePacs]:
    with FakePacs() as pacs:
        yield pacs


@pytest.fixture
def association(pacs: FakePacs) -> Iterator[Association]:
    remote = pacs.remote(Timeouts(acse=5, normalized=0.3))
    association = Scu("GURNEY").associate(remote, [ContextProposal(STEP, EXPLICIT)])
    yield association
    association.release()


def changes() -> Dataset:
    made = Dataset()
    made.PerformedProcedureStepDescription = "a change"
    return made


@pytest.mark.parametrize(
    ("act", "error"),
    [
        (Respond(status=None), BadResponse),
        (Respond(wrong_message_id=True), BadResponse),
        (Respond(wrong_context_id=True), BadResponse),
        (Respond(elements={RESPONSE_UID: b"1.2.4\0"}), BadResponse),
        (Respond(elements={0x0100: b"\x50\x81"}), BadResponse),
        (Garbage(b"HTTP/1.1 400 Bad Request\r\n\r\n"), BadResponse),
        (Respond(middle=Break(How.RESET), pdvs=2), AssociationLost),
        (Respond(middle=Stall(), pdvs=2), DimseTimeout),
        (Break(How.ABORT), AssociationAborted),
        (Break(How.CLOSE), AssociationLost),
        (Break(How.RELEASE), AssociationLost),
        (Break(How.RESET, When.MIDDLE), AssociationLost),
        (Stall(), DimseTimeout),
    ],
    ids=[
        "no status",
        "another message",
        "another context",
        "another instance",
        "an N-DELETE response",
        "no DICOM",
        "reset within the response",
        "silence within the response",
        "abort",
        "close",
        "release",
        "reset within the request",
        "silence",
    ],
)
def test_what_is_no_answer_is_a_failure(
    pacs: FakePacs, association: Association, act: InstanceAct, error: type[AssociationFailure]
) -> None:
    pacs.on_request(Operation.N_SET, act)
    with pytest.raises(error):
        NormalizedServices(association).n_set(STEP, "1.2.3", changes())


def test_a_creation_without_a_name_is_none(pacs: FakePacs, association: Association) -> None:
    pacs.on_request(Operation.N_CREATE, Respond(elements={RESPONSE_UID: None}))
    with pytest.raises(BadResponse, match="does not say which SOP instance"):
        NormalizedServices(association).n_create(STEP, None, changes())


def test_a_creation_under_our_own_name_needs_no_other(pacs: FakePacs, association: Association) -> None:
    pacs.on_request(Operation.N_CREATE, Respond(elements={RESPONSE_UID: None}))
    assert NormalizedServices(association).n_create(STEP, "1.2.3", changes()).sop_instance_uid == "1.2.3"


def test_attributes_that_can_not_be_read_are_a_bad_response(pacs: FakePacs, association: Association) -> None:
    # A sequence of undefined length, and no item.
    pacs.on_request(Operation.N_GET, Respond(dataset=b"\x10\x00\x10\x00SQ\0\0\xff\xff\xff\xffab"))
    with pytest.raises(BadResponse, match="attributes that can't be decoded"):
        NormalizedServices(association).n_get(STEP, "1.2.3")


def test_attributes_that_a_peer_did_not_take_are_told(pacs: FakePacs, association: Association) -> None:
    tags = b"\x10\x00\x10\x00\x40\x00\x54\x02"
    pacs.on_request(Operation.N_GET, Respond(0x0107, dataset=changes(), elements={IDENTIFIERS: tags}))
    result = NormalizedServices(association).n_get(STEP, "1.2.3")
    assert result.attribute_tags == (0x00100010, 0x00400254)
    assert result.attributes is not None
    assert result.attributes.PerformedProcedureStepDescription == "a change"


@pytest.mark.parametrize("operation", ["n_get", "n_delete"])
def test_a_change_that_has_no_room_in_the_request_is_refused_and_nothing_is_sent(
    pacs: FakePacs, association: Association, operation: str
) -> None:
    hook = getattr(association.events, f"before_{operation}")
    wanted = f"an {operation.upper().replace('_', '-')} .* a listener of before_{operation} returned some"
    with hook.listening(lambda _: NormalizedChange(changes())), pytest.raises(InvalidAttributes, match=wanted):
        getattr(NormalizedServices(association), operation)(STEP, "1.2.3")
    assert pacs.requests == []
    with hook.listening(lambda _: None):
        getattr(NormalizedServices(association), operation)(STEP, "1.2.3")
    assert len(pacs.requests) == 1


@pytest.mark.parametrize("action_type_id", [-1, 1 << 16, "1", 1.5])
def test_an_action_that_no_request_can_name_is_refused(
    pacs: FakePacs, association: Association, action_type_id: int
) -> None:
    with pytest.raises(ValueError, match="is no action type ID: a whole number from 0 to 65535"):
        NormalizedServices(association).n_action(STEP, "1.2.3", action_type_id)
    assert pacs.requests == []


@pytest.mark.parametrize("tag", [-1, 1 << 32, "no such keyword", None])
def test_what_is_no_tag_is_refused(pacs: FakePacs, association: Association, tag: int) -> None:
    with pytest.raises(ValueError, match="tag"):
        NormalizedServices(association).n_get(STEP, "1.2.3", [tag])
    assert pacs.requests == []


def test_a_question_of_the_peer_in_between_is_answered(pacs: FakePacs, association: Association) -> None:
    pacs.on_request(Operation.N_ACTION, Respond(ask_first=True))
    assert NormalizedServices(association).n_action(STEP, "1.2.3", 1).status == 0


def test_nobody_asks_while_another_waits(pacs: FakePacs, association: Association) -> None:
    services = NormalizedServices(association)
    with pytest.raises(RuntimeError, match="busy"):
        association.attend(lambda: bool(services.n_delete(STEP, "1.2.3")), 1)
    assert services.n_delete(STEP, "1.2.3").status == 0
