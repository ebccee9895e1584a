"""Whom a word names: a remote of the configuration, or a peer by its AE title and its address."""

from __future__ import annotations

import pytest
import typer

from gurney.settings import Settings
from gurney_daemon.cli.asked import Unknown
from gurney_daemon.cli.peer import is_address, peer_named, written_address

ARCHIVE = {"name": "archive", "ae_title": "ORTHANC", "host": "10.0.0.5", "port": 4242, "calling_ae_title": "OURS"}
SETTINGS = Settings.model_validate({"remote": [ARCHIVE]})


def test_a_name_is_of_the_configuration() -> None:
    peer = peer_named(SETTINGS, "archive")
    assert (peer.remote.ae_title, peer.remote.host, peer.remote.port) == ("ORTHANC", "10.0.0.5", 4242)
    assert (peer.calling_ae_title, peer.is_configured) == ("OURS", True)
    with pytest.raises(Unknown, match="did you mean 'archive'"):
        peer_named(SETTINGS, "archvie")


@pytest.mark.parametrize(
    ("word", "parts"),
    [
        ("ORTHANC@pacs.example.org:104", ("ORTHANC", "pacs.example.org", 104)),
        ("ORTHANC@10.0.0.5:4242", ("ORTHANC", "10.0.0.5", 4242)),
        ("ORTHANC@[::1]:4242", ("ORTHANC", "::1", 4242)),
        ("ORTHANC@[fe80::1%eth0]:4242", ("ORTHANC", "fe80::1%eth0", 4242)),
        ("AT@HOME@10.0.0.5:4242", ("AT@HOME", "10.0.0.5", 4242)),
        ("STORE SCP@10.0.0.5:4242", ("STORE SCP", "10.0.0.5", 4242)),
    ],
)
def test_an_address_needs_no_configuration(word: str, parts: tuple[str, str, int]) -> None:
    peer = peer_named(SETTINGS, word)
    assert (peer.remote.ae_title, peer.remote.host, peer.remote.port) == parts
    assert (peer.calling_ae_title, peer.is_configured) == ("GURNEY", False)
    assert word.endswith("@" + written_address(*parts[1:]))


@pytest.mark.parametrize(
    ("word", "advice"),
    [
        ("10.0.0.5:4242", "write AE_TITLE@10.0.0.5:4242"),
        ("[::1]:4242", r"write AE_TITLE@\[::1\]:4242"),
        ("::1:4242", r"ARCHIVE@\[::1\]:104"),
        ("ORTHANC@::1:4242", r"ARCHIVE@\[::1\]:104"),
        ("ORTHANC@10.0.0.5", "such as ARCHIVE@pacs.example.org:104"),
        ("ORTHANC@10.0.0.5:dicom", "such as"),
        ("ORTHANC@:104", "such as"),
        ("@10.0.0.5:104", "such as"),
        ("ORTHANC:10.0.0.5:104", "such as"),
        ("ORTHANC@[10.0.0.5:104", "such as"),
        ("ORTHANC@10.0.0.5:70000", "port must be 1-65535"),
        ("ORTHANC@10.0.0.5:0", "port must be 1-65535"),
        ("ORTHANC@dicom://pacs:104", "such as"),
        ("FAR TOO LONG FOR A TITLE@10.0.0.5:104", "AE title"),
    ],
)
def test_what_is_wrong_with_an_address_is_said_with_what_to_write(word: str, advice: str) -> None:
    assert is_address(word)
    with pytest.raises(typer.BadParameter, match=advice):
        peer_named(SETTINGS, word)
