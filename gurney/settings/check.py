"""Rules that look at more than one key, or at the host."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator
from typing import NamedTuple

from gurney.settings.folders import find_overlaps
from gurney.settings.model import Settings
from gurney.settings.mounts import MOUNTINFO, network_filesystem
from gurney.settings.prefetch_rules import check_prefetch
from gurney.settings.problems import KeyPath, Origin, Problem, Severity
from gurney.settings.schema import label, origin_of, suggest
from gurney.settings.slips import cel_remedy
from gurney.settings.tls import check_tls
from gurney.transfer.errors import RouteTableError
from gurney.transfer.routing import compile_routes

__all__ = ["check"]

# Above this, processes wait for SQLite's one writer more than they send.
_SQLITE_PROCESSES = 4
# The source's name that stands for `gurney send` in the ledger.
_IMPORTS = "send"
# And for what is retrieved.
_RETRIEVES = "retrieve"
# And for who listens for messages.
_MESSAGES = "hl7"
_EVERYWHERE = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - to be found, not to be bound
_UNUSED = (("api", "host"), ("api", "port"))


class _Finding(NamedTuple):
    key: KeyPath
    message: str
    remedy: str
    severity: Severity = Severity.ERROR


def check(settings: Settings, *, mountinfo: str = MOUNTINFO) -> list[Problem]:
    """Return what is wrong or unwise, errors first, in the order of the lines; ``load`` leaves only warnings.

    ``mountinfo`` is the kernel's table of mounts, by which network filesystems are told.
    """
    values = settings.model_dump(by_alias=True)
    problems = list(settings.provenance.problems)
    wrong = [problem.key for problem in problems if problem.is_error]
    for finding in _findings(settings, mountinfo):
        key = label(finding.key, values)
        # Of what holds a mistake already, or stands in for one, no rule over many keys can say more.
        if not any(other.startswith(key) or key.startswith(f"{other}[") for other in wrong):
            origin = _origin(settings, finding.key)
            problems.append(Problem(finding.severity, origin, key, finding.message, finding.remedy))
    return sorted(problems, key=lambda problem: (not problem.is_error, problem.origin))


def _origin(settings: Settings, key: KeyPath) -> Origin:
    return origin_of(key, settings.provenance.origins, Origin(settings.provenance.source))


def _findings(settings: Settings, mountinfo: str) -> Iterator[_Finding]:
    yield from _names(settings)
    yield from _destinations(settings)
    yield from _remotes(settings)
    yield from _tls(settings, mountinfo)
    yield from _receivers(settings)
    yield from _retrieve(settings)
    yield from _hl7(settings)
    yield from _watches(settings, mountinfo)
    yield from _routes(settings)
    for slip in check_prefetch(settings):
        yield _Finding(slip.key, slip.message, slip.remedy, Severity.ERROR if slip.is_error else Severity.WARNING)
    for overlap in find_overlaps(settings, mountinfo):
        yield _Finding(overlap.key, overlap.message, "Name a folder apart.")
    yield from _ledger(settings, mountinfo)
    yield from _api(settings)
    yield from _unused(settings)


def _names(settings: Settings) -> Iterator[_Finding]:
    tables = {
        "remote": [remote.name for remote in settings.remote],
        "receiver": [receiver.name for receiver in settings.receiver],
        "watch": [watch.name for watch in settings.watch],
        "route": [route.name for route in settings.route],
        "prefetch": [rule.name for rule in settings.prefetch],
    }
    for table, names in tables.items():
        seen: dict[str, int] = {}
        for index, name in enumerate(names):
            # The environment can't tell names apart that differ in case or in - and _ only.
            first = seen.setdefault(name.lower().replace("-", "_"), index)
            if first != index:
                place = _origin(settings, (table, first, "name"))
                remedy = f"Give each [[{table}]] a name of its own."
                yield _Finding((table, index, "name"), f'"{name}" is taken already at {place}', remedy)

    yield from _source_names(settings)


def _source_names(settings: Settings) -> Iterator[_Finding]:
    """Tell names apart by which the ledger knows where a file came from."""
    watched = {watch.name.lower().replace("-", "_") for watch in settings.watch}
    for index, receiver in enumerate(settings.receiver):
        if receiver.name.lower().replace("-", "_") in watched:
            message = f'"{receiver.name}" is a [[watch]] already, and the ledger knows both as sources'
            yield _Finding(("receiver", index, "name"), message, "Give the receiver another name.")
    doors = {
        "watch": [watch.name for watch in settings.watch],
        "receiver": [receiver.name for receiver in settings.receiver],
    }
    for table, names in doors.items():
        for index, name in enumerate(names):
            if name.lower() == _IMPORTS:
                message = f'"{name}" is what files are from that `gurney send` takes in'
                yield _Finding((table, index, "name"), message, "Give it another name.")
            if name.lower() == _RETRIEVES:
                message = f'"{name}" is what instances are from that [retrieve] takes in'
                yield _Finding((table, index, "name"), message, "Give it another name.")
            if name.lower() == _MESSAGES:
                message = f'"{name}" is what [hl7] is called'
                yield _Finding((table, index, "name"), message, "Give it another name.")


def _destinations(settings: Settings) -> Iterator[_Finding]:
    known = [remote.name for remote in settings.remote]
    senders = {
        "receiver": [receiver.send_to for receiver in settings.receiver],
        "watch": [watch.send_to for watch in settings.watch],
        "route": [route.send_to for route in settings.route],
    }
    for table, lists in senders.items():
        for index, send_to in enumerate(lists):
            for position, name in enumerate(send_to):
                if name not in known:
                    key = (table, index, "send_to", position)
                    yield _Finding(key, f'there is no remote "{name}"', suggest(name, known))


def _remotes(settings: Settings) -> Iterator[_Finding]:
    seen: dict[tuple[str, str, int], str] = {}
    for index, remote in enumerate(settings.remote):
        address = (remote.ae_title.strip(), remote.host.lower(), remote.port)
        first = seen.setdefault(address, remote.name)
        if first != remote.name:
            yield _Finding(
                ("remote", index),
                f'is the same node as "{first}": it would get everything twice',
                "Use one name for one node.",
                Severity.WARNING,
            )
        if _is_local(remote.host) and remote.port in _ports(settings):
            yield _Finding(
                ("remote", index, "port"),
                f"{remote.port} is a port that we listen at ourselves: what goes there would come in again",
                "Give the remote its own host and port.",
                Severity.WARNING,
            )
        if remote.commitment != "none" and not settings.receiver and settings.retrieve is None:
            yield _Finding(
                ("remote", index, "commitment"),
                "nothing listens for its answer, which most archives bring on an association of their own",
                "Add a [[receiver]], and tell the archive its port for our AE title.",
                Severity.WARNING,
            )


def _ports(settings: Settings) -> set[int]:
    """Return the ports of our own doors."""
    ports = {receiver.port for receiver in settings.receiver}
    return ports if settings.retrieve is None else ports | {settings.retrieve.port}


def _tls(settings: Settings, mountinfo: str) -> Iterator[_Finding]:
    for index, remote in enumerate(settings.remote):
        for found in check_tls(remote.tls, mountinfo) if remote.tls is not None else ():
            severity = Severity.ERROR if found.is_error else Severity.WARNING
            yield _Finding(("remote", index, "tls", found.key), found.message, found.remedy, severity)


def _receivers(settings: Settings) -> Iterator[_Finding]:
    for index, receiver in enumerate(settings.receiver):
        for other in settings.receiver[:index]:
            hosts = {receiver.host, other.host}
            if receiver.port == other.port and (len(hosts) == 1 or hosts & _EVERYWHERE):
                message = f'{receiver.port} is the port of receiver "{other.name}" already'
                yield _Finding(("receiver", index, "port"), message, "Give each receiver a port of its own.")
                break
        if not receiver.accept:
            yield _Finding(
                ("receiver", index),
                "takes instances from anyone who reaches its port",
                "Set accept to { ae_title, host } of each modality.",
                Severity.WARNING,
            )
        if not receiver.send_to and not settings.route:
            yield _Finding(
                ("receiver", index),
                "what it takes would go nowhere",
                "Set send_to, or add a [[route]].",
                Severity.WARNING,
            )


def _retrieve(settings: Settings) -> Iterator[_Finding]:
    retrieve = settings.retrieve
    if retrieve is None:
        return
    for receiver in settings.receiver:
        hosts = {receiver.host, retrieve.host}
        if receiver.port == retrieve.port and (len(hosts) == 1 or hosts & _EVERYWHERE):
            message = f'{retrieve.port} is the port of receiver "{receiver.name}" already'
            yield _Finding(("retrieve", "port"), message, "Give it a port of its own.")
    if not retrieve.accept and not _is_local(retrieve.host):
        yield _Finding(
            ("retrieve",),
            "takes instances from anyone who reaches its port",
            "Set accept to { ae_title, host } of each archive.",
            Severity.WARNING,
        )


def _hl7(settings: Settings) -> Iterator[_Finding]:
    hl7 = settings.hl7
    if hl7 is None:
        return
    if hl7.port in _ports(settings):
        yield _Finding(("hl7", "port"), f"{hl7.port} is a port of ours already", "Give it a port of its own.")
    if not hl7.accept and not _is_local(hl7.host):
        yield _Finding(
            ("hl7",), "takes messages from anyone who reaches its port", "Set accept to its senders.", Severity.WARNING
        )
    if not any(rule.hl7 for rule in settings.prefetch):
        yield _Finding(("hl7",), "feeds no rule", "Set hl7 = true in a [[prefetch]].", Severity.WARNING)


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _watches(settings: Settings, mountinfo: str) -> Iterator[_Finding]:
    unread = any(problem.is_error and not problem.key for problem in settings.provenance.problems)
    if not settings.watch and not settings.receiver and settings.retrieve is None and not unread:
        yield _Finding(("watch",), "no folder is watched", "Add a [[watch]] with a path.", Severity.WARNING)
    for index, watch in enumerate(settings.watch):
        if watch.after == "move" and not watch.move_to:
            yield _Finding(("watch", index, "after"), "needs a folder to move to", "Set move_to.")
        if watch.after != "move" and watch.move_to:
            yield _Finding(("watch", index, "move_to"), "has no effect", 'Set after = "move", or remove it.')
        if not watch.send_to and not settings.route:
            yield _Finding(
                ("watch", index),
                "what it brings would go nowhere",
                "Set send_to, or add a [[route]].",
                Severity.WARNING,
            )
        # A dead share would block; of that, the daemon tells.
        if not network_filesystem(watch.path, mountinfo) and not os.path.isdir(watch.path):
            yield _Finding(
                ("watch", index, "path"),
                f"there is no folder {watch.path}, or not for this user to see",
                "Make it: until then nothing comes from it.",
                Severity.WARNING,
            )


def _routes(settings: Settings) -> Iterator[_Finding]:
    default = "See docs/reference/routing.md for what a rule may say."
    for index, rule in enumerate(settings.route_rules):
        try:
            compile_routes([rule])
        except RouteTableError as error:
            for mistake in error.mistakes:
                if mistake.position is None:
                    yield _Finding(("route", index), mistake.words, default)
                else:
                    place = f"character {mistake.position + 1}"
                    remedy = cel_remedy(rule.when, mistake.position) or default
                    yield _Finding(("route", index, "when"), f"{place}: {mistake.words}", remedy)


def _ledger(settings: Settings, mountinfo: str) -> Iterator[_Finding]:
    if not settings.is_sqlite:
        return
    path = settings.ledger_url.removeprefix("sqlite:///")
    kind = network_filesystem(os.path.realpath(path), mountinfo)
    if kind:
        yield _Finding(
            ("ledger", "url") if settings.ledger.url else ("node", "data_dir"),
            f"SQLite can't be trusted on {kind}: its locks are not kept over a network",
            "Use a disk of this host, or PostgreSQL.",
        )
    if settings.workers.processes > _SQLITE_PROCESSES:
        yield _Finding(
            ("workers", "processes"),
            f"{settings.workers.processes} processes would wait for SQLite's one writer",
            f"Use PostgreSQL ([ledger] url), or at most {_SQLITE_PROCESSES} processes.",
            Severity.WARNING,
        )


def _api(settings: Settings) -> Iterator[_Finding]:
    if not _is_local(settings.api.host):
        yield _Finding(
            ("api", "host"), "is open to the network, and this version has no log-in", 'Set it to "127.0.0.1".'
        )


def _unused(settings: Settings) -> Iterator[_Finding]:
    """Tell what is taken for the sake of later versions: this one has no HTTP interface."""
    for table, key in _UNUSED:
        holder = getattr(settings, table)
        if getattr(holder, key) != type(holder).model_fields[key].default:
            remedy = "Leave the key out; a later version will use it."
            yield _Finding((table, key), "is not used by this version", remedy, Severity.WARNING)
