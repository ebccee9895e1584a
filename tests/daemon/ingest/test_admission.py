"""A group of files into the ledger: twins, conflicts, rewrites, rules, and those who come in between."""

from __future__ import annotations

import errno
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from gurney.dicom.errors import Reason
from gurney.ledger import claims, intake, tally
from gurney.ledger.database import Ledger, Transaction
from gurney.ledger.models import Conflict, SourceCount
from gurney.ledger.terms import Claim, Claimant
from gurney.transfer.routing import RouteRule
from gurney.transfer.states import FileState, Routing
from gurney_daemon.ingest.admission import Admission, Taken
from gurney_daemon.ingest.inspection import Source
from gurney_daemon.ingest.settling import SettledFile
from gurney_daemon.ingest.signature import Signature
from gurney_daemon.ingest.spool import Shelf, Spool, open_spool
from tests.daemon.ingest.instances import PATIENT, ct_bytes, drop
from tests.daemon.ingest.site import Site

UID = "1.2.3.99"


def admission(site: Site, source: Source | None = None, **changes: object) -> Admission:
    source = replace(source or Source("ct1"), **changes)  # type: ignore[arg-type]
    return Admission(source, site.ledger, Shelf(site.spool, "ct1"), site.routes(), actor="test")


def settled(*paths: Path) -> list[SettledFile]:
    return [SettledFile(os.fsencode(path), Signature.of(path.lstat())) for path in paths]


def admit(site: Site, *paths: Path, **changes: object) -> Taken:
    return admission(site, **changes).admit(settled(*paths))


def conflicts(site: Site) -> list[tuple[str, str]]:
    with site.ledger.read() as conn:
        return [(row.sop_instance_uid, row.state) for row in conn.execute(select(Conflict.__table__))]


def counts(site: Site) -> dict[str, int]:
    with site.ledger.read() as conn:
        return {row.what: row.n for row in conn.execute(select(SourceCount.__table__))}


@pytest.fixture
def either_site(either_ledger: Ledger, tmp_path: Path) -> Site:
    return Site(either_ledger, open_spool(either_ledger, "main", str(tmp_path / "spool")), tmp_path / "ct1")


def test_a_group_becomes_rows_on_either_database(either_site: Site) -> None:
    site = either_site
    weird = site.folder / os.fsdecode(b"\xff\n\xf0.dcm")
    weird.write_bytes(ct_bytes(study="1.7"))
    taken = admit(site, drop(site.folder, "1"), drop(site.folder, "2"), weird, drop(site.folder, "t", b"text" * 99))
    assert len(site.files(FileState.ACCEPTED)) == 3
    assert {file.path for file in site.files()} >= {os.fsencode(weird)}
    (refused,) = site.files(FileState.QUARANTINED)
    assert refused.reason == Reason.NOT_DICOM
    assert refused.id == taken.refused[0].file_id
    assert len(site.items()) == 3
    assert len(taken.bells) == 1
    assert counts(site) == {"accepted": 3, "quarantined": 1}


def test_the_same_data_set_again_is_another_file_of_one_instance(either_site: Site) -> None:
    site = either_site
    content = ct_bytes(sop_instance_uid=UID)
    admit(site, drop(site.folder, "1", content))
    # Another meta header before the same data set: what comes by C-STORE looks so.
    other = bytearray(content)
    other[0:4] = b"\0abc"
    admit(site, drop(site.folder, "2", bytes(other)))
    assert len(site.files(FileState.ACCEPTED)) == 2
    assert len(site.instances()) == len(site.items()) == 1
    assert conflicts(site) == []
    with site.ledger.read() as conn:
        assert tally.discrepancies(conn) == []


def test_one_uid_twice_in_a_group_the_second_waits_for_the_first(site: Site) -> None:
    content = ct_bytes(sop_instance_uid=UID)
    one, two = drop(site.folder, "1", content), drop(site.folder, "2", content)
    taken = admit(site, one, two)
    assert [file.path for file in site.files()] == [os.fsencode(one)]
    assert [deferred.path for deferred in taken.inspected.deferred] == [os.fsencode(two)]
    admission(site).admit(taken.inspected.deferred)
    assert (len(site.files()), len(site.instances())) == (2, 1)


@pytest.mark.parametrize(
    ("policy", "state", "file_state", "versions"),
    [
        ("review", "open", FileState.QUARANTINED, 1),
        ("replace", "replaced", FileState.ACCEPTED, 2),
        ("reject", "rejected", FileState.IGNORED, 1),
    ],
)
def test_other_bytes_under_a_known_uid_are_a_conflict(
    site: Site, policy: str, state: str, file_state: FileState, versions: int
) -> None:
    admit(site, drop(site.folder, "1", ct_bytes(sop_instance_uid=UID)))
    taken = admit(
        site, drop(site.folder, "2", ct_bytes(sop_instance_uid=UID, pixels=b"\x09\x09" * 64)), on_conflict=policy
    )
    assert conflicts(site) == [(UID, state)]
    assert taken.conflicts == [UID]
    assert site.files()[1].state == file_state
    assert [instance.version for instance in site.instances()] == list(range(1, versions + 1))


def test_a_conflict_that_waits_for_review_is_held(site: Site) -> None:
    admit(site, drop(site.folder, "1", ct_bytes(sop_instance_uid=UID)))
    second = drop(site.folder, "2", ct_bytes(sop_instance_uid=UID, pixels=b"\x09\x09" * 64))
    content = second.read_bytes()
    admit(site, second)
    second.unlink()
    (file,) = site.files(FileState.QUARANTINED)
    assert Path(os.fsdecode(site.spool.path_of(file.spool_path))).read_bytes() == content


def test_writing_a_file_again_before_it_was_sent_replaces_it(site: Site) -> None:
    path = drop(site.folder, "1", ct_bytes(sop_instance_uid=UID))
    admit(site, path)
    path.write_bytes(ct_bytes(sop_instance_uid=UID, pixels=b"\x09\x09" * 64))
    taken = admit(site, path)
    assert taken.counts["rewritten"] == 1
    (item,) = site.items()
    (file,) = site.files(FileState.ACCEPTED)
    assert (item.file_id, file.instance_id) == (file.id, item.instance_id)
    assert conflicts(site) == []


def test_a_file_written_again_while_a_worker_claims_it_is_a_conflict(either_site: Site) -> None:
    site = either_site
    path = drop(site.folder, "1", ct_bytes(sop_instance_uid=UID))
    admit(site, path)
    path.unlink()
    drop(site.folder, "1", ct_bytes(sop_instance_uid=UID, pixels=b"\x09\x09" * 64))
    taken: list[Taken] = []
    intake_thread = threading.Thread(target=lambda: taken.append(admit(site, path)))
    with site.ledger.write() as tx:
        claimed = claims.claim(tx, "archive", Claimant("w", "host", 8, site.spool.id))
        intake_thread.start()
        intake_thread.join(1.0)  # it has looked by then, and waits
    intake_thread.join(20)
    assert isinstance(claimed, Claim)
    assert taken[0].counts["conflict"] == 1
    (item,) = site.items()
    assert item.file_id == claimed.work[0].file_id


def test_overwriting_a_file_in_place_after_it_was_sent_is_a_conflict_and_not_the_same(site: Site) -> None:
    path = drop(site.folder, "1", ct_bytes(sop_instance_uid=UID))
    admit(site, path)
    claim(site)
    # The spool's link shows the new bytes too: comparing with it would call them equal.
    path.write_bytes(ct_bytes(sop_instance_uid=UID, pixels=b"\x09\x09" * 64))
    taken = admit(site, path)
    assert taken.conflicts == [UID]
    assert conflicts(site) == [(UID, "open")]


def test_a_file_replaced_by_the_same_data_set_after_it_was_sent_is_the_same(site: Site) -> None:
    content = ct_bytes(sop_instance_uid=UID)
    path = drop(site.folder, "1", content)
    admit(site, path)
    claim(site)
    os.replace(drop(site.folder, "1.new", content), path)
    taken = admit(site, path)
    assert taken.counts == {"duplicate": 1}
    assert len(site.items()) == 1


def test_what_is_gone_from_the_folder_is_compared_with_the_spools_copy(site: Site) -> None:
    content = ct_bytes(sop_instance_uid=UID)
    path = drop(site.folder, "1", content)
    admit(site, path)
    path.unlink()
    taken = admit(site, drop(site.folder, "2", content))
    assert taken.counts == {"duplicate": 1}


def test_without_any_file_left_the_digest_tells(site: Site) -> None:
    content = ct_bytes(sop_instance_uid=UID)
    path = drop(site.folder, "1", content)
    admit(site, path, hold="copy")
    path.unlink()
    site.spool.remove(site.files()[0].spool_path)
    assert admit(site, drop(site.folder, "2", content)).counts == {"duplicate": 1}
    other = ct_bytes(sop_instance_uid=UID, pixels=b"\x09\x09" * 64)
    site.spool.remove(site.files()[1].spool_path)
    assert admit(site, drop(site.folder, "3", other)).conflicts == [UID]


def test_in_place_nothing_is_held(site: Site) -> None:
    path = drop(site.folder, "1")
    admit(site, path, drop(site.folder, "2", b"no image" * 50), hold="in_place")
    accepted, refused = site.files()
    assert (accepted.spool_path, refused.spool_path) == ("", "")
    assert accepted.spool_mtime_ns == path.stat().st_mtime_ns
    assert not (Path(site.spool.place.path) / "ct1").exists()


def test_rules_route_and_what_no_rule_sends_is_counted(site: Site) -> None:
    site.send_to = ()
    site.rules = [
        RouteRule("chest", 't.BodyPartExamined == "CHEST"', ("research",)),
        RouteRule("heads", 't.BodyPartExamined == "HEAD"', action="drop"),
    ]
    parts = {"1": "CHEST", "2": "HEAD", "3": "FOOT"}
    admit(site, *(drop(site.folder, name, ct_bytes(body_part=part)) for name, part in parts.items()))
    assert [instance.routing for instance in site.instances()] == [Routing.ROUTED, Routing.FILTERED, Routing.NO_ROUTE]
    assert len(site.items()) == 1
    assert counts(site) == {"accepted": 3, "filtered": 1, "no_route": 1}


def test_a_rule_that_fails_is_an_error_that_people_see(site: Site) -> None:
    site.send_to = ()
    site.rules = [RouteRule("late", "t.InstanceNumber > 5", ("research",))]
    admit(site, drop(site.folder, "1"))
    (instance,) = site.instances()
    assert instance.routing in {Routing.ERROR, Routing.NO_ROUTE}
    assert site.items() == []


def test_a_report_follows_its_study_wherever_it_stands_in_the_group(site: Site) -> None:
    site.send_to = ()
    site.rules = [RouteRule("ct", 't.Modality == "CT"', ("research",))]
    report = drop(site.folder, "0", ct_bytes(modality="SR", series="1.2.3.4.9"))
    admit(site, report, drop(site.folder, "1"))
    assert len(site.items()) == 2
    admit(site, drop(site.folder, "late", ct_bytes(modality="SR", series="1.2.3.4.9")))
    assert len(site.items()) == 3


def test_another_door_that_comes_in_between_is_seen(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    content = ct_bytes(sop_instance_uid=UID)
    other = drop(site.folder, "other", content)
    original, between = intake.take_in, []

    def late(tx: Transaction, arrivals: list[object], actor: str) -> intake.Intake:
        if not between:
            between.append(True)
            monkeypatch.setattr(intake, "take_in", original)
            # Not in the same transaction: the other door commits first.
            raise intake.StaleRead("as if another had come")
        return original(tx, arrivals, actor)  # type: ignore[arg-type]

    mine = drop(site.folder, "mine", content)
    admit(site, other)
    monkeypatch.setattr(intake, "take_in", late)
    assert admit(site, mine).counts == {"duplicate": 1}
    assert between


def test_one_file_that_the_database_refuses_does_not_take_the_others_with_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = drop(site.folder, "bad", ct_bytes(sop_instance_uid=UID))
    original = intake.take_in

    def picky(tx: Transaction, arrivals: list[object], actor: str) -> intake.Intake:
        report = original(tx, arrivals, actor)  # type: ignore[arg-type]
        if any(arrival.instance.sop_instance_uid == UID for arrival in arrivals):  # type: ignore[attr-defined]
            raise ValueError(PATIENT)
        return report

    monkeypatch.setattr(intake, "take_in", picky)
    admit(site, drop(site.folder, "1"), bad, drop(site.folder, "2"), drop(site.folder, "text", b"no image" * 40))
    assert len(site.files(FileState.ACCEPTED)) == 2
    reasons = {file.reason: file.detail for file in site.files(FileState.QUARANTINED)}
    assert set(reasons) == {"not_storable", "not_dicom"}
    assert "ValueError" in reasons["not_storable"]
    assert PATIENT not in reasons["not_storable"]


def test_reasons_that_policy_ignores_are_counted_and_not_held(site: Site) -> None:
    source = Source("ct1", ignored=frozenset({Reason.NOT_DICOM, Reason.EMPTY}))
    files = [drop(site.folder, "t", b"text" * 99), drop(site.folder, "0", b""), drop(site.folder, "131", b"x" * 131)]
    admission(site, source).admit(settled(*files))
    assert [(file.state, file.spool_path) for file in site.files()] == [(FileState.IGNORED, "")] * 3
    assert counts(site) == {"ignored": 3}


def test_what_may_wait_is_not_written(site: Site) -> None:
    whole = ct_bytes()
    files = [drop(site.folder, f"{share}", whole[: len(whole) * share // 1000]) for share in (300, 600, 900, 999)]
    files += [drop(site.folder, "empty", b""), drop(site.folder, "begun", b"\0" * 100)]
    found = admission(site).admit(settled(*files), may_wait=lambda _: True).inspected
    assert {one.path for one in found.incomplete} == {os.fsencode(path) for path in files}
    assert site.files() == []


def test_a_file_that_changes_while_it_is_held_is_let_go(
    site: Site, monkeypatch: pytest.MonkeyPatch, spool: Spool
) -> None:
    path = drop(site.folder, "1")
    group_class = type(Shelf(spool, "x").open_group([b""]))
    original = group_class.hold

    def hold(self: object, number: int, fd: int, *args: int, **how: bool) -> object:
        held = original(self, number, fd, *args, **how)  # type: ignore[arg-type]
        path.write_bytes(b"something else")
        return held

    monkeypatch.setattr(group_class, "hold", hold)
    found = admit(site, path).inspected
    assert [(changed, looks.size) for changed, looks in found.changed] == [(os.fsencode(path), 14)]
    assert site.files() == []
    held = [name for _, _, names in os.walk(Path(site.spool.place.path) / "ct1") for name in names]
    assert held == []


def test_values_of_any_length_and_kind_are_stored(site: Site) -> None:
    content = ct_bytes()
    name = b"Zebrowski^Quirin"
    nasty = content.replace(name, b"Zeb\x00\xff\\a\x1b^^Qu\xc3rin", 1)
    assert len(nasty) == len(content)
    admit(site, drop(site.folder, "1", nasty))
    assert len(site.files(FileState.ACCEPTED)) == 1


def claim(site: Site) -> None:
    """Take everything out of the hands of intake, as a worker does."""
    claimant = Claimant("w", "host", 8, site.spool.id)
    assert isinstance(site.ledger.transact(claims.claim, "archive", claimant), Claim)


def test_what_is_refused_again_as_it_is_keeps_its_row_and_is_counted_once(
    either_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = either_site
    path = drop(site.folder, "1")
    looked_at = settled(path)

    def fail(*_: object) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patched:
        patched.setattr(os, "pread", fail)
        told = [admission(site).admit(looked_at).refused[0].file_id for _ in range(3)]
    (file,) = site.files()
    assert (file.reason, set(told)) == (Reason.UNREADABLE, {file.id})
    assert counts(site) == {"quarantined": 1}
    admission(site).admit(looked_at)
    assert [row.state for row in site.files()] == [FileState.GONE, FileState.ACCEPTED]
