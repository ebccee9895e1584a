"""The schema, in rooms: what exists, what is to be sent and to be fetched, what is kept about the ledger itself."""

from gurney.ledger.models.appointment import Appointment, AppointmentFetch, AppointmentPlan, PatientAlias
from gurney.ledger.models.base import Base
from gurney.ledger.models.content import (
    Conflict,
    File,
    Instance,
    Series,
    SourceCount,
    Spool,
    Study,
    StudyRoute,
    Tombstone,
)
from gurney.ledger.models.proof import CommitmentItem, ProofWanted, Prover
from gurney.ledger.models.record import Audit, Clock, Count, CountDelta, LedgerMeta, Seal
from gurney.ledger.models.retrieval import Retrieval, RetrieveGate, Wanted
from gurney.ledger.models.schedule import Schedule
from gurney.ledger.models.work import (
    Attempt,
    Bell,
    Commitment,
    Completion,
    Destination,
    Item,
    Lease,
    Refusal,
    Role,
    Transfer,
    Worker,
)

__all__ = [
    "Appointment",
    "AppointmentFetch",
    "AppointmentPlan",
    "Attempt",
    "Audit",
    "Base",
    "Bell",
    "Clock",
    "Commitment",
    "CommitmentItem",
    "Completion",
    "Conflict",
    "Count",
    "CountDelta",
    "Destination",
    "File",
    "Instance",
    "Item",
    "Lease",
    "LedgerMeta",
    "PatientAlias",
    "ProofWanted",
    "Prover",
    "Refusal",
    "Retrieval",
    "RetrieveGate",
    "Role",
    "Schedule",
    "Seal",
    "Series",
    "SourceCount",
    "Spool",
    "Study",
    "StudyRoute",
    "Tombstone",
    "Transfer",
    "Wanted",
    "Worker",
]
