"""``route explain``: what the rules say of one file, each with its reason, before or after it came in."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Annotated

import typer

from gurney.dicom.errors import Part10Error
from gurney.dicom.part10 import Part10
from gurney.dicom.policy import STRICT, ReadPolicy
from gurney.errors import GurneyError, LedgerError
from gurney.ledger.arrivals import matched_routes
from gurney.settings import Receiver, Settings, Watch
from gurney.transfer.routing import Door, Provenance, RouteTable, RoutingDecision, compile_routes
from gurney.transfer.states import Priority
from gurney_daemon.cli.asked import AsJson, FilePath, known_name
from gurney_daemon.cli.edge import Edge, print_json
from gurney_daemon.cli.rerouting import again
from gurney_daemon.cli.tables import console, legible, table
from gurney_daemon.cli.unrouted import list_unrouted
from gurney_daemon.configured import watched_folder
from gurney_daemon.ingest.reading import read_header

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    route = typer.Typer(help="Ask the routing rules, of a file or of what they left behind.", no_args_is_help=True)
    route.command("explain")(explain)
    route.command("list")(list_unrouted)
    route.command("again")(again)
    app.add_typer(route, name="route")


def explain(
    ctx: typer.Context,
    file: FilePath,
    source: Annotated[
        str, typer.Option("--source", metavar="NAME", help="As if it came in by this [[watch]] or [[receiver]].")
    ] = "",
    calling: Annotated[
        str, typer.Option("--from", metavar="AE_TITLE", help="As if this AE title had pushed it to the receiver.")
    ] = "",
    called: Annotated[str, typer.Option("--called", metavar="AE_TITLE", help="As if it had called this one.")] = "",
    address: Annotated[str, typer.Option("--address", metavar="ADDRESS", help="As if from this address.")] = "",
    show_values: Annotated[
        bool, typer.Option("--show-values", help="Say what the file has in the tags: may be patient data.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say of each rule whether it matches a file and why, and where the file would go. Nothing is taken in."""
    edge: Edge = ctx.obj
    settings = edge.settings
    door = _door(settings, file, source)
    table_of_rules = compile_routes(settings.route_rules)
    part = _read(file, door, table_of_rules)
    decision = table_of_rules.explain(
        {keyword: part.value(tag) for keyword, tag in table_of_rules.wanted.items()},
        _provenance(part, door, calling, called, address),
        _matched_before(edge, part.study_instance_uid),
        default_send_to=door.send_to,
        default_priority=door.priority,
        show_values=show_values,
    )
    if as_json:
        print_json(_document(decision, part, door))
    else:
        _show(decision, door)


@dataclass(frozen=True, slots=True)
class _Door:
    """The way by which a file would come in. ``overlooks``: the watcher leaves this file alone."""

    by: Watch | Receiver | None
    overlooks: bool = False

    @property
    def source(self) -> str:
        return self.by.name if self.by else ""

    @property
    def kind(self) -> Door:
        if self.by is None:
            return Door.IMPORT
        return Door.WATCH if isinstance(self.by, Watch) else Door.RECEIVE

    @property
    def send_to(self) -> tuple[str, ...]:
        return self.by.send_to if self.by else ()

    @property
    def priority(self) -> Priority:
        return Priority[self.by.priority.upper()] if self.by else Priority.ROUTINE

    @property
    def policy(self) -> ReadPolicy:
        return watched_folder(self.by).source().policy if isinstance(self.by, Watch) else STRICT

    @property
    def words(self) -> str:
        if self.by is None:
            return "it lies in no watched folder; --source asks as if it did"
        if isinstance(self.by, Receiver):
            return f"by the receiver {self.source}; --from and --called say who called, and whom"
        overlooked = ", which leaves this file alone: its name, or where it lies, is not what it takes"
        return f"by the watched folder {self.source}" + (overlooked if self.overlooks else "")


def _door(settings: Settings, file: bytes, source: str) -> _Door:
    """Find the watched folder or receiver that is asked for, or else the folder in which the file lies."""
    doors: dict[str, Watch | Receiver] = {watch.name: watch for watch in settings.watch}
    doors.update({receiver.name: receiver for receiver in settings.receiver})
    if source:
        return _Door(doors[known_name(source, doors, "[[watch]] or [[receiver]]")])
    place = os.path.realpath(file)
    for watch in settings.watch:
        root = os.path.realpath(os.fsencode(watch.path))
        if os.path.commonpath((root, place)) == root:
            inside = os.path.join(os.fsencode(watch.path), os.path.relpath(place, root))
            return _Door(watch, overlooks=_overlooks(watch, inside))
    return _Door(None)


def _overlooks(watch: Watch, file: bytes) -> bool:
    try:
        return not watched_folder(watch).folder().look_at([file])
    except OSError:  # a folder that only the daemon may list
        return False


def _read(file: bytes, door: _Door, rules: RouteTable) -> Part10:
    """Read the header as the door would. Raises GurneyError, saying what would become of the file."""
    try:
        fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise GurneyError(f"{legible(file)}: {error.strerror}") from error
    try:
        return read_header(fd, rules.wanted_tags, door.policy)
    except Part10Error as error:
        raise GurneyError(f"{legible(file)} would not be taken in, and no rule be asked: {error}") from error
    finally:
        os.close(fd)


def _provenance(part: Part10, door: _Door, calling: str, called: str, address: str) -> Provenance:
    return Provenance(
        door=door.kind,
        source=door.source,
        calling_ae_title=calling,
        called_ae_title=called,
        peer_address=address,
        study_instance_uid=part.study_instance_uid,
        series_instance_uid=part.series_instance_uid,
        sop_instance_uid=part.sop_instance_uid,
        sop_class_uid=part.sop_class_uid,
        transfer_syntax_uid=part.transfer_syntax_uid,
    )


def _matched_before(edge: Edge, study_instance_uid: str) -> frozenset[str]:
    """Look up what the study has matched. Rules can be asked without a ledger, too."""
    try:
        with edge.ledger() as ledger, ledger.read() as conn:
            return matched_routes(conn, [study_instance_uid])[study_instance_uid]
    except LedgerError as error:
        typer.echo(f"asked without what the study has matched before: {error}", err=True)
        return frozenset()


def _document(decision: RoutingDecision, part: Part10, door: _Door) -> dict[str, object]:
    return {
        "state": decision.state.name.lower(),
        "source": door.source or None,
        "overlooked": door.overlooks,
        "study_instance_uid": part.study_instance_uid,
        "sop_instance_uid": part.sop_instance_uid,
        "destinations": [
            {
                "destination": send.destination,
                "rule": send.rule or None,
                "when": send.when,
                "priority": send.priority.name.lower(),
            }
            for send in decision.sends
        ],
        "rules": [{"rule": one.rule, "verdict": one.verdict.value, "why": one.why} for one in decision.explanations],
    }


def _show(decision: RoutingDecision, door: _Door) -> None:
    typer.echo(f"{decision.state.name.lower().replace('_', ' ')} ({door.words})")
    out = console()
    if decision.explanations:
        rules = ((one.rule, one.verdict.value.replace("_", " "), one.why) for one in decision.explanations)
        out.print("", table(("RULE", "VERDICT", "WHY"), rules))
    if decision.sends:
        sends = (
            (send.destination, send.when.replace("_", " "), send.priority.name.lower(), _by(send.rule, door))
            for send in decision.sends
        )
        out.print("", table(("DESTINATION", "WHEN", "PRIORITY", "BY"), sends))


def _by(rule: str, door: _Door) -> str:
    return f"rule {rule!r}" if rule else f"send_to of {door.source}"
