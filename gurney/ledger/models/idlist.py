"""A list of ids as one parameter: the statement's text stays the same however many there are.

SQLAlchemy writes a placeholder for each member of an IN list and so compiles anew for each length; a worker does this
for every group of results.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Dialect, Text, bindparam
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine

__all__ = ["among"]


class _IdList(TypeDecorator[Sequence[int]]):
    """An array in PostgreSQL, JSON in SQLite."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(ARRAY(BigInteger))
        return dialect.type_descriptor(Text())

    def process_bind_param(self, value: Sequence[int] | None, dialect: Dialect) -> Any:
        return value if value is None or dialect.name == "postgresql" else json.dumps(value)


class _Among(FunctionElement[Any]):
    """``column IN (ids)``; without a type, or SQLAlchemy would compare it with 1 for SQLite."""

    name = "among"
    inherit_cache = True

    @property
    def parts(self) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
        """The column and the parameter."""
        column, ids = self.clauses
        return column, ids


@compiles(_Among, "sqlite")
def _in_json(element: _Among, compiler: SQLCompiler, **how: Any) -> str:
    column, ids = element.parts
    values = f"SELECT value FROM json_each({compiler.process(ids, **how)})"  # noqa: S608 - no value, its placeholder
    return f"{compiler.process(column, **how)} IN ({values})"


@compiles(_Among, "postgresql")
def _in_array(element: _Among, compiler: SQLCompiler, **how: Any) -> str:
    column, ids = element.parts
    return f"{compiler.process(column, **how)} = ANY({compiler.process(ids, **how)})"


def among(column: InstrumentedAttribute[Any], parameter: str) -> ColumnElement[Any]:
    """Match rows whose id is in a list that is given as the parameter of this name."""
    return _Among(column, bindparam(parameter, type_=_IdList()))
