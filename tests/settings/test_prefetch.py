"""`[[prefetch]]`: what is taken, what is refused with its line, and what is only unwise."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gurney.settings import Settings, check, show

REMOTES = "".join(
    f'[[remote]]\nname = "{name}"\nae_title = "{name.upper()}"\nhost = "127.0.0.1"\nport = {port}\n'
    for name, port in (("pacs", 104), ("ws", 105), ("ris", 106))
)
RULE = '[[prefetch]]\nname = "all of them"\nfrom = ["pacs"]\nto = ["ws"]\n'  # lines 16 to 19

Load = Callable[..., Settings]
Mistakes = Callable[..., list[tuple[int, str, str]]]


def test_is_as_short_as_it_can_be(load_text: Load) -> None:
    (rule,) = load_text(REMOTES + RULE + "hl7 = true\n").prefetch
    assert (rule.sources, rule.to, rule.priors, rule.path) == (("pacs",), ("ws",), 3, "through")
    assert rule.always_include == ("SR", "KO", "PR")


def test_takes_ages_sizes_and_times_as_people_write_them(load_text: Load) -> None:
    text = 'hl7 = true\nmax_age = "5y"\nmax_bytes = "20GB"\nlead = "12h"\n'
    (rule,) = load_text(REMOTES + RULE + text).prefetch
    assert (rule.max_age, rule.max_bytes, rule.lead) == (1826, 20 * 10**9, 43200.0)


def test_what_is_shown_is_taken_again(load_text: Load) -> None:
    settings = load_text(REMOTES + RULE + 'worklist = "ris"\nschedule = "0 20 * * *"\nmax_age = "5y"\n')
    assert 'from = ["pacs"]' in show(settings)
    assert load_text(show(settings)).prefetch == settings.prefetch


def test_is_overridden_from_the_environment(load_text: Load) -> None:
    text = REMOTES + RULE.replace("all of them", "all") + "hl7 = true\n"
    environ = {"GURNEY_PREFETCH__ALL__FROM": '["ws"]', "GURNEY_PREFETCH__ALL__TO": '["pacs"]'}
    (rule,) = load_text(text, environ).prefetch
    assert (rule.sources, rule.to) == (("ws",), ("pacs",))


@pytest.mark.parametrize(
    ("text", "line", "key", "message"),
    [
        ("", 16, "", "nothing tells who comes"),
        ('worklist = "ris"\nevery = "1h"\nhl7 = true\n', 22, ".hl7", "worklist tells who comes already"),
        ('worklist = "rsi"\nevery = "1h"\n', 20, ".worklist", 'there is no remote "rsi"'),
        ('hl7 = true\nschedule = "0 20 * * *"\n', 21, ".schedule", "has no effect"),
        ('patients = "a.csv"\nschedule = "0 26 * * *"\n', 21, ".schedule", "is not a schedule"),
        ('hl7 = true\nhorizon = "next week"\n', 21, ".horizon", "is not a horizon"),
        ('hl7 = true\nmax_age = "5 years"\n', 21, ".max_age", "is not an age"),
        ('hl7 = true\nmax_bytes = "20GiB"\n', 21, ".max_bytes", "is not a size"),
        ('hl7 = true\nregions = "none.toml"\n', 21, ".regions", "none.toml: No such file"),
        ("hl7 = true\npriors = 0\n", 21, ".priors", "greater"),
        ('hl7 = true\nrelevance = ["regoin"]\n', 21, ".relevance", "region"),
        ("hl7 = true\n" + RULE + "hl7 = true\n", 22, ".name", "is taken already"),
    ],
)
def test_names_the_line_of_a_mistake(mistakes: Mistakes, text: str, line: int, key: str, message: str) -> None:
    ((at, where, words),) = mistakes(REMOTES + RULE + text)
    assert (at, where.startswith(f"prefetch[all of them]{key}"), message in words) == (line, True, True), (where, words)


@pytest.mark.parametrize(
    ("former", "instead", "message"),
    [
        ('from = ["pacs"]', 'from = ["pcas"]', 'there is no remote "pcas"'),
        ('to = ["ws"]', 'to = ["pacs"]', "is in from as well"),
        ('to = ["ws"]', "to = []", "at least 1"),
        ('from = ["pacs"]\n', "", "is required"),
    ],
)
def test_knows_its_remotes(mistakes: Mistakes, former: str, instead: str, message: str) -> None:
    found = mistakes(REMOTES + RULE.replace(former, instead) + "hl7 = true\n")
    assert [message in words for _, _, words in found] == [True], found


def test_warns_of_a_rule_that_nothing_starts(load_text: Load) -> None:
    problems = check(load_text(REMOTES + RULE + 'worklist = "ris"\n'))
    assert [(problem.is_error, problem.key) for problem in problems if "watch" not in problem.key] == [
        (False, "prefetch[all of them]")
    ]
