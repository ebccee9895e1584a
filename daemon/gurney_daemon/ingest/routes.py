"""Where what comes in by one door goes: the door's own destinations and the rules, or what an operator asked for."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, field, replace
from typing import Protocol

from gurney.dicom.part10 import IDENTITY_TAGS, Part10
from gurney.ledger import reports
from gurney.ledger.database import Ledger
from gurney.transfer.routing import Door, Provenance, RouteTable, RoutingDecision, Send
from gurney.transfer.states import Priority, Routing
from gurney_daemon.ingest.errors import NoSuchDestination
from gurney_daemon.ingest.peer import NO_PEER, Peer

__all__ = ["DoorRoutes", "FixedRoutes", "RetrieveRoutes", "Routes", "check_destinations"]


class Routes(Protocol):
    """What decides of each instance where it goes; pure."""

    @property
    def wanted(self) -> frozenset[int]:
        """The tags to read of every file."""
        ...

    def decide(self, part: Part10, study_matched: Set[str], peer: Peer = NO_PEER) -> RoutingDecision:
        """Decide on an instance that a peer brought, whose study has matched some rules before."""
        ...


@dataclass(frozen=True, slots=True)
class DoorRoutes:
    """The configured rules, for what comes from one source and is sent to ``send_to`` in any case, at ``priority``."""

    table: RouteTable
    source: str
    send_to: tuple[str, ...] = ()
    door: Door = Door.WATCH
    priority: Priority = Priority.ROUTINE
    wanted: frozenset[int] = field(init=False)
    _always: RoutingDecision | None = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "wanted", IDENTITY_TAGS | self.table.wanted_tags)
        object.__setattr__(self, "_always", None if self.table.rules else _to(self.send_to, self.priority))

    @property
    def destinations(self) -> frozenset[str]:
        """Every destination to which anything may be sent."""
        return frozenset(self.send_to).union(*(rule.send_to for rule in self.table.rules))

    def decide(self, part: Part10, study_matched: Set[str], peer: Peer = NO_PEER) -> RoutingDecision:
        """Ask the rules, if there are any."""
        if self._always is not None:
            return self._always
        return self.table.decide(
            {keyword: part.value(tag) for keyword, tag in self.table.wanted.items()},
            Provenance(
                door=self.door,
                source=self.source,
                calling_ae_title=peer.calling_ae_title,
                called_ae_title=peer.called_ae_title,
                peer_address=peer.address,
                study_instance_uid=part.study_instance_uid,
                series_instance_uid=part.series_instance_uid,
                sop_instance_uid=part.sop_instance_uid,
                sop_class_uid=part.sop_class_uid,
                transfer_syntax_uid=part.transfer_syntax_uid,
            ),
            study_matched,
            default_send_to=self.send_to,
            default_priority=self.priority,
        )


@dataclass(frozen=True, slots=True)
class FixedRoutes:
    """One destination, because somebody said so; no rule is asked."""

    destination: str
    priority: Priority = Priority.ROUTINE
    wanted: frozenset[int] = IDENTITY_TAGS

    def decide(self, part: Part10, study_matched: Set[str], peer: Peer = NO_PEER) -> RoutingDecision:  # noqa: ARG002 - see Routes
        """Send it there."""
        return _to((self.destination,), self.priority)


@dataclass(frozen=True, slots=True)
class RetrieveRoutes:
    """For what a retrieve brings: where that goes stands in the retrieval. Only a rule that asks for the door is heard.

    So priors don't flow back to the archive that they are from, and no desk shows them as lost for want of a route.
    """

    rules: DoorRoutes

    @property
    def wanted(self) -> frozenset[int]:
        """The tags to read of every file."""
        return self.rules.wanted

    @property
    def door(self) -> Door:
        """The door that a rule must ask for."""
        return self.rules.door

    @property
    def destinations(self) -> frozenset[str]:
        """Every destination to which a rule may send."""
        return self.rules.destinations

    def decide(self, part: Part10, study_matched: Set[str], peer: Peer = NO_PEER) -> RoutingDecision:
        """Ask the rules; that none is for it is as it should be."""
        decision = self.rules.decide(part, study_matched, peer)
        return replace(decision, state=Routing.ROUTED) if decision.state is Routing.NO_ROUTE else decision


def _to(destinations: tuple[str, ...], priority: Priority) -> RoutingDecision:
    """Say what is decided where no rule has a say."""
    sends = tuple(Send(name, "", "immediately", priority) for name in dict.fromkeys(destinations))
    return RoutingDecision(Routing.ROUTED if sends else Routing.NO_ROUTE, sends, frozenset(), frozenset(), ())


def check_destinations(ledger: Ledger, names: Set[str]) -> None:
    """Raise NoSuchDestination unless the ledger knows every one of these, and none of them is retired."""
    with ledger.read() as conn:
        unknown = sorted(names - set(reports.destination_names(conn, retired=False)))
    if unknown:
        raise NoSuchDestination(
            f"the ledger does not know {', '.join(map(repr, unknown))} yet: is it configured? Then let the daemon read "
            "the configuration, by `gurney reload` or a restart"
        )
