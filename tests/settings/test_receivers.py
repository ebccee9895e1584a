"""`[[receiver]]`: what is taken, and what is told of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from gurney.settings import Settings, check

REMOTE = '[[remote]]\nname = "archive"\nae_title = "ORTHANC"\nhost = "127.0.0.1"\nport = 4242\n'
RECEIVER = '[[receiver]]\nname = "main"\naccept = [{ ae_title = "CT1", host = "10.1.0.0/16" }]\nsend_to = ["archive"]\n'

Load = Callable[..., Settings]
Mistakes = Callable[..., list[tuple[int, str, str]]]


def test_is_as_short_as_it_can_be(load_text: Load) -> None:
    settings = load_text(REMOTE + RECEIVER)
    (receiver,) = settings.receiver
    assert (receiver.host, receiver.port, settings.called_ae_titles(receiver)) == ("127.0.0.1", 11112, ("GURNEY",))
    assert (receiver.accept[0].ae_title, receiver.accept[0].host) == ("CT1", "10.1.0.0/16")
    assert check(settings) == []


def test_answers_to_several_titles(load_text: Load) -> None:
    settings = load_text(REMOTE + RECEIVER + 'ae_titles = ["A", "B"]\n')
    assert settings.called_ae_titles(settings.receiver[0]) == ("A", "B")


@pytest.mark.parametrize(
    ("text", "line", "key", "message"),
    [
        ("port = 70000\n", 10, "receiver[main].port", "should be less"),
        ('ae_titles = ["THIS TITLE IS TOO LONG"]\n', 10, "receiver[main].ae_titles", "AE title"),
        ('sop_classes = ["CT"]\n', 10, "receiver[main].sop_classes", "is not a UID"),
        ("max_associations = 0\n", 10, "receiver[main].max_associations", "greater"),
        ("portt = 1\n", 10, "receiver[main].portt", "is not a key"),
        ('[[receiver]]\nname = "main"\nport = 11113\n', 11, "receiver[main].name", "is taken already"),
        ('[[receiver]]\nname = "b"\nhost = "0.0.0.0"\n', 10, "receiver[b]", "is the port of receiver"),
        ('[[watch]]\nname = "Main"\npath = "/data/x"\n', 7, "receiver[main].name", "is a [[watch]] already"),
        ('[[receiver]]\nname = "send"\nport = 11113\n', 11, "receiver[send].name", "gurney send"),
        ('[[receiver]]\nname = "b"\nport = 1\nsend_to = ["x"]\n', 13, "receiver[b].send_to", "there is no remote"),
    ],
)
def test_names_the_line_of_a_mistake(mistakes: Mistakes, text: str, line: int, key: str, message: str) -> None:
    ((at, where, words),) = mistakes(REMOTE + RECEIVER + text)
    assert (at, where.startswith(key), message in words) == (line, True, True), (at, where, words)


def test_looks_up_no_names(mistakes: Mistakes) -> None:
    text = REMOTE + '[[receiver]]\nname = "main"\naccept = [{ host = "ct1.example.org" }]\n'
    ((_, key, words),) = mistakes(text)
    assert key == "receiver[main].accept[0].host"
    assert "is not an address or a network" in words


def test_warns_of_an_open_door_that_leads_nowhere(load_text: Load) -> None:
    problems = check(load_text(REMOTE + '[[receiver]]\nname = "main"\n'))
    assert [(problem.is_error, problem.message) for problem in problems] == [
        (False, "takes instances from anyone who reaches its port"),
        (False, "what it takes would go nowhere"),
    ]


def test_comes_from_the_environment_too(load_text: Callable[[str, Mapping[str, str]], Settings]) -> None:
    environ = {"GURNEY_RECEIVER__MAIN__AE_TITLES": '["A", "B"]', "GURNEY_RECEIVER__MAIN__PORT": "104"}
    (receiver,) = load_text(REMOTE + RECEIVER, environ).receiver
    assert (receiver.ae_titles, receiver.port) == (("A", "B"), 104)


def test_warns_of_a_remote_that_is_our_own_door(load_text: Load) -> None:
    (problem,) = check(load_text(REMOTE.replace("4242", "11112") + RECEIVER))
    assert (problem.key, problem.is_error) == ("remote[archive].port", False)
    assert "come in again" in problem.message


def test_warns_of_a_commitment_whose_answer_nobody_hears(load_text: Load) -> None:
    watch = '[[watch]]\nname = "ct1"\npath = "/nowhere"\nsend_to = ["archive"]\n'
    alone = load_text(REMOTE + 'commitment = "after_study"\n' + watch)
    assert "remote[archive].commitment" in [problem.key for problem in check(alone)]
    heard = load_text(REMOTE + 'commitment = "after_study"\n' + RECEIVER)
    assert check(heard) == []
