"""A peer on pynetdicom, in the process of the test. We stand on it, too: what it shows is that both ends agree."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Self

from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE, build_role, evt

from tests.services.certificates import Secured
from tests.services.ports import LOOPBACK
from tests.services.waiting import wait_until

__all__ = ["PynetdicomScp"]

CT, VERIFICATION = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.1"
COMMITMENT, COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1"
GRAYSCALE_BOX, COLOR_BOX = "1.2.840.10008.5.1.1.4", "1.2.840.10008.5.1.1.4.1"
COLOR = "1.2.840.10008.5.1.1.18"
EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
CANCEL, PENDING, SUCCESS, NO_SUCH_INSTANCE = 0xFE00, 0xFF00, 0x0000, 0x0112
UNIQUE = {"PATIENT": "PatientID", "STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}

Answers = Iterator[tuple[int, Dataset | None]]


class PynetdicomScp:
    """A provider of every SOP class given, which keeps what it is sent.

    It takes CT images, in `storage_syntaxes` only, and finds, moves and gets them; `worklist` is what it answers to
    other queries, by SOP class. A caller named CANCELLER gets one match or instance, and no other before it cancels.
    `answer_at` is the port for reports of storage commitment; without one they come on the same association. Any user
    is told "welcome", and any query may be relational.
    """

    ae_title = "PYNETDICOM"

    def __init__(
        self,
        *sop_class_uids: str,
        storage_syntaxes: tuple[str, ...] = (EXPLICIT, IMPLICIT),
        move_destinations: Mapping[str, int] = {},
        worklist: Mapping[str, Dataset] = {},
        secured: Secured | None = None,
        max_tls: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    ) -> None:
        self.held: dict[str, Dataset] = {}
        self.instances: dict[str, Dataset] = {}
        self.asked: list[str] = []
        self.answer_at = 0
        self._destinations, self._worklist = move_destinations, worklist
        self._ae = AE(self.ae_title)
        self._ae.maximum_associations = 20
        self._ae.add_supported_context(CT, list(storage_syntaxes), scu_role=True, scp_role=True)
        self._ae.add_requested_context(CT, list(storage_syntaxes))
        for uid in (VERIFICATION, *sop_class_uids):
            self._ae.add_supported_context(uid, [EXPLICIT, IMPLICIT])
        handlers: list[evt.EventHandlerType] = [
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_C_FIND, self._find),
            (evt.EVT_C_MOVE, self._move),
            (evt.EVT_C_GET, self._get),
            (evt.EVT_N_CREATE, self._create),
            (evt.EVT_N_SET, self._set),
            (evt.EVT_N_GET, self._look),
            (evt.EVT_N_ACTION, self._act),
            (evt.EVT_N_DELETE, self._delete),
            (evt.EVT_USER_ID, lambda _: (True, b"welcome")),
            (evt.EVT_SOP_EXTENDED, lambda event: event.app_info),
        ]
        context = _tls(secured, max_tls) if secured is not None else None
        self._server = self._ae.start_server((LOOPBACK, 0), block=False, evt_handlers=handlers, ssl_context=context)
        self.port: int = self._server.server_address[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()

    # --- Storage, query and retrieve ----------------------------------------------------------------------------------

    def _store(self, event: evt.Event) -> int:
        dataset = event.dataset
        dataset.file_meta = event.file_meta
        self.held[str(dataset.SOPInstanceUID)] = dataset
        return SUCCESS

    def _find(self, event: evt.Event) -> Answers:
        identifier = event.identifier
        if "QueryRetrieveLevel" not in identifier:
            yield from self._each(event, [self._worklist[event.request.AffectedSOPClassUID]])
            return
        found = {one[UNIQUE[identifier.QueryRetrieveLevel]].value: one for one in self._matching(identifier)}
        matches = []
        for one in found.values():
            match = Dataset()
            match.update({element.tag: one[element.tag] for element in identifier if element.tag in one})
            match.QueryRetrieveLevel = identifier.QueryRetrieveLevel
            matches.append(match)
        yield from self._each(event, matches)

    def _get(self, event: evt.Event) -> Iterator[object]:
        found = self._matching(event.identifier)
        yield len(found)
        yield from self._each(event, found)

    def _move(self, event: evt.Event) -> Iterator[object]:
        if event.move_destination not in self._destinations:
            yield None, None
            return
        yield LOOPBACK, self._destinations[event.move_destination]
        yield from self._get(event)

    def _matching(self, identifier: Dataset) -> list[Dataset]:
        keys = [key for key in UNIQUE.values() if identifier.get(key)]
        return [one for one in self.held.values() if all(one[key].value == identifier[key].value for key in keys)]

    def _each(self, event: evt.Event, datasets: list[Dataset]) -> Answers:
        is_canceller = event.assoc.requestor.ae_title == "CANCELLER"
        for number, dataset in enumerate(datasets):
            if number and is_canceller:
                wait_until(lambda: event.is_cancelled, what="a C-CANCEL")
                yield CANCEL, None
                return
            yield PENDING, dataset

    # --- Normalized services ------------------------------------------------------------------------------------------

    def _create(self, event: evt.Event) -> tuple[int, Dataset]:
        created = event.attribute_list
        uid = str(event.request.AffectedSOPInstanceUID or generate_uid())
        self.asked.append("N-CREATE")
        self.instances[uid] = created
        answer = Dataset()
        answer.update(created)
        if "ImageDisplayFormat" in created:
            box = Dataset()
            is_color = event.context.abstract_syntax == COLOR
            box.ReferencedSOPClassUID = COLOR_BOX if is_color else GRAYSCALE_BOX
            box.ReferencedSOPInstanceUID = generate_uid()
            self.instances[box.ReferencedSOPInstanceUID] = Dataset()
            answer.ReferencedImageBoxSequence = [box]
        if event.request.AffectedSOPInstanceUID is None:
            answer.AffectedSOPInstanceUID = uid
        return SUCCESS, answer

    def _set(self, event: evt.Event) -> tuple[int, Dataset | None]:
        self.asked.append("N-SET")
        known = self.instances.get(str(event.request.RequestedSOPInstanceUID))
        if known is None:
            return NO_SUCH_INSTANCE, None
        known.update(event.modification_list)
        return SUCCESS, event.modification_list

    def _look(self, event: evt.Event) -> tuple[int, Dataset]:
        self.asked.append("N-GET")
        answer = Dataset()
        answer.ExecutionStatus = "DONE"
        return SUCCESS, answer

    def _delete(self, event: evt.Event) -> int:
        self.asked.append("N-DELETE")
        known = self.instances.pop(str(event.request.RequestedSOPInstanceUID), None)
        return SUCCESS if known is not None else NO_SUCH_INSTANCE

    def _act(self, event: evt.Event) -> tuple[int, Dataset | None]:
        self.asked.append("N-ACTION")
        if event.request.RequestedSOPClassUID == COMMITMENT:
            report = Dataset()
            report.TransactionUID = event.action_information.TransactionUID
            report.ReferencedSOPSequence = event.action_information.ReferencedSOPSequence
            answer = self._report_here if not self.answer_at else self._report_there
            threading.Thread(target=answer, args=(event, report)).start()
        return SUCCESS, None

    def _report_here(self, event: evt.Event, report: Dataset) -> None:
        event.assoc.send_n_event_report(report, 1, COMMITMENT, COMMITMENT_INSTANCE)

    def _report_there(self, event: evt.Event, report: Dataset) -> None:
        ae = AE(self.ae_title)
        ae.add_requested_context(COMMITMENT)
        role = build_role(COMMITMENT, scp_role=True)
        called = event.assoc.requestor.ae_title
        assoc = ae.associate(LOOPBACK, self.answer_at, ae_title=called, ext_neg=[role])
        if assoc.is_established:
            assoc.send_n_event_report(report, 1, COMMITMENT, COMMITMENT_INSTANCE)
            assoc.release()


def _tls(secured: Secured, highest: ssl.TLSVersion) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(secured.server.certificate, secured.server.key)
    context.load_verify_locations(secured.ca)
    context.verify_mode, context.maximum_version = ssl.CERT_REQUIRED, highest
    return context
