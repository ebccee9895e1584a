"""A wish that an operation stop."""

from __future__ import annotations

from gurney.pacs import Cancellation


def test_it_is_wished_once_and_stays_so() -> None:
    cancellation, heard = Cancellation(), list[str]()
    with cancellation.heeded_by(lambda: heard.append("first")), cancellation.heeded_by(lambda: heard.append("second")):
        assert not cancellation.is_wanted
        cancellation.cancel()
        cancellation.cancel()
    assert cancellation.is_wanted
    assert heard == ["first", "second"]


def test_nobody_hears_of_it_who_is_done() -> None:
    cancellation, heard = Cancellation(), list[str]()
    with cancellation.heeded_by(lambda: heard.append("done")):
        pass
    cancellation.cancel()
    assert heard == []
    assert cancellation.is_wanted


def test_who_heeds_may_look_at_it_and_wish_it_again() -> None:
    cancellation, heard = Cancellation(), list[bool]()

    def heed() -> None:
        cancellation.cancel()
        heard.append(cancellation.is_wanted)

    with cancellation.heeded_by(heed):
        cancellation.cancel()
    assert heard == [True]
