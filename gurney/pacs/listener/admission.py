"""Which associations a listener accepts, and for what (PS3.8 7.1, PS3.7 D.3.3.4). Decisions only."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache

from pydicom.uid import UID
from pynetdicom.presentation import PresentationContext

from gurney.dicom.uids import (
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    STORAGE_COMMITMENT_SOP_CLASS,
    VERIFICATION_SOP_CLASS,
    is_valid_uid,
)

__all__ = ["admitted_contexts", "is_storage_class", "is_transfer_syntax", "with_spaces_for_nuls"]

_UNCOMPRESSED = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)
# Registered as transfer syntaxes, but for mail, text and live video: no data set can be in one (PS3.6 table A-1).
_NOT_FOR_DATASETS = ("1.2.840.10008.1.2.6.", "1.2.840.10008.1.2.7.")

_A_ASSOCIATE_RQ = 0x01
# Called and calling AE title, by their places in the PDU (PS3.8 table 9-11).
_TITLES = (slice(10, 26), slice(26, 42))


def with_spaces_for_nuls(pdu: bytearray) -> bytearray:
    """Fill up the AE titles of an A-ASSOCIATE-RQ as the standard has it; any other PDU stays as it is.

    PS3.8 9.3.2 wants spaces behind them. Some peers, those on pynetdicom2 among them, put NULs there, which mean as
    little; pynetdicom takes such a title for invalid. A NUL within a title stays, and makes it so.
    """
    if pdu[:1] == bytes((_A_ASSOCIATE_RQ,)):
        for place in _TITLES:
            title = pdu[place]
            pdu[place] = title.rstrip(b"\0 ").ljust(len(title))
    return pdu


@lru_cache(maxsize=1024)
def is_storage_class(sop_class_uid: str) -> bool:
    """Tell whether instances of a SOP class may be stored: of any that is not known to be something else.

    A list of storage classes is out of date when it is printed, and private ones are on none; so what nobody knows is
    taken for one (PS3.4 B.5).
    """
    if not is_valid_uid(sop_class_uid):
        return False
    uid = UID(sop_class_uid)
    if uid.type != "SOP Class":
        return not uid.type
    # The dictionary knows a few that were assigned and never named.
    is_named_so = not uid.name or "Storage" in uid.name
    return is_named_so and not uid.name.startswith(("Storage Commitment", "Media Storage Directory"))


@lru_cache(maxsize=256)
def is_transfer_syntax(transfer_syntax_uid: str) -> bool:
    """Tell whether a data set can be in this transfer syntax, as far as anybody knows."""
    return UID(transfer_syntax_uid).type == "Transfer Syntax" and not transfer_syntax_uid.startswith(_NOT_FOR_DATASETS)


def admitted_contexts(
    proposed: Iterable[PresentationContext], takes: Callable[[str, str], bool] | None
) -> tuple[PresentationContext, ...]:
    """Give what is supported of what a peer proposes: Verification, commitment reports, and storage as ``takes`` says.

    It is asked for each SOP class and transfer syntax in which instances can be; None takes no instances.

    Of the transfer syntaxes of a context the peer's first is preferred: that in which it has its instances. For storage
    commitment the peer reports to us, so it may be the SCP (PS3.4 J.3.3).
    """
    syntaxes: dict[str, dict[str, None]] = {}
    for context in proposed:
        wanted = syntaxes.setdefault(str(context.abstract_syntax), {})
        wanted.update(dict.fromkeys(str(syntax) for syntax in context.transfer_syntax))
    answers = (_admitted(uid, tuple(offered), takes) for uid, offered in syntaxes.items())
    return tuple(answer for answer in answers if answer is not None)


def _admitted(
    sop_class_uid: str, transfer_syntax_uids: tuple[str, ...], takes: Callable[[str, str], bool] | None
) -> PresentationContext | None:
    plain = tuple(uid for uid in transfer_syntax_uids if uid in _UNCOMPRESSED)
    if sop_class_uid in (VERIFICATION_SOP_CLASS, STORAGE_COMMITMENT_SOP_CLASS):
        fit = plain
    elif takes is not None and is_storage_class(sop_class_uid):
        fit = tuple(uid for uid in transfer_syntax_uids if is_transfer_syntax(uid) and takes(sop_class_uid, uid))
    else:
        fit = ()
    if not fit:
        return None
    context = PresentationContext()
    context.abstract_syntax = UID(sop_class_uid)
    context.transfer_syntax = [UID(uid) for uid in fit]
    if sop_class_uid == STORAGE_COMMITMENT_SOP_CLASS:
        context.scu_role = context.scp_role = True
    return context
