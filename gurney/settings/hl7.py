"""The keys of ``[hl7]``: where orders and appointments come in, and where in a message stands what."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from gurney.settings.fields import Host, Network, Port
from gurney.settings.quantities import Size
from gurney.settings.table import Table

__all__ = ["Hl7", "Hl7Fields"]

_PLACE = re.compile(r"[A-Z][A-Z0-9]{2}\.[1-9]\d{0,2}(\.[1-9]\d?){0,2}")


def _place(value: str) -> str:
    if not _PLACE.fullmatch(value):
        raise ValueError('is no place in a message such as "PID.3.1"')
    return value


def _encoding(value: str) -> str:
    try:
        "".encode(value)
    except LookupError:
        raise ValueError("is no character encoding") from None
    return value


Places = tuple[Annotated[str, AfterValidator(_place)], ...]


class Hl7Fields(Table):
    """Places, as segment.field.component.subcomponent; of several the first that is not empty counts."""

    patient_id: Places = Field(
        default=("PID.3.1", "PID.2.1", "PID.4.1"), description="The patient IDs; all repetitions of all places count"
    )
    order: Places = Field(
        default=("ORC.2.1", "OBR.2.1", "SCH.1.1", "ORC.3.1", "OBR.3.1", "SCH.2.1"),
        description="What tells one order or appointment from another, in all messages about it",
    )
    scheduled: Places = Field(
        default=("TQ1.7.1", "SCH.11.4", "ORC.7.4", "OBR.36.1", "OBR.27.4", "AIS.4.1"),
        description="When the patient comes",
    )
    accession: Places = Field(default=("IPC.1.1", "OBR.18.1"), description="The AccessionNumber of what is coming")
    study_instance_uid: Places = Field(
        default=("IPC.3.1", "ZDS.1.1"), description="The Study Instance UID of what is coming"
    )
    procedure_code: Places = Field(default=("OBR.4.1", "AIS.3.1"), description="The code of the procedure")
    description: Places = Field(default=("OBR.4.2", "AIS.3.2", "SCH.7.2"), description="The procedure in words")
    modality: Places = Field(default=("IPC.5.1", "OBR.24.1"), description="The modality, such as CT")


class Hl7(Table):
    """Where orders and appointments come in, as HL7 v2 over MLLP."""

    host: Host = Field(default="127.0.0.1", description='An address of this host; "0.0.0.0" or "::" for every one')
    port: Port = Field(default=2575, description="A TCP port, 1 to 65535")
    accept: tuple[Network, ...] = Field(
        default=(), description='Addresses and networks of who may send, such as "10.1.0.0/16"; empty lets anyone'
    )
    max_connections: int = Field(default=16, ge=1, le=256, description="Connections open at once, 1 to 256")
    max_message: Size = Field(default=1_000_000, description='A longer message is refused, such as "1MB"')
    message_timeout: float = Field(
        default=30.0, gt=0, le=3600, description="Seconds for a message that has begun to come whole"
    )
    encoding: Annotated[str, AfterValidator(_encoding)] = Field(
        default="latin-1", description="Of messages that don't say it (MSH-18)"
    )
    id_types: tuple[str, ...] = Field(
        default=(),
        description='Identifier types (PID-3.5) that are patient IDs at the archives, such as "MR"; empty: any',
    )
    id_issuers: tuple[str, ...] = Field(
        default=(),
        description='Assigning authorities (PID-3.4) whose IDs the archives know, such as "HOSPITAL"; empty: any',
    )
    fields: Hl7Fields = Field(default=Hl7Fields(), description="Where in a message stands what")
