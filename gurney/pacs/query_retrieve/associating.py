"""How a Query/Retrieve SCU associates: for queries, for what an application wants, for a C-GET (PS3.4 C.5.3)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Unpack

from gurney.dicom.charset import check_character_set
from gurney.dicom.presentation import ContextProposal
from gurney.pacs.association.scu import VERIFICATION, Scu, Who
from gurney.pacs.errors import InvalidQuery
from gurney.pacs.kinds import of_kind
from gurney.pacs.query.models import STUDY_ROOT, InformationModel
from gurney.pacs.query.options import QueryOptions
from gurney.pacs.query_retrieve.association import QueryAssociation
from gurney.pacs.query_retrieve.events import QueryEvents
from gurney.pacs.remote import RemoteAE
from gurney.pacs.retrieve.get_contexts import plan_get_contexts
from gurney.pacs.terms import AssociationTerms, Role
from gurney.pacs.wire.inbound import check_max_instance_bytes

__all__ = ["QUERY_TRANSFER_SYNTAXES", "AssociatingScu"]

QUERY_TRANSFER_SYNTAXES = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")
"""In which identifiers go, each in a context of its own: the peer takes what it likes."""


class AssociatingScu(Scu):
    """Makes the associations of a :class:`~gurney.pacs.QueryRetrieveScu`."""

    events: QueryEvents
    _hooks = QueryEvents

    def __init__(
        self,
        calling_ae_title: str = "GURNEY",
        *,
        relational: bool = False,
        options: QueryOptions | None = None,
        character_set: str = "ISO_IR 192",
        fast_path: bool = True,
        max_instance_bytes: int | None = None,
        **who: Unpack[Who],
    ) -> None:
        super().__init__(calling_ae_title, **who)
        self._max_instance_bytes = check_max_instance_bytes(max_instance_bytes)
        self._options = options or QueryOptions(relational=relational)
        self._character_set = check_character_set(character_set)
        self._fast_path = fast_path

    def associate_for(self, remote: RemoteAE, *models: InformationModel) -> QueryAssociation:
        """Associate to query and move in these models, Study Root by default, as often as one likes.

        Raises as :meth:`gurney.pacs.Scu.associate` does.
        """
        asked = models or (STUDY_ROOT,)
        classes = [sop_class for model in asked for sop_class in (model.find, model.move) if sop_class]
        proposals = [ContextProposal(sop_class, syntax) for sop_class in classes for syntax in QUERY_TRANSFER_SYNTAXES]
        of_kind(remote, RemoteAE, "the remote AE")
        proposed = replace(self._options, relational=self._options.relational or remote.relational).encode()
        extended = dict.fromkeys((model.find for model in asked), proposed) if proposed else {}
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
        transfer_syntax_uids: Sequence[str] = (),
    ) -> QueryAssociation:
        """Associate to get instances of these storage SOP classes, with queries in the same model (PS3.4 C.5.3).

        Each class takes a context for each transfer syntax: the native ones and, as far as the 128 contexts reach,
        those that archives hold images in; or just ``transfer_syntax_uids``. Raises InvalidQuery when there are more
        classes than one association has room for: what is not proposed can't be sent to us.
        """
        own = self._own_proposals(model)
        return self._associate_to_get(remote, own, self._contexts_of(sop_class_uids, len(own), transfer_syntax_uids))

    def _contexts_of(
        self, sop_class_uids: Iterable[str], taken: int, transfer_syntax_uids: Sequence[str] = ()
    ) -> Sequence[ContextProposal]:
        plan = plan_get_contexts(sop_class_uids, taken, transfer_syntax_uids=transfer_syntax_uids)
        if len(plan) > 1:
            raise InvalidQuery("sop_class_uids", "are too many for one association", "take several, or leave them out")
        return plan[0] if plan else []

    def _own_proposals(self, model: InformationModel) -> tuple[ContextProposal, ...]:
        if not model.get:
            raise InvalidQuery("model", f"has no C-GET: {model.name}", "take one that has, or move")
        classes = (model.get, model.find)
        return (*(ContextProposal(uid, syntax) for uid in classes for syntax in QUERY_TRANSFER_SYNTAXES), VERIFICATION)

    def _associate_to_get(
        self, remote: RemoteAE, own: Sequence[ContextProposal], storage: Sequence[ContextProposal]
    ) -> QueryAssociation:
        classes = dict.fromkeys(proposal.sop_class_uid for proposal in storage)
        roles = tuple(Role(uid, scu=False, scp=True) for uid in classes)
        return self._query_association(remote, AssociationTerms((*own, *storage), roles))

    def _query_association(self, remote: RemoteAE, terms: AssociationTerms) -> QueryAssociation:
        return self._associate(
            remote,
            terms,
            lambda remote, negotiated, _, progress: QueryAssociation(
                remote,
                negotiated,
                self.events,
                progress,
                character_set=self._character_set,
                fast_path=self._fast_path,
                max_instance_bytes=self._max_instance_bytes,
            ),
        )
