"""Query/Retrieve SCU: the entrance for applications (PS3.4 annex C)."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TypeVar

from pydicom.dataset import Dataset

from gurney.dicom.presentation import ContextProposal
from gurney.pacs.matches import Match, Search, Tally
from gurney.pacs.models import STUDY_ROOT, InformationModel
from gurney.pacs.negotiation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from gurney.pacs.queries import Queryable
from gurney.pacs.query_association import QueryAssociation
from gurney.pacs.query_events import QueryEvents
from gurney.pacs.remote import RemoteAE
from gurney.pacs.scu import VERIFICATION, Scu
from gurney.pacs.terms import AssociationTerms, Role, UserIdentity

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

    def __init__(
        self,
        calling_ae_title: str = "GURNEY",
        *,
        relational: bool = False,
        user_identity: UserIdentity | None = None,
        implementation_class_uid: str = IMPLEMENTATION_CLASS_UID,
        implementation_version_name: str = IMPLEMENTATION_VERSION_NAME,
    ) -> None:
        super().__init__(
            calling_ae_title,
            user_identity=user_identity,
            implementation_class_uid=implementation_class_uid,
            implementation_version_name=implementation_version_name,
        )
        self.events = QueryEvents()
        self._relational = relational

    def associate_for(self, remote: RemoteAE, *models: InformationModel) -> QueryAssociation:
        """Associate to query in these models, Study Root by default; any number of queries may follow.

        Raises as :meth:`gurney.pacs.Scu.associate` does.
        """
        classes = [model.find for model in models or (STUDY_ROOT,)]
        proposals = [ContextProposal(sop_class, syntax) for sop_class in classes for syntax in _SYNTAXES]
        extended = dict.fromkeys(classes, _RELATIONAL) if self._relational else {}
        return self._query_association(remote, AssociationTerms((*proposals, VERIFICATION), extended=extended))

    def associate(
        self, remote: RemoteAE, proposals: Sequence[ContextProposal], *, roles: Sequence[Role] = ()
    ) -> QueryAssociation:
        """Associate with contexts of one's own choice. Raises as :meth:`gurney.pacs.Scu.associate` does."""
        return self._query_association(remote, AssociationTerms(tuple(proposals), tuple(roles)))

    def find(
        self, remote: RemoteAE, query: Q, *, template: Dataset | None = None, limit: int | None = None
    ) -> Search[Q]:
        """Ask a remote AE for what matches a query, on an association of its own that lasts as long as the search.

        See :meth:`QueryAssociation.find`, which tells what is raised; so may the association's failures be.
        """
        tally = Tally()
        query.identifier(template)  # what can't be asked shall not wait for the first match to say so
        return Search(self._find(remote, query, template, limit, tally), tally)

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
