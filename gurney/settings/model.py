"""The keys of the configuration, their types and defaults.

Attributes are named as the keys are written: ``[[remote]] name`` is ``settings.remote[0].name``; only ``from``, a word
of Python, is ``sources``. A description is the remedy that a mistake in its key shows. Rules that look at more than
one key live in ``check``.
"""

from __future__ import annotations

import os
from typing import Literal

from pydantic import Field, PrivateAttr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from gurney.settings.fields import (
    AETitle,
    BrokerUrl,
    CallingAETitle,
    CallingTitle,
    Host,
    LedgerUrl,
    MaxPdu,
    Name,
    Network,
    OptionalPath,
    Path,
    Port,
    PriorityName,
    RateText,
    ServerName,
    TimeZone,
    Uid,
    WindowText,
)
from gurney.settings.hl7 import Hl7
from gurney.settings.prefetch import Prefetch
from gurney.settings.problems import Provenance
from gurney.settings.quantities import Duration, Reserve, ReserveField
from gurney.settings.table import Table as _Table
from gurney.transfer.routing import RouteRule
from gurney.transfer.states import Priority

__all__ = [
    "AcceptedCaller",
    "Api",
    "Broker",
    "Complete",
    "Ledger",
    "Log",
    "Node",
    "Prefetch",
    "Receiver",
    "ReceiverTimeouts",
    "Remote",
    "Retrieve",
    "Route",
    "Settings",
    "Spool",
    "Timeouts",
    "Tls",
    "Watch",
    "Workers",
]


class Node(_Table):
    """Who we are."""

    ae_title: AETitle = Field(
        default="GURNEY", description="The AE title that we call with; up to 16 characters, no backslash"
    )
    data_dir: Path = Field(
        default="/var/lib/gurney", description="Folder for everything of ours that has no path of its own"
    )
    timezone: TimeZone = Field(
        default="UTC", description='An IANA name such as "Europe/Berlin", for windows and schedules'
    )


class Ledger(_Table):
    """The database that knows the state of every instance."""

    url: LedgerUrl = Field(
        default="",
        repr=False,
        description='Empty for SQLite in data_dir, or "sqlite:////path" or "postgresql+psycopg://user:password@host/db"',
    )


class Broker(_Table):
    """The doorbell's carrier."""

    url: BrokerUrl = Field(
        default="", repr=False, description='Empty for the embedded one, or "redis://...", "rediss://...", "amqp://..."'
    )


class Workers(_Table):
    """The processes of one host that send."""

    processes: int = Field(default=2, ge=1, le=256, description="Worker processes on a host, 1 to 256")
    batch_instances: int = Field(
        default=200, ge=1, le=100_000, description="Instances sent over one association at most"
    )
    batch_seconds: float = Field(
        default=30.0, gt=0, le=3600, description="Seconds after which an association takes no more"
    )
    lease_seconds: float = Field(
        default=60.0,
        ge=2,
        le=3600,
        description="Seconds without a sign of life after which a worker's batch goes to another",
    )
    retrievers: int = Field(
        default=2, ge=1, le=64, description="Processes on a host that retrieve, where there is a [retrieve], 1 to 64"
    )
    stat_slot: bool = Field(default=True, description="Keep one slot of every host for STAT")


class Spool(_Table):
    """Where accepted files are held until they are sent."""

    name: Name = Field(
        default="main", description="Letters, digits, - and _; workers that can read this spool serve it"
    )
    path: OptionalPath = Field(default="", description="Empty for a folder in data_dir")
    retain_days: int = Field(default=14, ge=0, le=36_500, description="Days that sent instances stay in the spool")
    keep_free: ReserveField = Field(
        default=Reserve(share=0.1),
        description='Intake stops when less is free; a share or a size, such as "10%" or "20GB"',
    )
    trash_grace_hours: float = Field(default=24.0, ge=0, le=8760, description="Hours that a file stays in the trash")


class Log(_Table):
    """How we write to standard error."""

    format: Literal["auto", "json", "console"] = Field(
        default="auto", description="auto: console on a terminal, else json"
    )
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least severe level written"
    )


class Api(_Table):
    """Where the HTTP interface of a later version listens; this version has none."""

    host: Host = Field(default="127.0.0.1", description="An address of this host")
    port: Port = Field(default=8642, description="A TCP port, 1 to 65535")


class Timeouts(_Table):
    """Seconds to wait for a remote."""

    connect: float = Field(default=10.0, gt=0, le=3600, description="Seconds for the TCP connection and TLS")
    acse: float = Field(default=30.0, gt=0, le=3600, description="Seconds for an answer while associating or releasing")
    store: float = Field(default=300.0, gt=0, le=86_400, description="Seconds for the response to a C-STORE")
    find: float = Field(default=120.0, gt=0, le=86_400, description="Seconds for the next match of a C-FIND")
    move_idle: float = Field(
        default=600.0, gt=0, le=86_400, description="Seconds for the next sign of life from a C-MOVE or C-GET"
    )


class Tls(_Table):
    """How connections to a remote are secured; what is no TLS, or not trusted, is refused."""

    ca: OptionalPath = Field(
        default="",
        description="A PEM file of CAs that vouch for the remote, or a folder of them by hash; empty: the host's own",
    )
    certificate: OptionalPath = Field(
        default="", description="Our certificate in PEM, its CAs below it, for a remote that wants one"
    )
    key: OptionalPath = Field(default="", description="Our private key in PEM; empty where it is in certificate's file")
    key_password_file: OptionalPath = Field(default="", description="A file that holds the key's password alone")
    crl: OptionalPath = Field(default="", description="A PEM file of revocation lists; the remote's CA needs one in it")
    crl_chain: bool = Field(default=False, description="true looks up the CAs between as well")
    check_host: bool = Field(
        default=True, description="false takes a certificate for any host; only where ca vouches for nobody else"
    )
    server_name: ServerName = Field(
        default="", description="The name that the remote's certificate must hold; empty for host"
    )
    profile: Literal["bcp195", "modified-bcp195"] = Field(
        default="bcp195", description="bcp195 (PS3.15 B.12) or modified-bcp195 (B.13); TLS 1.2 or 1.3 with both"
    )


class Remote(_Table):
    """A DICOM node that we send to, or retrieve from."""

    name: Name = Field(description="Letters, digits, - and _; what send_to, commands and logs call it")
    ae_title: AETitle = Field(description="The AE title that it answers to; up to 16 characters, no backslash")
    host: Host = Field(description="A host name or address, without a scheme or port")
    port: Port = Field(description="A TCP port, 1 to 65535")
    calling_ae_title: CallingAETitle = Field(
        default="", description="The AE title that we call it with; empty for [node] ae_title"
    )
    max_associations: int = Field(
        default=2, ge=1, le=128, description="Associations open at once, over all hosts, 1 to 128"
    )
    max_pdu: MaxPdu = Field(
        default=16384, description="The longest PDU in bytes that we take from it: 1024 or more, 0 for no limit"
    )
    fast_path: bool = Field(
        default=True,
        description="false sends through pynetdicom alone: slower, each instance whole in memory, same bytes",
    )
    association: Literal["study", "series", "batch"] = Field(
        default="study", description="What one association carries: one study, one series, or whatever is due"
    )
    duplicate: Literal["ok", "fail"] = Field(
        default="ok",
        description='What status 0111, "duplicate SOP instance", is: ok (it has it, done with warning) or fail',
    )
    commitment: Literal["none", "after_study", "before_delete"] = Field(
        default="none",
        description="Storage commitment is asked for: none, after_study, or before_delete (what we keep no copy of)",
    )
    commitment_timeout: Duration = Field(
        default=86_400.0, description='Time that it may take to commit itself until it is asked again, such as "24h"'
    )
    verify: Literal["none", "find"] = Field(
        default="none",
        description="find asks it by C-FIND whether it has what was sent, where it does not commit itself",
    )
    retrieve: Literal["move", "get"] = Field(
        default="move", description="How it is retrieved from: move (C-MOVE), or get (C-GET) where it allows that"
    )
    max_retrieves: int = Field(
        default=1, ge=1, le=32, description="Retrieves under way from it at once, over all hosts, 1 to 32"
    )
    window: WindowText = Field(
        default="",
        description='When it may be sent to and asked, such as "Mon-Fri 18:00-06:00"; empty: always',
    )
    bandwidth: RateText = Field(
        default="", description='What it gets in a second at most, over all associations and hosts, such as "20Mbit/s"'
    )
    max_instances_per_minute: int = Field(
        default=0, ge=0, description="What it gets in a minute at most, over all associations and hosts; 0: no limit"
    )
    window_stat: bool = Field(default=True, description="false: STAT waits for the window as well")
    timeouts: Timeouts = Field(default=Timeouts(), description="Seconds: connect, acse, store, find, move_idle")
    tls: Tls | None = Field(
        default=None, description="A table: ca, certificate, key and more; {} trusts the host's CAs; unset: plain TCP"
    )


class AcceptedCaller(_Table):
    """A peer that may push to a receiver."""

    ae_title: CallingTitle = Field(default="", description="The AE title that it calls with; empty for any")
    host: Network = Field(default="", description='An address, or a network such as "10.1.0.0/16"; empty for any')


class ReceiverTimeouts(_Table):
    """Seconds that a peer may keep a receiver waiting."""

    acse: float = Field(default=30.0, gt=0, le=3600, description="Seconds for the association request to come whole")
    network: float = Field(default=60.0, gt=0, le=86_400, description="Seconds without a word on an association")
    association: float = Field(
        default=14_400.0, gt=0, le=604_800, description="Seconds that an association may last, whatever it does"
    )


class InboundTls(_Table):
    """How connections that peers make to one of our ports are secured; who does not is turned away."""

    certificate: Path = Field(description="Our certificate in PEM, its CAs below it")
    key: OptionalPath = Field(default="", description="Our private key in PEM; empty where it is in certificate's file")
    key_password_file: OptionalPath = Field(default="", description="A file that holds the key's password alone")
    ca: OptionalPath = Field(
        default="", description="A PEM file of CAs that vouch for peers, or a folder of them by hash; empty asks nobody"
    )
    optional: bool = Field(default=False, description="true lets peers in that show no certificate, where ca is set")
    crl: OptionalPath = Field(default="", description="A PEM file of revocation lists; the peers' CA needs one in it")
    crl_chain: bool = Field(default=False, description="true looks up the CAs between as well")
    profile: Literal["bcp195", "modified-bcp195"] = Field(
        default="bcp195", description="bcp195 (PS3.15 B.12) or modified-bcp195 (B.13); TLS 1.2 or 1.3 with both"
    )


class Receiver(_Table):
    """A Storage SCP: modalities push to it; it answers C-ECHO too."""

    name: Name = Field(description="Letters, digits, - and _; what commands, rules and logs call the receiver")
    host: Host = Field(default="127.0.0.1", description='An address of this host; "0.0.0.0" or "::" for every one')
    port: Port = Field(default=11112, description="A TCP port, 1 to 65535")
    ae_titles: tuple[AETitle, ...] = Field(
        default=(), description="The called AE titles that it answers to; empty for [node] ae_title alone"
    )
    accept: tuple[AcceptedCaller, ...] = Field(
        default=(), description="Tables { ae_title, host } of who may call; empty lets anyone in"
    )
    sop_classes: tuple[Uid, ...] = Field(default=(), description="UIDs of the SOP classes taken; empty for any storage")
    transfer_syntaxes: tuple[Uid, ...] = Field(
        default=(), description="UIDs of the transfer syntaxes taken; empty: any"
    )
    max_associations: int = Field(default=32, ge=1, le=256, description="Associations open at once, 1 to 256")
    max_instance_bytes: int = Field(
        default=8 * 2**30, ge=1, description="An instance with more bytes is refused, with status A700"
    )
    timeouts: ReceiverTimeouts = Field(default=ReceiverTimeouts(), description="Seconds: acse, network, association")
    tls: InboundTls | None = Field(default=None, description="A table: certificate, key, ca and more; unset: plain TCP")
    on_conflict: Literal["review", "replace", "reject"] = Field(
        default="review", description="What to do with another content under a known SOP Instance UID"
    )
    priority: PriorityName = Field(
        default="routine", description="stat, high, routine or bulk: what goes first where more is due than can go"
    )
    send_to: tuple[str, ...] = Field(
        default=(), description="Names of [[remote]]s that get everything from this receiver"
    )


class Retrieve(_Table):
    """Where what we retrieve arrives: a Storage SCP of its own, whose instances meet no route."""

    ae_title: AETitle = Field(
        default="GURNEY_QR",
        description="The AE title that C-MOVE is to send to; archives must know it, with our address and port",
    )
    host: Host = Field(default="127.0.0.1", description='An address of this host; "0.0.0.0" or "::" for every one')
    port: Port = Field(default=11113, description="A TCP port, 1 to 65535")
    accept: tuple[AcceptedCaller, ...] = Field(
        default=(), description="Tables { ae_title, host } of the archives that may send here; empty lets anyone"
    )
    max_associations: int = Field(default=32, ge=1, le=256, description="Associations open at once, 1 to 256")
    max_instance_bytes: int = Field(
        default=8 * 2**30, ge=1, description="An instance with more bytes is refused, with status A700"
    )
    timeouts: ReceiverTimeouts = Field(default=ReceiverTimeouts(), description="Seconds: acse, network, association")
    tls: InboundTls | None = Field(default=None, description="A table: certificate, key, ca and more; unset: plain TCP")
    on_conflict: Literal["review", "replace", "reject"] = Field(
        default="replace", description="What to do with another content under a known SOP Instance UID"
    )
    move_grace: Duration = Field(
        default=60.0,
        description='Time without an arrival after which what is missing is asked for again, such as "60s"',
    )


class Watch(_Table):
    """A folder that a modality or a person drops files into."""

    name: Name = Field(description="Letters, digits, - and _; what commands and logs call the folder")
    path: Path = Field(description="The folder to watch")
    recursive: bool = Field(default=True, description="false looks at the folder itself only")
    scan_seconds: float = Field(
        default=10.0, gt=0, le=86_400, description="Seconds between scans; notifications come between"
    )
    settle_seconds: float | None = Field(
        default=None,
        ge=0,
        le=86_400,
        description="Seconds without change until a file counts as written; unset: by filesystem",
    )
    ignore: tuple[str, ...] = Field(
        default=("*.tmp", "*.part", "~*", "Thumbs.db", ".DS_Store", "DICOMDIR"),
        description="Patterns of file names to leave alone; * and ? stand for any characters",
    )
    complete_marker: str = Field(default="", description="The name of a file that says that its folder is complete")
    require_mount: bool = Field(
        default=False, description="true: the folder must lie on a mounted share, else alert and wait"
    )
    spool: Literal["auto", "copy", "in_place"] = Field(
        default="auto",
        description="auto clones, else links, else copies; copy: where files are overwritten; in_place: holds nothing",
    )
    after: Literal["keep", "move", "delete"] = Field(
        default="keep", description="What becomes of a file once every destination has every instance"
    )
    move_to: OptionalPath = Field(default="", description='The folder for after = "move"')
    allow_no_meta: bool = Field(
        default=False, description="true takes files without preamble and meta header (PS3.10 7.1)"
    )
    on_not_dicom: Literal["quarantine", "ignore"] = Field(
        default="quarantine", description="What to do with other files"
    )
    on_conflict: Literal["review", "replace", "reject"] = Field(
        default="review", description="What to do with another content under a known SOP Instance UID"
    )
    priority: PriorityName = Field(
        default="routine", description="stat, high, routine or bulk: what goes first where more is due than can go"
    )
    send_to: tuple[str, ...] = Field(
        default=(), description="Names of [[remote]]s that get everything from this folder"
    )


class Route(_Table):
    """A rule over what arrives."""

    name: str = Field(min_length=1, max_length=128, description="What commands and logs call the rule")
    when: str = Field(default="", description='A CEL expression, such as t.Modality == "CT"; empty matches everything')
    scope: Literal["study", "instance"] = Field(
        default="study", description="study: once matched, the rest of its study follows; instance: each for itself"
    )
    send_to: tuple[str, ...] = Field(default=(), description="Names of [[remote]]s")
    send: Literal["immediately", "series_complete", "study_complete"] = Field(
        default="immediately", description="When what matched goes out"
    )
    action: Literal["send", "hold", "drop"] = Field(
        default="send", description="send; hold until an operator lets go; drop"
    )
    priority: PriorityName = Field(
        default="routine", description="stat, high, routine or bulk: what goes first where more is due than can go"
    )
    stop: bool = Field(default=False, description="true: no later rule is asked when this one matches")


class Complete(_Table):
    """When a study counts as complete."""

    quiet: Duration = Field(default=60.0, description='Time without a new instance, such as "60s"')
    max_wait: Duration = Field(default=1800.0, description='Longest wait for that, such as "30m"')


class Settings(BaseSettings):
    """Everything that was configured, checked; made by ``load``.

    Paths are absolute. What is left empty in the file has its resolved value in a property here.
    """

    # Only ``load`` reads the environment, so that a Settings made in a test is what the test wrote.
    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, env_prefix="GURNEY_", env_nested_delimiter="__"
    )

    node: Node = Node()
    ledger: Ledger = Ledger()
    broker: Broker = Broker()
    workers: Workers = Workers()
    spool: Spool = Spool()
    log: Log = Log()
    api: Api = Api()
    complete: Complete = Complete()
    remote: tuple[Remote, ...] = ()
    receiver: tuple[Receiver, ...] = ()
    retrieve: Retrieve | None = None
    hl7: Hl7 | None = None
    watch: tuple[Watch, ...] = ()
    route: tuple[Route, ...] = ()
    prefetch: tuple[Prefetch, ...] = ()

    _provenance: Provenance = PrivateAttr(default_factory=Provenance)

    @property
    def provenance(self) -> Provenance:
        """Where each value was written, and what was noticed while reading."""
        return self._provenance

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - pydantic-settings passes all of these by name
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)

    @property
    def ledger_url(self) -> str:
        """The ledger's SQLAlchemy URL: what was configured, or SQLite in the data folder."""
        return self.ledger.url or f"sqlite:///{os.path.join(self.node.data_dir, 'ledger.sqlite3')}"

    @property
    def is_sqlite(self) -> bool:
        """Whether the ledger lives in a file of this host."""
        return self.ledger_url.startswith("sqlite:")

    @property
    def broker_is_embedded(self) -> bool:
        """Whether ``gurney up`` starts and owns the broker."""
        return not self.broker.url

    @property
    def spool_path(self) -> str:
        """The spool's folder."""
        return self.spool.path or os.path.join(self.node.data_dir, "spool")

    @property
    def route_rules(self) -> tuple[RouteRule, ...]:
        """The routes as the routing room takes them."""
        return tuple(
            RouteRule(**route.model_dump(exclude={"priority"}), priority=Priority[route.priority.upper()])
            for route in self.route
        )

    def remote_named(self, name: str) -> Remote:
        """Return the remote of that name; KeyError when there is none."""
        for remote in self.remote:
            if remote.name == name:
                return remote
        raise KeyError(name)

    def calling_ae_title(self, remote: Remote) -> str:
        """Return the AE title to call ``remote`` with."""
        return remote.calling_ae_title or self.node.ae_title

    def called_ae_titles(self, receiver: Receiver) -> tuple[str, ...]:
        """Return the AE titles that ``receiver`` answers to."""
        return receiver.ae_titles or (self.node.ae_title,)
