"""What a peer says that it holds of what is to be retrieved, asked level by level (C-FIND, PS3.4 C.4.1.3).

Two things need to know it beforehand: a C-GET, which SOP classes to propose contexts for, and whoever wants proof of a
complete retrieve, which instances should come. Not every peer answers at IMAGE level, and SOP Class UID is an optional
key there; :attr:`Inventory.source` says how much the peer said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Protocol

from pydicom.dataset import Dataset

from gurney.pacs.cancellation import Cancellation
from gurney.pacs.errors import ContextRefused, OperationFailed
from gurney.pacs.query.entities import Instance, Study
from gurney.pacs.query.matches import Match, Search, Tally
from gurney.pacs.query.models import PATIENT_ROOT, PATIENT_STUDY_ONLY, InformationModel, Level
from gurney.pacs.query.queries import PatientRootQuery, PatientStudyOnlyQuery, Query
from gurney.pacs.retrieve.get_contexts import DEFAULT_CLASSES, classes_of_modalities
from gurney.pacs.retrieve.retrieval import Retrieval, uid_list

__all__ = ["Holding", "Inventory", "InventorySource", "take_inventory"]


_MOST: Final = 200_000
"""Matches of one inventory. A peer that has more to say would fill the memory, or keep us asking for ever."""


class InventorySource(StrEnum):
    """What an inventory was read from, the most telling first."""

    INSTANCES = "instances"  # C-FIND at IMAGE level
    SOP_CLASSES = "SOP classes in study"
    MODALITIES = "modalities"
    NOTHING = "nothing"  # the peer said neither: what any study may hold


@dataclass(frozen=True, slots=True)
class Holding:
    """An instance that a peer holds. ``sop_class_uid`` is "" where the peer did not say it."""

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str = ""


@dataclass(frozen=True, slots=True)
class Inventory:
    """What should come of a retrieve. ``holdings`` is None where the peer does not answer at IMAGE level."""

    what: Retrieval
    holdings: tuple[Holding, ...] | None
    sop_class_uids: tuple[str, ...]
    source: InventorySource

    @property
    def sop_instance_uids(self) -> frozenset[str] | None:
        """The instances that should come: those that are held, and those that were asked for by name."""
        named = self.what.named_instances
        if self.holdings is None:
            return named or None
        return frozenset(holding.sop_instance_uid for holding in self.holdings) | named

    def retrievals(self, sop_instance_uids: Iterable[str]) -> tuple[Retrieval, ...]:
        """Say how to ask for these instances only, such as the missing: whole series where that is all of one.

        Those that are not in the inventory can't be asked for, and are left out.
        """
        wanted = frozenset(sop_instance_uids)
        by_series: dict[tuple[str, str], list[Holding]] = {}
        for holding in self.holdings or ():
            by_series.setdefault((holding.study_instance_uid, holding.series_instance_uid), []).append(holding)
        return tuple(
            replace(
                self.what,
                study_instance_uid=study,
                series_instance_uid=series,
                sop_instance_uid="" if len(some) == len(held) and not self.what.named_instances else some,
            )
            for (study, series), held in by_series.items()
            if (some := [one.sop_instance_uid for one in held if one.sop_instance_uid in wanted])
        )

    def of_classes(self, sop_class_uids: Iterable[str]) -> frozenset[str]:
        """Return the instances of some SOP classes; one whose class is not known may be of any."""
        among = {*sop_class_uids, ""}
        return frozenset(one.sop_instance_uid for one in self.holdings or () if one.sop_class_uid in among)


class Asked(Protocol):
    """An association that can be queried, such as :class:`gurney.pacs.QueryAssociation`."""

    def find(
        self, query: Query, *, template: Dataset | None = None, limit: int | None = None, tally: Tally | None = None
    ) -> Search[Query]:
        """Ask for what matches."""

    def is_relational(self, sop_class_uid: str) -> bool:
        """Tell whether keys may be asked at any level."""


def take_inventory(
    association: Asked, what: Retrieval, model: InformationModel, cancellation: Cancellation | None = None
) -> Inventory:
    """Ask what there is of a retrieve. What the peer can't answer makes the inventory poorer, and is no error.

    So does a peer with more than 200,000 matches, or a ``cancellation``: the rest is not asked for. Raises a refinement
    of AssociationFailure when the association ends.
    """
    return _Stocktaker(association, what, model, cancellation or Cancellation()).take()


class _Stocktaker:
    """One inventory in the making; ``_is_whole`` until an answer shows that there is more than the peer tells."""

    def __init__(
        self, association: Asked, what: Retrieval, model: InformationModel, cancellation: Cancellation
    ) -> None:
        self._association, self._what, self._model = association, what, model
        self._cancellation = cancellation
        self._kind = {PATIENT_ROOT: PatientRootQuery, PATIENT_STUDY_ONLY: PatientStudyOnlyQuery}.get(model, Query)
        self._modalities: list[str] = []
        self._is_whole = Level.IMAGE in model.levels
        self._left = _MOST

    def take(self) -> Inventory:
        studies = uid_list(self._what.study_instance_uid) or [
            str(match.value.study_instance_uid) for match in self._found(Level.STUDY)
        ]
        holdings = tuple(holding for study in studies for holding in self._of_study(study))
        if len({holding.sop_instance_uid for holding in holdings}) < len(holdings):
            # tiny-pacs 0.4.1 repeats the first instance in place of each of the others, which come all the same.
            self._is_whole = False
        classes = tuple(dict.fromkeys(holding.sop_class_uid for holding in holdings if holding.sop_class_uid))
        if not self._is_whole:
            return self._poorer(studies, classes)
        if not all(holding.sop_class_uid for holding in holdings):
            classes = tuple(dict.fromkeys((*classes, *classes_of_modalities(self._modalities))))
        return Inventory(self._what, holdings, classes, InventorySource.INSTANCES)

    def _of_study(self, study: str) -> Iterator[Holding]:
        if not self._is_whole:
            return
        named = uid_list(self._what.series_instance_uid)
        if self._association.is_relational(self._model.find):
            instances = [*self._instances(study, named)]
            if not instances and self._is_there(study):
                self._is_whole = False
            yield from instances
            return
        series = named or self._series_of(study)
        if not series and self._is_there(study):
            self._is_whole = False
        for one in series:
            instances = [*self._instances(study, [one])]
            if not instances and not self._what.named_instances:
                self._is_whole = False
            yield from instances

    def _is_there(self, study: str) -> bool:
        return bool([*self._found(Level.STUDY, study_instance_uid=study)])

    def _series_of(self, study: str) -> list[str]:
        matches = list(self._found(Level.SERIES, study_instance_uid=study))
        self._modalities += [str(match.value.modality) for match in matches]
        return [str(match.value.series_instance_uid) for match in matches]

    def _instances(self, study: str, series: list[str]) -> Iterator[Holding]:
        named = uid_list(self._what.sop_instance_uid)
        for match in self._found(
            Level.IMAGE, study_instance_uid=study, series_instance_uid=series, sop_instance_uid=named
        ):
            found = Instance.of(match.dataset)
            if found.sop_instance_uid:
                own = found.series_instance_uid or (series[0] if len(series) == 1 else "")
                yield Holding(study, own, found.sop_instance_uid, found.sop_class_uid)

    def _poorer(self, studies: list[str], classes: tuple[str, ...]) -> Inventory:
        """Make do with what the peer says of whole studies."""
        wanted = Dataset()
        wanted.SOPClassesInStudy = ""
        described = [
            Study.of(match.dataset)
            for uid in studies
            for match in self._found(Level.STUDY, wanted, study_instance_uid=uid)
        ]
        said = [uid for study in described for uid in study.sop_class_uids]
        if said:
            return Inventory(self._what, None, tuple(dict.fromkeys((*classes, *said))), InventorySource.SOP_CLASSES)
        self._modalities += [modality for study in described for modality in study.modalities]
        likely = classes_of_modalities(self._modalities)
        source = InventorySource.NOTHING if likely == DEFAULT_CLASSES else InventorySource.MODALITIES
        return Inventory(self._what, None, tuple(dict.fromkeys((*classes, *likely))), source)

    def _found(self, level: Level, template: Dataset | None = None, **keys: str | list[str]) -> Iterator[Match[Query]]:
        """Ask at one level. A peer that does not answer there, or not to the end, has more than it tells."""
        if level not in self._model.levels:
            return
        if not self._left:
            self._is_whole = False
            return
        above = self._what.patient_id if Level.PATIENT in self._model.levels else ""
        query = self._kind(level=level, patient_id=above, **keys)
        tally = Tally(cancellation=self._cancellation)
        try:
            with self._association.find(query, template=template, limit=self._left, tally=tally) as search:
                for match in search:
                    self._left -= 1
                    yield match
                self._is_whole = self._is_whole and search.is_complete
        except (OperationFailed, ContextRefused):
            self._is_whole = False
