"""Associations that the fake PACS makes: to a move destination, or to tell a storage commitment's result."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress

from gurney.pacs.testing.archive import Archive
from gurney.pacs.testing.link import Link, Over
from gurney.pacs.testing.peer import Peer
from gurney.pacs.testing.upper_layer import RELEASE_RQ, Proposed, associate, read_associate_ac

__all__ = ["errand"]

_MOST_CONTEXTS = 128
_NATIVE = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")


@contextmanager
def errand(
    archive: Archive, ae_title: str, pairs: Sequence[tuple[str, str]], *, roles: Sequence[str] = ()
) -> Iterator[Peer]:
    """Associate with somebody whom the PACS knows, and release at the end of the block.

    Each pair of a SOP class and a transfer syntax is proposed, and behind what is native the other native one, into
    which it can be recoded. ``roles`` are the SOP classes whose provider we are. Raises Over or OSError for any
    association that does not come about.
    """
    others = [(uid, other) for uid, syntax in pairs if syntax in _NATIVE for other in _NATIVE]
    contexts = [
        Proposed(2 * place + 1, sop_class_uid, (syntax,))
        for place, (sop_class_uid, syntax) in enumerate(dict.fromkeys((*pairs, *others)))
    ][:_MOST_CONTEXTS]
    try:
        link = Link(socket.create_connection(archive.destinations[ae_title], timeout=10))
    except OSError as error:
        raise Over("lost") from error
    with archive.accompanied(link), closing(link):
        link.send(associate(ae_title, archive.ae_title, contexts, roles))
        kind, body = link.pdu()
        if kind != 0x02:
            raise Over("rejected")
        max_pdu, accepted = read_associate_ac(body, contexts)
        yield Peer(link, accepted, max_pdu)
        with suppress(Over, OSError):  # all that there was to say is said
            link.send(RELEASE_RQ)
            link.pdu()
