"""An association of a Query/Retrieve SCU, and its C-FIND (PS3.4 C.4.1)."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from copy import deepcopy
from dataclasses import replace
from io import BytesIO
from typing import Any, TypeVar, overload

from pydicom.dataset import Dataset
from pynetdicom.dimse_primitives import C_FIND

from gurney.dicom.status import Category, Service, categorise
from gurney.pacs.association.negotiation import Negotiated
from gurney.pacs.display import text_at
from gurney.pacs.errors import AssociationFailure, BadResponse, OperationFailed
from gurney.pacs.hooks import BeforeHook
from gurney.pacs.progress import Progress
from gurney.pacs.query.keys import Wanted
from gurney.pacs.query.matches import Match, Search, Tally, check_limit
from gurney.pacs.query.matching import answers, judgeable, keys_of_template
from gurney.pacs.query.models import InformationModel, Level
from gurney.pacs.query.options import QueryOptions
from gurney.pacs.query.queries import Queryable
from gurney.pacs.query.raw_identifiers import RawIdentifier, check_identifier, queryable
from gurney.pacs.query_retrieve.events import (
    AfterCFind,
    BeforeCFind,
    BeforeCGet,
    BeforeCMove,
    FindChange,
    MatchFound,
    QueryEvents,
)
from gurney.pacs.query_retrieve.retrieve_association import RetrieveAssociation
from gurney.pacs.remote import RemoteAE
from gurney.pacs.wire.dataset import decode_identifier, encode_dataset

__all__ = ["QueryAssociation"]

Q = TypeVar("Q", bound=Queryable)
R = TypeVar("R", BeforeCMove, BeforeCGet)

_GRACE_SECONDS = 60.0
_GLANCE_SECONDS = 0.1
_KEYS_IGNORED = 0xFF01


class QueryAssociation(RetrieveAssociation):
    """An association that queries. Get one from :meth:`gurney.pacs.QueryRetrieveScu.associate`."""

    def __init__(
        self,
        remote: RemoteAE,
        negotiated: Negotiated,
        events: QueryEvents,
        progress: Progress,
        *,
        character_set: str = "ISO_IR 192",
        fast_path: bool = True,
        max_instance_bytes: int | None = None,
    ) -> None:
        super().__init__(
            remote, negotiated, events, progress, fast_path=fast_path, max_instance_bytes=max_instance_bytes
        )
        self._character_set = character_set

    def is_relational(self, sop_class_uid: str) -> bool:
        """Tell whether the peer agreed to relational queries in a model (PS3.4 C.5.1.1)."""
        return self.agreed(sop_class_uid).relational

    def agreed(self, sop_class_uid: str) -> QueryOptions:
        """Return what the peer agreed to of the options that were proposed for a SOP class."""
        return QueryOptions.decode(self.extended.get(sop_class_uid, b""))

    @overload
    def find(
        self, query: Q, *, template: Dataset | None = None, limit: int | None = None, tally: Tally | None = None
    ) -> Search[Q]: ...

    @overload
    def find(
        self,
        query: Dataset,
        *,
        model: InformationModel | None = None,
        limit: int | None = None,
        tally: Tally | None = None,
    ) -> Search[RawIdentifier]: ...

    def find(
        self,
        query: Queryable | Dataset,
        *,
        model: InformationModel | None = None,
        template: Dataset | None = None,
        limit: int | None = None,
        tally: Tally | None = None,
    ) -> Search[Any]:
        """Ask for what matches a query; nothing is sent before the first match is asked for (C-FIND, PS3.4 C.4.1).

        The keys of ``template`` are asked for as well, where the query has no value for them. A Dataset is a raw
        identifier: it is sent as it is, in ``model``, Study Root by default, and no match is left out. After ``limit``
        matches the rest is cancelled. ``tally`` is for a caller who counts along, or has the cancellation already.

        A query that leaves out a unique key above its level is relational, and sent even so (PS3.4 C.4.1.2.1): a peer
        that has not agreed to such queries may answer it or refuse.

        The iteration raises OperationFailed for an answer of failure and a refinement of AssociationFailure for an
        association that ends, ContextRefused among them. Raises ValueError for a query that can't be asked.
        """
        check_limit(limit)
        asked, model = queryable(query, model)
        combined, tally = self.agreed(model.find).combined, tally or Tally()
        identifier = asked.identifier(template, character_set=self._character_set, combined=combined)
        keys = keys_of_template(template) if template is not None else {}
        keys |= {path: wanted for path, wanted in asked.keys().items() if wanted}
        return Search(self._unfinished.note(self._find(asked, model, identifier, keys, tally, limit)), tally)

    def _find(
        self,
        query: Q,
        model: InformationModel,
        identifier: Dataset,
        keys: Mapping[str, Wanted],
        tally: Tally,
        limit: int | None,
    ) -> Generator[Match[Q]]:
        # Of before the listeners: they may change the data set itself.
        made = deepcopy(identifier) if self._events.before_c_find else identifier
        asked = self._events.before_c_find.ask(BeforeCFind(self.remote, model.find, identifier), _changed)
        check_identifier(asked.identifier, "identifier")
        context = self.context_for(asked.sop_class_uid)
        request = C_FIND()
        request.AffectedSOPClassUID = asked.sop_class_uid
        request.Priority = int(asked.priority)
        request.Identifier = BytesIO(encode_dataset(asked.identifier, context.transfer_syntax_uid))
        responses = self.converse(
            request, asked.sop_class_uid, self.remote.timeouts.find, cancellation=tally.cancellation
        )
        agreed, is_raw = self.agreed(asked.sop_class_uid), isinstance(query, RawIdentifier)
        judged = {} if is_raw else judgeable(keys, made, asked.identifier, agreed)
        level = query.level if asked.sop_class_uid == model.find else _level_of(asked.identifier)
        tally.is_cut_short = True
        failure: AssociationFailure | None = None
        try:
            for response in responses:
                status = response.Status or 0
                self._note_status(status, Service.C_FIND, tally)
                if categorise(status) is not Category.PENDING:
                    tally.status, tally.is_cut_short = status, False
                    if categorise(status) in {Category.FAILURE, Category.UNKNOWN}:
                        raise OperationFailed(Service.C_FIND, status, str(response.ErrorComment or ""))
                    break
                if response.Identifier is None or not response.Identifier.getbuffer().nbytes:
                    raise BadResponse("a match without an identifier")
                if tally.cancellation.is_wanted:
                    continue  # it is on its way to the end
                found = decode_identifier(response.Identifier.getvalue(), context.transfer_syntax_uid)
                if not answers(found, judged):
                    tally.filtered += 1
                    continue
                tally.matches += 1
                match = Match(type(query), found, level)
                is_last = self._is_enough(match) or tally.matches == limit
                yield match
                if is_last:
                    break
        except AssociationFailure as error:
            failure = error
            raise
        finally:
            responses.close()
            self._events.after_c_find.tell(
                AfterCFind(self.remote, tally.status, tally.matches, tally.filtered, failure)
            )

    def _is_enough(self, match: Match[Q]) -> bool:
        """Tell everybody who listens of a match; one may have enough."""
        at_level: dict[Level | None, BeforeHook[MatchFound, MatchFound]] = {
            Level.PATIENT: self._events.match_patient,
            Level.STUDY: self._events.match_study,
            Level.SERIES: self._events.match_series,
            Level.IMAGE: self._events.match_instance,
        }
        event = MatchFound(self.remote, match)
        for hook in (self._events.match_found, at_level.get(match.level)):
            if hook is not None:
                event = hook.ask(event, lambda _, changed: changed)
        return event.stop


def _level_of(identifier: Dataset) -> Level | None:
    """Return the level that a listener asks at; in a worklist there is none."""
    text = text_at(identifier, "QueryRetrieveLevel")
    return Level(text) if text in {*Level} else None


def _changed(event: BeforeCFind, change: FindChange) -> BeforeCFind:
    if change.sop_class_uid is not None:
        event = replace(event, sop_class_uid=change.sop_class_uid)
    if change.identifier is not None:
        event = replace(event, identifier=change.identifier)
    return replace(event, priority=change.priority) if change.priority is not None else event
