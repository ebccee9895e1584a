"""How a tag is compared: with what it can equal, and whether something may stand in for it where it is missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from gurney.transfer.errors import ExpressionError
from gurney.transfer.routing.rules import Door
from gurney.transfer.routing.tags import Kind, Tag
from gurney.transfer.routing.tokens import Token, matching

__all__ = ["CONVERSIONS", "check_comparison", "check_door", "needs_presence"]

CONVERSIONS: Final = frozenset({"int", "uint", "double", "timestamp", "duration"})

# Where nothing may stand in for either side: the empty text comes before every date.
_NEEDS_BOTH: Final = frozenset({"<", "<=", ">", ">=", "+"})
_EQUALITY: Final = frozenset({"==", "!="})


def needs_presence(tokens: Sequence[Token], at: int) -> bool:
    """Tell whether nothing may stand in for a missing tag here: it is ordered, added, converted, or in a ``has``."""
    first, last = at, at + 2
    while (
        first > 0
        and last + 1 < len(tokens)
        and (tokens[first - 1].text, tokens[last + 1].text) == ("(", ")")
        and not (first > 1 and tokens[first - 2].kind == "name")
    ):
        first, last = first - 1, last + 1
    before = tokens[first - 1].text if first else ""
    after = tokens[last + 1].text if last + 1 < len(tokens) else ""
    if before in _NEEDS_BOTH or after in _NEEDS_BOTH:
        return True
    return before == "(" and first > 1 and tokens[first - 2].text in CONVERSIONS | {"has"}


def check_comparison(tokens: Sequence[Token], at: int, tag: Tag) -> None:
    """Refuse to compare a tag with what it can never equal: CEL would say false for ever, and nobody would know."""
    if at + 3 < len(tokens) and tokens[at + 3].text in {".", "["}:
        return  # a method's result or an element is compared, not the tag
    for literal in (*_equal_to(tokens, at, at + 2), *_listed(tokens, at + 2)):
        _check_literal(tag, literal, tokens[at])
    if at > 1 and tokens[at - 1].text == "in":
        _check_element(tag, tokens[at - 2])


def check_door(tokens: Sequence[Token], at: int) -> None:
    """Refuse to compare ``door`` with what is no door. Raises ExpressionError."""
    compared = [*_equal_to(tokens, at, at), *_listed(tokens, at)]
    for literal in compared:
        if literal.kind == "text" and literal.text[1:-1] not in set(Door):
            raise ExpressionError(f"{literal.text} is no door; doors are {', '.join(Door)}", literal.start)


def _equal_to(tokens: Sequence[Token], first: int, last: int) -> Iterator[Token]:
    """Yield what the name between two indexes is compared with by ``==`` or ``!=``."""
    if last + 2 < len(tokens) and tokens[last + 1].text in _EQUALITY:
        yield tokens[last + 2]
    if first > 1 and tokens[first - 1].text in _EQUALITY:
        yield tokens[first - 2]


def _listed(tokens: Sequence[Token], last: int) -> Sequence[Token]:
    """Return what stands in the list after ``in``, if that follows."""
    if last + 2 < len(tokens) and (tokens[last + 1].text, tokens[last + 2].text) == ("in", "["):
        return tokens[last + 3 : matching(tokens, last + 2)]
    return ()


def _check_literal(tag: Tag, literal: Token, where: Token) -> None:
    if literal.kind not in {"text", "number"}:
        return
    if tag.many:
        hint = f"{literal.text} in t.{tag.keyword}"
        raise ExpressionError(f"{tag.keyword} is a list: write {hint}, or compare t.{tag.keyword}[0]", where.start)
    _check_kind(tag, literal)


def _check_element(tag: Tag, literal: Token) -> None:
    if literal.kind not in {"text", "number"}:
        return
    if not tag.many:
        words = f"{tag.keyword} is a single value, not a list: use == or contains"
        raise ExpressionError(words, literal.start)
    _check_kind(tag, literal)


def _check_kind(tag: Tag, literal: Token) -> None:
    if (literal.kind == "text") != (tag.kind is Kind.TEXT):
        is_, compared = ("text", "a number") if tag.kind is Kind.TEXT else ("a number", "text")
        raise ExpressionError(f"{tag.keyword} is {is_}, and {literal.text} is {compared}", literal.start)
