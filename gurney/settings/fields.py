"""The types of single keys: what a name, an AE title, a path or a URL must be."""

from __future__ import annotations

import re
from ipaddress import ip_network
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field

from gurney.dicom.ae_titles import check_ae_title
from gurney.dicom.uids import is_valid_uid
from gurney.settings.quantities import parse_rate
from gurney.transfer.windows import parse_window

__all__ = [
    "AETitle",
    "BrokerUrl",
    "CallingAETitle",
    "CallingTitle",
    "Host",
    "LedgerUrl",
    "MaxPdu",
    "Name",
    "Network",
    "OptionalPath",
    "Path",
    "Port",
    "PriorityName",
    "RateText",
    "ServerName",
    "TimeZone",
    "Uid",
    "WindowText",
]

_BROKERS = frozenset({"amqp", "amqps", "memory", "redis", "redis+socket", "rediss", "sentinel"})
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError("is not a name")
    return value


def _calling_ae_title(value: str) -> str:
    if value == "source":
        raise ValueError("is not served by this version, which calls every remote with one AE title")
    return check_ae_title(value) if value else value


def _host(value: str) -> str:
    if not value or any(char.isspace() or char == "/" for char in value):
        raise ValueError("is not a host name or address")
    return value


def _optional_title(value: str) -> str:
    return check_ae_title(value) if value else value


def _network(value: str) -> str:
    if value:
        try:
            ip_network(value, strict=False)
        except ValueError:
            # Names are not looked up while a peer waits at the door, and whoever answers for a name could open it.
            raise ValueError("is not an address or a network") from None
    return value


def _uid(value: str) -> str:
    if not is_valid_uid(value):
        raise ValueError("is not a UID")
    return value


def _server_name(value: str) -> str:
    if value.startswith("."):
        raise ValueError("is not a host name or address")
    return _host(value) if value else value


def _rate(value: str) -> str:
    parse_rate(value)
    return value


def _window(value: str) -> str:
    parse_window(value)
    return value


def _timezone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("is not a time zone") from None
    return value


def _path(value: str) -> str:
    if not value or "\0" in value:
        raise ValueError("is not a path")
    return value


def _optional_path(value: str) -> str:
    return _path(value) if value else value


def _ledger_url(value: str) -> str:
    if value and (not value.startswith(("sqlite:////", "postgresql+psycopg://")) or "\0" in value):
        raise ValueError("is not a ledger that Gurney can use")
    return value


def _broker_url(value: str) -> str:
    if value and value.partition("://")[0] not in _BROKERS:
        raise ValueError("is not a broker that Gurney can use")
    return value


def _max_pdu(value: int) -> int:
    # PS3.8 D.1: four bytes, and zero for no limit. Shorter ones than this would be headers for the most part.
    if value and not 1024 <= value <= 0xFFFFFFFF:
        raise ValueError("is not a PDU length")
    return value


Name = Annotated[str, AfterValidator(_name)]
AETitle = Annotated[str, AfterValidator(check_ae_title)]
Host = Annotated[str, AfterValidator(_host)]
Port = Annotated[int, Field(ge=1, le=65535)]
PriorityName = Literal["stat", "high", "routine", "bulk"]
Path = Annotated[str, AfterValidator(_path)]
OptionalPath = Annotated[str, AfterValidator(_optional_path)]
BrokerUrl = Annotated[str, AfterValidator(_broker_url)]
CallingAETitle = Annotated[str, AfterValidator(_calling_ae_title)]
LedgerUrl = Annotated[str, AfterValidator(_ledger_url)]
MaxPdu = Annotated[int, AfterValidator(_max_pdu)]
ServerName = Annotated[str, AfterValidator(_server_name)]
CallingTitle = Annotated[str, AfterValidator(_optional_title)]
Network = Annotated[str, AfterValidator(_network)]
Uid = Annotated[str, AfterValidator(_uid)]
RateText = Annotated[str, AfterValidator(_rate)]
WindowText = Annotated[str, AfterValidator(_window)]
TimeZone = Annotated[str, AfterValidator(_timezone)]
