"""Small parts of statements that every domain needs: the scope's conditions, upserts, sums, builders of records."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from typing import Any, cast  # `Any`: SQLAlchemy columns are generic over values they do not know

from sqlalchemy import ColumnElement, Dialect, Executable, Table, and_, bindparam, case, func, insert, or_
from sqlalchemy import cast as sql_cast

from agentrecord.engine.connection import Prepared
from agentrecord.records.scope import Scope
from agentrecord.records.usage import UsageTotals
from agentrecord.schema.tables import USAGE_COUNTERS
from agentrecord.schema.types import Whole


def within(scope: Scope, table: Table) -> list[ColumnElement[bool]]:
    """Return the conditions that keep a statement on `table` inside `scope`."""
    conditions: list[ColumnElement[bool]] = [table.c.project_id == scope.project]
    if scope.user is not None and "user_uuid" in table.c:
        conditions.append(table.c.user_uuid == scope.user)
    return conditions


def bound_within(table: Table) -> list[ColumnElement[bool]]:
    """Return the same conditions for a prepared statement; bind them with `scope_params`."""
    user = bindparam("scope_user", type_=table.c.user_uuid.type)
    return [table.c.project_id == bindparam("scope_project"), or_(user.is_(None), table.c.user_uuid == user)]


def scope_params(scope: Scope) -> dict[str, object]:
    """Return the values for `bound_within`."""
    return {"scope_project": scope.project, "scope_user": scope.user}


def insert_into(table: Table, *, leave_out: Iterable[str] = ()) -> Prepared:
    """Return an INSERT of every column of `table`, bound by the columns' names."""
    skipped = set(leave_out)
    return Prepared(insert(table).values({c.name: bindparam(c.name) for c in table.c if c.name not in skipped}))


class PerDialect(Prepared):
    """A prepared statement whose construct differs between dialects; each is built when it first runs there."""

    def __init__(self, build: Callable[[Dialect], Executable]) -> None:
        """Take what builds the construct."""
        self.then = None
        self._build = build
        self._of: dict[str, Prepared] = {}

    def compiled(self, dialect: Dialect, schema: str | None) -> Any:
        """Return the statement in `dialect`'s words."""
        found = self._of.get(dialect.name)
        if found is None:
            found = self._of[dialect.name] = Prepared(self._build(dialect))
        return found.compiled(dialect, schema)


def insert_for(dialect: Dialect, table: Table, values: Mapping[str, Any] | None = None) -> Any:
    """Return an INSERT of `values`, or of every column, that can have the ON CONFLICT of `dialect`."""
    construct = import_module(f"sqlalchemy.dialects.{dialect.name}").insert
    return construct(table).values(values or {c.name: bindparam(c.name) for c in table.c})


def insert_or_skip(table: Table, key: Sequence[str] | None = None) -> Prepared:
    """Return an INSERT of every column that leaves a row with the same `key` (or any unique key) as it is."""
    return PerDialect(lambda dialect: insert_for(dialect, table).on_conflict_do_nothing(index_elements=key))


def insert_or_skip_telling(table: Table) -> Prepared:
    """Return an INSERT as `insert_or_skip`'s that returns the row's id, and nothing where it left a row as it is."""
    return PerDialect(lambda dialect: insert_for(dialect, table).on_conflict_do_nothing().returning(table.c.id))


def insert_or_add(table: Table, key: Sequence[str], *, add: Sequence[str], span: bool = False) -> Prepared:
    """Return an INSERT that adds the columns `add` to the row that has the same `key`.

    With `span`, `first_at` and `last_at` widen to hold the new row's.
    """

    def build(dialect: Dialect) -> Executable:
        statement = insert_for(dialect, table)
        new = statement.excluded
        changes: dict[str, Any] = {name: table.c[name] + new[name] for name in add}
        if span:
            changes["first_at"] = case((table.c.first_at > new.first_at, new.first_at), else_=table.c.first_at)
            changes["last_at"] = case((table.c.last_at < new.last_at, new.last_at), else_=table.c.last_at)
        return cast(Executable, statement.on_conflict_do_update(index_elements=list(key), set_=changes))

    return PerDialect(build)


def insert_or_replace(table: Table, key: Sequence[str], *, update: Sequence[str]) -> Prepared:
    """Return an INSERT that sets the columns `update` of the row that has the same `key`."""

    def build(dialect: Dialect) -> Executable:
        statement = insert_for(dialect, table)
        changes = {name: statement.excluded[name] for name in update}
        return cast(Executable, statement.on_conflict_do_update(index_elements=list(key), set_=changes))

    return PerDialect(build)


def total(column: Any) -> ColumnElement[int]:
    """Return a column's sum as a 64-bit integer, 0 over no rows (PostgreSQL sums integers into decimals)."""
    return sql_cast(func.coalesce(func.sum(column), 0), Whole())


def by_value(column: Any) -> ColumnElement[Any]:
    """Return a column to order by whose order no index has, where another index narrows a statement to few rows.

    SQLite does not know how many rows a project has, and would rather walk through all of them in the asked order.
    """
    return func.coalesce(column, column)


def usage_totals(row: Mapping[str, Any], prefix: str = "") -> UsageTotals:
    """Return the usage counters of a row as a record."""
    return UsageTotals(**{name: row[prefix + name] or 0 for name in USAGE_COUNTERS})


def later_of(column: Any, parameter: str) -> ColumnElement[Any]:
    """Return the later of an instant's column and a bound parameter."""
    given = bindparam(parameter, type_=column.type)
    return case((column < given, given), else_=column)


def contains(column: Any, words: str) -> ColumnElement[bool]:
    """Return the condition that `column` contains `words`, whatever their case, alike on every engine."""
    return func.lower(column).contains(words.lower(), autoescape=True)


def comes_after(order: Sequence[ColumnElement[Any]], values_of: Sequence[object]) -> ColumnElement[bool]:
    """Return the condition that a row comes after these values, the first column deciding before the next."""
    (column, *columns), (value, *others) = order, values_of
    later = column > value
    return or_(later, and_(column == value, comes_after(columns, others))) if columns else later
