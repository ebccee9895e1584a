"""Instance Availability Notification SCU: tell who waits for instances where they are now (PS3.4 annex R)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from enum import StrEnum

from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from gurney.pacs.association.normalized_events import NormalizedResult
from gurney.pacs.normalized.attributes import attribute_list, check_instance, one_of, references, require
from gurney.pacs.normalized.performed_procedure_step_scu import MODALITY_PERFORMED_PROCEDURE_STEP
from gurney.pacs.normalized.scu import NormalizedScu
from gurney.pacs.remote import RemoteAE

__all__ = [
    "INSTANCE_AVAILABILITY_NOTIFICATION",
    "Availability",
    "AvailableInstance",
    "InstanceAvailability",
    "InstanceAvailabilityScu",
]

INSTANCE_AVAILABILITY_NOTIFICATION = "1.2.840.10008.5.1.4.33"

_NOTIFICATION = "an instance availability notification"
_REQUIRED = (
    "StudyInstanceUID",
    "ReferencedSeriesSequence",
    "ReferencedSeriesSequence.SeriesInstanceUID",
    "ReferencedSeriesSequence.ReferencedSOPSequence",
    "ReferencedSeriesSequence.ReferencedSOPSequence.RetrieveAETitle",
)


class Availability(StrEnum):
    """Instance Availability (0008,0056): how soon an instance can be had (PS3.3 C.4.23.1.1)."""

    ONLINE = "ONLINE"
    NEARLINE = "NEARLINE"
    OFFLINE = "OFFLINE"
    UNAVAILABLE = "UNAVAILABLE"


@dataclass(frozen=True, slots=True)
class AvailableInstance:
    """An instance, and the AE from which it can be retrieved."""

    sop_class_uid: str
    sop_instance_uid: str
    retrieve_ae_title: str
    availability: Availability = Availability.ONLINE

    def attributes(self) -> Dataset:
        """Return the item of the Referenced SOP Sequence."""
        (item,) = references(_NOTIFICATION, [(self.sop_class_uid, self.sop_instance_uid)])
        item.update(
            attribute_list(
                _NOTIFICATION,
                InstanceAvailability=one_of(_NOTIFICATION, "InstanceAvailability", Availability, self.availability),
                RetrieveAETitle=self.retrieve_ae_title,
            )
        )
        return item


@dataclass(frozen=True, slots=True)
class InstanceAvailability:
    """Instances of one study, by Series Instance UID. The standard allows no attributes besides (PS3.4 R.3.2.1.2).

    ``performed_procedure_steps`` are the SOP Instance UIDs of the steps in which they were made, where they are known.
    """

    study_instance_uid: str
    series: Mapping[str, Sequence[AvailableInstance]]
    _: KW_ONLY
    performed_procedure_steps: Sequence[str] = ()
    sop_instance_uid: str = field(default_factory=generate_uid)

    def attributes(self) -> Dataset:
        """Return the attribute list of the N-CREATE. Raises InvalidAttributes that names all that it lacks."""
        steps = references(
            _NOTIFICATION, [(MODALITY_PERFORMED_PROCEDURE_STEP, uid) for uid in self.performed_procedure_steps]
        )
        for step in steps:
            step.PerformedWorkitemCodeSequence = []
        series = [
            attribute_list(
                _NOTIFICATION,
                SeriesInstanceUID=series_instance_uid,
                ReferencedSOPSequence=[instance.attributes() for instance in instances],
            )
            for series_instance_uid, instances in self.series.items()
        ]
        made = attribute_list(
            _NOTIFICATION,
            ReferencedPerformedProcedureStepSequence=steps,
            StudyInstanceUID=self.study_instance_uid,
            ReferencedSeriesSequence=series,
        )
        require(_NOTIFICATION, made, _REQUIRED)
        return made


class InstanceAvailabilityScu(NormalizedScu):
    """Notify remote AEs, such as a reporting system, of the availability of instances."""

    def notify(self, remote: RemoteAE, notification: InstanceAvailability) -> NormalizedResult:
        """Notify on an association of its own (N-CREATE, PS3.4 R.3.2.1).

        Raises InvalidAttributes, before anything is sent, for a notification that lacks something, and otherwise as
        :class:`~gurney.pacs.NormalizedServices` and :meth:`gurney.pacs.Scu.associate` do.
        """
        attributes = notification.attributes()
        check_instance(_NOTIFICATION, notification.sop_instance_uid)
        with self.services(remote, INSTANCE_AVAILABILITY_NOTIFICATION) as services:
            return services.n_create(INSTANCE_AVAILABILITY_NOTIFICATION, notification.sop_instance_uid, attributes)
