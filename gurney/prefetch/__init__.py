"""Prefetch at its edge: archives are asked, priors chosen, retrievals entered.

For each appointment, whatever told of it, call :func:`carry_out` inside a :class:`gurney.pacs.DicomEngine`::

    current = Current(day, accession_number="A1", description="CT Thorax", modalities=("CT",))
    done = carry_out(settings, ledger, rule, ["4711", "OLD-4711"], current, due_at, actor="schedule")
    ring(done.bells)

``rule`` is an entry of ``settings.prefetch``, the list holds every known ID of one patient, and ``due_at`` is ledger
time, None for now. :class:`Planner` plans and enters nothing. What is relevant is decided in
:mod:`gurney.transfer.prefetch`.
"""

from gurney.prefetch.carrying_out import CarriedOut, carry_out
from gurney.prefetch.planning import Plan, Planner, Unanswered
from gurney.transfer.prefetch import Current

__all__ = ["CarriedOut", "Current", "Plan", "Planner", "Unanswered", "carry_out"]
