"""The steps of the answers that a PACS gives by what it holds, with the lies that were asked for."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import replace

from pydicom import config
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from gurney.pacs.testing.acts import Counts, Operation, Respond
from gurney.pacs.testing.answers import Ask, Commit, Find, Retrieve, Step, Where
from gurney.pacs.testing.archive import Archive
from gurney.pacs.testing.datasets import encode
from gurney.pacs.testing.errand import errand
from gurney.pacs.testing.link import Over
from gurney.pacs.testing.request import Request

__all__ = ["commit", "find", "retrieve"]

_IMPLICIT = "1.2.840.10008.1.2"
_PENDING = 0xFF00
_STORAGE_COMMITMENT, _ITS_INSTANCE = "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1"
_NO_SUCH_INSTANCE = 0x0112
_DESTINATION_UNKNOWN, _UNABLE_TO_PERFORM, _SOME_FAILED = 0xA801, 0xA702, 0xB000


def find(act: Find, request: Request, archive: Archive) -> Iterator[Step]:
    """Say each match, then the end."""
    for match in archive.holdings.matches(request.dataset, heedless=act.heedless):
        if "RetrieveAETitle" in request.dataset:
            match.RetrieveAETitle = archive.ae_title
        for keyword, value in act.say.items():
            tag = tag_for_keyword(keyword)
            if tag is None:
                raise ValueError(f"{keyword!r} is no keyword of the DICOM dictionary")
            match.add(DataElement(tag, dictionary_VR(tag), value, validation_mode=config.IGNORE))
        said = replace(act.each, dataset=encode(match, request.transfer_syntax_uid))
        for _ in range(act.repeat):
            yield said
    yield act.final


def retrieve(act: Retrieve, request: Request, archive: Archive) -> Generator[Step, int, None]:
    """Send each instance and report, then say how it went; hears the status of each instance that it sends."""
    if request.operation is Operation.C_MOVE and request.move_destination not in archive.destinations:
        yield Respond(_DESTINATION_UNKNOWN, comment="move destination unknown")
        return
    instances = archive.holdings.instances(request.dataset)
    completed = warned = 0
    failed: list[str] = []
    for remaining, held in zip(range(len(instances) - 1, -1, -1), instances, strict=True):
        uid = held.sop_instance_uid
        status = 0
        if uid in act.fail:
            status = _UNABLE_TO_PERFORM
        elif uid not in act.omit:
            status = yield replace(act.each, instance=held)
        if status == 0:
            completed += 1
        elif status >> 12 == 0xB:
            warned += 1
        else:
            failed.append(uid)
        if remaining and act.pendings:
            yield Respond(_PENDING, counts=act.counts or Counts(remaining, completed, len(failed), warned))
    counts = act.counts or Counts(None, completed, len(failed), warned)
    final = act.final or Respond(_final_status(len(instances), len(failed), warned))
    if failed and final.dataset is None:
        final = replace(final, dataset=_failed_instances(failed))
    yield replace(final, counts=final.counts or counts)


def commit(act: Commit, request: Request, archive: Archive) -> Iterator[Step]:
    """Take the request, then tell the result where it is to be told."""
    yield act.respond
    if act.respond.status != 0:
        return
    told = _result(act, request.dataset, archive)
    is_known = request.calling_ae_title in archive.destinations
    match act.where:
        case Where.NOWHERE:
            return
        case Where.NEW:
            is_new = True
        case Where.SAME:
            is_new = False
        case Where.BY_TITLE:
            is_new = is_known
    for _ in range(act.times):
        if is_new:
            archive.run(lambda: _tell_apart(act, told, request.calling_ae_title, archive))
        else:
            time.sleep(act.delay)
            yield told


def _tell_apart(act: Commit, told: Ask, ae_title: str, archive: Archive) -> None:
    time.sleep(act.delay)
    pairs = [(_STORAGE_COMMITMENT, _IMPLICIT)]
    # Whoever asked may be gone: then nobody hears of it.
    with suppress(Over, OSError), errand(archive, ae_title, pairs, roles=[_STORAGE_COMMITMENT]) as peer:
        if peer.contexts:
            peer.ask(told, min(peer.contexts))


def _result(act: Commit, asked: Dataset, archive: Archive) -> Ask:
    """Make the N-EVENT-REPORT-RQ of a result (PS3.4 table J.3-3)."""
    committed: list[Dataset] = []
    failed: list[Dataset] = []
    for reference in asked.get("ReferencedSOPSequence") or ():
        uid = str(reference.ReferencedSOPInstanceUID)
        if uid in act.omit:
            continue
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = reference.ReferencedSOPClassUID, uid
        reason = act.fail.get(uid, 0 if archive.has(uid) else _NO_SUCH_INSTANCE)
        if reason:
            item.FailureReason = reason
        (failed if reason else committed).append(item)
    result = Dataset()
    result.TransactionUID = act.transaction_uid or asked.TransactionUID
    result.ReferencedSOPSequence = Sequence(committed)
    if failed:
        result.FailedSOPSequence = Sequence(failed)
    event_type = bytes((2 if failed else 1, 0))
    return Ask(Operation.N_EVENT_REPORT, _STORAGE_COMMITMENT, _ITS_INSTANCE, result, {0x1002: event_type})


def _final_status(count: int, failed: int, warned: int) -> int:
    if failed and failed == count:
        return _UNABLE_TO_PERFORM
    return _SOME_FAILED if failed or warned else 0x0000


def _failed_instances(uids: list[str]) -> Dataset:
    dataset = Dataset()
    dataset.FailedSOPInstanceUIDList = uids
    return dataset
