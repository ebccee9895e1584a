"""Run a rule's expression with the CEL library: the only module that knows it.

The library brings a shell of its own and takes a while to import, so that waits until there is a rule to compile.

Conditions over what is missing are *unknown*: the library raises for them, and lets ``false && unknown`` be
false and ``true || unknown`` be true. What stays unknown does not match, however it was negated; every other
failure is an error that shows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from gurney.transfer.errors import ExpressionError
from gurney.transfer.routing.conditions import Condition, split
from gurney.transfer.routing.expression import (
    PRESENT,
    STANDING_IN,
    VARIABLES,
    Expression,
    read_expression,
)
from gurney.transfer.routing.rules import Door, Provenance
from gurney.transfer.routing.tags import Tag, Tags

if TYPE_CHECKING:
    import cel

__all__ = ["Answer", "Facts", "Program", "Truth"]

_SYNTAX: Final = re.compile(r"<input>:(?P<line>[0-9]+):(?P<column>[0-9]+): (?:Syntax error: )?(?P<words>[^\n]*)")
_UNDEFINED: Final = re.compile(r"Undefined variable or function: '(?P<name>[^']*)'")
_INVALID_PATTERN: Final = "not a valid regex"

# What the library raises for an expression that it can't evaluate with the values given.
_FAILURES: Final = (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError)


class Truth(Enum):
    """What an expression is for one instance."""

    TRUE = auto()
    FALSE = auto()
    UNKNOWN = auto()
    ERROR = auto()


@dataclass(frozen=True, slots=True)
class Answer:
    """A truth, and why it is neither true nor false; the words hold no value of a tag."""

    truth: Truth
    words: str = ""


class Facts:
    """What is known of one instance, in the library's own form: made once for all rules."""

    def __init__(self, tags: Tags, provenance: Provenance) -> None:
        import cel

        self.tags = tags
        self._context = cel.Context(
            {
                STANDING_IN: tags.standing_in,
                PRESENT: tags.present,
                **{name: str(getattr(provenance, name)) for name in VARIABLES},
            }
        )

    def execute(self, program: cel.Program) -> object:
        """Evaluate a compiled program. Raises what the library raises."""
        return program.execute(self._context)


class Program:
    """One rule's expression, checked and compiled.

    Raises :class:`ExpressionError` for syntax, unknown names, types that never fit, and what could run long.
    """

    def __init__(self, source: str) -> None:
        import cel

        _parse(source)
        self.expression: Expression = read_expression(source)
        self.condition: Condition = split(self.expression.tokens)
        self._whole = cel.compile(self.expression.executable())
        self._leaves = {
            leaf: cel.compile(self.expression.executable(leaf.start, leaf.end)) for leaf in self.condition.leaves()
        }
        self._try_with_samples()

    @property
    def tags(self) -> Mapping[str, Tag]:
        """The tags that the expression asks for, by keyword."""
        return self.expression.tags

    def answer(self, facts: Facts, leaf: Condition | None = None) -> Answer:
        """Evaluate the whole expression, or one of its single conditions."""
        try:
            found = facts.execute(self._whole if leaf is None else self._leaves[leaf])
        except _FAILURES as error:
            return self._failed(error, facts.tags)
        if found is True:
            return Answer(Truth.TRUE)
        return Answer(Truth.FALSE) if found is False else Answer(Truth.ERROR, "is neither true nor false")

    def _failed(self, error: Exception, tags: Tags) -> Answer:  # noqa: PLR0911 - one return for each kind of failure
        """Tell what is missing from what is broken. The library's own words may hold values: they are not repeated."""
        for keyword in self.tags:
            if keyword in tags.unreadable:
                return Answer(Truth.ERROR, f"{keyword} {tags.unreadable[keyword]}")
        match error:
            case KeyError(args=(str(keyword), *_)) if keyword in self.tags:
                return Answer(Truth.UNKNOWN, f"{keyword} is empty")
            case IndexError():
                return Answer(Truth.UNKNOWN, "a list has fewer values than that")
            case OverflowError():
                return Answer(Truth.ERROR, "a number grows too large")
            case ZeroDivisionError():
                return Answer(Truth.ERROR, "divides by zero")
            case TypeError():
                return Answer(Truth.ERROR, "combines values of different types")
        return Answer(Truth.ERROR, "a value can't be converted")

    def _try_with_samples(self) -> None:
        """Run once with values of the right types, so that wrong types show now and not at the first instance."""
        facts = Facts(Tags.samples(self.tags), Provenance(Door.WATCH))
        for leaf, program in self._leaves.items():
            try:
                found = facts.execute(program)
            except TypeError:
                words = "combines values of different types; a decimal number needs 2.0 for 2, or double(...)"
                raise ExpressionError(words, leaf.start) from None
            except RuntimeError as error:
                _check_call(error, leaf)
            except _FAILURES:
                continue  # fits these samples badly: a conversion or an index may well succeed with real values
            else:
                if not isinstance(found, bool):
                    raise ExpressionError("is neither true nor false: compare it with something", leaf.start)


def _parse(source: str) -> None:
    import cel

    try:
        cel.compile(source)
    except ValueError as error:
        found = _SYNTAX.search(str(error))
        if found is None:
            raise ExpressionError("is not a CEL expression") from None
        lines = source.splitlines(keepends=True)
        position = sum(len(line) for line in lines[: int(found["line"]) - 1]) + int(found["column"]) - 1
        words = found["words"].partition(" expecting ")[0]
        words = words.replace("token recognition error at:", "can't read")
        words = words.replace("mismatched input '<EOF>'", "it ends too early").replace("'<EOF>'", "the end")
        raise ExpressionError(words, position) from None


def _check_call(error: RuntimeError, leaf: Condition) -> None:
    if _INVALID_PATTERN in str(error):
        raise ExpressionError("the pattern is not a regular expression", leaf.start) from None
    if undefined := _UNDEFINED.search(str(error)):
        raise ExpressionError(f"{undefined['name']} does not apply to this kind of value", leaf.start) from None
