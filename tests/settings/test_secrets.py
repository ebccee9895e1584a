from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gurney.settings import InvalidSettingsError, Problem, Settings, check, show
from gurney.settings.secrets import mask

URL = "postgresql+psycopg://gurney:hunter2@db/gurney"

LoadText = Callable[..., Settings]
Mistakes = Callable[..., list[tuple[int, str, str]]]


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "ledger-url"
    path.touch(mode=0o600)
    path.write_text(URL + "\n")
    return path


def _warnings(settings: Settings) -> list[Problem]:
    return [each for each in check(settings) if "secret" in each.message]


def test_a_file_may_hold_a_secret(load_text: LoadText, secret: Path) -> None:
    settings = load_text("[ledger]\nurl_file = 'ledger-url'\n")
    assert settings.ledger_url == URL
    assert not _warnings(settings)


def test_the_environment_may_name_the_file(load_text: LoadText, secret: Path) -> None:
    settings = load_text("[ledger]\nurl = 'sqlite:////x'\n", {"GURNEY_LEDGER__URL_FILE": str(secret)})
    assert settings.ledger_url == URL


def test_the_environments_value_replaces_the_files_file(load_text: LoadText) -> None:
    settings = load_text("[broker]\nurl_file = 'absent'\n", {"GURNEY_BROKER__URL": "redis://h"})
    assert settings.broker.url == "redis://h"


@pytest.mark.parametrize(
    ("text", "line", "key", "message"),
    [
        ("[ledger]\nurl = ''\nurl_file = 'ledger-url'", 3, "ledger.url_file", "is set beside url"),
        ("[ledger]\nurl_file = 'absent'", 2, "ledger.url_file", "can't be read: No such file or directory"),
        ("[ledger]\nurl_file = 5", 2, "ledger.url_file", "is not a path"),
        ("[ledger]\nurl_file = 'empty'", 2, "ledger.url_file", "is empty"),
    ],
)
def test_a_mistake_names_its_line(
    mistakes: Mistakes, secret: Path, text: str, line: int, key: str, message: str
) -> None:
    (secret.parent / "empty").write_text("\n")
    found = mistakes(text)
    assert [(each[0], each[1]) for each in found] == [(line, key)]
    assert message in found[0][2]


def test_warns_of_a_secret_that_everyone_can_read(load_text: LoadText, secret: Path) -> None:
    secret.chmod(0o644)
    found = _warnings(load_text("[ledger]\nurl_file = 'ledger-url'\n"))
    assert [(each.origin.line, each.key, each.is_error) for each in found] == [(2, "ledger.url_file", False)]
    assert found[0].remedy == f"chmod o-rwx {secret}"


def test_warns_of_a_password_in_a_file_that_everyone_can_read(load_text: LoadText, config_file: Path) -> None:
    config_file.chmod(0o644)
    found = _warnings(load_text(f"[ledger]\nurl = '{URL}'\n"))
    assert [(each.origin.line, each.key) for each in found] == [(2, "ledger.url")]
    config_file.chmod(0o600)
    assert not _warnings(load_text(f"[ledger]\nurl = '{URL}'\n"))


def test_no_message_and_no_repr_tells_a_secret(load_text: LoadText, secret: Path) -> None:
    secret.write_text("mysql://gurney:hunter2@db")
    with pytest.raises(InvalidSettingsError) as caught:
        load_text("[ledger]\nurl_file = 'ledger-url'\n[broker]\nurl = 'http://u:hunter2@h'\n")
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(caught.value.__context__)
    assert "hunter2" not in str(caught.value.__context__)
    settings = load_text(f"[ledger]\nurl = '{URL}'\n")
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in show(settings) + show(settings, "json")


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        (URL, "postgresql+psycopg://gurney:***@db/gurney"),
        ("redis://:hunter2@h:6379/0", "redis://:***@h:6379/0"),
        ("amqp://guest@h/vhost", "amqp://guest@h/vhost"),
        ("postgresql+psycopg:///db?host=/run&password=hunter2", "postgresql+psycopg:///db?***"),
        ("sqlite:////var/lib/gurney/x.sqlite3", "sqlite:////var/lib/gurney/x.sqlite3"),
        ("redis+socket:///run/x.sock", "redis+socket:///run/x.sock"),
        ("memory://", "memory://"),
        ("amqp://u:a/b?c#d@h/vhost", "amqp://u:***@h/vhost"),
        ("", ""),
    ],
)
def test_masks_passwords_only(url: str, masked: str) -> None:
    assert mask(url) == masked
