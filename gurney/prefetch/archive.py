"""What one remote says of a patient's studies, as candidates (C-FIND, PS3.4 C.4.1)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date

from gurney.errors import GurneyError
from gurney.pacs import Level, Match, Query, QueryRetrieveScu, Range, Retrieval, key
from gurney.pacs.display import texts_at
from gurney.pacs.query.entities import Series, Study
from gurney.pacs.query.keys import Wanted
from gurney.pacs.query_retrieve.association import QueryAssociation
from gurney.settings import Settings
from gurney.settings.remotes import remote_ae
from gurney.transfer.prefetch import Candidate

__all__ = ["Archive", "IncompleteAnswer"]


class IncompleteAnswer(GurneyError):
    """A remote that ended a query early: there may be more studies than it told of."""


@dataclass(frozen=True, kw_only=True)
class _StudyQuery(Query):
    procedure_codes: Wanted = key("ProcedureCodeSequence.CodeValue", Level.STUDY)


class Archive:
    """One remote to ask. Its methods raise what an association raises, and IncompleteAnswer."""

    def __init__(self, settings: Settings, name: str) -> None:
        configured = settings.remote_named(name)
        self.name = name
        self._remote = remote_ae(configured)
        self._scu = QueryRetrieveScu(settings.calling_ae_title(configured))

    @contextmanager
    def asked(self) -> Iterator[_Conversation]:
        """Associate, to ask as often as one likes."""
        with self._scu.associate_for(self._remote) as association:
            yield _Conversation(self.name, association)

    def instances(self, study_instance_uid: str) -> frozenset[str] | None:
        """Return the UIDs of a study's instances, None where the remote does not tell."""
        inventory = self._scu.take_inventory(self._remote, Retrieval(study_instance_uid=study_instance_uid))
        return inventory.sop_instance_uids


class _Conversation:
    def __init__(self, name: str, association: QueryAssociation) -> None:
        self._name, self._association = name, association

    def studies_of(self, patient_ids: Iterable[str]) -> list[Candidate]:
        """Return the studies of exactly these patient IDs, each once.

        Peers compare as they like, and a * in an ID would match anything: what has another ID is left out.
        """
        found: dict[str, Candidate] = {}
        for patient_id in patient_ids:
            for match in self._matches(_StudyQuery(patient_id=patient_id)):
                if str(match.value.patient_id).strip() == patient_id:
                    candidate = self._candidate(match)
                    found.setdefault(candidate.study_instance_uid, candidate)
        return [candidate for uid, candidate in found.items() if uid]

    def study(self, study_instance_uid: str) -> Candidate | None:
        """Return one study as the remote has it."""
        matches = self._matches(_StudyQuery(study_instance_uid=study_instance_uid))
        return next((self._candidate(match) for match in matches), None)

    def studies_since(self, first: date) -> Iterator[Candidate]:
        """Give all studies from a day on."""
        for match in self._matches(_StudyQuery(study_date=Range(first))):
            yield self._candidate(match)

    def with_series(self, candidate: Candidate) -> Candidate:
        """Complete a candidate with what its series say: modalities, body parts, counts."""
        query = Query(level=Level.SERIES, study_instance_uid=candidate.study_instance_uid)
        series = [Series.of(match.dataset) for match in self._matches(query)]
        if not series:
            return candidate
        counted: Counter[str] = Counter()
        for one in series:
            counted[one.modality] += one.instances or 0
        is_counted = all(one.instances is not None for one in series)
        return replace(
            candidate,
            modalities=candidate.modalities or tuple(sorted({one.modality for one in series if one.modality})),
            body_parts=tuple(sorted({one.body_part for one in series if one.body_part})),
            series=len(series),
            instances=sum(counted.values()) if is_counted else candidate.instances,
            instances_of=dict(sorted(counted.items())) if is_counted else {},
        )

    def _matches(self, query: Query) -> Iterator[Match[Query]]:
        with self._association.find(query) as search:
            yield from search
            if not search.is_complete:
                raise IncompleteAnswer(f"{self._name} did not answer to the end: there may be more than it told of")

    def _candidate(self, match: Match[Query]) -> Candidate:
        study = Study.of(match.dataset)
        return Candidate(
            study.study_instance_uid,
            self._name,
            study.study_date,
            accession_number=study.accession_number,
            description=study.description,
            # A study may have been several procedures (PS3.3 C.7.2.1).
            procedure_codes=tuple(code for code in texts_at(match.dataset, "ProcedureCodeSequence.CodeValue") if code),
            modalities=tuple(modality for modality in study.modalities if modality),
            series=study.series,
            instances=study.instances,
        )
