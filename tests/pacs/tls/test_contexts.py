from __future__ import annotations

import logging
import os
import signal
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gurney.pacs import (
    InboundTls,
    RemoteAE,
    StoreScu,
    Tls,
    TlsFailed,
    TlsIdentity,
    TlsProblem,
    TlsProfile,
    TlsSetupError,
)
from gurney.pacs.events import PrivateKeyPassword
from gurney.pacs.tls.contexts import client_context, files_of, server_context
from tests.services.certificates import Authority, Issued

SECRET = "opensesame"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def ours(authority: Authority) -> Issued:
    return authority.issue("ours")


@pytest.fixture(scope="module")
def locked(authority: Authority) -> Issued:
    return authority.issue("locked", password=SECRET)


@pytest.mark.parametrize("profile", TlsProfile)
def test_what_every_profile_asks_for(authority: Authority, ours: Issued, profile: TlsProfile) -> None:
    """PS3.15 B.12, B.13: nothing below TLS 1.2, forward secrecy, authenticated encryption."""
    identity = TlsIdentity(ours.certificate, ours.key)
    made = [
        client_context(Tls(ca=authority.file, profile=profile)),
        server_context(InboundTls(identity, ca=authority.file, profile=profile)),
    ]
    for context in made:
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2
        assert context.maximum_version is ssl.TLSVersion.MAXIMUM_SUPPORTED
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.options & ssl.OP_NO_COMPRESSION
        assert context.options & ssl.OP_NO_RENEGOTIATION
        assert context.security_level == 2
        for suite in context.get_ciphers():
            assert suite["aead"]
            assert suite["strength_bits"] >= 128
            assert suite["protocol"] == "TLSv1.3" or suite["name"].startswith("ECDHE-")
    assert made[0].check_hostname
    assert made[1].options & ssl.OP_CIPHER_SERVER_PREFERENCE


def test_the_modified_profile_offers_what_it_lists() -> None:
    plain, modified = (
        {suite["name"] for suite in client_context(Tls(profile=profile)).get_ciphers()} for profile in TlsProfile
    )
    assert plain < modified
    assert "ECDHE-ECDSA-AES256-CCM" in modified - plain


@pytest.mark.parametrize(
    ("optional", "mode"), [(True, ssl.CERT_OPTIONAL), (False, ssl.CERT_REQUIRED)], ids=["optional", "required"]
)
def test_who_must_show_a_certificate(authority: Authority, ours: Issued, optional: bool, mode: ssl.VerifyMode) -> None:
    identity = TlsIdentity(ours.certificate, ours.key)
    assert server_context(InboundTls(identity, ca=authority.file, optional=optional)).verify_mode is mode
    assert server_context(InboundTls(identity)).verify_mode is ssl.CERT_NONE


def test_revocation_lists_for_one_or_all(authority: Authority) -> None:
    crl = authority.revocation_list()
    leaf = client_context(Tls(ca=authority.file, crl=crl))
    chain = client_context(Tls(ca=authority.file, crl=crl, crl_chain=True))
    assert leaf.verify_flags & ssl.VERIFY_CRL_CHECK_LEAF
    assert chain.verify_flags & ssl.VERIFY_CRL_CHECK_CHAIN == ssl.VERIFY_CRL_CHECK_CHAIN


def test_a_folder_of_cas(authority: Authority, tmp_path: Path) -> None:
    assert client_context(Tls(ca=tmp_path)).verify_mode is ssl.CERT_REQUIRED


# --- The password -----------------------------------------------------------------------------------------------------


def test_the_password_by_callback_or_file(authority: Authority, locked: Issued, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(SECRET + "\n")
    for source in (lambda: SECRET, SECRET.encode, secret):
        identity = TlsIdentity(locked.certificate, locked.key, source)
        assert client_context(Tls(ca=authority.file, identity=identity))
        assert SECRET not in repr(identity)


def test_a_key_without_a_password_asks_for_none(ours: Issued) -> None:
    def raises() -> str:
        raise AssertionError

    assert client_context(Tls(identity=TlsIdentity(ours.certificate, ours.key, raises)))


def test_a_wrong_or_missing_password(locked: Issued, tmp_path: Path) -> None:
    for source, words in (
        (lambda: "guess", "that the password does not open"),
        (lambda: "", "that the password does not open"),
        (None, "with a password: give that"),
        (tmp_path / "none", "can't be read for the password of our private key"),
    ):
        with pytest.raises(TlsSetupError, match=words) as caught:
            client_context(Tls(identity=TlsIdentity(locked.certificate, locked.key, source)))
        assert "guess" not in str(caught.value)


def test_what_a_callback_raises_comes_through(locked: Issued) -> None:
    def raises() -> str:
        raise PermissionError("the vault is shut")

    with pytest.raises(PermissionError, match="vault"):
        client_context(Tls(identity=TlsIdentity(locked.certificate, locked.key, raises)))


def test_the_password_itself_is_never_taken(locked: Issued) -> None:
    """Taken for a file's name, it would be named by the error about the file."""
    with pytest.raises(TypeError) as caught:
        TlsIdentity(locked.certificate, locked.key, SECRET)  # type: ignore[arg-type]
    assert SECRET not in str(caught.value)


def test_a_listener_gives_the_password_each_time(locked: Issued) -> None:
    asked: list[PrivateKeyPassword] = []
    scu = StoreScu()

    @scu.events.private_key_password
    def tell(event: PrivateKeyPassword) -> str:
        asked.append(event)
        return SECRET

    tls = Tls(identity=TlsIdentity(locked.certificate, locked.key, lambda: "not asked"))
    for _ in range(2):
        # Nobody listens there: it comes as far as the connection.
        with pytest.raises(Exception, match="refused"):
            scu.verify(RemoteAE("X", "127.0.0.1", 1, tls=tls))
    assert [event.key_file for event in asked] == [str(locked.key)] * 2
    assert SECRET not in repr(asked)


def test_a_listener_may_leave_it_to_the_identity_or_prevent_it(locked: Issued) -> None:
    remote = RemoteAE("X", "127.0.0.1", 1, tls=Tls(identity=TlsIdentity(locked.certificate, locked.key)))
    silent = StoreScu()
    silent.events.private_key_password(lambda event: None)
    with pytest.raises(TlsFailed, match="with a password") as caught:
        silent.verify(remote)
    assert caught.value.problem is TlsProblem.OURS

    def forbid(event: PrivateKeyPassword) -> str:
        raise RuntimeError("not at night")

    strict = StoreScu()
    strict.events.private_key_password(forbid)
    with pytest.raises(RuntimeError, match="not at night"):
        strict.verify(remote)


# --- The files --------------------------------------------------------------------------------------------------------


def test_a_file_that_can_not_be_used_is_named(authority: Authority, ours: Issued, tmp_path: Path) -> None:
    none, text, cut = tmp_path / "none", tmp_path / "text", tmp_path / "cut"
    text.write_text("no PEM")
    cut.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    cut_list = tmp_path / "cut-list"
    cut_list.write_text("-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n")
    both = tmp_path / "both"
    both.write_bytes(authority.revocation_list().read_bytes() + authority.file.read_bytes())
    other = Authority(tmp_path, "Other")
    cases: list[tuple[Tls, Path, str]] = [
        (Tls(ca=none), none, "can't be read for the CA certificates: No such file"),
        (Tls(ca=text), text, "holds no CA certificate in PEM"),
        (Tls(ca=cut), cut, "holds no CA certificate that can be read"),
        (Tls(crl=none), none, "can't be read for the revocation list"),
        (Tls(crl=authority.file), authority.file, "holds no revocation list in PEM"),
        (Tls(crl=cut_list), cut_list, "holds no revocation list that can be read"),
        (Tls(crl=both), both, "holds a certificate beside revocation lists"),
        (Tls(identity=TlsIdentity(none, ours.key)), none, "can't be read for our certificate"),
        (Tls(identity=TlsIdentity(ours.certificate, none)), none, "can't be read for our private key"),
        (Tls(identity=TlsIdentity(ours.key)), ours.key, "holds no certificate in PEM"),
        (Tls(identity=TlsIdentity(ours.certificate)), ours.certificate, "holds no private key in PEM"),
        (Tls(identity=TlsIdentity(cut, ours.key)), cut, "can't be used"),
        (Tls(identity=TlsIdentity(other.file, ours.key)), ours.key, "does not belong to the first certificate"),
    ]
    for tls, path, words in cases:
        with pytest.raises(TlsSetupError, match=words) as caught:
            client_context(tls)
        assert str(path) in str(caught.value)
        assert caught.value.path == str(path)


def test_a_key_beside_its_certificate(ours: Issued, tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(ours.certificate.read_bytes() + ours.key.read_bytes())
    os.chmod(both, 0o600)
    assert client_context(Tls(identity=TlsIdentity(both)))


def test_a_context_is_kept_until_a_file_changes(authority: Authority, tmp_path: Path) -> None:
    ours = authority.issue("changing")
    tls = Tls(ca=authority.file, identity=TlsIdentity(ours.certificate, ours.key))
    first = client_context(tls)
    same = Tls(ca=authority.file, identity=TlsIdentity(ours.certificate, ours.key))
    assert client_context(same) is first
    renewed = authority.issue("changing", ends=timedelta(days=2))
    assert client_context(tls) is not first
    renewed.key.unlink()
    with pytest.raises(TlsSetupError):
        client_context(tls)


def test_every_file_is_watched(authority: Authority, locked: Issued, tmp_path: Path) -> None:
    secret, crl = tmp_path / "secret", authority.revocation_list()
    identity = TlsIdentity(locked.certificate, locked.key, secret)
    assert set(files_of(Tls(ca=authority.file, identity=identity, crl=crl))) == {
        str(path) for path in (authority.file, locked.certificate, locked.key, secret, crl)
    }


def test_a_key_that_everybody_can_read_is_told(
    authority: Authority, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    ours = authority.issue("open")
    os.chmod(ours.key, 0o644)
    with caplog.at_level(logging.WARNING):
        client_context(Tls(identity=TlsIdentity(ours.certificate, ours.key)))
    assert "private_key_readable_by_all" in caplog.text
    assert str(ours.key) in caplog.text


class _SlowToKeep(dict[object, Any]):
    """A store in which the parent of a fork stands still while it puts something in."""

    def __init__(self) -> None:
        super().__init__()
        self.reached, self.go_on, self._pid = threading.Event(), threading.Event(), os.getpid()

    def __setitem__(self, key: object, value: object) -> None:
        if os.getpid() == self._pid:
            self.reached.set()
            self.go_on.wait(30)
        super().__setitem__(key, value)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_has_its_contexts_though_a_thread_of_its_parent_was_at_them(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = _SlowToKeep()
    monkeypatch.setattr("gurney.pacs.tls.contexts._kept", kept)
    tls = Tls(ca=authority.file)
    with ThreadPoolExecutor(1) as worker:
        worker.submit(client_context, tls)
        assert kept.reached.wait(30)
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(10)  # ends a child that would wait for ever
            client_context(tls)
            os._exit(0)
        kept.go_on.set()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
