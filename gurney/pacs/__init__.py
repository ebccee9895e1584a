"""The PACS client framework: engine, remote AEs, service class users, events, the wire fast path.

::

    with DicomEngine():
        archive = RemoteAE("ORTHANC", "127.0.0.1", 4242)
        scu = StoreScu("GURNEY")
        scu.verify(archive)
        for result in scu.store_many(archive, paths):
            print(result.sop_instance_uid, result.status)
"""

from __future__ import annotations

from gurney.pacs.association import Association
from gurney.pacs.cancellation import Cancellation
from gurney.pacs.command import DimsePriority
from gurney.pacs.commitment import (
    Commitment,
    CommitmentRequest,
    CommitmentResult,
    CommitmentState,
    FailureReason,
    SopReference,
    Uncommitted,
    commitment_requests,
)
from gurney.pacs.commitment_events import CommitmentWait
from gurney.pacs.commitment_report import CommitmentReport, Discrepancy
from gurney.pacs.commitment_scu import STORAGE_COMMITMENT_CONTEXTS, StorageCommitmentScu
from gurney.pacs.compression import LOSSLESS, LOSSY, NATIVE, Compression, CompressionMode
from gurney.pacs.contexts import ContextResult, NegotiatedContext
from gurney.pacs.engine import DicomEngine
from gurney.pacs.entities import Entity, Instance, Patient, Series, Study
from gurney.pacs.errors import (
    AcseTimeout,
    AssociationAborted,
    AssociationEnded,
    AssociationFailure,
    AssociationLost,
    AssociationRejected,
    BadResponse,
    ClosedAtRequest,
    ConnectFailed,
    ContextRefused,
    DimseTimeout,
    EngineError,
    FolderFailed,
    InstanceTooLong,
    InvalidAttributes,
    InvalidQuery,
    ListenerError,
    OperationFailed,
    StepIsFinal,
    TlsFailed,
    TlsProblem,
    TlsSetupError,
)
from gurney.pacs.event_reports import EventReport
from gurney.pacs.events import Skip, StoreChange
from gurney.pacs.inbound import Received
from gurney.pacs.instance import FileSignature, StoreRequest, StoreResult
from gurney.pacs.instance_availability_scu import (
    Availability,
    AvailableInstance,
    InstanceAvailability,
    InstanceAvailabilityScu,
)
from gurney.pacs.inventory import Holding, Inventory
from gurney.pacs.keys import Range
from gurney.pacs.listener import Listener
from gurney.pacs.matches import Match, Search
from gurney.pacs.media_creation import ExecutionStatus, MediaCreationRequest, MediaCreationState, RequestPriority
from gurney.pacs.media_creation_scu import MediaCreation, MediaCreationManagementScu
from gurney.pacs.models import (
    GENERAL_PURPOSE_WORKLIST,
    MODALITY_WORKLIST,
    PATIENT_ROOT,
    PATIENT_STUDY_ONLY,
    STUDY_ROOT,
    UPS_PULL,
    InformationModel,
    Level,
)
from gurney.pacs.normalized import NormalizedServices
from gurney.pacs.normalized_events import NormalizedChange, NormalizedResult
from gurney.pacs.normalized_scu import NormalizedScu
from gurney.pacs.performed_procedure_step import (
    Code,
    PerformedProcedureStep,
    PerformedSeries,
    ScheduledStep,
    StepStatus,
)
from gurney.pacs.performed_procedure_step_scu import PerformedProcedureStepScu, StepInProgress
from gurney.pacs.print_layout import FilmBox, FilmOrientation, FilmSession, Polarity, PrintPriority
from gurney.pacs.print_management_scu import PrintManagementScu
from gurney.pacs.print_session import Film, PrinterStatus, PrintSession
from gurney.pacs.progress import Progress
from gurney.pacs.queries import ModalityWorklistQuery, PatientRootQuery, PatientStudyOnlyQuery, Query, Queryable, key
from gurney.pacs.query_association import QueryAssociation
from gurney.pacs.query_events import FindChange, RetrieveChange
from gurney.pacs.query_options import QueryOptions
from gurney.pacs.query_scu import QueryRetrieveScu
from gurney.pacs.reconciliation import Reconciliation, Verdict
from gurney.pacs.remote import RemoteAE, Timeouts
from gurney.pacs.response import EchoResult
from gurney.pacs.retrieval import Moving, Retrieval, Retrieving, SubOperations
from gurney.pacs.retrieve_result import RetrieveResult
from gurney.pacs.scu import VERIFICATION, Scu
from gurney.pacs.sources import request_for_file
from gurney.pacs.store_association import StoreAssociation
from gurney.pacs.store_scu import StoreScu
from gurney.pacs.storing import StoreTally, Storing
from gurney.pacs.stream import CancellableStream, Stream
from gurney.pacs.terms import AssociationTerms, Role, UserIdentity, UserIdentityKind
from gurney.pacs.tls import InboundTls, PeerCertificate, SecureLink, Tls, TlsIdentity, TlsProfile
from gurney.pacs.wire_log import WireLevel, WireLog

__all__ = [
    "GENERAL_PURPOSE_WORKLIST",
    "LOSSLESS",
    "LOSSY",
    "MODALITY_WORKLIST",
    "NATIVE",
    "PATIENT_ROOT",
    "PATIENT_STUDY_ONLY",
    "STORAGE_COMMITMENT_CONTEXTS",
    "STUDY_ROOT",
    "UPS_PULL",
    "VERIFICATION",
    "AcseTimeout",
    "Association",
    "AssociationAborted",
    "AssociationEnded",
    "AssociationFailure",
    "AssociationLost",
    "AssociationRejected",
    "AssociationTerms",
    "Availability",
    "AvailableInstance",
    "BadResponse",
    "CancellableStream",
    "Cancellation",
    "ClosedAtRequest",
    "Code",
    "Commitment",
    "CommitmentReport",
    "CommitmentRequest",
    "CommitmentResult",
    "CommitmentState",
    "CommitmentWait",
    "Compression",
    "CompressionMode",
    "ConnectFailed",
    "ContextRefused",
    "ContextResult",
    "DicomEngine",
    "DimsePriority",
    "DimseTimeout",
    "Discrepancy",
    "EchoResult",
    "EngineError",
    "Entity",
    "EventReport",
    "ExecutionStatus",
    "FailureReason",
    "FileSignature",
    "Film",
    "FilmBox",
    "FilmOrientation",
    "FilmSession",
    "FindChange",
    "FolderFailed",
    "Holding",
    "InboundTls",
    "InformationModel",
    "Instance",
    "InstanceAvailability",
    "InstanceAvailabilityScu",
    "InstanceTooLong",
    "InvalidAttributes",
    "InvalidQuery",
    "Inventory",
    "Level",
    "Listener",
    "ListenerError",
    "Match",
    "MediaCreation",
    "MediaCreationManagementScu",
    "MediaCreationRequest",
    "MediaCreationState",
    "ModalityWorklistQuery",
    "Moving",
    "NegotiatedContext",
    "NormalizedChange",
    "NormalizedResult",
    "NormalizedScu",
    "NormalizedServices",
    "OperationFailed",
    "Patient",
    "PatientRootQuery",
    "PatientStudyOnlyQuery",
    "PeerCertificate",
    "PerformedProcedureStep",
    "PerformedProcedureStepScu",
    "PerformedSeries",
    "Polarity",
    "PrintManagementScu",
    "PrintPriority",
    "PrintSession",
    "PrinterStatus",
    "Progress",
    "Query",
    "QueryAssociation",
    "QueryOptions",
    "QueryRetrieveScu",
    "Queryable",
    "Range",
    "Received",
    "Reconciliation",
    "RemoteAE",
    "RequestPriority",
    "Retrieval",
    "RetrieveChange",
    "RetrieveResult",
    "Retrieving",
    "Role",
    "ScheduledStep",
    "Scu",
    "Search",
    "SecureLink",
    "Series",
    "Skip",
    "SopReference",
    "StepInProgress",
    "StepIsFinal",
    "StepStatus",
    "StorageCommitmentScu",
    "StoreAssociation",
    "StoreChange",
    "StoreRequest",
    "StoreResult",
    "StoreScu",
    "StoreTally",
    "Storing",
    "Stream",
    "Study",
    "SubOperations",
    "Timeouts",
    "Tls",
    "TlsFailed",
    "TlsIdentity",
    "TlsProblem",
    "TlsProfile",
    "TlsSetupError",
    "Uncommitted",
    "UserIdentity",
    "UserIdentityKind",
    "Verdict",
    "WireLevel",
    "WireLog",
    "commitment_requests",
    "key",
    "request_for_file",
]
