"""``echo``: reach a remote step by step, so that it is clear at which one it fails."""

from __future__ import annotations

import socket
import time
from dataclasses import asdict, dataclass, field
from typing import Annotated

import typer

from gurney.dicom.presentation import ContextProposal
from gurney.dicom.status import Service, describe
from gurney.errors import LedgerError
from gurney.ledger import destinations, reconciling
from gurney.pacs import AssociationFailure, AssociationRejected, DicomEngine, RemoteAE, StoreScu
from gurney.pacs.events import AfterAssociateRequest, AfterCEcho, AfterConnect
from gurney.settings.remotes import remote_ae
from gurney_daemon.cli.asked import AsJson, configured_remote
from gurney_daemon.cli.edge import Edge, print_json
from gurney_daemon.cli.tables import console, legible, table

__all__ = ["EchoTrial", "Step", "register", "try_echo"]

_VERIFICATION = ContextProposal("1.2.840.10008.1.1", "1.2.840.10008.1.2")

# Source and reason of an A-ASSOCIATE-RJ (PS3.8 table 9-21).
_CALLING_NOT_KNOWN, _CALLED_NOT_KNOWN = (1, 3), (1, 7)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("echo")(echo)


def echo(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The [[remote]].")],
    as_json: AsJson = False,
) -> None:
    """Try to reach a remote: name, TCP, association, C-ECHO, each with its time.

    When it answers, what waits for it is tried at once, and what it has refused before is asked of it again.
    """
    edge: Edge = ctx.obj
    remote = configured_remote(edge.settings, name)
    trial = try_echo(remote_ae(remote), edge.settings.calling_ae_title(remote))
    if trial.ok:
        _tell_ledger(edge, name)
    if as_json:
        print_json({"ok": trial.ok, "remote": name, **asdict(trial)})
    else:
        _show(trial)
    if not trial.ok:
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True)
class Step:
    """One step on the way: what it took, and what was found or went wrong."""

    name: str
    ok: bool
    seconds: float
    detail: str = ""


@dataclass(slots=True)
class EchoTrial:
    """The steps that were taken, up to the first that failed."""

    called_ae_title: str
    calling_ae_title: str
    host: str
    port: int
    steps: list[Step] = field(default_factory=list)
    hint: str = ""

    @property
    def ok(self) -> bool:
        """Whether the peer answered."""
        return bool(self.steps) and self.steps[-1].name == "c-echo" and self.steps[-1].ok


def try_echo(remote: RemoteAE, calling_ae_title: str) -> EchoTrial:
    """Take the steps to a C-ECHO (PS3.7 9.1.5); never raises for what a peer does."""
    trial = EchoTrial(remote.ae_title, calling_ae_title, remote.host, remote.port)
    watch = _Stopwatch()

    def took(name: str, error: object = None, found: str = "") -> None:
        trial.steps.append(Step(name, error is None, watch.lap(), found if error is None else str(error)))

    try:
        found = socket.getaddrinfo(remote.host, remote.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        took("dns", getattr(error, "strerror", None) or error)
        trial.hint = f"{remote.host!r} can't be resolved on this host: see host of the [[remote]], and the resolver"
        return trial
    took("dns", found=", ".join(dict.fromkeys(str(address[4][0]) for address in found)))

    scu = StoreScu(calling_ae_title)
    answers: list[AfterCEcho] = []

    @scu.events.after_connect
    def _connected(event: AfterConnect) -> None:
        took("tcp", event.error)

    @scu.events.after_associate_request
    def _associated(event: AfterAssociateRequest) -> None:
        took("association", event.error)

    scu.events.after_c_echo(answers.append)
    with DicomEngine():
        try:
            with scu.associate(remote, [_VERIFICATION]) as association:
                refusal = association.refusal(_VERIFICATION.sop_class_uid, _VERIFICATION.transfer_syntax_uid)
                if refusal is None:
                    association.verify()
                    code = answers[0].status
                    took("c-echo", None if code == 0 else f"status {describe(code, Service.C_ECHO)}")
                else:
                    took("c-echo", f"the peer does not offer Verification: {refusal.words}")
        except AssociationFailure as error:
            if trial.steps[-1].ok:
                took("c-echo", error)
            trial.hint = _hint(error, trial)
    return trial


class _Stopwatch:
    """Seconds from one lap to the next."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def lap(self) -> float:
        begun, self._last = self._last, time.monotonic()
        return round(self._last - begun, 6)


def _hint(error: AssociationFailure, trial: EchoTrial) -> str:
    """Say what to look at."""
    called, calling = trial.called_ae_title, trial.calling_ae_title
    match trial.steps[-1].name, error:
        case "tcp", _:
            return f"see that the peer runs, that it listens on port {trial.port}, and that no firewall is between"
        case _, AssociationRejected(source=source, reason=reason) if (source, reason) == _CALLING_NOT_KNOWN:
            return f"the peer must be told of our AE title {calling!r}, often together with this host's address"
        case _, AssociationRejected(source=source, reason=reason) if (source, reason) == _CALLED_NOT_KNOWN:
            return f"the peer does not call itself {called!r}: see ae_title of the [[remote]]"
        case "association", _:
            return f"we called {called!r} as {calling!r}: see that the peer knows both, and that the port is DICOM's"
    return f"the association stood ({calling!r} to {called!r}), the answer did not come"


def _tell_ledger(edge: Edge, name: str) -> None:
    """Have the destination probed now, and ring for what waits there. An echo is an answer without a ledger, too."""
    try:
        with edge.ledger() as ledger:
            ledger.transact(destinations.probe_now, name)
            edge.ring(ledger, reconciling.due_bells(ledger, name))
    except LedgerError as error:
        typer.echo(f"the ledger was not told: {error}", err=True)


def _show(trial: EchoTrial) -> None:
    typer.echo(f"{trial.called_ae_title} at {trial.host}:{trial.port}, called as {trial.calling_ae_title}")
    rows = (
        (step.name, "ok" if step.ok else "FAILED", f"{step.seconds * 1000:.1f} ms", step.detail) for step in trial.steps
    )
    console().print(table(("STEP", "", "TIME", ""), rows))
    if trial.hint:
        typer.echo(legible(trial.hint), err=True)
