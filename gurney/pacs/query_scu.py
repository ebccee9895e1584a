"""Query/Retrieve SCU: the entrance for applications (PS3.4 annex C)."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar, Unpack

from pydicom.dataset import Dataset

from gurney.dicom.ae_titles import check_ae_title
from gurney.dicom.presentation import MAX_CONTEXTS, ContextProposal
from gurney.pacs.inbound import Received
from gurney.pacs.listener import Listener
from gurney.pacs.matches import Match, Search, Tally
from gurney.pacs.models import STUDY_ROOT, InformationModel
from gurney.pacs.queries import Queryable
from gurney.pacs.query_association import QueryAssociation
from gurney.pacs.query_events import QueryEvents
from gurney.pacs.remote import RemoteAE
from gurney.pacs.retrieval import Progression, Retrieval, Retrieving, SubOperations
from gurney.pacs.scu import VERIFICATION, Scu, Who
from gurney.pacs.terms import AssociationTerms, Role

__all__ = ["QueryRetrieveScu"]

Q = TypeVar("Q", bound=Queryable)

_SYNTAXES = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")
# Relational queries, and nothing of what later bytes ask for (PS3.4 table C.5-1).
_RELATIONAL = b"\x01"


class QueryRetrieveScu(Scu):
    """Query remote AEs. Use it inside a :class:`~gurney.pacs.DicomEngine`.

    ``relational`` proposes relational queries (keys of any level at any level) to each peer; what it agreed to is
    told by :meth:`QueryAssociation.is_relational`.
    """

    events: QueryEvents

    def __init__(self, calling_ae_title: str = "GURNEY", *, relational: bool = False, **who: Unpack[Who]) -> None:
        super().__init__(calling_ae_title, **who)
        self.events = QueryEvents()
        self._relational = relational

    def associate_for(self, remote: RemoteAE, *models: InformationModel) -> QueryAssociation:
        """Associate to query and move in these models, Study Root by default, as often as one likes.

        Raises as :meth:`gurney.pacs.Scu.associate` does.
        """
        asked = models or (STUDY_ROOT,)
        classes = [sop_class for model in asked for sop_class in (model.find, model.move) if sop_class]
        proposals = [ContextProposal(sop_class, syntax) for sop_class in classes for syntax in _SYNTAXES]
        extended = dict.fromkeys((model.find for model in asked), _RELATIONAL) if self._relational else {}
        return self._query_association(remote, AssociationTerms((*proposals, VERIFICATION), extended=extended))

    def associate(
        self, remote: RemoteAE, proposals: Sequence[ContextProposal], *, roles: Sequence[Role] = ()
    ) -> QueryAssociation:
        """Associate with contexts of one's own choice. Raises as :meth:`gurney.pacs.Scu.associate` does."""
        return self._query_association(remote, AssociationTerms(tuple(proposals), tuple(roles)))

    def associate_to_get(
        self,
        remote: RemoteAE,
        sop_class_uids: Iterable[str],
        *,
        model: InformationModel = STUDY_ROOT,
        transfer_syntax_uids: Sequence[str] = _SYNTAXES,
    ) -> QueryAssociation:
        """Associate to get instances of these storage SOP classes, with queries in the same model (PS3.4 C.5.3).

        Each class takes a context for each transfer syntax, of the 128 that there are; the first come first. A class
        that is left out can't be sent to us: the peer reports its instances as failed.
        """
        asked = [*dict.fromkeys(sop_class_uids)]
        own = [ContextProposal(uid, syntax) for uid in (model.get, model.find) for syntax in _SYNTAXES]
        storage = [ContextProposal(uid, syntax) for uid in asked for syntax in transfer_syntax_uids]
        proposals = (*own, VERIFICATION, *storage)[:MAX_CONTEXTS]
        proposed = {proposal.sop_class_uid for proposal in proposals}
        roles = tuple(Role(uid, scu=False, scp=True) for uid in asked if uid in proposed)
        return self._query_association(remote, AssociationTerms(proposals, roles))

    def move_to_self(
        self, remote: RemoteAE, what: Retrieval, listener: Listener, *, model: InformationModel = STUDY_ROOT
    ) -> Retrieving:
        """Have a remote AE send instances to a listener of this process, on an association of its own.

        See :meth:`QueryAssociation.move_to_self`, which tells what is raised; so may the association's failures be.
        """
        what.identifier(model)
        progression = Progression()
        return Retrieving(self._move_to_self(remote, what, listener, model, progression), progression)

    def _move_to_self(
        self,
        remote: RemoteAE,
        what: Retrieval,
        listener: Listener,
        model: InformationModel,
        progression: Progression,
    ) -> Generator[Received]:
        with (
            self.associate_for(remote, model) as association,
            association.move_to_self(what, listener, model=model, progression=progression) as arrivals,
        ):
            yield from arrivals

    def get(
        self,
        remote: RemoteAE,
        what: Retrieval,
        folder: Path,
        sop_class_uids: Iterable[str],
        *,
        model: InformationModel = STUDY_ROOT,
    ) -> Retrieving:
        """Get instances of these SOP classes into a folder, on an association of its own.

        See :meth:`QueryAssociation.get`, which tells what is raised; so may the association's failures be.
        """
        what.identifier(model)  # what can't be asked shall not wait for the first instance to say so
        progression = Progression()
        return Retrieving(self._get(remote, what, folder, tuple(sop_class_uids), model, progression), progression)

    def _get(
        self,
        remote: RemoteAE,
        what: Retrieval,
        folder: Path,
        sop_class_uids: Sequence[str],
        model: InformationModel,
        progression: Progression,
    ) -> Generator[Received]:
        with (
            self.associate_to_get(remote, sop_class_uids, model=model) as association,
            association.get(what, folder, model=model, progression=progression) as arrivals,
        ):
            yield from arrivals

    def find(
        self, remote: RemoteAE, query: Q, *, template: Dataset | None = None, limit: int | None = None
    ) -> Search[Q]:
        """Ask a remote AE for what matches a query, on an association of its own that lasts as long as the search.

        See :meth:`QueryAssociation.find`, which tells what is raised; so may the association's failures be.
        """
        tally = Tally()
        query.identifier(template)  # what can't be asked shall not wait for the first match to say so
        return Search(self._find(remote, query, template, limit, tally), tally)

    def move(
        self, remote: RemoteAE, what: Retrieval, destination: str, *, model: InformationModel = STUDY_ROOT
    ) -> Generator[SubOperations]:
        """Have a remote AE send instances to an AE title that it knows, on an association of its own.

        See :meth:`QueryAssociation.move`, which tells what is raised; so may the association's failures be.
        """
        what.identifier(model)  # what can't be asked shall not wait for the first report to say so
        return self._move(remote, what, check_ae_title(destination), model)

    def _move(
        self, remote: RemoteAE, what: Retrieval, destination: str, model: InformationModel
    ) -> Generator[SubOperations]:
        with (
            self.associate_for(remote, model) as association,
            closing(association.move(what, destination, model=model)) as reports,
        ):
            yield from reports

    def _find(
        self, remote: RemoteAE, query: Q, template: Dataset | None, limit: int | None, tally: Tally
    ) -> Generator[Match[Q]]:
        with (
            self.associate_for(remote, query.model) as association,
            association.find(query, template=template, limit=limit, tally=tally) as search,
        ):
            yield from search

    def _query_association(self, remote: RemoteAE, terms: AssociationTerms) -> QueryAssociation:
        return self._associate(
            remote,
            terms,
            lambda remote, negotiated, _, progress: QueryAssociation(remote, negotiated, self.events, progress),
        )
