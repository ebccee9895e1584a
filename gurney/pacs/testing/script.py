"""Which act follows when: the script of one fake PACS."""

from __future__ import annotations

import threading

from gurney.pacs.testing.acts import AssociationAct, InstanceAct, Operation
from gurney.pacs.testing.answers import Answer, Commit, Find, RequestAct, Retrieve

__all__ = ["Script"]

_STORAGE_COMMITMENT = "1.2.840.10008.1.20.1"


class Script:
    """Acts by SOP Instance UID or operation first, else by number, counted from 1 over the PACS's whole life."""

    def __init__(self, instance: InstanceAct, association: AssociationAct) -> None:
        self.instance_default = instance
        self.association_default = association
        self.request_defaults: dict[Operation, RequestAct] = {}
        self.by_uid: dict[str, list[InstanceAct]] = {}
        self.by_number: dict[int, InstanceAct] = {}
        self.by_association: dict[int, AssociationAct] = {}
        self.by_operation: dict[Operation, list[RequestAct]] = {}
        self.instances = 0
        self.associations = 0
        self._lock = threading.Lock()

    def next_instance(self, sop_instance_uid: str) -> InstanceAct:
        """Return the act for an instance whose command set has come. Acts of one UID are used up in turn."""
        with self._lock:
            self.instances += 1
            if acts := self.by_uid.get(sop_instance_uid):
                return acts.pop(0)
            return self.by_number.pop(self.instances, self.instance_default)

    def next_association(self) -> tuple[int, AssociationAct]:
        """Return the number of a requested association and its act."""
        with self._lock:
            self.associations += 1
            return self.associations, self.by_association.pop(self.associations, self.association_default)

    def next_request(self, operation: Operation, sop_class_uid: str) -> RequestAct:
        """Return the act for any other request whose command set has come."""
        with self._lock:
            if acts := self.by_operation.get(operation):
                return acts.pop(0)
        return self.request_defaults.get(operation) or self.honest(operation, sop_class_uid)

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
