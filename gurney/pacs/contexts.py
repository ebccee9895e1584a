"""What the peer said to each presentation context that we proposed (PS3.8 9.3.3.2)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

__all__ = ["ContextResult", "NegotiatedContext", "NegotiatedContexts"]


class ContextResult(IntEnum):
    """Result of a presentation context in an A-ASSOCIATE-AC (PS3.8 table 9-18)."""

    ACCEPTED = 0
    USER_REJECTION = 1
    NO_REASON = 2
    ABSTRACT_SYNTAX_NOT_SUPPORTED = 3
    TRANSFER_SYNTAXES_NOT_SUPPORTED = 4

    @property
    def words(self) -> str:
        """Return the result in words."""
        return self.name.replace("_", " ").lower()


@dataclass(frozen=True, slots=True)
class NegotiatedContext:
    """One proposed context: a SOP class in one transfer syntax, and the peer's result."""

    context_id: int
    sop_class_uid: str
    transfer_syntax_uid: str
    result: ContextResult

    @property
    def is_accepted(self) -> bool:
        """Tell whether the peer takes this SOP class in this syntax."""
        return self.result is ContextResult.ACCEPTED


class NegotiatedContexts:
    """All proposed contexts of an association, looked up by SOP class and transfer syntax."""

    def __init__(self, contexts: Iterable[NegotiatedContext]) -> None:
        self.all = tuple(contexts)
        self._by_pair = {(context.sop_class_uid, context.transfer_syntax_uid): context for context in self.all}

    def find(self, sop_class_uid: str, transfer_syntax_uid: str) -> NegotiatedContext | None:
        """Return what was said to a pair, or None if it was never proposed."""
        return self._by_pair.get((sop_class_uid, transfer_syntax_uid))

    def of_class(self, sop_class_uid: str) -> NegotiatedContext | None:
        """Return the first accepted context of a SOP class in any syntax."""
        return next((cx for cx in self.all if cx.sop_class_uid == sop_class_uid and cx.is_accepted), None)

    @property
    def any_accepted(self) -> bool:
        """Tell whether anything at all can be sent."""
        return any(context.is_accepted for context in self.all)
