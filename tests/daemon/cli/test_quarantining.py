"""Refused files: listed under whatever name they have, released when they pass, discarded when they are not wanted."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import update

from gurney.ledger.models import File
from gurney.ledger.spools import known_spools
from gurney.transfer.states import FileState
from gurney_daemon.ingest.spool import open_spool
from tests.daemon.cli.desk import Desk
from tests.daemon.ingest.instances import PATIENT, ct_bytes, drop
from tests.daemon.ingest.site import Site

NAMES = ["two\nlines \x1b[31m", "Zoë 🩻", "caf\udce9"]
NO_META = ct_bytes()[132:]


@pytest.fixture
def site(desk: Desk, tmp_path: Path) -> Site:
    """The folder that the desk's configuration watches, seen through by hand."""
    folder = tmp_path / "ct1"
    folder.mkdir()
    desk.configure(f'[[watch]]\nname = "ct1"\npath = "{folder}"\nsend_to = ["archive"]\n')
    desk.introduce_remotes()
    return Site(desk.ledger, open_spool(desk.ledger, "main", str(desk.data / "spool")), folder)


def look_through(site: Site, count: int) -> None:
    site.start(settle_seconds=0.0)
    site.wait_for_files(count, FileState.QUARANTINED)
    site.stop()


def test_files_are_listed_with_their_reasons_under_whatever_name(desk: Desk, site: Site) -> None:
    for name in NAMES:
        drop(site.folder, name, b"no image" * 40)
    look_through(site, 3)
    document = desk("quarantine", "list", "--json").json
    assert set(document) == {"files", "next_after"}
    assert {file["file"] for file in document["files"]} == {
        f"{site.folder}/{name}" for name in (r"two\nlines \x1b[31m", "Zoë 🩻", r"caf\xe9")
    }
    file = document["files"][0]
    assert file.pop("age_seconds") >= 0
    del file["file"], file["id"], file["detail"]
    assert file == {"source": "ct1", "door": "watch", "reason": "not_dicom", "bytes": 320}
    shown = desk("quarantine", "list").out
    assert "\x1b" not in shown
    assert len(shown.splitlines()) == 4
    assert desk("quarantine", "list", "--reason", "truncated", "--json").json["files"] == []
    assert len(desk("quarantine", "list", "--source", "ct1", "--json").json["files"]) == 3
    unknown = desk("quarantine", "list", "--source", "ct2")
    assert (unknown.code, "There are: ct1" in unknown.err) == (1, True)


def test_a_long_list_goes_on_where_it_stopped(desk: Desk, site: Site) -> None:
    for name in NAMES:
        drop(site.folder, name, b"no image" * 40)
    look_through(site, 3)
    first = desk("quarantine", "list", "--limit", 2, "--json").json
    rest = desk("quarantine", "list", "--limit", 2, "--after", first["next_after"], "--json").json
    assert (len(first["files"]), len(rest["files"]), rest["next_after"]) == (2, 1, None)


def test_release_takes_in_what_passes_with_one_check_overlooked(desk: Desk, site: Site) -> None:
    drop(site.folder, "bare", NO_META)
    drop(site.folder, "text", b"no image" * 40)
    look_through(site, 2)
    files = desk("quarantine", "list", "--json").json["files"]
    ids = {file["reason"]: file["id"] for file in files}
    again = desk("quarantine", "release", ids["no_meta"], "--json")
    assert again.code == 1
    assert [(one["accepted"], one["reason"]) for one in again.json["files"]] == [(False, "no_meta")]

    both = desk("quarantine", "release", ids["no_meta"], ids["not_dicom"], "--force", "no_meta", "--json")
    assert both.code == 1  # the text is no image, whatever is overlooked
    assert {one["id"]: one["accepted"] for one in both.json["files"]} == {ids["no_meta"]: True, ids["not_dicom"]: False}
    assert [item.state for item in site.items()] == [0]
    assert PATIENT not in both.out + both.err


def test_several_checks_are_overlooked_together(desk: Desk, site: Site) -> None:
    drop(site.folder, "1", ct_bytes(sop_instance_uid="1.2.9"))
    site.start(settle_seconds=0.0)
    site.wait_for_files(1, FileState.ACCEPTED)
    site.stop()
    drop(site.folder, "2", ct_bytes(sop_instance_uid="1.2.9", pixels=b"\x07\x07" * 64)[132:])
    look_through(site, 1)
    (file,) = desk("quarantine", "list", "--json").json["files"]
    half = desk("quarantine", "release", file["id"], "--force", "no_meta")
    assert (half.code, "--force no_meta --force conflict" in half.out) == (1, True)
    both = desk("quarantine", "release", file["id"], "--force", "conflict", "--force", "no_meta")
    assert (both.code, "does not prove replacement" in " ".join(both.out.split())) == (0, True)
    assert desk("quarantine", "release", file["id"], "--force", "conflict", "--force", "truncated").code == 2


def test_discard(desk: Desk, site: Site) -> None:
    drop(site.folder, "text", b"no image" * 40)
    look_through(site, 1)
    (file,) = desk("quarantine", "list", "--json").json["files"]
    answer = desk("quarantine", "discard", file["id"], file["id"], "--json")
    assert (answer.code, answer.json) == (0, {"files": [{"id": file["id"]}]})
    assert desk("quarantine", "list", "--json").json["files"] == []
    assert (site.folder / "text").exists()


def test_a_copy_is_discarded_in_the_spool_that_has_it(desk: Desk, site: Site) -> None:
    for name in ("here", "there"):
        drop(site.folder, name, ct_bytes()[:-9])
    look_through(site, 2)
    here, there = (file["id"] for file in desk("quarantine", "list", "--json").json["files"])
    other = open_spool(desk.ledger, "other", str(desk.data / "other"))
    held = sorted(path for path in (desk.data / "spool" / "ct1").rglob("*") if path.is_file())
    assert len(held) == 2
    with desk.ledger.write() as tx:
        tx.conn.execute(update(File).where(File.id == there).values(spool_id=other.id))
    refused = desk("quarantine", "discard", here, there)
    assert (refused.code, f"not held in the spool 'main': {there}" in refused.err) == (1, True)
    assert all(path.exists() for path in held)
    assert desk("quarantine", "discard", here).out == "1 file discarded\n"
    assert [path.exists() for path in held].count(True) == 1


def test_a_configuration_that_names_no_spool_makes_none(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command that steers goes by the environment where the file is no TOML; which spool there is, nobody knows."""
    desk.introduce_remotes()
    site = Site(desk.ledger, open_spool(desk.ledger, "fast", str(desk.data / "fast")), tmp_path / "ct1")
    drop(site.folder, "broken", ct_bytes()[:-9])
    look_through(site, 1)
    (desk.folder / "gurney.toml").write_text("no = [TOML")
    monkeypatch.setenv("GURNEY_LEDGER__URL", desk.url)
    monkeypatch.setenv("GURNEY_NODE__DATA_DIR", str(desk.data))
    answer = desk("quarantine", "discard", "1")
    assert answer.code == 1
    assert "is not the spool 'main' that the ledger knows" in answer.err
    assert not (desk.data / "spool").exists()
    with desk.ledger.read() as conn:
        assert [place.name for place in known_spools(conn)] == ["fast"]
    monkeypatch.setenv("GURNEY_SPOOL__NAME", "fast")
    monkeypatch.setenv("GURNEY_SPOOL__PATH", str(desk.data / "fast"))
    assert desk("quarantine", "discard", "1").code == 0


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["release", "7"], 1, "not in quarantine: 7"),
        (["discard", "7", "8"], 1, "not in quarantine: 7, 8"),
        (["release", "7", "--force", "truncated"], 2, "what can is blank_pixels, conflict"),
        (["release"], 2, "ID"),
        (["release", "seven"], 2, "ID"),
    ],
)
def test_what_cannot_be_decided(desk: Desk, args: list[str], code: int, words: str) -> None:
    answer = desk("quarantine", *args)
    assert answer.code == code
    assert words in answer.err


def test_the_doors_are_those_of_the_configuration(desk: Desk, site: Site) -> None:
    """A folder that allows files without meta header releases them without force."""
    drop(site.folder, "bare", NO_META)
    look_through(site, 1)
    (file,) = desk("quarantine", "list", "--json").json["files"]
    desk.configure(f'[[watch]]\nname = "ct1"\npath = "{site.folder}"\nsend_to = ["research"]\nallow_no_meta = true\n')
    assert desk("quarantine", "release", file["id"]).code == 0
    assert desk("transfers", "--json").json["transfers"][0]["destination"] == "research"
    desk.configure()
    assert desk("quarantine", "release", file["id"]).code == 1
