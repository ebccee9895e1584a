from __future__ import annotations

import pytest

from gurney.pacs import RemoteAE, Timeouts


@pytest.mark.parametrize("ae_title", ["A", "ARCHIVE", "A B", "X" * 16, "a-b_c.1", " PAD "])
def test_good_ae_titles(ae_title: str) -> None:
    assert RemoteAE(ae_title, "localhost", 104).ae_title == ae_title


@pytest.mark.parametrize(
    ("ae_title", "said"),
    [
        ("", "1 to 16"),
        ("X" * 17, "1 to 16"),
        (" " * 16, "spaces"),
        ("A\\B", "backslash"),
        ("A\nB", "printable"),
        ("Ä", "printable"),
        ("A\x7f", "printable"),
    ],
)
def test_bad_ae_titles(ae_title: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        RemoteAE(ae_title, "localhost", 104)


@pytest.mark.parametrize("port", [0, -1, 65536, True, 104.0])
def test_bad_ports(port: int) -> None:
    with pytest.raises(ValueError, match="port"):
        RemoteAE("A", "localhost", port)


@pytest.mark.parametrize("host", ["", " host", "host\n"])
def test_bad_hosts(host: str) -> None:
    with pytest.raises(ValueError, match="host"):
        RemoteAE("A", host, 104)


@pytest.mark.parametrize("max_pdu", [-1, 1, 1023, 1 << 32])
def test_bad_max_pdu(max_pdu: int) -> None:
    with pytest.raises(ValueError, match="max_pdu"):
        RemoteAE("A", "localhost", 104, max_pdu=max_pdu)


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan"), True, "10"])
def test_bad_timeouts(seconds: float) -> None:
    with pytest.raises(ValueError, match="store"):
        Timeouts(store=seconds)


def test_it_says_who_and_where() -> None:
    assert str(RemoteAE("ARCHIVE", "pacs.local", 104)) == "ARCHIVE at pacs.local:104"


@pytest.mark.parametrize(
    ("timeouts", "longest"),
    [(Timeouts(), 300), (Timeouts(connect=10, acse=30, store=5), 40), (Timeouts(connect=1, acse=1, store=3), 3)],
)
def test_the_longest_wait_covers_what_follows_without_a_sign_in_between(timeouts: Timeouts, longest: float) -> None:
    assert timeouts.longest_wait == longest
