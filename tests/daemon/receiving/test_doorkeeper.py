"""Who may call a receiver, under which name, and with what."""

from __future__ import annotations

import pytest

from gurney.pacs.listener.intake import Calling, Rejection
from gurney_daemon.receiving.doorkeeper import (
    CALLED_NOT_RECOGNIZED,
    CALLING_NOT_RECOGNIZED,
    Caller,
    Doorkeeper,
)

CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
IMPLICIT, JPEG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.4.50"


@pytest.mark.parametrize(
    ("callers", "calling", "rejection"),
    [
        ([], Calling("ANYONE", "GURNEY", "203.0.113.9"), None),
        ([], Calling("CT1", "gurney", "10.1.2.3"), CALLED_NOT_RECOGNIZED),
        ([Caller("CT1")], Calling("CT1", "GURNEY", "203.0.113.9"), None),
        ([Caller("CT1")], Calling("ct1", "GURNEY", "10.1.2.3"), CALLING_NOT_RECOGNIZED),
        ([Caller(host="10.1.0.0/16")], Calling("ANYONE", "GURNEY", "10.1.255.3"), None),
        ([Caller(host="10.1.0.0/16")], Calling("ANYONE", "GURNEY", "10.2.0.1"), CALLING_NOT_RECOGNIZED),
        ([Caller("CT1", "10.1.2.3"), Caller("CT2")], Calling("CT1", "GURNEY", "10.1.2.4"), CALLING_NOT_RECOGNIZED),
        ([Caller("CT1", "10.1.2.3"), Caller("CT2")], Calling("CT2", "GURNEY", "10.1.2.4"), None),
        ([Caller(host="10.1.0.0/16")], Calling("CT1", "GURNEY", "::ffff:10.1.2.3"), None),
        ([Caller(host="fe80::/10")], Calling("CT1", "GURNEY", "fe80::1%eth0"), None),
        ([Caller(host="10.1.0.0/16")], Calling("CT1", "GURNEY", "::1"), CALLING_NOT_RECOGNIZED),
    ],
)
def test_lets_in_whom_it_is_told_to(callers: list[Caller], calling: Calling, rejection: Rejection | None) -> None:
    assert Doorkeeper("main", ["GURNEY"], callers).rejection(calling) == rejection


@pytest.mark.parametrize(
    ("classes", "syntaxes", "taken"),
    [([], [], True), ([CT], [], True), ([MR], [], False), ([], [JPEG], False), ([CT], [JPEG, IMPLICIT], True)],
)
def test_takes_what_it_is_told_to(classes: list[str], syntaxes: list[str], taken: bool) -> None:
    assert Doorkeeper("main", ["GURNEY"], [], classes, syntaxes).takes(CT, IMPLICIT) is taken


def test_tells_once_whom_it_turned_away() -> None:
    keeper = Doorkeeper("main", ["GURNEY"])
    for _ in range(3):
        keeper.rejection(Calling("CT1", "NOBODY", "10.1.2.3"))
    ((who, times),) = keeper.turned_away().items()
    assert (who.calling.called_ae_title, times) == ("NOBODY", 3)
    assert not keeper.turned_away()


def test_remembers_no_more_names_than_it_can_tell() -> None:
    keeper = Doorkeeper("main", ["GURNEY"])
    for number in range(1000):
        keeper.rejection(Calling(f"CT{number}", "NOBODY", "10.1.2.3"))
    assert len(keeper.turned_away()) == 100
