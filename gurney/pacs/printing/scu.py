"""Print Management SCU: films and paper, grayscale and colour (PS3.4 annex H)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from gurney.pacs.errors import AssociationFailure, OperationFailed
from gurney.pacs.normalized.scu import NormalizedScu
from gurney.pacs.printing.layout import FilmSession
from gurney.pacs.printing.session import PrinterStatus, PrintSession, printer_status
from gurney.pacs.remote import RemoteAE

__all__ = ["BASIC_COLOR_PRINT_MANAGEMENT", "BASIC_GRAYSCALE_PRINT_MANAGEMENT", "PrintManagementScu"]

BASIC_GRAYSCALE_PRINT_MANAGEMENT = "1.2.840.10008.5.1.1.9"
BASIC_COLOR_PRINT_MANAGEMENT = "1.2.840.10008.5.1.1.18"


class PrintManagementScu(NormalizedScu):
    """Print on remote AEs, by the Basic Grayscale or the Basic Color Print Management Meta SOP class.

    Annotation boxes, presentation LUTs and print jobs are not negotiated.
    """

    def printer_status(self, remote: RemoteAE, *, color: bool = False) -> PrinterStatus:
        """Ask a printer for its status, on an association of its own.

        Raises as :class:`~gurney.pacs.NormalizedServices` and :meth:`gurney.pacs.Scu.associate` do.
        """
        with self.services(remote, _meta(color=color)) as services:
            return printer_status(services)

    @contextmanager
    def session(
        self, remote: RemoteAE, terms: FilmSession | None = None, *, color: bool = False
    ) -> Iterator[PrintSession]:
        """Open a film session for the length of the block, on an association of its own, and delete it at the end.

        An error in the block deletes it as well, as far as the association still lasts: nothing stays on the printer.
        Raises InvalidAttributes, before anything is sent, for terms that can't be, and otherwise as
        :class:`~gurney.pacs.NormalizedServices` and :meth:`gurney.pacs.Scu.associate` do.
        """
        terms = terms or FilmSession()
        terms.attributes()  # what can't be asked shall not cost an association
        with self.services(remote, _meta(color=color)) as services:
            session = PrintSession(services, terms, color=color)
            with services.association.event_report.listening(session.take_report):
                try:
                    yield session
                except BaseException:  # whatever it is goes on, once the printer is rid of the session
                    with suppress(OperationFailed, AssociationFailure):
                        session.delete()
                    raise
                session.delete()


def _meta(*, color: bool) -> str:
    return BASIC_COLOR_PRINT_MANAGEMENT if color else BASIC_GRAYSCALE_PRINT_MANAGEMENT
