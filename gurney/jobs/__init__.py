"""The doorbell: queue names, ring(), the embedded broker. Losing all of it costs seconds, never an instance."""

from __future__ import annotations

from gurney.jobs.app import RETRIEVE_TASK, SERVE_TASK, is_in_process, make_app
from gurney.jobs.doorbell import Doorbell
from gurney.jobs.embedded import BrokerKind, EmbeddedBroker, embedded_url
from gurney.jobs.errors import FolderInUseError, RuntimeFolderError, ServerStartError
from gurney.jobs.folder_lock import FolderLock
from gurney.jobs.queues import Lane, queue_name, queue_names
from gurney.jobs.worker import PoolKind, in_each_process, worker_arguments

__all__ = [
    "RETRIEVE_TASK",
    "SERVE_TASK",
    "BrokerKind",
    "Doorbell",
    "EmbeddedBroker",
    "FolderInUseError",
    "FolderLock",
    "Lane",
    "PoolKind",
    "RuntimeFolderError",
    "ServerStartError",
    "embedded_url",
    "in_each_process",
    "is_in_process",
    "make_app",
    "queue_name",
    "queue_names",
    "worker_arguments",
]
