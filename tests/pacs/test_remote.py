from __future__ import annotations

from dataclasses import fields

import pytest

from gurney.pacs import RemoteAE, Timeouts


@pytest.mark.parametrize("ae_title", ["A", "ARCHIVE", "A B", "X" * 16, "a-b_c.1", " PAD "])
def test_an_ae_title_of_1_to_16_characters_is_taken(ae_title: str) -> None:
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
def test_an_ae_title_that_the_standard_does_not_allow_is_refused(ae_title: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        RemoteAE(ae_title, "localhost", 104)


@pytest.mark.parametrize("port", [0, -1, 65536, True, 104.0, "104", None])
def test_what_is_no_port_is_refused(port: int) -> None:
    with pytest.raises(ValueError, match="port"):
        RemoteAE("A", "localhost", port)


@pytest.mark.parametrize("ae_title", [None, 5, b"ARCHIVE"])
def test_an_ae_title_is_text(ae_title: str) -> None:
    with pytest.raises(ValueError, match="AE title"):
        RemoteAE(ae_title, "localhost", 104)


@pytest.mark.parametrize("host", ["", " host", "host\n", "a b", "a\0b", "a\tb", None, 127, b"localhost"])
def test_what_is_no_host_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match="host"):
        RemoteAE("A", host, 104)


@pytest.mark.parametrize(
    "host", ["http://pacs", "pacs/orthanc", "[::1]", "pacs:104", "10.0.0.5:104", "::1::2", "me@pacs"]
)
def test_a_url_or_a_port_is_no_host(host: str) -> None:
    with pytest.raises(ValueError, match=r"such as pacs\.example\.org"):
        RemoteAE("A", host, 104)


@pytest.mark.parametrize(
    "host", ["pacs", "pacs.example.org.", "10.0.0.5", "::1", "fe80::1%eth0", "röntgen.example", "ct_1"]
)
def test_good_hosts(host: str) -> None:
    assert RemoteAE("A", host, 104).host == host


@pytest.mark.parametrize("max_pdu", [0, 1024, 16384, 0xFFFFFFFF])
def test_a_max_pdu_of_0_or_from_1024_is_taken(max_pdu: int) -> None:
    assert RemoteAE("A", "localhost", 104, max_pdu=max_pdu).max_pdu == max_pdu


@pytest.mark.parametrize("max_pdu", [-1, 1, 1023, 1 << 32, True, False, 16384.0, None, "16384"])
def test_any_other_max_pdu_is_refused(max_pdu: int) -> None:
    with pytest.raises(ValueError, match="max_pdu"):
        RemoteAE("A", "localhost", 104, max_pdu=max_pdu)


EACH = [field.name for field in fields(Timeouts)]


@pytest.mark.parametrize("name", EACH)
@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan"), True, "10", None])
def test_a_timeout_that_is_not_positive_and_finite_is_refused(name: str, seconds: float) -> None:
    with pytest.raises(ValueError, match=f"timeout '{name}' must be a positive number of seconds"):
        Timeouts(**{name: seconds})


@pytest.mark.parametrize("name", EACH)
@pytest.mark.parametrize("seconds", [1, 0.001, 86400.0])
def test_a_positive_timeout_is_taken(name: str, seconds: float) -> None:
    assert getattr(Timeouts(**{name: seconds}), name) == seconds


def test_seconds_in_place_of_timeouts_are_refused() -> None:
    with pytest.raises(TypeError, match="timeouts must be a Timeouts"):
        RemoteAE("A", "localhost", 104, 30)  # type: ignore[arg-type]


def test_it_says_who_and_where() -> None:
    assert str(RemoteAE("ARCHIVE", "pacs.local", 104)) == "ARCHIVE at pacs.local:104"


@pytest.mark.parametrize(
    ("timeouts", "longest"),
    [(Timeouts(), 300), (Timeouts(connect=10, acse=30, store=5), 40), (Timeouts(connect=1, acse=1, store=3), 3)],
)
def test_the_longest_wait_covers_what_follows_without_a_sign_in_between(timeouts: Timeouts, longest: float) -> None:
    assert timeouts.longest_wait == longest


@pytest.mark.parametrize(("host", "shown"), [("pacs", "A at pacs:104"), ("::1", "A at [::1]:104")])
def test_it_is_shown_as_people_write_it(host: str, shown: str) -> None:
    assert str(RemoteAE("A", host, 104)) == shown
