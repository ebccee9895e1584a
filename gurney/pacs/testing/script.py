"""Which act follows when: the script of one fake PACS."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from gurney.pacs.kinds import check_one_of, of_kind
from gurney.pacs.testing.acts import AssociationAct, InstanceAct, Operation
from gurney.pacs.testing.answers import Answer, Commit, Find, RequestAct, Retrieve

__all__ = ["Script", "ScriptFailed"]

_STORAGE_COMMITMENT = "1.2.840.10008.1.20.1"


class ScriptFailed(Exception):
    """Report a script that raised, or gave what is no step; the cause says what."""


class Script:
    """Acts by SOP Instance UID or operation first, else by number, counted from 1 over the PACS's whole life."""

    def __init__(self, instance: InstanceAct, association: AssociationAct) -> None:
        check_one_of(instance, InstanceAct, "what is done with instances")
        check_one_of(association, AssociationAct, "what is done with associations")
        self._instance_default = instance
        self._association_default = association
        self._request_defaults: dict[Operation, RequestAct] = {}
        self._by_uid: dict[str, list[InstanceAct]] = {}
        self._by_number: dict[int, InstanceAct] = {}
        self._by_association: dict[int, AssociationAct] = {}
        self._by_operation: dict[Operation, list[RequestAct]] = {}
        self._instances = 0
        self._associations = 0
        self._lock = threading.Lock()

    def on_instance(self, number: int, act: InstanceAct) -> None:
        """Set the act for the instance of a number. Raises WrongKind, and ValueError for a number below 1."""
        check_one_of(act, InstanceAct, "what is done with an instance")
        with self._lock:
            self._by_number[_counted(number)] = act

    def on_uid(self, sop_instance_uid: str, acts: Sequence[InstanceAct]) -> None:
        """Set the acts for an instance. Raises WrongKind."""
        for act in acts:
            check_one_of(act, InstanceAct, "what is done with an instance")
        with self._lock:
            self._by_uid[sop_instance_uid] = list(acts)

    def on_association(self, number: int, act: AssociationAct) -> None:
        """Set the act for the association of a number. Raises WrongKind, and ValueError for a number below 1."""
        check_one_of(act, AssociationAct, "what is done with an association")
        with self._lock:
            self._by_association[_counted(number)] = act

    def on_request(self, operation: Operation, acts: Sequence[RequestAct]) -> None:
        """Set the acts for requests of an operation. Raises WrongKind, and ValueError for C-STORE and C-CANCEL."""
        of_kind(operation, Operation, "the operation")
        if operation in (Operation.C_STORE, Operation.C_CANCEL):
            raise ValueError(
                f"{operation.name} has no such acts: on_instance and on_uid are for C-STORE, on_cancel is an answer's"
            )
        for act in acts:
            check_one_of(act, RequestAct, "what is done with a request")
        with self._lock:
            self._by_operation[operation] = list(acts)

    def on_every(self, operation: Operation, act: RequestAct) -> None:
        """Set the act for every request of an operation. Raises as :meth:`on_request` does."""
        self.on_request(operation, ())
        check_one_of(act, RequestAct, "what is done with a request")
        with self._lock:
            self._request_defaults[operation] = act

    def always(self, act: InstanceAct | AssociationAct) -> None:
        """Set the act for every instance, or association. Raises WrongKind."""
        check_one_of(act, InstanceAct | AssociationAct, "what is always done")
        with self._lock:
            if isinstance(act, InstanceAct):
                self._instance_default = act
            else:
                self._association_default = act

    def next_instance(self, sop_instance_uid: str) -> InstanceAct:
        """Return the act for an instance whose command set has come. Acts of one UID are used up in turn."""
        with self._lock:
            self._instances += 1
            if acts := self._by_uid.get(sop_instance_uid):
                return acts.pop(0)
            return self._by_number.pop(self._instances, self._instance_default)

    def next_association(self) -> tuple[int, AssociationAct]:
        """Return the number of a requested association and its act."""
        with self._lock:
            self._associations += 1
            return self._associations, self._by_association.pop(self._associations, self._association_default)

    def next_request(self, operation: Operation, sop_class_uid: str) -> RequestAct:
        """Return the act for any other request whose command set has come."""
        with self._lock:
            if acts := self._by_operation.get(operation):
                return acts.pop(0)
            return self._request_defaults.get(operation) or self.honest(operation, sop_class_uid)

    @property
    def associations(self) -> int:
        """How many associations were requested."""
        return self._associations

    @property
    def instances(self) -> int:
        """How many instances have begun to come."""
        return self._instances

    @staticmethod
    def honest(operation: Operation, sop_class_uid: str) -> RequestAct:
        """Return what an operation gets without a script."""
        match operation:
            case Operation.C_FIND:
                return Find()
            case Operation.C_MOVE | Operation.C_GET:
                return Retrieve()
            case Operation.N_ACTION if sop_class_uid == _STORAGE_COMMITMENT:
                return Commit()
        return Answer()


def _counted(number: int) -> int:
    if of_kind(number, int, "the number") < 1:
        raise ValueError(f"numbers count from 1, and there is none that is {number}")
    return number
