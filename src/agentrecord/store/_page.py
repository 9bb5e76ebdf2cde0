"""Keyset pages: a cursor names the last row's place in the order, so that no page skips or repeats a row."""

import base64
import binascii
import hashlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar  # `Any`: rows hold whatever their columns hold
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, collate, func, or_, select

from agentrecord.codec.values import MAX_INTEGER, MIN_INTEGER, clean_text
from agentrecord.engine import Connection
from agentrecord.engine.moments import from_micros, to_micros
from agentrecord.exceptions import InvalidFilter
from agentrecord.records.page import COUNT_LIMIT, MAX_OFFSET, MAX_PAGE, Page
from agentrecord.schema.types import Micros

T = TypeVar("T")
Sorts = Mapping[str, ColumnElement[Any]]


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
) -> Page[T]:
    """Run `statement` for one page, ordered by `sort` (a name in `sorts`, `-` first for descending).

    `statement` must select the sort's column under the sort's own name and the row's id as `id`.
    """
    checked_limit(limit)
    checked_offset(offset)
    name = sort.removeprefix("-")
    if name not in sorts:
        raise InvalidFilter("sort", sort, f"must be one of {', '.join(sorts)}, with - before it for descending")
    descending = sort.startswith("-")
    column = _ordered(connection, sorts[name])
    compiled_filter = _fingerprint(statement, sort)
    ordered = statement
    if cursor is not None:
        ordered = ordered.where(_after(column, row_id, descending, _place(cursor, compiled_filter, sorts[name])))
    direction = [column.desc(), row_id.desc()] if descending else [column.asc(), row_id.asc()]
    rows = connection.maps(
        ordered.add_columns(column.label("page_key")).order_by(*direction).limit(limit + 1).offset(offset)
    )
    more = len(rows) > limit
    shown = rows[:limit]
    next_cursor = _write(shown[-1]["page_key"], shown[-1]["id"], compiled_filter) if more else None
    total, exact = _count(connection, statement) if counted else (None, True)
    return Page([build(row) for row in shown], limit, next_cursor, total, exact)


def _ordered(connection: Connection, column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return what rows are ordered by: unknown values first, text by its code points whatever the locale."""
    lowest = _lowest(column)
    filled = func.coalesce(column, lowest)
    return filled if connection.is_sqlite or lowest != "" else collate(filled, "C")


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


def _count(connection: Connection, statement: Select[Any]) -> tuple[int, bool]:
    limited = statement.order_by(None).limit(COUNT_LIMIT + 1).subquery()
    found = int(connection.value(select(func.count()).select_from(limited)))
    return min(found, COUNT_LIMIT), found <= COUNT_LIMIT


def _after(
    column: ColumnElement[Any], row_id: ColumnElement[Any], descending: bool, place: tuple[object, UUID]
) -> ColumnElement[bool]:
    value, last_id = place
    if descending:
        return or_(column < value, and_(column == value, row_id < last_id))
    return or_(column > value, and_(column == value, row_id > last_id))


def _fingerprint(statement: Select[Any], sort: str) -> str:
    compiled = statement.compile()
    said = str(compiled) + repr(sorted((k, str(v)) for k, v in compiled.params.items())) + sort
    return hashlib.sha256(said.encode()).hexdigest()[:12]


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
        raise InvalidFilter("cursor", cursor, "belongs to another filter or order; start without it")
    return place


def _place(cursor: str, fingerprint: str, column: ColumnElement[Any]) -> tuple[object, UUID]:
    """Return where a cursor points; its value must be of the column's kind: anybody can write a cursor."""
    value, row_id = _read(cursor, fingerprint)
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
