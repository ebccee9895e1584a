from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gurney.pacs import RemoteAE, Tls, TlsIdentity, TlsProfile
from gurney.settings import Settings, check, load, show
from gurney.settings.remotes import remote_ae
from tests.services.certificates import Authority, Issued

REMOTE = '[[remote]]\nname = "archive"\nae_title = "ORTHANC"\nhost = "127.0.0.1"\nport = 4242\n'

LoadText = Callable[..., Settings]
Mistakes = Callable[..., list[tuple[int, str, str]]]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def ours(authority: Authority) -> Issued:
    return authority.issue("ours", password="opensesame")


def found(settings: Settings) -> list[tuple[int, str, str]]:
    """Return line, key and message of what is said of TLS."""
    return [(one.origin.line, one.key, one.message) for one in check(settings) if ".tls" in one.key]


def made(settings: Settings) -> RemoteAE:
    return remote_ae(settings.remote[0])


def test_a_remote_without_it_is_plain(load_text: LoadText) -> None:
    assert made(load_text(REMOTE)).tls is None


def test_an_empty_table_trusts_the_host(load_text: LoadText) -> None:
    settings = load_text(REMOTE + "tls = {}")
    assert made(settings).tls == Tls()
    assert found(settings) == []


def test_every_key_arrives(load_text: LoadText, config_file: Path, authority: Authority, ours: Issued) -> None:
    secret = config_file.with_name("secret")
    secret.touch(mode=0o600)
    secret.write_text("opensesame\n")
    settings = load_text(
        f'{REMOTE}[remote.tls]\nca = "{authority.file}"\ncertificate = "{ours.certificate}"\nkey = "{ours.key}"\n'
        f'key_password_file = "secret"\ncrl = "{authority.revocation_list()}"\ncrl_chain = true\ncheck_host = false\n'
        'server_name = "pacs.example"\nprofile = "modified-bcp195"\n'
    )
    assert found(settings) == []
    assert made(settings).tls == Tls(
        ca=str(authority.file),
        identity=TlsIdentity(str(ours.certificate), str(ours.key), secret),
        crl=str(authority.revocation_list()),
        crl_chain=True,
        check_host=False,
        server_name="pacs.example",
        profile=TlsProfile.MODIFIED_BCP_195,
    )
    again = config_file.with_name("again.toml")
    again.write_text(show(settings))
    assert load(str(again), {}) == settings


def test_paths_count_from_the_file(load_text: LoadText, config_file: Path) -> None:
    settings = load_text(REMOTE + 'tls = { ca = "tls/ca.pem", certificate = "ours.pem" }')
    assert made(settings).tls == Tls(
        ca=str(config_file.parent / "tls" / "ca.pem"), identity=TlsIdentity(str(config_file.parent / "ours.pem"))
    )


def test_the_environment_has_it_too(load_text: LoadText, authority: Authority) -> None:
    settings = load_text(REMOTE, {"GURNEY_REMOTE__ARCHIVE__TLS__CA": str(authority.file)})
    assert made(settings).tls == Tls(ca=str(authority.file))


@pytest.mark.parametrize(
    ("table", "key", "message"),
    [
        ("tls = 5", "tls", "should be a valid dictionary"),
        ("tls = { cert = 'x' }", "tls.cert", "is not a key"),
        ("tls = { key_password = 'x' }", "tls.key_password", "is not a key"),
        ("tls = { profile = 'ssl3' }", "tls.profile", "should be 'bcp195' or 'modified-bcp195'"),
        ("tls = { server_name = '.x' }", "tls.server_name", "is not a host name"),
        ("tls = { check_host = 'maybe' }", "tls.check_host", "should be a valid boolean"),
        ("tls = { key = 'x' }", "tls.key", "has no effect without certificate"),
        ("tls = { key_password_file = 'x' }", "tls.key_password_file", "has no effect without certificate"),
        ("tls = { crl_chain = true }", "tls.crl_chain", "has no effect without crl"),
    ],
)
def test_a_mistake_has_its_line(mistakes: Mistakes, table: str, key: str, message: str) -> None:
    ((line, where, what),) = mistakes(REMOTE + table)
    assert (line, where) == (6, f"remote[archive].{key}")
    assert message in what


def test_files_that_can_not_be_used_are_warned_of(
    load_text: LoadText, authority: Authority, ours: Issued, config_file: Path
) -> None:
    """One remote's certificate keeps nobody from sending to the others."""
    wrong = config_file.with_name("wrong")
    wrong.touch(mode=0o600)
    wrong.write_text("guess")
    mine = f'certificate = "{ours.certificate}"\nkey = "{ours.key}"\n'
    for text, line, key, words in (
        ('ca = "none.pem"\n', 7, "ca", "can't be read for the CA certificates"),
        ('certificate = "none.pem"\n', 7, "certificate", "can't be read for our certificate"),
        (f'certificate = "{ours.certificate}"\n', 7, "certificate", "holds no private key"),
        (f'certificate = "{ours.certificate}"\nkey = "none.key"\n', 8, "key", "can't be read for our private key"),
        (mine, 8, "key", "with a password"),
        (mine + 'key_password_file = "wrong"\n', 8, "key", "the password does not open"),
        (mine + 'key_password_file = "none"\n', 9, "key_password_file", "for the password of our private key"),
        (f'certificate = "{authority.file}"\nkey = "{authority.issue("other").key}"\n', 8, "key", "does not belong"),
        (f'crl = "{authority.file}"\n', 7, "crl", "holds no revocation list"),
    ):
        ((at, where, what),) = found(load_text(f"{REMOTE}[remote.tls]\n{text}"))
        assert (at, where) == (line, f"remote[archive].tls.{key}")
        assert words in what
        assert "guess" not in what


def test_a_key_that_others_can_read_is_warned_of(load_text: LoadText, authority: Authority) -> None:
    issued = authority.issue("open")
    os.chmod(issued.key, 0o644)
    tls = f'tls = {{ certificate = "{issued.certificate}", key = "{issued.key}" }}'
    ((_, key, message),) = found(load_text(REMOTE + tls))
    assert key == "remote[archive].tls.key"
    assert "everyone on this host can read" in message


def test_a_share_is_not_looked_at(load_text: LoadText, tmp_path: Path) -> None:
    """It may be dead, and whoever looks would hang with it."""
    mounts = tmp_path / "mountinfo"
    mounts.write_text("1 0 0:1 / / rw - ext4 /dev/sda rw\n2 1 0:2 / /share rw - nfs4 server:/share rw\n")
    settings = load_text(REMOTE + 'tls = { ca = "/share/ca.pem" }')
    assert [one for one in check(settings, mountinfo=str(mounts)) if ".tls" in one.key] == []
