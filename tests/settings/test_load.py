"""Each mistake is refused with its exact line and key, and all of them at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from gurney.errors import ConfigError
from gurney.settings import InvalidSettingsError, Problem, Settings, load
from gurney.transfer.routing import RouteRule

REMOTE = '[[remote]]\nname = "archive"\nae_title = "ORTHANC"\nhost = "127.0.0.1"\nport = 4242\n'
WATCH = '[[watch]]\nname = "ct1"\npath = "/data/ct1"\nsend_to = ["archive"]\n'

Mistakes = Callable[..., list[tuple[int, str, str]]]
LoadText = Callable[..., Settings]


def test_an_empty_file_is_all_defaults(load_text: LoadText) -> None:
    settings = load_text("")
    assert settings.node.data_dir == "/var/lib/gurney"
    assert settings.ledger_url == "sqlite:////var/lib/gurney/ledger.sqlite3"
    assert settings.is_sqlite
    assert settings.broker_is_embedded
    assert settings.spool_path == "/var/lib/gurney/spool"


def test_reads_every_kind_of_table(load_text: LoadText) -> None:
    settings = load_text(
        REMOTE + WATCH + '[[route]]\nname = "all ct"\nwhen = \'t.Modality == "CT"\'\nsend_to = ["archive"]\n'
        '[complete]\nquiet = "90s"\n[node]\nae_title = "ME"\n'
    )
    remote = settings.remote_named("archive")
    assert (remote.ae_title, remote.host, remote.port) == ("ORTHANC", "127.0.0.1", 4242)
    assert settings.calling_ae_title(remote) == "ME"
    assert settings.watch[0].settle_seconds is None
    assert settings.route_rules == (RouteRule("all ct", 't.Modality == "CT"', ("archive",)),)
    assert settings.complete.quiet == 90.0
    with pytest.raises(KeyError):
        settings.remote_named("elsewhere")


@pytest.mark.parametrize(
    ("text", "line", "key", "message"),
    [
        ("[node]\nae_titel = 'X'", 2, "node.ae_titel", "is not a key"),
        ("\n[nodes]\nae_title = 'X'", 2, "nodes", "is not a key"),
        (REMOTE.replace("4242", "70000"), 5, "remote[archive].port", "70000 should be less than or equal to 65535"),
        (REMOTE.replace("4242", "0"), 5, "remote[archive].port", "0 should be greater than or equal to 1"),
        (REMOTE.replace("port = 4242\n", ""), 1, "remote[archive].port", "is required"),
        (REMOTE.replace("archive", "a b"), 2, "remote[a b].name", '"a b" is not a name'),
        (REMOTE.replace("127.0.0.1", "dicom://pacs"), 4, "remote[archive].host", "is not a host name or address"),
        (REMOTE.replace("ORTHANC", "X" * 17), 3, "remote[archive].ae_title", "must have 1 to 16 characters"),
        (REMOTE.replace("ORTHANC", "A\\\\B"), 3, "remote[archive].ae_title", "only printable ASCII"),
        (REMOTE.replace("ORTHANC", "  "), 3, "remote[archive].ae_title", "must not consist of spaces only"),
        (REMOTE.replace("ORTHANC", "RÖNTGEN"), 3, "remote[archive].ae_title", "only printable ASCII"),
        (REMOTE + "timeouts = { store = 0 }", 6, "remote[archive].timeouts.store", "0 should be greater than 0"),
        (REMOTE + "timeouts = { stor = 1 }", 6, "remote[archive].timeouts.stor", "is not a key"),
        (REMOTE + "max_pdu = 12", 6, "remote[archive].max_pdu", "12 is not a PDU length"),
        (REMOTE + "calling_ae_title = 'source'", 6, "remote[archive].calling_ae_title", "not served by this version"),
        (
            REMOTE + "association = 'patient'",
            6,
            "remote[archive].association",
            "should be 'study', 'series' or 'batch'",
        ),
        ("remote = 3", 1, "remote", "is not an array of tables"),
        ("[remote]\nname = 'archive'", 1, "remote", "is not an array of tables"),
        ("remote = [1]", 1, "remote[0]", "should be a valid dictionary"),
        ("[node]\ntimezone = 'Mars/Base'", 2, "node.timezone", '"Mars/Base" is not a time zone'),
        ("[node]\ntimezone = '../../etc/passwd'", 2, "node.timezone", "is not a time zone"),
        ("[ledger]\nurl = 'mysql://h/db'", 2, "ledger.url", "is not a ledger that Gurney can use"),
        ("[ledger]\nurl = 'sqlite:///relative.db'", 2, "ledger.url", "is not a ledger that Gurney can use"),
        ("[broker]\nurl = 'http://h'", 2, "broker.url", "is not a broker that Gurney can use"),
        ("[workers]\nprocesses = 'many'", 2, "workers.processes", '"many" should be a valid integer'),
        ("[spool]\nkeep_free = '10'", 2, "spool.keep_free", '"10" is not an amount of disk space'),
        ("[complete]\nquiet = '1 week'", 2, "complete.quiet", '"1 week" is not a duration'),
        (REMOTE + WATCH + "send_to = 'x'", 10, "", "is not TOML: Cannot overwrite a value"),
        (REMOTE + WATCH.replace('["archive"]', '"archive"'), 9, "watch[ct1].send_to", '"archive" should be a list'),
        (REMOTE + WATCH.replace('"archive"', "\n4"), 10, "watch[ct1].send_to[0]", "4 should be a valid string"),
        ("[node]\nae_title = 'X", 2, "", "is not TOML: "),
        ("[node\n", 1, "", "is not TOML: "),
        ("a = [\n1,\n", 3, "", "is not TOML: "),
    ],
)
def test_names_line_key_and_what_is_wrong(mistakes: Mistakes, text: str, line: int, key: str, message: str) -> None:
    found = mistakes(text)
    assert [(each[0], each[1]) for each in found] == [(line, key)]
    assert message in found[0][2]


def test_tells_every_mistake_at_once(mistakes: Mistakes) -> None:
    found = mistakes(
        "[node]\ntimezone = 'nowhere'\n"  # 2
        + REMOTE.replace("4242", "70000")  # 7
        + REMOTE  # 9: the name again
        + WATCH.replace("archive", "archve")  # 16: no such remote
        + "[ledgr]\n"  # 17
    )
    assert sorted(line for line, _, _ in found) == [2, 7, 9, 16, 17]


def test_a_broken_remote_is_still_known_by_name(mistakes: Mistakes) -> None:
    assert [key for _, key, _ in mistakes(REMOTE.replace("4242", "70000") + WATCH)] == ["remote[archive].port"]


def test_suggests_what_was_meant(problems_of: Callable[..., tuple[Problem, ...]]) -> None:
    remedies = [each.remedy for each in problems_of("[node]\nae_titel = 'X'\n[wathc]\n")]
    assert remedies[:2] == ['Did you mean "ae_title"?', 'Did you mean "watch"?']


def test_a_remedy_tells_what_a_key_takes(problems_of: Callable[..., tuple[Problem, ...]]) -> None:
    assert problems_of(REMOTE.replace("4242", "70000"))[0].remedy == "A TCP port, 1 to 65535."


def test_an_error_reads_as_one_line_a_mistake(config_file: Path) -> None:
    config_file.write_text("[node]\ntimezone = 'Mars/Base'\n")
    with pytest.raises(ConfigError) as caught:
        load(str(config_file), {})
    assert f'{config_file}:2:1: error: node.timezone: "Mars/Base" is not a time zone. An IANA name' in str(caught.value)
    assert caught.value.permanent


def test_a_problem_is_plain_json(problems_of: Callable[..., tuple[Problem, ...]], config_file: Path) -> None:
    first = problems_of("[node]\ntimezone = 'Mars/Base'\n")[0]
    assert json.loads(json.dumps(first.as_dict())) == {
        "severity": "error",
        "source": str(config_file),
        "line": 2,
        "column": 1,
        "key": "node.timezone",
        "message": '"Mars/Base" is not a time zone',
        "remedy": 'An IANA name such as "Europe/Berlin", for windows and schedules.',
    }


def test_a_missing_file_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettingsError, match=r"absent\.toml: error: can't be read: No such file"):
        load(str(tmp_path / "absent.toml"), {})


def test_the_environment_may_name_the_file(config_file: Path) -> None:
    config_file.write_text("[node]\nae_title = 'ME'\n")
    assert load(None, {"GURNEY_CONFIG": str(config_file)}).node.ae_title == "ME"


def test_what_is_named_on_the_command_line_comes_first(config_file: Path) -> None:
    config_file.write_text("[node]\nae_title = 'ME'\n")
    assert load(str(config_file), {"GURNEY_CONFIG": "/nonexistent"}).node.ae_title == "ME"


def test_relative_paths_count_from_the_file(load_text: LoadText, config_file: Path) -> None:
    settings = load_text(
        "[node]\ndata_dir = 'data'\n" + REMOTE + WATCH.replace("/data/ct1", "in/../ct1"),
        {"GURNEY_SPOOL__PATH": "elsewhere"},
    )
    assert settings.node.data_dir == str(config_file.parent / "data")
    assert settings.watch[0].path == str(config_file.parent / "ct1")
    assert settings.spool_path == str(config_file.parent / "elsewhere")


def test_takes_files_as_windows_writes_them(config_file: Path) -> None:
    config_file.write_bytes(b"\xef\xbb\xbf[node]\r\nae_title = 'ME'\r\ntimezone = 'nowhere'\r\n")
    with pytest.raises(InvalidSettingsError) as caught:
        load(str(config_file), {})
    assert [(each.origin.line, each.key) for each in caught.value.problems if each.is_error] == [(3, "node.timezone")]


def test_refuses_what_is_no_text(config_file: Path) -> None:
    config_file.write_bytes(b"[node]\nae_title = '\xff'\n")
    with pytest.raises(InvalidSettingsError, match="is not UTF-8 text"):
        load(str(config_file), {})


def test_settings_made_by_hand_ignore_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GURNEY_NODE__AE_TITLE", "ELSEWHERE")
    assert Settings().node.ae_title == "GURNEY"


def test_what_is_broken_draws_no_second_complaint(problems_of: Callable[..., tuple[Problem, ...]]) -> None:
    # With send_to unreadable, "its files would go nowhere" would be a guess.
    watch = WATCH.replace('"archive"', "4").replace("/data/ct1", "/usr")
    assert [each.key for each in problems_of(REMOTE + watch)] == ["watch[ct1].send_to[0]"]
    assert [each.is_error for each in problems_of("= nonsense")] == [True]


def test_mistakes_come_in_the_order_of_their_lines(problems_of: Callable[..., tuple[Problem, ...]]) -> None:
    text = "[workers]\nprocesses = 9\nodd = 1\n" + WATCH + REMOTE.replace("4242", "0") + "even = 2\n[node]\nodd = 1\n"
    found = [(each.is_error, each.origin.line) for each in problems_of(text)]
    assert found == [(True, 3), (True, 12), (True, 13), (True, 15), (False, 2), (False, 6)]


@pytest.mark.parametrize(
    ("line", "remedy"),
    [
        ("a == 3", 'Write one "="'),
        ("a: 3", 'Write "=" between'),
        ("a = # nothing", "Write a value"),
        ("a = yes", "true or false"),
        ("a = True", "true or false"),
        ("a = /data/ct1", "Put quotes"),
        ("send_to = [archive]", "Put quotes"),
        ("a = “archive”", "straight quotes"),
        (r'path = "C:\images"', "single quotes"),
        ("[a]\nb = 1\nb = 2", "Keep one: a key"),
        ("[[node]]\n[node]", "[[table]]"),
        ("a b = 3", "Correct the line."),
    ],
)
def test_says_what_was_probably_meant(problems_of: Callable[..., tuple[Problem, ...]], line: str, remedy: str) -> None:
    (problem,) = problems_of(f"{line}\n")
    assert problem.message.startswith("is not TOML: ")
    assert remedy in problem.remedy


def test_a_hint_repeats_no_secret(problems_of: Callable[..., tuple[Problem, ...]]) -> None:
    (problem,) = problems_of("[ledger]\nurl = postgresql+psycopg://gurney:hunter2@db/gurney\n")
    assert problem.origin.line == 2
    assert "hunter2" not in str(problem)
