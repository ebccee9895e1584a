"""What a fake PACS can say to a request, step by step; the honest answers, and the lies that can be put into them.

An answer is a row of steps. An honest PACS has one for each operation, made of what it holds: :class:`Find`,
:class:`Retrieve` and :class:`Commit`, which have fields for what may be wrong with them. :class:`Answer` takes steps of
your own; a generator makes them while they are taken, so that there can be a million of them::

    matches = (Respond(0xFF00, dataset=match(number)) for number in range(1_000_000))
    pacs.on_request(Operation.C_FIND, Answer(matches))
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from os import PathLike

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset

from gurney.pacs.testing.acts import Break, Counts, Garbage, Operation, Respond, Stall
from gurney.pacs.testing.holdings import Held
from gurney.pacs.testing.request import Request

__all__ = ["Answer", "Ask", "Commit", "Find", "RequestAct", "Retrieve", "Send", "Step", "Where"]

_SUCCESS, _PENDING, _CANCELLED = Respond(), Respond(0xFF00), Respond(0xFE00)


@dataclass(frozen=True, slots=True)
class Send:
    """Send an instance (C-STORE-RQ): to the move destination while a C-MOVE is answered, else over this association.

    ``instance`` is a data set or a file; a :class:`Retrieve` fills it in. ``sop_class_uid`` and ``sop_instance_uid``
    are what the command set says, whatever the instance says itself; ``context_id`` is used whether or not it fits.
    ``dataset`` goes in place of the instance's own bytes. ``fragment`` is the length of each fragment, 0 for what the
    peer takes; each goes after ``delay`` seconds. ``middle`` happens once the first fragment has gone. With ``endless``
    no fragment is ever the last: these bytes, perhaps none, follow over and over. Without ``wait`` the response is not
    waited for.
    """

    instance: Held | Dataset | str | PathLike[str] | None = None
    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    context_id: int = 0
    dataset: bytes | None = None
    fragment: int = 0
    delay: float = 0.0
    middle: Break | Stall | None = None
    endless: bytes | None = None
    wait: bool = True


@dataclass(frozen=True, slots=True)
class Ask:
    """Send a request of the PACS's own, without a data set unless there is one, in the context of what it answers.

    ``elements`` are further ones of its command set, by element number in group 0000. Without ``wait`` the response is
    not waited for. A request that comes in place of it is served once the whole answer is given.
    """

    operation: Operation = Operation.C_ECHO
    sop_class_uid: str = "1.2.840.10008.1.1"
    sop_instance_uid: str = ""
    dataset: Dataset | bytes | None = None
    elements: Mapping[int, bytes] = field(default_factory=dict)
    wait: bool = True


_AS_IT_IS = Send()

Step = Respond | Send | Ask | Break | Stall | Garbage
"""One step of an answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Take these steps. A function makes them of the request; a generator hears the status of each step that it sends.

    Where none of them is a final response, success follows behind the last. To leave whoever asks waiting, end with a
    :class:`Stall`.

    ``on_cancel`` is taken after a C-CANCEL, and ends it; with None it goes on as if there had been none.
    """

    steps: Iterable[Step] | Callable[[Request], Iterable[Step]] = (_SUCCESS,)
    on_cancel: Respond | Break | Stall | None = _CANCELLED


@dataclass(frozen=True, slots=True)
class Find:
    """Answer a C-FIND with what is held and matches (PS3.4 C.4.1): this is what it gets without a script.

    ``heedless`` answers with all that is held, whatever was asked. ``say`` puts values into each match, by keyword, in
    place of the true ones. ``each`` is how a match goes out, ``repeat`` how often; ``final`` is said behind the last.
    """

    heedless: bool = False
    say: Mapping[str, str] = field(default_factory=dict)
    each: Respond = _PENDING
    repeat: int = 1
    final: Respond = _SUCCESS
    on_cancel: Respond | Break | Stall | None = _CANCELLED

    def __post_init__(self) -> None:
        for keyword in self.say:
            if tag_for_keyword(keyword) is None:
                raise ValueError(f"{keyword!r} is no keyword of the DICOM dictionary: check its spelling")


@dataclass(frozen=True, slots=True)
class Retrieve:
    """Answer a C-MOVE or C-GET with the instances that are held (PS3.4 C.4.2, C.4.3), as it does without a script.

    ``omit`` are SOP Instance UIDs that are counted as completed and never sent, ``fail`` those that are counted as
    failed. ``each`` is how an instance goes out. ``counts`` are said in place of the true ones, ``final`` in place of
    the true end; without ``pendings`` nothing is reported in between.
    """

    omit: Collection[str] = ()
    fail: Collection[str] = ()
    each: Send = _AS_IT_IS
    counts: Counts | None = None
    pendings: bool = True
    final: Respond | None = None
    on_cancel: Respond | Break | Stall | None = _CANCELLED


class Where(Enum):
    """On which association the result of a storage commitment is told."""

    BY_TITLE = auto()  # on a new one if the PACS knows the requestor's AE title, else on the same
    SAME = auto()
    NEW = auto()
    NOWHERE = auto()


@dataclass(frozen=True, slots=True)
class Commit:
    """Take a storage commitment request and tell its result (PS3.4 J.3.2, J.3.3), as it does without a script.

    Committed is what is held or was stored. ``fail`` are SOP Instance UIDs with the reason why they are not; what is in
    ``omit`` is not spoken of. The result is told ``times`` times, each after ``delay`` seconds, with
    ``transaction_uid`` in place of the true one.
    """

    respond: Respond = _SUCCESS
    where: Where = Where.BY_TITLE
    fail: Mapping[str, int] = field(default_factory=dict)
    omit: Collection[str] = ()
    transaction_uid: str = ""
    times: int = 1
    delay: float = 0.0


RequestAct = Respond | Stall | Break | Garbage | Answer | Find | Retrieve | Commit
"""What can be done with a request that is no C-STORE."""
