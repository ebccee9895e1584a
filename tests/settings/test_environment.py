from __future__ import annotations

from collections.abc import Callable

import pytest

from gurney.settings import InvalidSettingsError, Problem, Settings, load

REMOTE = '[[remote]]\nname = "main-archive"\nae_title = "ORTHANC"\nhost = "127.0.0.1"\nport = 4242\n'

LoadText = Callable[..., Settings]
ProblemsOf = Callable[..., tuple[Problem, ...]]


def test_lies_over_the_file(load_text: LoadText) -> None:
    settings = load_text(
        "[node]\nae_title = 'FILE'\ntimezone = 'Europe/Berlin'\n",
        {"GURNEY_NODE__AE_TITLE": "ENV", "GURNEY_WORKERS__PROCESSES": "3", "GURNEY_WORKERS__STAT_SLOT": "false"},
    )
    assert (settings.node.ae_title, settings.node.timezone) == ("ENV", "Europe/Berlin")
    assert (settings.workers.processes, settings.workers.stat_slot) == (3, False)


def test_an_entry_of_an_array_goes_by_its_name(load_text: LoadText) -> None:
    settings = load_text(
        REMOTE, {"GURNEY_REMOTE__MAIN_ARCHIVE__HOST": "pacs", "GURNEY_REMOTE__MAIN_ARCHIVE__TIMEOUTS__STORE": "5"}
    )
    assert [(each.name, each.host, each.timeouts.store) for each in settings.remote] == [("main-archive", "pacs", 5.0)]


def test_a_new_name_makes_a_new_entry() -> None:
    settings = load(
        None,
        {
            "GURNEY_REMOTE__PACS__AE_TITLE": "PACS",
            "GURNEY_REMOTE__PACS__HOST": "pacs",
            "GURNEY_REMOTE__PACS__PORT": "104",
            "GURNEY_WATCH__CT1__PATH": "/data/ct1",
            "GURNEY_WATCH__CT1__SEND_TO": '["pacs"]',
        },
    )
    assert settings.remote_named("pacs").port == 104
    assert (settings.watch[0].name, settings.watch[0].send_to) == ("ct1", ("pacs",))


def test_a_whole_array_may_be_json(load_text: LoadText) -> None:
    settings = load_text(REMOTE, {"GURNEY_REMOTE": '[{"name": "a", "ae_title": "A", "host": "h", "port": 1}]'})
    assert [each.name for each in settings.remote] == ["a"]


@pytest.mark.parametrize(
    ("variable", "text", "key", "message"),
    [
        ("GURNEY_WORKERS__PROCESSES", "many", "workers.processes", '"many" should be a valid integer'),
        ("GURNEY_WORKERS__PROCESES", "2", "workers.proceses", "is not a key"),
        ("GURNEY_WORKRS__PROCESSES", "2", "", 'there is no table "workrs"'),
        ("GURNEY_REMOTE__MAIN_ARCHIVE__PORT", "70000", "remote[main-archive].port", '"70000" should be less'),
        ("GURNEY_WATCH__CT1__SEND_TO", "archive", "", "is not JSON"),
        ("GURNEY_REMOTE", "[{", "", "is not JSON"),
        ("GURNEY_REMOTE__ARCHIVE", "pacs", "", "names no key of [[remote]]"),
        (
            "GURNEY_REMOTE__MAIN_ARCHIVE__COMMITMENT",
            "always",
            "remote[main-archive].commitment",
            "'none', 'after_study' or 'before_delete'",
        ),
        ("GURNEY_REMOTE__MAIN_ARCHIVE__WINDOW", "nights", "remote[main-archive].window", "is no window"),
    ],
)
def test_a_mistake_names_its_variable(
    problems_of: ProblemsOf, variable: str, text: str, key: str, message: str
) -> None:
    problem = next(each for each in problems_of(REMOTE, {variable: text}) if each.origin.source == variable)
    assert (problem.key, problem.origin.line) == (key, 0)
    assert message in problem.message


def test_leaves_alone_what_is_not_meant_for_it() -> None:
    # Kubernetes makes the second and third up from a service called "gurney".
    environ = {"PATH": "/bin", "GURNEY_PORT": "tcp://10.0.0.1:8642", "GURNEY_SERVICE_HOST": "10.0.0.1"}
    assert load(None, environ) == Settings()


def test_an_empty_variable_is_unset(load_text: LoadText) -> None:
    assert load_text("[node]\nae_title = 'FILE'", {"GURNEY_NODE__AE_TITLE": ""}).node.ae_title == "FILE"


def test_an_entry_made_by_mistake_lacks_what_it_needs() -> None:
    with pytest.raises(InvalidSettingsError) as caught:
        load(None, {"GURNEY_REMOTE__ARCHVE__HOST": "pacs"})
    missing = [each for each in caught.value.problems if each.message == "is required"]
    assert {(each.origin.source, each.key) for each in missing} == {
        ("GURNEY_REMOTE__ARCHVE__HOST", "remote[archve].ae_title"),
        ("GURNEY_REMOTE__ARCHVE__HOST", "remote[archve].port"),
    }
