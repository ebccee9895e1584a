"""Who comes: by a list, or by a worklist."""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from zoneinfo import ZoneInfo

from pydicom.dataset import Dataset

from gurney.errors import GurneyError
from gurney.pacs import ModalityWorklistQuery, QueryRetrieveScu, Range
from gurney.pacs.display import text_at
from gurney.prefetch.archive import IncompleteAnswer
from gurney.settings import Prefetch, Settings
from gurney.settings.remotes import remote_ae
from gurney.transfer.prefetch import Current

__all__ = ["Comer", "ListUnusable", "Mistake", "on_list", "on_worklist"]

_COLUMNS = ("patient_id", "accession", "study_instance_uid", "description", "modality", "procedure_code", "scheduled")


class ListUnusable(GurneyError):
    """Report a list that can't be read at all."""


@dataclass(frozen=True, slots=True)
class Comer:
    """A patient who is expected, under all IDs that are known, and for what; ``scheduled_at`` None: at no set time."""

    patient_ids: tuple[str, ...] = field(repr=False)
    current: Current = field(repr=False)
    scheduled_at: float | None = None

    @property
    def key(self) -> str:
        """Tell this appointment from others, also when it moves; it shows nothing of the patient."""
        known = self.current.accession_number or self.current.study_instance_uid
        day = self.current.day.isoformat() if not known else ""
        return hashlib.sha256("\n".join((*sorted(self.patient_ids), known, day)).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Mistake:
    """A line of a list that can't be used; ``words`` never say what stands in it."""

    line: int
    words: str


def on_list(path: str, zone: ZoneInfo, today: date) -> tuple[list[Comer], list[Mistake]]:
    """Read a CSV file with a header. A line that can't be used is left out and told of. Raises ListUnusable.

    The column ``patient_id`` must be there, several IDs of one patient with ``;`` between. The others may be:
    accession, study_instance_uid, description, modality, procedure_code, and scheduled (ISO 8601, by the wall clock).
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            _check_header(path, reader.fieldnames)
            return _read(reader, zone, today)
    except OSError as error:
        raise ListUnusable(f"{path}: {os.strerror(error.errno or 0)}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ListUnusable(f"{path}: no CSV file in UTF-8") from error


def _check_header(path: str, header: Sequence[str] | None) -> None:
    if header is None or "patient_id" not in header:
        raise ListUnusable(f"{path}: line 1 must name the columns, patient_id among them; known: {', '.join(_COLUMNS)}")
    if unknown := sorted(set(header) - set(_COLUMNS)):
        raise ListUnusable(f"{path}: line 1 has unknown columns {', '.join(unknown)}; known: {', '.join(_COLUMNS)}")


def _read(reader: csv.DictReader[str], zone: ZoneInfo, today: date) -> tuple[list[Comer], list[Mistake]]:
    comers: list[Comer] = []
    mistakes: list[Mistake] = []
    for row in reader:
        values = {key: (value or "").strip() for key, value in row.items() if isinstance(value, str | None)}
        ids = tuple(one.strip() for one in values.get("patient_id", "").split(";") if one.strip())
        if None in row or not ids:
            mistakes.append(Mistake(reader.line_num, "too many columns" if None in row else "no patient_id"))
            continue
        try:
            scheduled = _moment(values.get("scheduled", ""), zone)
        except ValueError:
            mistakes.append(Mistake(reader.line_num, 'scheduled is no time such as "2026-11-24T08:30"'))
            continue
        comers.append(
            Comer(ids, _current(values, scheduled, today), None if scheduled is None else scheduled.timestamp())
        )
    return comers, mistakes


def _moment(text: str, zone: ZoneInfo) -> datetime | None:
    if not text:
        return None
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)


def _current(values: Mapping[str, str], scheduled: datetime | None, today: date) -> Current:
    return Current(
        scheduled.date() if scheduled is not None else today,
        values.get("study_instance_uid", ""),
        values.get("accession", ""),
        values.get("description", ""),
        procedure_codes=tuple(filter(None, [values.get("procedure_code", "")])),
        modalities=tuple(filter(None, [values.get("modality", "")])),
    )


def on_worklist(settings: Settings, rule: Prefetch, zone: ZoneInfo, begin: float, end: float) -> Iterator[Comer]:
    """Ask a remote's modality worklist (PS3.4 annex K) who is scheduled from ``begin`` until before ``end``.

    Call it inside a DicomEngine. Raises a refinement of AssociationFailure, OperationFailed, and IncompleteAnswer: who
    is left out of half an answer would be taken for cancelled.
    """
    remote = settings.remote_named(rule.worklist)
    scu = QueryRetrieveScu(settings.calling_ae_title(remote), fast_path=remote.fast_path)
    days = Range(datetime.fromtimestamp(begin, zone).date(), datetime.fromtimestamp(end - 1, zone).date())
    wanted = Dataset()
    code = Dataset()
    code.CodeValue = code.CodingSchemeDesignator = ""
    wanted.RequestedProcedureCodeSequence = [code]
    with scu.find(remote_ae(remote), ModalityWorklistQuery(start_date=days), template=wanted) as search:
        for match in search:
            comer = _of_entry(match.dataset, zone)
            if comer is not None and (comer.scheduled_at is None or begin <= comer.scheduled_at < end):
                yield comer
        if not search.is_complete:
            raise IncompleteAnswer(f"{rule.worklist} did not answer to the end: there may be more who come")


_STEP = "ScheduledProcedureStepSequence."


def _of_entry(entry: Dataset, zone: ZoneInfo) -> Comer | None:
    patient_id = text_at(entry, "PatientID")
    if not patient_id:
        return None
    moment = _step_moment(text_at(entry, f"{_STEP}ScheduledProcedureStepStartDate"), entry, zone)
    code = text_at(entry, "RequestedProcedureCodeSequence.CodeValue")
    current = Current(
        moment.date() if moment is not None else datetime.now(zone).date(),
        text_at(entry, "StudyInstanceUID"),
        text_at(entry, "AccessionNumber"),
        text_at(entry, "RequestedProcedureDescription") or text_at(entry, f"{_STEP}ScheduledProcedureStepDescription"),
        procedure_codes=tuple(filter(None, [code])),
        modalities=tuple(filter(None, [text_at(entry, f"{_STEP}Modality")])),
    )
    return Comer((patient_id,), current, None if moment is None else moment.timestamp())


def _step_moment(day: str, entry: Dataset, zone: ZoneInfo) -> datetime | None:
    """Read date and time of a step; without a time it is the beginning of its day."""
    begins = text_at(entry, f"{_STEP}ScheduledProcedureStepStartTime").ljust(4, "0")
    try:
        on = date.fromisoformat(f"{day[:4]}-{day[4:6]}-{day[6:8]}")
        return datetime.combine(on, time(int(begins[:2]), int(begins[2:4])), zone)
    except ValueError:  # a worklist may say anything
        return None
