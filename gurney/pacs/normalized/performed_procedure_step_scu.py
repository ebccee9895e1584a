"""Modality Performed Procedure Step SCU: tell the department what is being done (PS3.4 annex F)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pydicom.dataset import Dataset

from gurney.pacs.association.normalized_events import NormalizedResult
from gurney.pacs.errors import OperationFailed, StepIsFinal
from gurney.pacs.normalized.attributes import UTF_8, check_instance
from gurney.pacs.normalized.performed_procedure_step import (
    Code,
    PerformedProcedureStep,
    PerformedSeries,
    StepStatus,
    final_attributes,
    progress_attributes,
)
from gurney.pacs.normalized.scu import NormalizedScu
from gurney.pacs.remote import RemoteAE

__all__ = ["MODALITY_PERFORMED_PROCEDURE_STEP", "PerformedProcedureStepScu", "StepInProgress"]

MODALITY_PERFORMED_PROCEDURE_STEP = "1.2.840.10008.3.1.2.3.3"

_STEP = "a performed procedure step"
_NO_LONGER_UPDATED = 0xA710


class PerformedProcedureStepScu(NormalizedScu):
    """Begin procedure steps at a remote AE, tell of their progress and end them.

    Each message goes on an association of its own: a step may take hours.
    """

    def begin(self, remote: RemoteAE, step: PerformedProcedureStep) -> StepInProgress:
        """Tell that a step has begun (N-CREATE, PS3.4 F.7.2.1).

        Raises InvalidAttributes, before anything is sent, for a step that lacks something, and otherwise as
        :class:`~gurney.pacs.NormalizedServices` and :meth:`gurney.pacs.Scu.associate` do.
        """
        attributes = step.attributes()
        check_instance(_STEP, step.sop_instance_uid)
        with self.services(remote, MODALITY_PERFORMED_PROCEDURE_STEP) as services:
            services.n_create(MODALITY_PERFORMED_PROCEDURE_STEP, step.sop_instance_uid, attributes)
        return StepInProgress(self, remote, step.sop_instance_uid, character_set=step.character_set)

    def resume(self, remote: RemoteAE, sop_instance_uid: str) -> StepInProgress:
        """Take up a step that was begun before, perhaps by another process. Nothing is sent.

        Raises InvalidAttributes for what is no UID.
        """
        check_instance(_STEP, sop_instance_uid)
        return StepInProgress(self, remote, sop_instance_uid)


class StepInProgress:
    """A step that was begun. Once it has ended, nothing can be changed (PS3.4 F.7.2.2.2).

    Every method raises StepIsFinal then, whether we ended it or the peer says so; and otherwise as
    :meth:`PerformedProcedureStepScu.begin` does.
    """

    def __init__(
        self, scu: PerformedProcedureStepScu, remote: RemoteAE, sop_instance_uid: str, *, character_set: str = UTF_8
    ) -> None:
        self.remote = remote
        self.sop_instance_uid = sop_instance_uid
        self.status = StepStatus.IN_PROGRESS
        self._scu, self._character_set = scu, character_set

    def tell_series(self, series: Sequence[PerformedSeries]) -> NormalizedResult:
        """Tell which series there are so far: all of them, for the list replaces the one before."""
        return self.update(progress_attributes(series, self._character_set))

    def update(self, modifications: Dataset) -> NormalizedResult:
        """Change any attributes that the N-CREATE told of (N-SET, PS3.4 F.7.2.2)."""
        if self.status is not StepStatus.IN_PROGRESS:
            raise StepIsFinal(self.sop_instance_uid, self.status)
        try:
            with self._scu.services(self.remote, MODALITY_PERFORMED_PROCEDURE_STEP) as services:
                result = services.n_set(MODALITY_PERFORMED_PROCEDURE_STEP, self.sop_instance_uid, modifications)
        except OperationFailed as error:
            if error.error_id == _NO_LONGER_UPDATED:
                raise StepIsFinal(self.sop_instance_uid) from error
            raise
        return result

    def complete(self, series: Sequence[PerformedSeries], *, ended: datetime | None = None) -> NormalizedResult:
        """End the step as it was meant to; ``ended`` is now by default."""
        return self._end(StepStatus.COMPLETED, series, ended, None)

    def discontinue(
        self, series: Sequence[PerformedSeries], *, ended: datetime | None = None, reason: Code | None = None
    ) -> NormalizedResult:
        """End the step before it is done; ``reason`` is a code of context group 9300 (PS3.16)."""
        return self._end(StepStatus.DISCONTINUED, series, ended, reason)

    def _end(
        self, status: StepStatus, series: Sequence[PerformedSeries], ended: datetime | None, reason: Code | None
    ) -> NormalizedResult:
        ended = ended or datetime.now().astimezone()
        result = self.update(final_attributes(status, series, ended, reason, self._character_set))
        self.status = status
        return result
