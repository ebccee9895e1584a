from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gurney.jobs import make_app
from gurney.settings import Broker, Problem, Settings, check, load

REMOTE = '[[remote]]\nname = "{}"\nae_title = "ORTHANC"\nhost = "127.0.0.1"\nport = 4242\n'
ARCHIVE = REMOTE.format("archive")
WATCH = '[[watch]]\nname = "ct1"\npath = "/data/ct1"\nsend_to = ["archive"]\n'
ROUTE = "[[route]]\nname = 'r'\nwhen = 'true'\n"

# No folder is there that these tests name, but for one.
ABSENT = "there is no folder /data/"

Mistakes = Callable[..., list[tuple[int, str, str]]]


@pytest.mark.parametrize(
    ("text", "line", "key", "message"),
    [
        (ARCHIVE + ARCHIVE.replace("archive", "ARCHIVE"), 7, "remote[ARCHIVE].name", '"ARCHIVE" is taken already at'),
        (ARCHIVE + WATCH + WATCH.replace("/ct1", "/ct2"), 11, "watch[ct1].name", '"ct1" is taken already at'),
        (ARCHIVE + 2 * (ROUTE + "send_to = ['archive']\n"), 11, "route[r].name", '"r" is taken already at'),
        (ARCHIVE + WATCH.replace("archive", "archve"), 9, "watch[ct1].send_to[0]", 'there is no remote "archve"'),
        (ARCHIVE + ROUTE + "send_to = [\n'archive',\n'x']", 11, "route[r].send_to[1]", 'there is no remote "x"'),
        (ARCHIVE + WATCH.replace("ct1", "send", 1), 7, "watch[send].name", "`gurney send` takes in"),
        (ROUTE, 1, "route[r]", "sends nowhere"),
        (ARCHIVE + ROUTE + "send_to = ['archive']\naction = 'drop'", 6, "route[r]", "drops, and so can't send"),
        (ARCHIVE + ROUTE.replace("true", 't.Modalty == "CT"') + "send_to = ['archive']", 8, "route[r].when", "did you"),
        (ARCHIVE + ROUTE.replace("true", "(") + "send_to = ['archive']", 8, "route[r].when", "character "),
        (ARCHIVE + WATCH + "after = 'move'", 10, "watch[ct1].after", "needs a folder to move to"),
        (ARCHIVE + WATCH + "move_to = '/sent'", 10, "watch[ct1].move_to", "has no effect"),
        (ARCHIVE + WATCH + "after = 'move'\nmove_to = '/data/ct1/sent'", 11, "watch[ct1].move_to", "come in again"),
        (ARCHIVE + WATCH.replace("/data/ct1", "/var"), 8, "watch[ct1].path", "overlaps the spool"),
        ("[api]\nhost = '0.0.0.0'", 2, "api.host", "is open to the network"),
    ],
)
def test_names_line_key_and_what_is_wrong(mistakes: Mistakes, text: str, line: int, key: str, message: str) -> None:
    found = mistakes(text)
    assert [(each[0], each[1]) for each in found] == [(line, key)]
    assert message in found[0][2]


@pytest.mark.parametrize(
    ("text", "line", "key", "message"),
    [
        (ARCHIVE + WATCH + REMOTE.format("other"), 10, "remote[other]", 'is the same node as "archive"'),
        (ARCHIVE, 0, "watch", "no folder is watched"),
        (ARCHIVE + WATCH.replace('"archive"', ""), 6, "watch[ct1]", "would go nowhere"),
        (ARCHIVE + WATCH + "[workers]\nprocesses = 5\n", 11, "workers.processes", "SQLite's one writer"),
    ],
)
def test_warns_and_loads(load_text: Callable[..., Settings], text: str, line: int, key: str, message: str) -> None:
    problems = [problem for problem in check(load_text(text)) if not problem.message.startswith(ABSENT)]
    assert [(each.origin.line, each.key, each.is_error) for each in problems] == [(line, key, False)]
    assert message in problems[0].message


def test_a_sound_configuration_has_no_problem(load_text: Callable[..., Settings]) -> None:
    assert check(load_text(ARCHIVE + WATCH.replace("/data/ct1", "/usr"))) == []


def test_a_folder_that_is_not_there_is_unwise_unless_a_share_may_bring_it(
    load_text: Callable[..., Settings], tmp_path: Path
) -> None:
    settings = load_text(ARCHIVE + WATCH)
    (problem,) = check(settings)
    assert (problem.is_error, problem.key, problem.origin.line) == (False, "watch[ct1].path", 8)
    table = tmp_path / "mountinfo"
    table.write_text("1 0 0:1 / /data rw - nfs4 server:/data rw\n")
    assert check(settings, mountinfo=str(table)) == []


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[api]\nport = 9000\n", "api.port"),
        ("[api]\nhost = '::1'\n", "api.host"),
        ("[node]\ntimezone = 'Europe/Berlin'\n[api]\nport = 8642\n", ""),
    ],
)
def test_what_this_version_does_not_use_is_told(load_text: Callable[..., Settings], text: str, key: str) -> None:
    problems = [problem for problem in check(load_text(text)) if "not used by this version" in problem.message]
    assert [problem.key for problem in problems] == ([key] if key else [])
    assert not any(problem.is_error for problem in problems)


@pytest.mark.parametrize(
    ("when", "remedy"),
    [
        ('t.Modality = "CT"', 'Compare with "==".'),
        ('t.Modality === "CT"', 'Compare with "==".'),
        ('t.Modality <> "CT"', 'Compare with "!=".'),
        ('source == "a" & door == "watch"', 'Join conditions with "&&".'),
        ('source == "a" AND door == "watch"', 'Join conditions with "&&".'),
        ('source == "a" | door == "watch"', 'Join conditions with "||".'),
        ('source == "x and y" or door == "watch"', 'Join conditions with "||".'),
        ('not source == "a"', 'Negate with "!( )".'),
        ('source == "and" && (', "See docs/reference/routing.md"),
    ],
)
def test_says_what_a_rule_probably_meant(
    problems_of: Callable[..., tuple[Problem, ...]], when: str, remedy: str
) -> None:
    text = f"{ARCHIVE}[[route]]\nname = 'r'\nwhen = '{when}'\nsend_to = ['archive']\n"
    (problem,) = [problem for problem in problems_of(text) if problem.is_error]
    assert problem.remedy.startswith(remedy)
    assert "token recognition" not in problem.message


def test_a_question_ends_without_a_full_stop(problems_of: Callable[..., tuple[Problem, ...]]) -> None:
    text = f"{ARCHIVE}[[route]]\nname = 'r'\nwhen = 't.Modalty == \"CT\"'\nsend_to = ['archive']\n"
    (problem,) = [problem for problem in problems_of(text) if problem.is_error]
    assert "did you mean t.Modality? See" in str(problem)


def test_sqlite_is_refused_on_a_network_filesystem(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_text("22 1 8:1 / / rw - ext4 /dev/sda1 rw\n30 22 0:30 / /srv/share rw - nfs4 server:/x rw\n")
    settings = load(None, {"GURNEY_NODE__DATA_DIR": "/srv/share/gurney"})
    found = [each for each in check(settings, mountinfo=str(table)) if each.is_error]
    assert [(each.key, each.origin.source) for each in found] == [("node.data_dir", "GURNEY_NODE__DATA_DIR")]
    assert "nfs4" in found[0].message
    elsewhere = load(None, {"GURNEY_NODE__DATA_DIR": "/srv/share/gurney", "GURNEY_LEDGER__URL": "sqlite:////srv/l.db"})
    assert not [each for each in check(elsewhere, mountinfo=str(table)) if each.is_error]


@pytest.mark.parametrize(
    "url", ["redis://h", "rediss://h", "redis+socket:///s", "sentinel://h", "amqp://h", "amqps://h", "memory://"]
)
def test_takes_every_broker_that_the_doorbell_takes(url: str) -> None:
    assert Broker(url=url).url == url
    make_app(url)
