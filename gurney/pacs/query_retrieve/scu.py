"""Query/Retrieve SCU: the entrance for applications (PS3.4 annex C)."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar, overload

from pydicom.dataset import Dataset

from gurney.dicom.ae_titles import check_ae_title
from gurney.dicom.presentation import ContextProposal
from gurney.errors import GurneyError
from gurney.pacs.cancellation import Cancellation
from gurney.pacs.errors import AssociationFailure, FolderFailed, InstanceTooLong, InvalidQuery, OperationFailed
from gurney.pacs.listener.listener import Listener
from gurney.pacs.query.matches import Match, Search, Tally, check_limit
from gurney.pacs.query.models import STUDY_ROOT, InformationModel
from gurney.pacs.query.queries import Queryable
from gurney.pacs.query.raw_identifiers import RawIdentifier, queryable
from gurney.pacs.query_retrieve.associating import AssociatingScu
from gurney.pacs.query_retrieve.association import QueryAssociation
from gurney.pacs.query_retrieve.events import AfterCGet, BeforeCGet
from gurney.pacs.query_retrieve.retrieve_association import GRACE_SECONDS, change_of_get
from gurney.pacs.remote import RemoteAE
from gurney.pacs.retrieve.folder import existing_folder
from gurney.pacs.retrieve.get_contexts import plan_get_contexts
from gurney.pacs.retrieve.inventory import Inventory, InventorySource, take_inventory
from gurney.pacs.retrieve.result import RetrieveResult
from gurney.pacs.retrieve.retrieval import (
    Moving,
    Progression,
    Retrieval,
    Retrieving,
    SubOperations,
    check_retrieval,
    check_what,
    retrieve_identifier,
)
from gurney.pacs.several import several
from gurney.pacs.wire.inbound import Received

__all__ = ["QueryRetrieveScu"]

Q = TypeVar("Q", bound=Queryable)


class QueryRetrieveScu(AssociatingScu):
    """Query remote AEs. Use it inside a :class:`~gurney.pacs.DicomEngine`.

    ``relational`` proposes relational queries (keys of any level at any level) to each peer, as a RemoteAE does to its
    own, and ``options`` that and more; what a peer agreed to is told by :meth:`QueryAssociation.agreed`. Text beyond
    ASCII is asked for in ``character_set``, the term of (0008,0005), where that has all of its letters.
    ``fast_path=False`` lets pynetdicom receive the messages: slower, with the same results. A C-GET refuses instances
    of more than ``max_instance_bytes``, and tells of them at its end.
    """

    def take_inventory(self, remote: RemoteAE, what: Retrieval, *, model: InformationModel = STUDY_ROOT) -> Inventory:
        """Ask which instances a remote AE holds of what is to be retrieved, and of which SOP classes.

        What it can't answer makes the inventory poorer, and is no error. Raises InvalidQuery for what can't be
        retrieved, and as :meth:`gurney.pacs.Scu.associate` does.
        """
        return self._take_inventory(remote, what, model, Cancellation())

    def _take_inventory(
        self, remote: RemoteAE, what: Retrieval, model: InformationModel, cancellation: Cancellation
    ) -> Inventory:
        check_retrieval(what, model)
        try:
            if not cancellation.is_wanted:
                with self.associate_for(remote, model) as association:
                    return take_inventory(association, what, model, cancellation)
        except AssociationFailure:
            if not cancellation.is_wanted:
                raise
        return Inventory(what, None, (), InventorySource.NOTHING)

    def move_to_self(
        self,
        remote: RemoteAE,
        what: Retrieval,
        listener: Listener,
        *,
        model: InformationModel = STUDY_ROOT,
        inventory: Inventory | None = None,
        grace: float = GRACE_SECONDS,
    ) -> Retrieving:
        """Have a remote AE send instances to a listener of this process, on an association of its own.

        With an ``inventory``, which :meth:`take_inventory` gives, its reconciliation tells whether all came. See
        :meth:`QueryAssociation.move_to_self`, which tells what is raised besides the association's failures.
        """
        check_retrieval(what, model)
        progression = Progression(expected=inventory.sop_instance_uids if inventory is not None else None)
        return Retrieving(self._move_to_self(remote, what, listener, model, progression, grace), progression)

    def _move_to_self(
        self,
        remote: RemoteAE,
        what: Retrieval,
        listener: Listener,
        model: InformationModel,
        progression: Progression,
        grace: float,
    ) -> Generator[Received]:
        with (
            self.associate_for(remote, model) as association,
            association.move_to_self(what, listener, model=model, grace=grace, progression=progression) as arrivals,
        ):
            yield from arrivals

    @overload
    def get(
        self,
        remote: RemoteAE,
        what: Retrieval,
        folder: str | os.PathLike[str],
        sop_class_uids: Iterable[str] = (),
        *,
        model: InformationModel = STUDY_ROOT,
        inventory: Inventory | None = None,
    ) -> Retrieving: ...

    @overload
    def get(
        self,
        remote: RemoteAE,
        what: Dataset,
        folder: str | os.PathLike[str],
        sop_class_uids: Iterable[str],
        *,
        model: InformationModel = STUDY_ROOT,
    ) -> Retrieving: ...

    def get(
        self,
        remote: RemoteAE,
        what: Retrieval | Dataset,
        folder: str | os.PathLike[str],
        sop_class_uids: Iterable[str] = (),
        *,
        model: InformationModel = STUDY_ROOT,
        inventory: Inventory | None = None,
    ) -> Retrieving:
        """Get instances into a folder, on an association of its own, or on several where one has too few contexts.

        Without ``sop_class_uids`` the contexts are planned from an ``inventory``, which is taken first where none is
        given; then its reconciliation tells whether all came. A Dataset is a raw identifier, which is sent as it is,
        and of which only the caller knows what classes it brings. See :meth:`QueryAssociation.get`, which tells what
        is raised; the association's failures are raised as well.
        """
        retrieve_identifier(what, model)  # what can't be asked shall not wait for the first instance to say so
        self._own_proposals(model)
        progression, place = Progression(), existing_folder(folder)
        classes = tuple(several(sop_class_uids, "sop_class_uids"))
        if isinstance(what, Dataset):
            if not classes or inventory is not None:
                raise InvalidQuery(
                    "sop_class_uids", "are not told by a raw identifier, nor by an inventory of it", "name them"
                )
            return Retrieving(self._get(remote, what, place, classes, model, progression), progression)
        if inventory is None and classes:
            return Retrieving(self._get(remote, what, place, classes, model, progression), progression)
        return Retrieving(self._get_all(remote, what, place, inventory, model, progression), progression)

    def retrieve(
        self,
        remote: RemoteAE,
        what: Retrieval,
        to: str | os.PathLike[str] | Listener,
        *,
        model: InformationModel = STUDY_ROOT,
        inventory: Inventory | None = None,
        cancellation: Cancellation | None = None,
        grace: float = GRACE_SECONDS,
    ) -> RetrieveResult:
        """Retrieve into a folder by C-GET, or to a listener by C-MOVE, to the end, and say what is proved to be here.

        What the peer answers and how the association ends is in the result, with what came before that. Another thread
        may end it with a ``cancellation``, as with the ``cancel`` of a stream. Raises InvalidQuery for what can't be
        asked, OSError for a folder that is not there, and what :meth:`take_inventory` raises.
        """
        place = to if isinstance(to, Listener) else existing_folder(to)
        cancellation = cancellation or Cancellation()
        inventory = inventory or self._take_inventory(remote, what, model, cancellation)
        progression = Progression(expected=inventory.sop_instance_uids, cancellation=cancellation)
        arrivals = (
            self._get_all(remote, what, place, inventory, model, progression)
            if isinstance(place, Path)
            else self._move_to_self(remote, what, place, model, progression, grace)
        )
        retrieving = Retrieving(arrivals, progression)
        error: GurneyError | None = None
        try:
            with retrieving:
                for _ in retrieving:
                    pass
        except (OperationFailed, AssociationFailure, FolderFailed, InstanceTooLong) as failure:
            error = failure
        return RetrieveResult(
            inventory, retrieving.reconciliation, retrieving.progress, error, is_cancelled=retrieving.is_cancelled
        )

    def _get_all(
        self,
        remote: RemoteAE,
        what: Retrieval,
        folder: Path,
        inventory: Inventory | None,
        model: InformationModel,
        progression: Progression,
    ) -> Generator[Received]:
        cancellation = progression.cancellation
        inventory = inventory or self._take_inventory(remote, what, model, cancellation)
        progression.expected = inventory.sop_instance_uids
        own = self._own_proposals(model)
        plan = plan_get_contexts(inventory.sop_class_uids, len(own))
        too_long = 0
        for storage in plan:
            if cancellation.is_wanted:
                return
            classes = {proposal.sop_class_uid for proposal in storage}
            parts = inventory.retrievals(inventory.of_classes(classes)) if len(plan) > 1 else ()
            first, *others = parts or (what,)
            asked = self._ask_to_get(remote, first, model, storage)
            with self._associate_as_asked(asked, own, progression) as association:
                for part in (None, *others):
                    try:
                        with (
                            association.get_as(asked, folder, model, progression)
                            if part is None
                            else association.get(part, folder, model=model, progression=progression)
                        ) as arrivals:
                            yield from arrivals
                    except InstanceTooLong as error:
                        # The other parts have none, perhaps.
                        too_long += error.count
        if too_long and self._max_instance_bytes is not None:
            raise InstanceTooLong(too_long, self._max_instance_bytes)

    def _get(
        self,
        remote: RemoteAE,
        what: Retrieval | Dataset,
        folder: Path,
        sop_class_uids: Sequence[str],
        model: InformationModel,
        progression: Progression,
    ) -> Generator[Received]:
        own = self._own_proposals(model)
        asked = self._ask_to_get(remote, what, model, self._contexts_of(sop_class_uids, len(own)))
        with (
            self._associate_as_asked(asked, own, progression) as association,
            association.get_as(asked, folder, model, progression) as arrivals,
        ):
            yield from arrivals

    def _ask_to_get(
        self,
        remote: RemoteAE,
        what: Retrieval | Dataset,
        model: InformationModel,
        storage: Sequence[ContextProposal],
    ) -> BeforeCGet:
        """Show a C-GET to listeners while its association can still be made otherwise."""
        asked = self.events.before_c_get.ask(
            BeforeCGet(remote, retrieve_identifier(what, model), contexts=tuple(storage)), change_of_get
        )
        check_what(asked.identifier, "identifier")
        return asked

    def _associate_as_asked(
        self, asked: BeforeCGet, own: Sequence[ContextProposal], progression: Progression
    ) -> QueryAssociation:
        try:
            return self._associate_to_get(asked.remote, own, asked.contexts)
        except AssociationFailure as error:
            # Whoever heard of the beginning hears of the end.
            self.events.after_c_get.tell(AfterCGet(asked.remote, progression.last, error))
            raise

    @overload
    def find(
        self, remote: RemoteAE, query: Q, *, template: Dataset | None = None, limit: int | None = None
    ) -> Search[Q]: ...

    @overload
    def find(
        self, remote: RemoteAE, query: Dataset, *, model: InformationModel | None = None, limit: int | None = None
    ) -> Search[RawIdentifier]: ...

    def find(
        self,
        remote: RemoteAE,
        query: Queryable | Dataset,
        *,
        model: InformationModel | None = None,
        template: Dataset | None = None,
        limit: int | None = None,
    ) -> Search[Any]:
        """Ask a remote AE for what matches a query, on an association of its own that lasts as long as the search.

        A Dataset is a raw identifier: it is sent as it is, in ``model``, Study Root by default, and no match is left
        out. See :meth:`QueryAssociation.find`, which tells what is raised besides the association's failures.
        """
        tally = Tally()
        asked, known = queryable(query, model)
        # What can't be asked shall not wait for the first match to say so.
        asked.identifier(template, character_set=self._character_set)
        check_limit(limit)
        return Search(self._find(remote, asked, known, template, limit, tally), tally)

    def move(
        self, remote: RemoteAE, what: Retrieval | Dataset, destination: str, *, model: InformationModel = STUDY_ROOT
    ) -> Moving:
        """Have a remote AE send instances to an AE title that it knows, on an association of its own.

        A Dataset is a raw identifier, which is sent as it is. See :meth:`QueryAssociation.move`, which tells what is
        raised; the association's failures are raised as well.
        """
        retrieve_identifier(what, model)  # what can't be asked shall not wait for the first report to say so
        progression = Progression()
        return Moving(self._move(remote, what, check_ae_title(destination), model, progression), progression)

    def _move(
        self,
        remote: RemoteAE,
        what: Retrieval | Dataset,
        destination: str,
        model: InformationModel,
        progression: Progression,
    ) -> Generator[SubOperations]:
        with (
            self.associate_for(remote, model) as association,
            association.move(what, destination, model=model, progression=progression) as reports,
        ):
            yield from reports

    def _find(
        self,
        remote: RemoteAE,
        query: Queryable,
        model: InformationModel,
        template: Dataset | None,
        limit: int | None,
        tally: Tally,
    ) -> Generator[Match[Any]]:
        with self.associate_for(remote, model) as association:
            search: Search[Any] = (
                association.find(query.dataset, model=model, limit=limit, tally=tally)
                if isinstance(query, RawIdentifier)
                else association.find(query, template=template, limit=limit, tally=tally)
            )
            with search:
                yield from search
