"""Read one rule's expression: which tags it asks for, by which names, and whether it may run at all."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gurney.transfer.errors import ExpressionError
from gurney.transfer.routing.comparisons import CONVERSIONS, check_comparison, check_door, needs_presence
from gurney.transfer.routing.limits import LONGEST, MACROS, check_limits, macros_of
from gurney.transfer.routing.tags import Tag, UnknownKeyword, find_tag
from gurney.transfer.routing.tokens import Token, is_call, tokenize

__all__ = ["PRESENT", "STANDING_IN", "VARIABLES", "Expression", "read_expression"]

STANDING_IN: Final = "t"
PRESENT: Final = "present"
"""The variable that tags are read from where nothing may stand in for what is missing: ``has``, order, conversions."""

VARIABLES: Final = frozenset(
    {
        "source",
        "door",
        "calling_ae_title",
        "called_ae_title",
        "peer_address",
        "study_instance_uid",
        "series_instance_uid",
        "sop_instance_uid",
        "sop_class_uid",
        "transfer_syntax_uid",
    }
)

_WORDS: Final = frozenset({"true", "false", "null", "in"})
_METHODS: Final = frozenset({"contains", "startsWith", "endsWith", "matches", "size"})
_FUNCTIONS: Final = CONVERSIONS | {"has", "size", "string"}


@dataclass(frozen=True, slots=True)
class Reference:
    """One ``t.Keyword`` in an expression: its tag and the index of the token ``t``."""

    tag: Tag
    at: int


@dataclass(frozen=True, slots=True)
class Expression:
    """A rule's expression as it was read. ``variables`` are those of provenance that it uses."""

    source: str
    tokens: tuple[Token, ...]
    references: tuple[Reference, ...]
    variables: frozenset[str]

    @property
    def tags(self) -> dict[str, Tag]:
        """The tags that it asks for, by keyword."""
        return {reference.tag.keyword: reference.tag for reference in self.references}

    def executable(self, start: int = 0, end: int | None = None) -> str:
        """Return the part between two offsets as it is to be run: with ``present`` where nothing may stand in."""
        end = len(self.source) if end is None else end
        pieces = []
        for reference in self.references:
            token = self.tokens[reference.at]
            if start <= token.start < end and needs_presence(self.tokens, reference.at):
                pieces += [self.source[start : token.start], PRESENT]
                start = token.end
        return "".join([*pieces, self.source[start:end]])

    def keywords(self, start: int, end: int) -> list[str]:
        """Return the keywords asked for between two offsets, each once."""
        return list(
            dict.fromkeys(
                reference.tag.keyword for reference in self.references if start <= self.tokens[reference.at].start < end
            )
        )


def read_expression(source: str) -> Expression:
    """Read an expression that the CEL library has parsed. Raises ExpressionError for what can't be a rule."""
    if len(source) > LONGEST:
        raise ExpressionError(f"is longer than {LONGEST} characters: make several rules of it")
    tokens = tokenize(source)
    if not tokens:
        raise ExpressionError("has no expression; leave it out to match everything")
    bound = _bound(tokens)
    references: list[Reference] = []
    variables: set[str] = set()
    for at, token in enumerate(tokens):
        if token.text == "{":
            raise ExpressionError("maps and messages have no use in a rule", token.start)
        if token.kind != "name" or token.text in _WORDS:
            continue
        if at and tokens[at - 1].text == ".":
            _check_member(tokens, at)
        elif token.text == STANDING_IN:
            references.append(_reference(tokens, at))
        elif is_call(tokens, at):
            _check_name(token, _FUNCTIONS, "function")
        elif token.text not in bound:
            _check_variable(token)
            variables.add(token.text)
            if token.text == "door":
                check_door(tokens, at)
    check_limits(tokens)
    for reference in references:
        check_comparison(tokens, reference.at, reference.tag)
    return Expression(source, tuple(tokens), tuple(references), frozenset(variables))


def _bound(tokens: Sequence[Token]) -> frozenset[str]:
    """Return the names that macros give to the elements of a list."""
    names = [tokens[at + 2] for at in macros_of(tokens)]
    for name in names:
        if name.text in VARIABLES | {STANDING_IN, PRESENT}:
            raise ExpressionError(f"{name.text!r} is taken; name the element otherwise", name.start)
    return frozenset(name.text for name in names)


def _reference(tokens: Sequence[Token], at: int) -> Reference:
    if not (at + 2 < len(tokens) and tokens[at + 1].text == "." and tokens[at + 2].kind == "name"):
        raise ExpressionError("t is used as t.Keyword only", tokens[at].start)
    try:
        return Reference(find_tag(tokens[at + 2].text), at)
    except UnknownKeyword as error:
        raise ExpressionError(str(error), tokens[at + 2].start) from None


def _check_member(tokens: Sequence[Token], at: int) -> None:
    """Accept ``t.Keyword``, methods and macros; nothing else has members."""
    if tokens[at - 2].text == STANDING_IN and (at < 3 or tokens[at - 3].text != "."):
        return
    if not is_call(tokens, at):
        raise ExpressionError(f"nothing here has a member {tokens[at].text!r}; tags are t.Keyword", tokens[at].start)
    if tokens[at].text == "map":
        raise ExpressionError("map is not allowed, it could run long; use exists, all or filter", tokens[at].start)
    _check_name(tokens[at], _METHODS | MACROS, "method")


def _check_name(token: Token, known: frozenset[str], what: str) -> None:
    if token.text not in known:
        close = difflib.get_close_matches(token.text, known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(sorted(known))}"
        raise ExpressionError(f"unknown {what} {token.text!r}; {hint}", token.start)


def _check_variable(token: Token) -> None:
    if token.text in VARIABLES:
        return
    close = difflib.get_close_matches(token.text, VARIABLES, n=1)
    if close:
        hint = f"did you mean {close[0]}?"
    elif _is_keyword(token.text):
        hint = f"did you mean t.{token.text}?"
    else:
        hint = f"known are t.Keyword, {', '.join(sorted(VARIABLES))}"
    raise ExpressionError(f"unknown name {token.text!r}; {hint}", token.start)


def _is_keyword(text: str) -> bool:
    try:
        find_tag(text)
    except UnknownKeyword:
        return False
    return True
