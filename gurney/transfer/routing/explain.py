"""Say why a rule did not match: which of its conditions failed, and what the instance had there."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum, auto

from gurney.transfer.routing.conditions import Condition
from gurney.transfer.routing.program import Facts, Program, Truth

__all__ = ["Detail", "why_not"]


class Detail(Enum):
    """How much an explanation tells: tag values may be patient data."""

    NONE = auto()
    CONDITIONS = auto()
    VALUES = auto()


def why_not(program: Program, facts: Facts, detail: Detail) -> str:
    """Name the conditions because of which the rule did not match."""
    return "; ".join(_says(program, leaf, facts, detail) for leaf in _failing(program, program.condition, facts))


def _says(program: Program, leaf: Condition, facts: Facts, detail: Detail) -> str:
    text = program.expression.source[leaf.start : leaf.end]
    unknown = program.answer(facts, leaf).words
    findings = [_finding(keyword, facts, detail) for keyword in program.expression.keywords(leaf.start, leaf.end)]
    told = ", ".join(finding for finding in findings if finding != unknown)
    return f"{text} is {f'not known: {unknown}' if unknown else 'false'}{f' ({told})' if told else ''}"


def _failing(program: Program, condition: Condition, facts: Facts) -> Iterator[Condition]:
    """Yield the single conditions that are not true and matter: those of an ``||`` matter only if all of it failed."""
    if not condition.parts:
        if program.answer(facts, condition).truth is not Truth.TRUE:
            yield condition
        return
    if condition.joint == "||" and any(not list(_failing(program, part, facts)) for part in condition.parts):
        return
    for part in condition.parts:
        yield from _failing(program, part, facts)


def _finding(keyword: str, facts: Facts, detail: Detail) -> str:
    if keyword in facts.tags.unreadable:
        return f"{keyword} {facts.tags.unreadable[keyword]}"
    if keyword not in facts.tags.present:
        return f"{keyword} is empty"
    return f"{keyword} is {facts.tags.present[keyword]!r}" if detail is Detail.VALUES else f"{keyword} has a value"
