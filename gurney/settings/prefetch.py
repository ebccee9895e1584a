"""The keys of ``[[prefetch]]``: when priors are looked for, of whom, where, which of them count, and where they go."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Literal

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, Field

from gurney.settings.fields import OptionalPath
from gurney.settings.quantities import Age, Duration, Size, parse_duration
from gurney.settings.table import Table

__all__ = ["HORIZONS", "Prefetch"]

HORIZONS = ("today", "next_day", "next_working_day")
"""The horizons that have a name; any other is a duration."""


def _schedule(value: str) -> str:
    # Any moment will do: what is asked is whether the expression can be read.
    if value:
        try:
            CronSim(value, datetime(2000, 1, 1, tzinfo=UTC))
        except CronSimError as error:
            raise ValueError(f"is not a schedule: {error}") from None
    return value


def _horizon(value: str) -> str:
    if value not in HORIZONS:
        try:
            parse_duration(value)
        except ValueError:
            raise ValueError("is not a horizon") from None
    return value


class Prefetch(Table):
    """A rule that brings priors to where they will be read, before the patient comes."""

    name: str = Field(min_length=1, max_length=128, description="What commands and logs call the rule")
    schedule: Annotated[str, AfterValidator(_schedule)] = Field(
        default="", description='When it is done, as cron has it in [node] timezone, such as "0 20 * * *"'
    )
    every: Duration | None = Field(
        default=None, description='Done again after this time, such as "15m", for what was added; unset: never'
    )
    worklist: str = Field(default="", description="The [[remote]] whose modality worklist tells who comes")
    hl7: bool = Field(default=False, description="true: orders and appointments by HL7 tell who comes")
    patients: OptionalPath = Field(default="", description="A CSV file that tells who comes")
    horizon: Annotated[str, AfterValidator(_horizon)] = Field(
        default="next_working_day",
        description='How far ahead appointments count: today, next_day, next_working_day, or a time such as "36h"',
    )
    holidays: tuple[date, ...] = Field(
        default=(), description='Days that are no working days, such as "2026-12-25", for next_working_day'
    )
    catch_up: Literal["skip", "once", "all"] = Field(
        default="once", description="What becomes of the times that a stopped Gurney missed: skip, once or all"
    )
    # "from" is a word of Python.
    sources: tuple[str, ...] = Field(
        alias="from", min_length=1, description="Names of [[remote]]s to ask, in this order"
    )
    to: tuple[str, ...] = Field(min_length=1, description="Names of [[remote]]s that shall have the priors")
    path: Literal["through", "direct"] = Field(
        default="through", description="through: to us, proven, forwarded; direct: the source sends to the target"
    )
    priors: int = Field(default=3, ge=1, le=1000, description="How many priors of a patient are fetched at most")
    max_age: Age | None = Field(
        default=None, description='Older studies do not count, such as "5y", "18mo", "8w", "90d"; unset: of any age'
    )
    relevance: tuple[Literal["region", "modality_group", "laterality", "age"], ...] = Field(
        default=("region", "modality_group", "laterality", "age"), description="What a prior is judged by"
    )
    always_include: tuple[str, ...] = Field(
        default=("SR", "KO", "PR"),
        description="Modalities whose studies come along whatever their region, and beyond priors",
    )
    unknown_region: Literal["include", "exclude"] = Field(
        default="include", description="What becomes of studies whose body region nobody can tell"
    )
    max_instances: int | None = Field(
        default=None, ge=1, description="Instances of a patient's priors at most; unset: any number"
    )
    max_bytes: Size | None = Field(
        default=None,
        description='Bytes of a patient\'s priors at most, as estimated, such as "20GB"; unset: any number',
    )
    lead: Duration | None = Field(
        default=None, description='How long before the appointment they are fetched, such as "12h"; unset: at once'
    )
    regions: OptionalPath = Field(
        default="", description="A regions.toml of your own; empty for the one that is built in"
    )
