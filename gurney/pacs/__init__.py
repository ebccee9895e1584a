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

from gurney.dicom.errors import Reason
from gurney.dicom.policy import FINISHED, STRICT, ReadPolicy
from gurney.dicom.presentation import ContextProposal
from gurney.dicom.status import Category, Service
from gurney.dicom.transcoding import Loss
from gurney.errors import GurneyError
from gurney.pacs.association.association import Association
from gurney.pacs.association.engine import DicomEngine
from gurney.pacs.association.event_reports import EventReport
from gurney.pacs.association.normalized_events import NormalizedChange, NormalizedResult
from gurney.pacs.association.scu import VERIFICATION, Scu
from gurney.pacs.cancellation import Cancellation
from gurney.pacs.commitment.commitment import (
    Commitment,
    CommitmentRequest,
    CommitmentResult,
    CommitmentState,
    FailureReason,
    SopReference,
    Uncommitted,
    commitment_requests,
)
from gurney.pacs.commitment.events import CommitmentWait
from gurney.pacs.commitment.report import CommitmentReport, Discrepancy
from gurney.pacs.commitment.scu import STORAGE_COMMITMENT_CONTEXTS, StorageCommitmentScu
from gurney.pacs.contexts import ContextResult, NegotiatedContext
from gurney.pacs.errors import (
    AcseTimeout,
    AssociationAborted,
    AssociationBusy,
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
from gurney.pacs.listener.listener import Listener
from gurney.pacs.normalized.instance_availability_scu import (
    Availability,
    AvailableInstance,
    InstanceAvailability,
    InstanceAvailabilityScu,
)
from gurney.pacs.normalized.media_creation import (
    ExecutionStatus,
    MediaCreationRequest,
    MediaCreationState,
    RequestPriority,
)
from gurney.pacs.normalized.media_creation_scu import MediaCreation, MediaCreationManagementScu
from gurney.pacs.normalized.operations import NormalizedServices
from gurney.pacs.normalized.performed_procedure_step import (
    Code,
    PerformedProcedureStep,
    PerformedSeries,
    ScheduledStep,
    StepStatus,
)
from gurney.pacs.normalized.performed_procedure_step_scu import PerformedProcedureStepScu, StepInProgress
from gurney.pacs.normalized.scu import NormalizedScu
from gurney.pacs.printing.layout import FilmBox, FilmOrientation, FilmSession, Polarity, PrintPriority
from gurney.pacs.printing.scu import PrintManagementScu
from gurney.pacs.printing.session import Film, PrinterStatus, PrintSession
from gurney.pacs.progress import Progress
from gurney.pacs.query.entities import Entity, Instance, Patient, Series, Study
from gurney.pacs.query.keys import Range, Wanted
from gurney.pacs.query.matches import Match, Search
from gurney.pacs.query.models import (
    GENERAL_PURPOSE_WORKLIST,
    MODALITY_WORKLIST,
    PATIENT_ROOT,
    PATIENT_STUDY_ONLY,
    STUDY_ROOT,
    UPS_PULL,
    InformationModel,
    Level,
)
from gurney.pacs.query.options import QueryOptions
from gurney.pacs.query.queries import (
    ModalityWorklistQuery,
    PatientRootQuery,
    PatientStudyOnlyQuery,
    Query,
    Queryable,
    key,
)
from gurney.pacs.query.raw_identifiers import RawIdentifier
from gurney.pacs.query_retrieve.association import QueryAssociation
from gurney.pacs.query_retrieve.events import FindChange, RetrieveChange
from gurney.pacs.query_retrieve.scu import QueryRetrieveScu
from gurney.pacs.remote import RemoteAE, Timeouts
from gurney.pacs.retrieve.inventory import Holding, Inventory, InventorySource
from gurney.pacs.retrieve.reconciliation import Reconciliation, Verdict
from gurney.pacs.retrieve.result import RetrieveResult
from gurney.pacs.retrieve.retrieval import Moving, Retrieval, Retrieving, SubOperations
from gurney.pacs.store.association import StoreAssociation
from gurney.pacs.store.compression import LOSSLESS, LOSSY, NATIVE, Compression, CompressionMode
from gurney.pacs.store.events import Skip, StoreChange
from gurney.pacs.store.scu import StoreScu
from gurney.pacs.store.sources import request_for_file
from gurney.pacs.store.storing import StoreTally, Storing
from gurney.pacs.stream import CancellableStream, Stream
from gurney.pacs.terms import AssociationTerms, Role, UserIdentity, UserIdentityKind
from gurney.pacs.throttle import Throttle
from gurney.pacs.tls.options import InboundTls, PeerCertificate, SecureLink, Tls, TlsIdentity, TlsProfile
from gurney.pacs.wire.command import DimsePriority
from gurney.pacs.wire.inbound import Received
from gurney.pacs.wire.instance import FileSignature, StoreRequest, StoreResult
from gurney.pacs.wire.response import EchoResult
from gurney.pacs.wire_log.log import WireLevel, WireLog
from gurney.transfer.outcomes import Event, EventKind

__all__ = [
    "FINISHED",
    "GENERAL_PURPOSE_WORKLIST",
    "LOSSLESS",
    "LOSSY",
    "MODALITY_WORKLIST",
    "NATIVE",
    "PATIENT_ROOT",
    "PATIENT_STUDY_ONLY",
    "STORAGE_COMMITMENT_CONTEXTS",
    "STRICT",
    "STUDY_ROOT",
    "UPS_PULL",
    "VERIFICATION",
    "AcseTimeout",
    "Association",
    "AssociationAborted",
    "AssociationBusy",
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
    "Category",
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
    "ContextProposal",
    "ContextRefused",
    "ContextResult",
    "DicomEngine",
    "DimsePriority",
    "DimseTimeout",
    "Discrepancy",
    "EchoResult",
    "EngineError",
    "Entity",
    "Event",
    "EventKind",
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
    "GurneyError",
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
    "InventorySource",
    "Level",
    "Listener",
    "ListenerError",
    "Loss",
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
    "RawIdentifier",
    "ReadPolicy",
    "Reason",
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
    "Service",
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
    "Throttle",
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
    "Wanted",
    "WireLevel",
    "WireLog",
    "commitment_requests",
    "key",
    "request_for_file",
]
