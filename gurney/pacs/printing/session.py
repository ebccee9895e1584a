"""A film session on a printer: its films, their images, and the order to print (PS3.4 H.4)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from pydicom.dataset import Dataset

from gurney.pacs.association.event_reports import EventReport
from gurney.pacs.association.normalized_events import NormalizedResult
from gurney.pacs.display import text_at, texts_at
from gurney.pacs.errors import BadResponse, InvalidAttributes
from gurney.pacs.normalized.attributes import attribute_list, one_of
from gurney.pacs.normalized.operations import NormalizedServices
from gurney.pacs.printing.image import printable
from gurney.pacs.printing.layout import FilmBox, FilmSession, Polarity

__all__ = ["Film", "PrintSession", "PrinterStatus", "printer_status"]

_SESSION, _FILM_BOX = "1.2.840.10008.5.1.1.1", "1.2.840.10008.5.1.1.2"
_GRAYSCALE_IMAGE_BOX, _COLOR_IMAGE_BOX = "1.2.840.10008.5.1.1.4", "1.2.840.10008.5.1.1.4.1"
_PRINTER, _PRINTER_INSTANCE = "1.2.840.10008.5.1.1.16", "1.2.840.10008.5.1.1.17"
_IMAGE_BOX = "an image box"
_PRINT = 1
# No others: DCMTK refuses the whole question for one attribute that it does not have, even an optional one.
_STATUS_TAGS = (0x21100010, 0x21100020)
_EVENTS = {1: "NORMAL", 2: "WARNING", 3: "FAILURE"}


@dataclass(frozen=True, slots=True)
class PrinterStatus:
    """What a printer says of itself: NORMAL, WARNING or FAILURE, and why, such as ``SUPPLY EMPTY`` (PS3.3 C.13.9)."""

    status: str
    info: str = ""
    printer_name: str = ""
    attributes: Dataset | None = field(default=None, repr=False)

    @property
    def is_normal(self) -> bool:
        """Tell whether it prints and needs nobody's help."""
        return self.status == "NORMAL"


def printer_status(services: NormalizedServices) -> PrinterStatus:
    """Ask for the status of the printer (N-GET, PS3.4 H.4.6.2.2). Raises as NormalizedServices does."""
    told = services.n_get(_PRINTER, _PRINTER_INSTANCE, _STATUS_TAGS).attributes
    if told is None or not (status := text_at(told, "PrinterStatus")):
        raise BadResponse("an N-GET response without the printer's status")
    return PrinterStatus(status, text_at(told, "PrinterStatusInfo"), text_at(told, "PrinterName"), told)


class PrintSession:
    """A film session. Get one from :meth:`gurney.pacs.PrintManagementScu.session`, which deletes it at the end.

    Every method raises as :class:`~gurney.pacs.NormalizedServices` does. A result's status may be a warning, such as
    that an image was made smaller: ``result.words`` says it.
    """

    def __init__(self, services: NormalizedServices, terms: FilmSession, *, color: bool) -> None:
        self.services = services
        self.color = color
        self.last_report: PrinterStatus | None = None
        """What the printer reported of its own accord, the last time that it did."""
        self.result = services.n_create(_SESSION, None, terms.attributes())
        """What the printer answered to the session's creation, perhaps a warning."""
        self.sop_instance_uid = self.result.sop_instance_uid

    def add_film(self, box: FilmBox | None = None) -> Film:
        """Add a film (N-CREATE, PS3.4 H.4.2.2.1). Some printers want each to be printed before the next is added.

        Raises InvalidAttributes, before anything is sent, for an image display format that is none.
        """
        attributes = (box or FilmBox()).attributes(_SESSION, self.sop_instance_uid)
        return Film(self, self.services.n_create(_FILM_BOX, None, attributes))

    def print(self) -> NormalizedResult:
        """Print all films of the session (N-ACTION, PS3.4 H.4.1.2.4); a printer need not know how."""
        return self.services.n_action(_SESSION, self.sop_instance_uid, _PRINT)

    def printer_status(self) -> PrinterStatus:
        """Ask for the printer's status."""
        return printer_status(self.services)

    def delete(self) -> NormalizedResult:
        """Delete the session with all that is in it; what is being printed is printed all the same."""
        return self.services.n_delete(_SESSION, self.sop_instance_uid)

    def take_report(self, event: EventReport) -> EventReport | None:
        """Take what the printer reports of its status (N-EVENT-REPORT, PS3.4 H.4.6.2.1)."""
        if event.sop_class_uid != _PRINTER:
            return None
        told = event.information if event.information is not None else Dataset()
        self.last_report = PrinterStatus(
            _EVENTS.get(event.event_type_id, f"event {event.event_type_id}"),
            text_at(told, "PrinterStatusInfo"),
            text_at(told, "PrinterName"),
            event.information,
        )
        return event.taken()


class Film:
    """A film of a session; its image boxes are numbered from 1, along the rows from the top left."""

    def __init__(self, session: PrintSession, result: NormalizedResult) -> None:
        self.result = result
        """What the printer answered to the film's creation, perhaps a warning."""
        self.sop_instance_uid = result.sop_instance_uid
        told = result.attributes if result.attributes is not None else Dataset()
        self.image_boxes: Sequence[str] = tuple(texts_at(told, "ReferencedImageBoxSequence.ReferencedSOPInstanceUID"))
        """The SOP Instance UIDs of its image boxes."""
        self._session = session
        if not self.image_boxes:
            raise BadResponse("an N-CREATE response for a film box without image boxes")

    def set_image(
        self,
        position: int,
        image: Dataset,
        *,
        frame: int = 1,
        polarity: Polarity = Polarity.NORMAL,
        width_mm: float | None = None,
        magnification: str = "",
    ) -> NormalizedResult:
        """Put an image into a box (N-SET, PS3.4 H.4.3.1.2.1), as :func:`gurney.pacs.printing.image.printable` takes it.

        Raises, before anything is sent, IndexError for a box that the film does not have, and InvalidAttributes for an
        image that no printer takes, a polarity that is none or a width that is not above 0.
        """
        if width_mm is not None and not 0 < width_mm < math.inf:
            raise InvalidAttributes(_IMAGE_BOX, ["RequestedImageSize is not a width: give millimetres, above 0"])
        if position not in range(1, len(self.image_boxes) + 1):
            raise IndexError(f"the film has image boxes 1 to {len(self.image_boxes)}, not {position}")
        color = self._session.color
        item = printable(image, color=color, frame=frame)
        modifications = attribute_list(
            _IMAGE_BOX,
            ImageBoxPosition=position,
            Polarity=one_of(_IMAGE_BOX, "Polarity", Polarity, polarity),
            # What a third of a film has behind the point does not fit into a DS.
            RequestedImageSize=None if width_mm is None else f"{width_mm:.6g}",
            MagnificationType=magnification or None,
            BasicGrayscaleImageSequence=None if color else [item],
            BasicColorImageSequence=[item] if color else None,
        )
        box_class = _COLOR_IMAGE_BOX if color else _GRAYSCALE_IMAGE_BOX
        return self._session.services.n_set(box_class, self.image_boxes[position - 1], modifications)

    def print(self) -> NormalizedResult:
        """Print the film (N-ACTION, PS3.4 H.4.2.2.4)."""
        return self._session.services.n_action(_FILM_BOX, self.sop_instance_uid, _PRINT)

    def delete(self) -> NormalizedResult:
        """Delete the film; what is being printed is printed all the same (N-DELETE, PS3.4 H.4.2.2.3)."""
        return self._session.services.n_delete(_FILM_BOX, self.sop_instance_uid)
