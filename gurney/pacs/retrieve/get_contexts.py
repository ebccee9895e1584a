"""The presentation contexts of a C-GET: what a peer may send us over our own association (PS3.4 C.5.3, PS3.8 7.1.1.13).

The peer can only send an instance in a context that we have proposed. So each storage SOP class needs one in a native
syntax, and as many in compressed ones as there is room for: an archive that holds an instance compressed then has
neither to decompress it nor to refuse it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from pydicom.uid import UID

from gurney.dicom.presentation import MAX_CONTEXTS, ContextProposal
from gurney.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from gurney.pacs.several import several

__all__ = ["DEFAULT_CLASSES", "NATIVE_SYNTAXES", "classes_of_modalities", "plan_get_contexts"]

NATIVE_SYNTAXES: Final = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)
# The commonest first: what does not fit in is left out.
_JPEG: Final = "1.2.840.10008.1.2.4."
_OF_IMAGES: Final = (
    _JPEG + "70",  # JPEG Lossless, first-order prediction
    _JPEG + "90",  # JPEG 2000 lossless
    _JPEG + "50",  # JPEG Baseline
    _JPEG + "80",  # JPEG-LS lossless
    _JPEG + "91",  # JPEG 2000
    "1.2.840.10008.1.2.5",  # RLE Lossless
    _JPEG + "51",  # JPEG Extended
    _JPEG + "57",  # JPEG Lossless
    _JPEG + "81",  # JPEG-LS near-lossless
    _JPEG + "201",  # High-Throughput JPEG 2000 lossless
    _JPEG + "202",
    _JPEG + "203",
)
_OF_VIDEO: Final = tuple(_JPEG + last for last in ("102", "103", "104", "100", "101", "105", "106", "107", "108"))
_OF_OTHERS: Final = ("1.2.840.10008.1.2.1.99",)  # Deflated

_STORAGE: Final = "1.2.840.10008.5.1.4.1.1."
_BY_MODALITY: Final = {
    "CR": ("1",),
    "CT": ("2", "2.1", "2.2"),
    "DX": ("1.1", "1.1.1"),
    "ECG": ("9.1.1", "9.1.2", "9.1.3"),
    "ES": ("77.1.1", "77.1.1.1"),
    "IO": ("1.3", "1.3.1"),
    "IVOCT": ("14.1", "14.2"),
    "KO": ("88.59",),
    "MG": ("1.2", "1.2.1", "13.1.3"),
    "MR": ("4", "4.1", "4.2", "4.3", "4.4"),
    "NM": ("20",),
    "OP": ("77.1.5.1", "77.1.5.2"),
    "OPT": ("77.1.5.4",),
    "OT": ("7", "7.1", "7.2", "7.3", "7.4"),
    "DOC": ("104.1",),
    "PR": ("11.1", "11.2", "11.3", "11.4"),
    "PT": ("128", "128.1", "130"),
    "REG": ("66.1", "66.3"),
    "RF": ("12.2", "12.2.1"),
    "RTDOSE": ("481.2",),
    "RTIMAGE": ("481.1",),
    "RTPLAN": ("481.5", "481.8"),
    "RTSTRUCT": ("481.3",),
    "SC": ("7",),
    "SEG": ("66.4",),
    "SM": ("77.1.6",),
    "SR": ("88.11", "88.22", "88.33", "88.34", "88.35", "88.50", "88.67"),
    "US": ("6.1", "3.1"),
    "XA": ("12.1", "12.1.1", "13.1.1"),
    "XC": ("77.1.4", "77.1.4.1"),
}
# What any study may have besides what its modality makes.
_BESIDES: Final = ("7", "88.11", "88.22", "88.33", "88.59", "88.67", "11.1", "104.1")
_COMMON: Final = (
    "CT",
    "MR",
    "CR",
    "DX",
    "US",
    "XA",
    "MG",
    "PT",
    "NM",
    "RF",
    "SC",
    "SR",
    "KO",
    "PR",
    "OT",
    "DOC",
    "SEG",
)
DEFAULT_CLASSES: Final = tuple(
    dict.fromkeys(_STORAGE + last for modality in _COMMON for last in _BY_MODALITY[modality])
)
"""What to expect of a peer that says neither SOP classes nor modalities."""


def classes_of_modalities(modalities: Iterable[str]) -> tuple[str, ...]:
    """Return the storage SOP classes that these modalities usually make; all common ones where none is known."""
    known = [modality for modality in modalities if modality in _BY_MODALITY]
    if not known:
        return DEFAULT_CLASSES
    lasts = [last for modality in known for last in _BY_MODALITY[modality]]
    return tuple(dict.fromkeys(_STORAGE + last for last in (*lasts, *_BESIDES)))


def plan_get_contexts(
    sop_class_uids: Iterable[str], taken: int, *, transfer_syntax_uids: Sequence[str] = ()
) -> list[list[ContextProposal]]:
    """Give the storage contexts to propose, one list for each association that is needed.

    ``taken`` is how many of an association's 128 contexts are needed for other things. Each class has its native
    syntaxes, or just ``transfer_syntax_uids`` where some are given; then compressed ones follow, the commonest of each
    class first, as far as there is room. Without any class there is nothing to plan.
    """
    room, least = MAX_CONTEXTS - taken, tuple(several(transfer_syntax_uids, "transfer_syntax_uids")) or NATIVE_SYNTAXES
    classes, share = list(dict.fromkeys(several(sop_class_uids, "sop_class_uids"))), max(1, room // len(least))
    return [
        _proposals(classes[first : first + share], room, least, widen=not transfer_syntax_uids)
        for first in range(0, len(classes), share)
    ]


def _proposals(classes: Sequence[str], room: int, least: Sequence[str], *, widen: bool) -> list[ContextProposal]:
    ranks = {uid: [*least, *(_worth_proposing(uid) if widen else ())] for uid in classes}
    planned: list[ContextProposal] = []
    for rank in range(max(map(len, ranks.values()))):
        planned += [ContextProposal(uid, syntaxes[rank]) for uid, syntaxes in ranks.items() if rank < len(syntaxes)]
    return planned[:room]


def _worth_proposing(sop_class_uid: str) -> tuple[str, ...]:
    name = UID(sop_class_uid).name
    if name == sop_class_uid:  # a private one, or of the future
        return _OF_IMAGES + _OF_OTHERS
    if "Video" in name:
        return _OF_VIDEO
    if "Multi-frame" in name or "Ultrasound" in name:
        return _OF_IMAGES + _OF_VIDEO
    return _OF_IMAGES if "Image Storage" in name or "Segmentation" in name else _OF_OTHERS
