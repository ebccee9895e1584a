"""``echo``: reach a remote step by step, so that it is clear at which one it fails."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import Annotated

import typer

from gurney.dicom.status import Service, describe
from gurney.errors import LedgerError
from gurney.ledger import destinations, reconciling
from gurney.pacs import AssociationFailure, AssociationRejected, DicomEngine, RemoteAE, Scu, TlsFailed
from gurney.pacs.association.scu import VERIFICATION
from gurney.pacs.events import AfterAssociateRequest, AfterConnect, AfterResolve, AfterSecureLinkReady
from gurney_daemon.cli.asked import AsJson
from gurney_daemon.cli.edge import Edge, failing_in_json, print_json
from gurney_daemon.cli.peer import Peer, peer_named, written_address
from gurney_daemon.cli.tables import console, legible, table

__all__ = ["EchoTrial", "Step", "register", "try_echo"]

# Source and reason of an A-ASSOCIATE-RJ (PS3.8 table 9-21).
_CALLING_NOT_KNOWN, _CALLED_NOT_KNOWN = (1, 3), (1, 7)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("echo")(echo)


def echo(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The [[remote]], or AE_TITLE@HOST:PORT.")],
    ae_title: Annotated[
        str, typer.Argument(metavar="[AE_TITLE]", help="Whom to call, where NAME is HOST:PORT.", show_default=False)
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Try to reach a remote: name, TCP, TLS, association, C-ECHO, each with its time.

    When a [[remote]] answers, what waits for it is tried at once, and what it has refused before is asked of it again.
    """
    edge: Edge = ctx.obj
    with failing_in_json(wanted=as_json):
        peer = _peer(edge, name, ae_title)
        trial = try_echo(peer.remote, peer.calling_ae_title)
        if trial.ok and peer.is_configured and edge.has_ledger:
            _tell_ledger(edge, name)
    if as_json:
        print_json({"ok": trial.ok, "remote": name, **asdict(trial)})
    else:
        _show(trial)
    if not trial.ok:
        raise typer.Exit(1)


def _peer(edge: Edge, name: str, ae_title: str) -> Peer:
    if ae_title and "@" in name:
        raise typer.BadParameter(f"{name!r} says already whom to call: leave {ae_title!r} out", param_hint="AE_TITLE")
    return peer_named(edge.settings, f"{ae_title}@{name}" if ae_title else name)


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

    scu = Scu(calling_ae_title)

    @scu.events.after_resolve
    def _resolved(event: AfterResolve) -> None:
        took("dns", found=", ".join(event.addresses))

    @scu.events.after_connect
    def _connected(event: AfterConnect) -> None:
        if isinstance(event.error, TlsFailed):  # before a byte was sent: our own files are at fault
            took("tls", event.error)
        else:
            took("tcp" if trial.steps else "dns", event.error)

    @scu.events.after_secure_link_ready
    def _secured(event: AfterSecureLinkReady) -> None:
        took("tls", event.error, f"{event.link.protocol}, {event.link.cipher}" if event.link is not None else "")

    @scu.events.after_associate_request
    def _associated(event: AfterAssociateRequest) -> None:
        took("association", event.error)

    with DicomEngine():
        try:
            with scu.associate(remote, [VERIFICATION]) as association:
                refusal = association.refusal(VERIFICATION.sop_class_uid, VERIFICATION.transfer_syntax_uid)
                if refusal is None:
                    code = association.verify().status
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
    if isinstance(error, AssociationRejected):
        if (error.source, error.reason) == _CALLING_NOT_KNOWN:
            return f"the peer must be told of our AE title {calling!r}, often together with this host's address"
        if (error.source, error.reason) == _CALLED_NOT_KNOWN:
            return f"the peer does not call itself {called!r}: call it by the AE title that it has"
    # Under TLS 1.3 the peer looks at our certificate only once the association is asked for.
    where = "tls" if isinstance(error, TlsFailed) else trial.steps[-1].name
    return {
        "dns": f"{trial.host!r} can't be resolved on this host: see how it is written, and the resolver",
        "tcp": f"see that the peer runs, that it listens on port {trial.port}, and that no firewall is between",
        "tls": f"see tls of the [[remote]], and that port {trial.port} is the one where the peer speaks TLS",
        "association": f"we called {called!r} as {calling!r}: see that the peer knows both, and speaks DICOM there",
        "c-echo": f"the association stood ({calling!r} to {called!r}), the answer did not come",
    }[where]


def _tell_ledger(edge: Edge, name: str) -> None:
    """Have the destination probed now, and ring for what waits there. An echo is an answer without a ledger, too."""
    try:
        with edge.ledger() as ledger:
            ledger.transact(destinations.probe_now, name)
            edge.ring(ledger, reconciling.due_bells(ledger, name))
    except LedgerError as error:
        typer.echo(f"the ledger was not told: {error}", err=True)


def _show(trial: EchoTrial) -> None:
    typer.echo(
        f"{trial.called_ae_title} at {written_address(trial.host, trial.port)}, called as {trial.calling_ae_title}"
    )
    rows = (
        (step.name, "ok" if step.ok else "FAILED", f"{step.seconds * 1000:.1f} ms", step.detail) for step in trial.steps
    )
    console().print(table(("STEP", "", "TIME", ""), rows))
    if trial.hint:
        typer.echo(legible(trial.hint), err=True)
