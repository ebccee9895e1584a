from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator

import pytest

from gurney.pacs import Listener, QueryRetrieveScu, StoreScu
from gurney.pacs.hooks import AfterHook, BeforeHook, WrongAnswer


def test_changes_are_applied_in_order_and_seen_by_those_behind() -> None:
    hook: BeforeHook[int, int] = BeforeHook("before", int)
    seen: list[int] = []

    @hook
    def double(event: int) -> int:
        return event * 2

    @hook
    def look(event: int) -> None:
        seen.append(event)

    assert hook.ask(21, lambda _, change: change) == 42
    assert seen == [42]


def test_a_before_listener_that_raises_stops_everything() -> None:
    hook: BeforeHook[int, int] = BeforeHook("before", int)

    @hook
    def veto(event: int) -> int:
        raise LookupError(event)

    with pytest.raises(LookupError):
        hook.ask(1, lambda event, _: event)


@pytest.mark.parametrize(
    ("may_return", "words"), [((int, str), "int or str or None"), ((int,), "int or None"), ((), "None")]
)
def test_what_is_no_change_is_refused_and_its_value_not_told(may_return: tuple[type, ...], words: str) -> None:
    hook: BeforeHook[int, object] = BeforeHook("before", *may_return)
    hook(lambda _: ["Planted^Patient"])
    with pytest.raises(TypeError) as raised:
        hook.ask(1, lambda event, _: event)
    assert str(raised.value) == f"a listener of before returned list: it may return {words}"


BEFORE = {
    hook.name: hook
    for owner in (StoreScu().events, QueryRetrieveScu().events, Listener("GURNEY"))
    for hook in vars(owner).values()
    if isinstance(hook, BeforeHook)
}


@pytest.mark.parametrize("name", sorted(BEFORE))
def test_every_before_hook_refuses_what_is_no_change(name: str) -> None:
    with BEFORE[name].listening(lambda _: 5), pytest.raises(WrongAnswer, match=f"a listener of {name} returned int"):
        BEFORE[name].ask(None, lambda event, _: event)


@pytest.mark.parametrize("hook", [BeforeHook("moment"), AfterHook("moment")], ids=["before", "after"])
def test_what_can_not_be_called_is_no_listener(hook: BeforeHook[object, object] | AfterHook[object]) -> None:
    for subscribe in (hook, hook.once, lambda one: hook.listening(one).__enter__()):
        with pytest.raises(TypeError, match=r"moment takes a listener .*: int is none"):
            subscribe(5)  # type: ignore[arg-type, operator]  # that is what is refused
    assert not hook


def test_after_listeners_are_isolated_and_their_words_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    hook: AfterHook[str] = AfterHook("after")
    seen: list[str] = []

    @hook
    def bad(event: str) -> None:
        raise ValueError(f"Planted^Patient {event}")

    hook(seen.append)
    with caplog.at_level(logging.DEBUG):
        hook.tell("stored")
    assert seen == ["stored"]
    assert "ValueError" in caplog.text
    assert "Planted" not in caplog.text


def test_listening_for_a_while() -> None:
    hook: AfterHook[int] = AfterHook("after")
    seen: list[int] = []
    with hook.listening(seen.append):
        assert hook
        hook.tell(1)
    assert not hook
    hook.tell(2)
    hook.remove(seen.append)
    assert seen == [1]


def test_who_listens_already_keeps_its_place() -> None:
    hook: AfterHook[int] = AfterHook("after")
    told: list[tuple[str, int]] = []

    def first(event: int) -> None:
        told.append(("first", event))
        # What comes while it subscribes again is heard by it, too.
        hook.once(first)

    hook.once(first)
    hook(lambda event: told.append(("second", event)))
    hook.tell(1)
    hook.tell(2)
    assert told == [("first", 1), ("second", 1), ("first", 2), ("second", 2)]


def test_no_listener_is_lost_to_another_that_subscribes_at_the_same_time() -> None:
    hook: AfterHook[int] = AfterHook("after")
    others: list[threading.Thread] = []

    class Slow(tuple[Callable[[int], None], ...]):
        """Listeners that are being read while another thread subscribes."""

        def __iter__(self) -> Iterator[Callable[[int], None]]:
            if not others:
                others.append(threading.Thread(target=hook, args=(lambda _: None,), daemon=True))
                others[0].start()
                others[0].join(0.1)
            return super().__iter__()

    hook._listeners = Slow()
    hook(lambda _: None)
    others[0].join()
    assert len(hook._listeners) == 2
