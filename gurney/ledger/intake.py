"""Take in what arrived: file, instance, items and audit in one transaction. The item's row is the outbox.

Rules are asked before the transaction. What they said may hang on what the study has matched so far and on what was
known of the UID, so the transaction checks that this is still true (:class:`StaleRead`: look again). It also looks
back: what came before a rule of scope "study" matched, and should follow, follows now.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache

from sqlalchemy import Executable, bindparam, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from gurney.ledger import forwarding, loops, overwriting, trail
from gurney.ledger.arrivals import Arrival, FileFacts, InstanceFacts, SeriesFacts, StudyFacts
from gurney.ledger.database import AnyRow, Transaction
from gurney.ledger.errors import StaleRead
from gurney.ledger.forwarding import Bell, Content, Forwarding
from gurney.ledger.leases import lock_destination
from gurney.ledger.matching import StudyMatches
from gurney.ledger.models import Conflict, File, Instance, Item, Series, SourceCount, Study
from gurney.ledger.models.predicates import file_is
from gurney.transfer.states import FileState, Routing

__all__ = ["Intake", "count", "refuse", "take_in"]


# Made once: for a group of four, making them took longer than SQLite does.
_NEWEST = (
    select(Instance.sop_instance_uid, Instance.id, Instance.version, Instance.study_id, Instance.series_id)
    .where(Instance.sop_instance_uid.in_(bindparam("uids", expanding=True)))
    .order_by(Instance.version)
)
_BEFORE = select(File.path, File.id, File.instance_id).where(
    File.source == bindparam("source"), File.path.in_(bindparam("paths", expanding=True)), ~file_is(FileState.GONE)
)
_STUDY = select(Study.id).where(Study.study_instance_uid == bindparam("uid"))
_SERIES = select(Series.id).where(Series.study_id == bindparam("study"), Series.series_instance_uid == bindparam("uid"))


@dataclass(slots=True)
class Intake:
    """What became of a group: counts by kind, conflicts to tell people of, and whom to ring after the commit.

    ``returned`` counts, by destination, what came back from where it was sent to: a routing loop.
    """

    counts: Counter[str] = field(default_factory=Counter)
    conflicts: list[str] = field(default_factory=list)
    returned: Counter[str] = field(default_factory=Counter)
    bells: list[Bell] = field(default_factory=list)


def take_in(tx: Transaction, arrivals: Sequence[Arrival], actor: str) -> Intake:
    """Write a group of arrivals of one source, all or none.

    A SOP Instance UID may stand in a group once only. Raises :class:`StaleRead` when another intake came between
    looking and writing.
    """
    group = _Group(tx, arrivals, actor)
    group.take(arrivals)
    return group.close()


def refuse(tx: Transaction, file: FileFacts, state: FileState, reason: str, detail: str) -> int:
    """Write a file that is quarantined, ignored or still settling, with its reason; return its id.

    What was refused before and is tried again keeps its row, and with it the id that people were told.
    """
    before = select(File.__table__).where(File.source == file.source, File.path == file.path, ~file_is(FileState.GONE))
    row = tx.conn.execute(before).one_or_none()
    if row is not None:
        if _is_refused_again(row, file, state, reason):
            tx.conn.execute(update(File).where(File.id == row.id).values(seen_at=tx.now, detail=detail[:400]))
            return int(row.id)
        _supersede(tx, row.id)
    file_id = _insert_file(tx, file, state, None, reason, detail)
    count(tx, file.source, {state.name.lower(): 1})
    return file_id


def count(tx: Transaction, source: str, changes: dict[str, int]) -> None:
    """Add to a source's counters."""
    rows = [{"source": source, "what": what, "n": n} for what, n in sorted(changes.items()) if n]
    if rows:
        tx.conn.execute(_counting(tx.conn.dialect.name), rows)


@cache
def _counting(dialect: str) -> Executable:
    upsert = postgresql.insert(SourceCount) if dialect == "postgresql" else sqlite.insert(SourceCount)
    more = {"n": SourceCount.n + upsert.excluded.n}
    return upsert.on_conflict_do_update(index_elements=[SourceCount.source, SourceCount.what], set_=more)


class _Group:
    """One intake transaction in progress. What is new, nearly all of it, is written in bulk."""

    def __init__(self, tx: Transaction, arrivals: Sequence[Arrival], actor: str) -> None:
        self.tx, self.actor = tx, actor
        self.source = arrivals[0].file.source if arrivals else ""
        self.report = Intake()
        self.forwarding = Forwarding(tx, actor)
        self.newest = self._newest([arrival.instance.sop_instance_uid for arrival in arrivals])
        self.before = self._before([arrival.file.path for arrival in arrivals])
        known = (one for one in arrivals if one.instance.sop_instance_uid in self.newest)
        self.sent_to = loops.sent_to(tx, map(_way, known))
        self.studies: dict[str, int] = {}
        self.series: dict[tuple[int, str], int] = {}
        self.matches = StudyMatches(tx)
        self.taken: Counter[str] = Counter()

    def take(self, arrivals: Sequence[Arrival]) -> None:
        """Take arrivals in: as new instances, other files of known ones, rewrites, or conflicts."""
        fresh: list[Arrival] = []
        for arrival in arrivals:
            newest = self.newest.get(arrival.instance.sop_instance_uid)
            before = self.before.get(arrival.file.path)
            if (newest.id if newest else None) != arrival.twin:
                raise StaleRead("another file of the same SOP Instance UID came in between")
            if before is not None:
                _supersede(self.tx, before.id)
            if newest is None:
                fresh.append(arrival)
            elif arrival.same:
                self.matches.note(newest.study_id, arrival.decision, arrival.study_matched)
                forwarding.let_through(self.tx, newest.id, arrival.decision, self.source)
                self._accept(_kept_unless_routed(arrival), newest.id, newest.study_id, newest.series_id, "duplicate")
            elif before is not None and before.instance_id == newest.id and self._untouched(newest.id):
                self._rewrite(arrival, newest)
            elif overwriting.is_lost(self.tx, newest.id):
                self._rewrite(arrival, newest, lost=True)
            else:
                self._conflict(arrival, newest)
        self._take_new(fresh)

    def close(self) -> Intake:
        """Look back for what follows, count, and write the trail."""
        self.matches.look_back(self.forwarding)
        self.report.bells = self.forwarding.close()
        count(self.tx, self.source, dict(self.report.counts))
        for study_instance_uid, n in self.taken.items():
            trail.record(
                self.tx,
                self.actor,
                "instances.accepted",
                study_instance_uid=study_instance_uid,
                source=self.source,
                instances=n,
            )
        return self.report

    def _newest(self, sop_instance_uids: list[str]) -> dict[str, AnyRow]:
        if len(set(sop_instance_uids)) != len(sop_instance_uids):
            raise StaleRead("a group holds one SOP Instance UID twice: the second must see the first")
        rows = self.tx.conn.execute(_NEWEST, {"uids": sop_instance_uids})
        return {row.sop_instance_uid: row for row in rows}

    def _before(self, paths: list[bytes]) -> dict[bytes, AnyRow]:
        rows = self.tx.conn.execute(_BEFORE, {"source": self.source, "paths": paths})
        return {row.path: row for row in rows}

    def _take_new(self, arrivals: list[Arrival]) -> None:
        if not arrivals:
            return
        places = [self._place(arrival) for arrival in arrivals]
        instance_ids = self.tx.insert_rows(
            Instance,
            [
                _content(arrival.instance)
                | {
                    "version": 1,
                    "study_id": study_id,
                    "series_id": series_id,
                    "routing": int(arrival.decision.state),
                    "routing_detail": forwarding.words(arrival.decision),
                    "created_at": self.tx.now,
                }
                for arrival, (study_id, series_id) in zip(arrivals, places, strict=True)
            ],
        )
        file_ids = self.tx.insert_rows(
            File,
            [
                _file_row(self.tx, arrival.file, FileState.ACCEPTED, instance_id)
                for arrival, instance_id in zip(arrivals, instance_ids, strict=True)
            ],
        )
        for arrival, (study_id, series_id), instance_id, file_id in zip(
            arrivals, places, instance_ids, file_ids, strict=True
        ):
            self._forward(arrival, Content(instance_id, file_id, series_id, study_id), fresh=True)
            self._note(arrival, "accepted")

    def _new_version(self, arrival: Arrival, version: int) -> int:
        study_id, series_id = self._place(arrival)
        instance_id = self.tx.conn.execute(
            insert(Instance)
            .values(**_content(arrival.instance), version=version, study_id=study_id, series_id=series_id)
            .values(routing=int(arrival.decision.state), routing_detail=forwarding.words(arrival.decision))
            .values(created_at=self.tx.now)
            .returning(Instance.id)
        ).scalar_one()
        return self._accept(arrival, instance_id, study_id, series_id, "accepted")

    def _rewrite(self, arrival: Arrival, instance: AnyRow, *, lost: bool = False) -> None:
        """Replace a content that nobody has claimed yet, or that is ``lost``: its file has been written again.

        The rules have seen the new one, so what they said of the old one no longer counts.
        """
        self.forwarding.withdraw(instance.id, failed=lost)
        study_id, series_id = self._place(arrival)
        # What was there before is no file of this content.
        self.tx.conn.execute(update(File).where(File.instance_id == instance.id).values(instance_id=None))
        self.tx.conn.execute(
            update(Instance)
            .where(Instance.id == instance.id)
            .values(**_content(arrival.instance), study_id=study_id, series_id=series_id)
            .values(routing=int(arrival.decision.state), routing_detail=forwarding.words(arrival.decision))
        )
        file_id = self._accept(arrival, instance.id, study_id, series_id, "rewritten")
        self.tx.conn.execute(
            update(Item)
            .where(Item.instance_id == instance.id)
            .values(file_id=file_id, series_id=series_id, size=arrival.instance.size)
        )

    def _conflict(self, arrival: Arrival, instance: AnyRow) -> None:
        policy = arrival.on_conflict
        why = f"another data set of SOP Instance {arrival.instance.sop_instance_uid} is known already"
        if policy == "replace" and loops.goes_round(self.tx, arrival.instance.sop_instance_uid):
            policy = "review"
            why += f", the {loops.MOST_VERSIONS}th within a day: does something send it in a circle and change it?"
        state = {"review": "open", "replace": "replaced", "reject": "rejected"}[policy]
        if policy == "replace":
            file_id = self._new_version(arrival, instance.version + 1)
        else:
            file_state = FileState.QUARANTINED if policy == "review" else FileState.IGNORED
            file_id = _insert_file(
                self.tx,
                arrival.file,
                file_state,
                None,
                "conflict",
                why,
            )
            self.report.counts[file_state.name.lower()] += 1
        self.tx.conn.execute(
            insert(Conflict).values(
                sop_instance_uid=arrival.instance.sop_instance_uid,
                instance_id=instance.id,
                file_id=file_id,
                state=state,
                opened_at=self.tx.now,
                decided_at=None if policy == "review" else self.tx.now,
                decided_by="" if policy == "review" else "policy",
            )
        )
        self.report.counts["conflict"] += 1
        self.report.conflicts.append(arrival.instance.sop_instance_uid)
        trail.record(
            self.tx,
            self.actor,
            "instance.conflict",
            study_instance_uid=arrival.instance.study.study_instance_uid,
            sop_instance_uid=arrival.instance.sop_instance_uid,
            policy=policy,
            file=file_id,
        )

    def _accept(self, arrival: Arrival, instance_id: int, study_id: int, series_id: int, kind: str) -> int:
        file_id = _insert_file(self.tx, arrival.file, FileState.ACCEPTED, instance_id)
        self._forward(arrival, Content(instance_id, file_id, series_id, study_id), fresh=False)
        self._note(arrival, kind)
        return file_id

    def _forward(self, arrival: Arrival, content: Content, *, fresh: bool) -> None:
        decision = arrival.decision
        if came_from := self.sent_to.get(_way(arrival)):
            # Where it comes from it is, in this content or in another: to send it back would be to send it round.
            decision = replace(decision, sends=tuple(to for to in decision.sends if to.destination not in came_from))
            self.report.counts["returned"] += 1
            self.report.returned.update(came_from)
        self.forwarding.add(
            decision,
            content,
            study_instance_uid=arrival.instance.study.study_instance_uid,
            spool_id=arrival.file.spool_id,
            size=arrival.instance.size,
            fresh=fresh,
        )

    def _note(self, arrival: Arrival, kind: str) -> None:
        self.report.counts[kind] += 1
        if arrival.decision.state is not Routing.ROUTED:
            self.report.counts[arrival.decision.state.name.lower()] += 1
        self.taken[arrival.instance.study.study_instance_uid] += 1

    def _untouched(self, instance_id: int) -> bool:
        """Whether nobody has claimed the content yet, nor another file brought it too.

        Nobody can claim it from here on either: a worker that had looked up the old file would be believed to have
        sent the new one.
        """
        concerned = select(Item.destination_id).where(Item.instance_id == instance_id).distinct()
        for destination_id in sorted(self.tx.conn.scalars(concerned)):
            lock_destination(self.tx, destination_id)
        claimed = select(Item.id).where(Item.instance_id == instance_id, Item.fence > 0)
        brought = select(File.id).where(File.instance_id == instance_id, ~file_is(FileState.GONE))
        return not self.tx.conn.scalar(select(claimed.exists() | brought.exists()))

    def _place(self, arrival: Arrival) -> tuple[int, int]:
        """Find or make the study and the series; note which rules the study has newly matched."""
        study = arrival.instance.study
        study_id = self.studies.get(study.study_instance_uid)
        if study_id is None:
            study_id = self.studies[study.study_instance_uid] = _study(self.tx, study)
        self.matches.note(study_id, arrival.decision, arrival.study_matched)
        key = (study_id, arrival.instance.series.series_instance_uid)
        series_id = self.series.get(key)
        if series_id is None:
            series_id = self.series[key] = _series(self.tx, study_id, arrival.instance.series)
        return study_id, series_id


def _way(arrival: Arrival) -> tuple[str, str]:
    return arrival.file.calling_ae_title, arrival.instance.sop_instance_uid


def _kept_unless_routed(arrival: Arrival) -> Arrival:
    """Keep another file of a known instance where this door's rules failed, or sent it nowhere.

    The instance may be everywhere that another door wanted it, but that says nothing of what this one was to do.
    """
    if arrival.decision.state is Routing.ROUTED:
        return arrival
    return replace(arrival, file=replace(arrival.file, after="keep"))


def _content(instance: InstanceFacts) -> dict[str, object]:
    return {
        "sop_instance_uid": instance.sop_instance_uid,
        "sop_class_uid": instance.sop_class_uid,
        "transfer_syntax_uid": instance.transfer_syntax_uid,
        "size": instance.size,
    }


def _study(tx: Transaction, facts: StudyFacts) -> int:
    found = tx.conn.scalar(_STUDY, {"uid": facts.study_instance_uid})
    if found is not None:
        return found
    values = {name: _cut(Study, name, getattr(facts, name)) for name in facts.__slots__}
    upsert = tx.upsert(Study)
    tx.conn.execute(upsert.values(**values, first_seen_at=tx.now).on_conflict_do_nothing())
    return tx.conn.scalars(select(Study.id).where(Study.study_instance_uid == facts.study_instance_uid)).one()


def _series(tx: Transaction, study_id: int, facts: SeriesFacts) -> int:
    which = {"study": study_id, "uid": facts.series_instance_uid}
    found = tx.conn.scalar(_SERIES, which)
    if found is not None:
        return found
    values = {name: _cut(Series, name, getattr(facts, name)) for name in facts.__slots__}
    upsert = tx.upsert(Series)
    tx.conn.execute(upsert.values(study_id=study_id, **values).on_conflict_do_nothing())
    return tx.conn.scalars(_SERIES, which).one()


def _cut(model: type[Study | Series], column: str, value: str) -> str:
    """Make a header value fit its column; PostgreSQL takes no NUL and no over-long text."""
    length = model.__table__.c[column].type.length  # type: ignore[attr-defined]  # every one is a String
    return value.replace("\0", "")[:length]


def _is_refused_again(row: AnyRow, file: FileFacts, state: FileState, reason: str) -> bool:
    now = (file.dev, file.inode, file.size, file.mtime_ns, file.spool_path, state, reason)
    return (row.dev, row.inode, row.size, row.mtime_ns, row.spool_path, row.state, row.reason) == now


def _supersede(tx: Transaction, file_id: int) -> None:
    """Let the file that was at this path before go: something else lies there now."""
    tx.conn.execute(
        update(File).where(File.id == file_id).values(state=int(FileState.GONE), changed_at=tx.now, reason="superseded")
    )


def _file_row(
    tx: Transaction, file: FileFacts, state: FileState, instance_id: int | None, reason: str = "", detail: str = ""
) -> dict[str, object]:
    return {name: getattr(file, name) for name in file.__slots__} | {
        "state": int(state),
        "instance_id": instance_id,
        "reason": reason,
        "detail": detail[:400],
        "seen_at": tx.now,
        "changed_at": tx.now,
    }


def _insert_file(
    tx: Transaction, file: FileFacts, state: FileState, instance_id: int | None, reason: str = "", detail: str = ""
) -> int:
    row = _file_row(tx, file, state, instance_id, reason, detail)
    return int(tx.conn.execute(insert(File).values(row).returning(File.id)).scalar_one())
