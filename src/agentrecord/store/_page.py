"""Keyset pages: a cursor names the last row's place in the order, so that no page skips or repeats a row."""

import base64
import binascii
import hashlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar  # `Any`: rows hold whatever their columns hold
from uuid import UUID

from sqlalchemy import Column, ColumnElement, Select, and_, bindparam, collate, func, literal_column, or_, select

from agentrecord.codec.values import MAX_INTEGER, MIN_INTEGER, clean_text
from agentrecord.engine import Connection
from agentrecord.engine.moments import from_micros, to_micros
from agentrecord.exceptions import InvalidFilter
from agentrecord.records.page import COUNT_LIMIT, MAX_OFFSET, MAX_PAGE, Page
from agentrecord.schema.types import Micros
from agentrecord.store._sql import by_value

T = TypeVar("T")
Sorts = Mapping[str, ColumnElement[Any]]
_MOVING = "moving_"


def moving(name: str, value: datetime, column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return an instant to compare `column` with that may move on with the clock from page to page.

    The last 7 days are others a second later, and the same filter still: a cursor goes on there.
    """
    return bindparam(_MOVING + name, value, type_=column.type)


def checked_limit(limit: int) -> int:
    """Return `limit` if a page may be that long."""
    if not 1 <= limit <= MAX_PAGE:
        raise InvalidFilter("limit", limit, f"must be from 1 to {MAX_PAGE}")
    return limit


def checked_offset(offset: int) -> int:
    """Return `offset` if a page may start there."""
    if not 0 <= offset <= MAX_OFFSET:
        raise InvalidFilter("offset", offset, f"must be from 0 to {MAX_OFFSET}")
    return offset


@dataclass(frozen=True, slots=True)
class _Order:
    """What rows are ordered by: unknown values first, text by its code points whatever the locale.

    With `has_null` the unknown ones are NULL, which SQLite puts first by itself, so that an index gives the order.
    """

    column: ColumnElement[Any]
    row_id: ColumnElement[Any]
    descending: bool
    has_null: bool

    def clauses(self, seen_as: Callable[[Any], Any] | None = None) -> list[ColumnElement[Any]]:
        """Return what follows ORDER BY; seen `by_value`, no index is walked through for it."""
        both = (self.column if seen_as is None else seen_as(self.column), self.row_id)
        return [one.desc() for one in both] if self.descending else [one.asc() for one in both]

    def after(self, place: tuple[object, UUID]) -> ColumnElement[bool]:
        """Return the condition that a row comes after a place."""
        value, last_id = place
        column = self.column
        later = self.row_id < last_id if self.descending else self.row_id > last_id
        if value is None:
            return and_(column.is_(None), later) if self.descending else or_(column.is_not(None), later)
        # The bound stands by itself, so that an index is entered at the place.
        if not self.descending:
            return and_(column >= value, or_(column > value, later))
        found = and_(column <= value, or_(column < value, later))
        return or_(found, column.is_(None)) if self.has_null else found


def page(
    connection: Connection,
    statement: Select[Any],
    build: Callable[[Mapping[str, Any]], T],
    *,
    sorts: Sorts,
    sort: str,
    row_id: ColumnElement[Any],
    limit: int,
    cursor: str | None,
    offset: int = 0,
    counted: bool = True,
    whole: Select[Any] | None = None,
) -> Page[T]:
    """Run `statement` for one page, ordered by `sort` (a name in `sorts`, `-` first for descending).

    `statement` must select the sort's column under the sort's own name and the row's id as `id`. With `whole`, which
    selects the same of every row in scope, rows are found by id first, so that only those of the page are read whole.
    """
    checked_limit(limit)
    checked_offset(offset)
    name = sort.removeprefix("-")
    if name not in sorts:
        raise InvalidFilter("sort", sort, f"must be one of {', '.join(sorts)}, with - before it for descending")
    order = _order(connection, sorts[name], row_id, descending=sort.startswith("-"))
    counting = _counting(statement)
    made_for = None if cursor is None else _fingerprint(counting, sort)
    chosen = statement
    if cursor is not None and made_for is not None:
        chosen = chosen.where(order.after(_place(cursor, made_for, sorts[name], has_null=order.has_null)))
    if whole is not None:
        ids = chosen.with_only_columns(row_id, maintain_column_froms=True).correlate(None)
        chosen = whole.where(row_id.in_(ids.order_by(*order.clauses()).limit(limit + 1).offset(offset)))
    else:
        chosen = chosen.limit(limit + 1).offset(offset)
    clauses = order.clauses(None if whole is None else by_value)
    rows = connection.maps(chosen.add_columns(order.column.label("page_key")).order_by(*clauses))
    shown = rows[:limit]
    next_cursor = None
    if len(rows) > limit:
        next_cursor = _write(shown[-1]["page_key"], shown[-1]["id"], made_for or _fingerprint(counting, sort))
    found = int(connection.value(counting)) if counted else 0
    total = min(found, COUNT_LIMIT) if counted else None
    return Page([build(row) for row in shown], limit, next_cursor, total, found <= COUNT_LIMIT)


def _order(
    connection: Connection, column: ColumnElement[Any], row_id: ColumnElement[Any], *, descending: bool
) -> _Order:
    is_plain = isinstance(column, Column)
    is_known = is_plain and not column.nullable
    has_null = is_plain and not is_known and connection.is_sqlite and isinstance(column.type, Micros)
    lowest = _lowest(column)
    filled = column if is_known or has_null else func.coalesce(column, lowest)
    if lowest == "" and not connection.is_sqlite:
        filled = collate(filled, "C")
    return _Order(filled, row_id, descending, has_null)


def _counting(statement: Select[Any]) -> Select[Any]:
    """Return a query for how many rows a statement finds, at most one more than are counted."""
    bare: Select[Any] = statement.order_by(None).with_only_columns(
        literal_column("1").label("one"), maintain_column_froms=True
    )
    return select(func.count()).select_from(bare.limit(COUNT_LIMIT + 1).subquery())


def _lowest(column: ColumnElement[Any]) -> object:
    kind = column.type.python_type if not hasattr(column.type, "decoder") else None
    from_type = type(column.type).__name__
    if from_type == "Micros":
        return -1
    if from_type == "Whole":
        return -(2**62)
    if from_type == "Real":
        return -1e308
    return "" if kind is None or kind is str else 0


def _fingerprint(counting: Select[Any], sort: str) -> str:
    """Return what tells one filter and order from another, on every engine alike: in no dialect's own words."""
    compiled = counting.compile()
    asked = {name: value for name, value in compiled.params.items() if not name.startswith(_MOVING)}
    said = str(compiled) + repr(sorted((name, str(value)) for name, value in asked.items())) + sort
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def _write(value: object, row_id: UUID, fingerprint: str) -> str:
    if isinstance(value, datetime):
        value = {"at": to_micros(value)}
    text = json.dumps([value, row_id.hex, fingerprint], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read(cursor: str, fingerprint: str) -> tuple[object, UUID]:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        value, row_id, made_for = json.loads(base64.urlsafe_b64decode(padded.encode("ascii")))
        place = (from_micros(value["at"]) if isinstance(value, dict) else value, UUID(hex=row_id))
    except (ValueError, TypeError, KeyError, AttributeError, binascii.Error, OverflowError) as error:
        raise InvalidFilter("cursor", cursor, "is not one that this list gave; start without it") from error
    if made_for != fingerprint:
        raise InvalidFilter("cursor", cursor, "belongs to another filter, range or order; start without it")
    return place


def _place(cursor: str, fingerprint: str, column: ColumnElement[Any], *, has_null: bool) -> tuple[object, UUID]:
    """Return where a cursor points; its value must be of the column's kind: anybody can write a cursor."""
    value, row_id = _read(cursor, fingerprint)
    if value is None and has_null:
        return None, row_id
    lowest = _lowest(column)
    if isinstance(value, bool):
        fits = False
    elif isinstance(column.type, Micros):
        fits = isinstance(value, datetime)
    elif isinstance(lowest, str):
        fits = isinstance(value, str) and clean_text(value) == value
    elif isinstance(lowest, float):
        fits = isinstance(value, int | float) and -sys.float_info.max <= value <= sys.float_info.max
    else:
        fits = isinstance(value, int) and MIN_INTEGER <= value <= MAX_INTEGER
    if not fits:
        raise InvalidFilter("cursor", cursor, "is not one that this list gave; start without it")
    return value, row_id


def names(values: Sequence[str] | None) -> tuple[str, ...]:
    """Return a filter's values as a tuple, empty for none."""
    return tuple(values or ())
