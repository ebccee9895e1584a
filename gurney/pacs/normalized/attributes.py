"""Make attribute lists by keyword, and tell what one lacks before it is sent (PS3.4 5.4, usage types 1 and 2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum

from pydicom import config
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from gurney.dicom.ae_titles import check_ae_title
from gurney.dicom.uids import is_valid_uid
from gurney.pacs.errors import InvalidAttributes

__all__ = ["UTF_8", "at_least_one", "attribute_list", "check_instance", "one_of", "references", "require"]

UTF_8 = "ISO_IR 192"
"""What text is encoded in, unless the caller says otherwise (PS3.3 C.12.1.1.2)."""


def attribute_list(what: str, **values: object) -> Dataset:
    """Make a data set of attributes by keyword; an iterable of data sets makes a sequence, None leaves one out.

    Raises InvalidAttributes, which says ``what`` they are of, for a value that its VR does not allow (PS3.5 6.2).
    """
    made = Dataset()
    for keyword, value in values.items():
        if value is None:
            continue
        vr = dictionary_VR(keyword)
        if vr == "SQ" and isinstance(value, Iterable):
            setattr(made, keyword, Sequence(value))
            continue
        try:
            made.add(_element(keyword, vr, value))
        except (ValueError, TypeError, OverflowError):
            # From None: the value may name a patient, and pydicom repeats it.
            raise InvalidAttributes(what, [f"{keyword} is no valid {vr}"]) from None
    return made


def one_of(what: str, keyword: str, defined: type[StrEnum], value: str) -> str:
    """Return a term that the standard defines for an attribute. Raises InvalidAttributes for another."""
    if value not in {*defined}:
        raise InvalidAttributes(what, [f"{keyword} is none of {', '.join(defined)}"])
    return defined(value).value


def at_least_one(what: str, keyword: str, value: int) -> int:
    """Return a count of 1 or more. Raises InvalidAttributes for anything else."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InvalidAttributes(what, [f"{keyword} is no whole number of 1 or more"])
    return value


def check_instance(what: str, sop_instance_uid: str) -> None:
    """Refuse an invalid SOP Instance UID before an association is spent on it. Raises InvalidAttributes."""
    if not is_valid_uid(sop_instance_uid):
        raise InvalidAttributes(what, ["its SOP Instance UID is not a UID: digits and dots, 64 characters at most"])


def references(what: str, instances: Iterable[tuple[str, str]]) -> list[Dataset]:
    """Make items that refer to instances, pairs of SOP Class UID and SOP Instance UID (PS3.3 10.8).

    Raises InvalidAttributes for a pair that lacks one.
    """
    items = [
        attribute_list(what, ReferencedSOPClassUID=sop_class, ReferencedSOPInstanceUID=sop_instance)
        for sop_class, sop_instance in instances
    ]
    for item in items:
        require(what, item, ("ReferencedSOPClassUID", "ReferencedSOPInstanceUID"))
    return items


def require(what: str, attributes: Dataset, paths: Iterable[str]) -> None:
    """Check that these attributes have a value, each item of the sequences on their paths included.

    ``paths`` are keywords joined by dots. Raises InvalidAttributes that names all that lack one.
    """
    lacking = [f"{path} has no value" for path in paths if not all(_values(attributes, path.split(".")))]
    if lacking:
        raise InvalidAttributes(what, lacking)


def _element(keyword: str, vr: str, value: object) -> DataElement:
    """Make an element. Raises ValueError, TypeError or OverflowError for a value that can't be one of the VR."""
    if vr == "AE" and value:
        check_ae_title(str(value))
    if vr == "UI" and value and not is_valid_uid(str(value)):
        raise ValueError("no UID")
    # UIDs with leading zeros are in service, so of UIDs we are the judge.
    mode = config.IGNORE if vr == "UI" else config.RAISE
    return DataElement(keyword, vr, value, validation_mode=mode)


def _values(attributes: Dataset, path: list[str]) -> Iterator[bool]:
    """Tell for each place that a path leads to whether there is a value."""
    element = attributes.get(path[0])
    if len(path) == 1:
        yield element is not None and element != "" and not (isinstance(element, Sequence) and not element)
    elif isinstance(element, Sequence):
        for item in element:
            yield from _values(item, path[1:])
