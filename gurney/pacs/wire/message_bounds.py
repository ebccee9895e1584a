"""A bound on each message that pynetdicom assembles on an association of ours (PS3.7 6.3.1).

A peer may send fragments of which none is the last. The wait for such a message times out; what has come until then
must not fill the memory.
"""

from __future__ import annotations

from typing import Any

from pynetdicom.dimse_messages import C_STORE_RQ, DIMSEMessage

from gurney.pacs.wire.inbound import IncomingDataset
from gurney.pacs.wire.paced_association import PacedAssociation
from gurney.pacs.wire.wire_socket import Loss

__all__ = ["LONGEST_COMMAND", "LONGEST_DATASET", "bound_messages"]

LONGEST_COMMAND = 1 << 20
"""Bytes. A dozen short elements, and in the request of an N-GET the tags that are asked for."""
LONGEST_DATASET = 1 << 24
"""Bytes. A match is some kilobytes, a list of failed instances, or a commitment's, some 100 for each."""


def bound_messages(assoc: PacedAssociation) -> None:
    """Abort the association when one message grows longer than any that we expect.

    An instance that goes to a file is bound only by the limit of whoever takes it.
    """
    receive = assoc.dimse.receive_primitive
    commanded = taken = 0
    counted: DIMSEMessage | None = None

    def receive_bounded(primitive: Any) -> None:
        nonlocal commanded, taken, counted
        # Where somebody chose what its data set goes into, the message is there already, and not counted yet.
        if assoc.dimse.message is None or assoc.dimse.message is not counted:
            commanded = taken = 0
        for _, fragment in primitive.presentation_data_value_list:
            # With its control header, so that fragments without content count as well.
            if fragment[:1] and fragment[0] & 1:
                commanded += len(fragment)
            else:
                taken += len(fragment)
        if commanded > LONGEST_COMMAND or _is_endless(assoc.dimse.message, taken):
            assoc.wire.lose(Loss.ENDLESS)
            assoc.cut()
            return
        receive(primitive)
        counted = assoc.dimse.message

    assoc.dimse.receive_primitive = receive_bounded  # type: ignore[method-assign]  # on this instance only


def _is_endless(message: object, taken: int) -> bool:
    """Tell whether a message is too long. An instance that was asked for goes to a file, and has its own bound."""
    if isinstance(message, C_STORE_RQ) and isinstance(message.data_set, IncomingDataset):
        return message.data_set.is_endless
    return taken > LONGEST_DATASET
