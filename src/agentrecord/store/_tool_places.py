"""Where calls and uses of tools meet: a user's in a run, or outside any run in a session, in order of time."""

from bisect import bisect_right
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple  # `Any`: rows hold whatever their columns hold
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    and_,
    bindparam,
    delete,
    exists,
    func,
    literal_column,
    or_,
    select,
    union_all,
)

from agentrecord.engine import Connection, Prepared
from agentrecord.ids import ProjectId
from agentrecord.schema import call_tools, llm_calls, tool_calls
from agentrecord.schema.types import Whole
from agentrecord.schema.usage import DIMENSIONS
from agentrecord.store._call_counts import MEASURED
from agentrecord.store._lookup import CHUNK

_RUN, _SESSION = "run_uuid", "session_uuid"
_FOREVER = 2**62
PLACED = (_RUN, _SESSION, "user_uuid")
"""The columns of a call or a use of a tool that say where it was."""

CALL_COLUMNS = ("id", _RUN, _SESSION, "timestamp", *DIMENSIONS, *MEASURED)
"""What has to be known of a call to count it."""


class Place(NamedTuple):
    """A run, or a session outside of its runs (as `column` says), and whose calls and uses there are meant."""

    column: str
    row_id: UUID
    user: UUID


def place_of(row: Mapping[str, Any]) -> Place | None:
    """Return where a call or a use of a tool was; None outside any run and session: nothing tells what it was of."""
    for column in (_RUN, _SESSION):
        if row[column] is not None:
            return Place(column, row[column], row["user_uuid"])
    return None


def _here(table: Any, column: str) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [
        table.c.project_id == bindparam("project"),
        table.c[column] == bindparam("place"),
        table.c.user_uuid == bindparam("user"),
    ]
    return found if column == _RUN else [*found, table.c.run_uuid.is_(None)]


def _asking(column: str) -> Prepared:
    """Return the statement that finds the last call of a place at an instant, with a row for each of its tools."""
    earlier = llm_calls.alias("earlier")
    last = (
        select(earlier.c.id)
        .where(*_here(earlier, column), earlier.c.timestamp <= bindparam("at"))
        .order_by(earlier.c.timestamp.desc(), earlier.c.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    of_call = (call_tools.c.project_id == llm_calls.c.project_id) & (call_tools.c.llm_call_uuid == llm_calls.c.id)
    return Prepared(
        select(*[llm_calls.c[name] for name in CALL_COLUMNS], call_tools.c.tool_name)
        .select_from(llm_calls.outerjoin(call_tools, of_call))
        .where(llm_calls.c.project_id == bindparam("project"), llm_calls.c.id == last)
    )


def _edge(column: str, *, is_first: bool) -> ColumnElement[Any]:
    """Return when the last call of a place was before an instant, or the first one after one; that itself without."""
    other = llm_calls.alias("other")
    at = bindparam("first" if is_first else "last", type_=llm_calls.c.timestamp.type)
    found = select(other.c.timestamp).where(*_here(other, column))
    if is_first:
        found = found.where(other.c.timestamp < at).order_by(other.c.timestamp.desc())
    else:
        found = found.where(other.c.timestamp > at).order_by(other.c.timestamp)
    return func.coalesce(found.limit(1).scalar_subquery(), at)


def _calls(column: str) -> Prepared:
    """Return the statement that finds the calls of a stretch of time, with the one before it and the one after."""
    at = llm_calls.c.timestamp
    return Prepared(
        select(llm_calls.c.id, at)
        .where(
            *_here(llm_calls, column), at >= _edge(column, is_first=True), at <= _edge(column, is_first=False)
        )
        .order_by(at, llm_calls.c.id)
    )  # fmt: skip


def _uses(column: str) -> Prepared:
    """Return the statement that finds the uses of tools from an instant on, up to another."""
    uses = tool_calls.c
    when = {uses.started_at: [], uses.created_at: [uses.started_at.is_(None)]}
    return Prepared(
        union_all(
            *[
                select(at.label("at"), uses.tool_name).where(
                    *_here(tool_calls, column), *more, at >= bindparam("first"), at < bindparam("end")
                )
                for at, more in when.items()
            ]
        )
    )


def _once_used(column: str) -> Prepared:
    """Return the statement that has a row if a tool was used from an instant on."""
    uses = tool_calls.c
    first = bindparam("first", type_=uses.started_at.type)
    since = (uses.started_at >= first, and_(uses.started_at.is_(None), uses.created_at >= first))
    # Two look-ups in the index, of which the second comes only if the first finds nothing.
    found = [exists().where(*_here(tool_calls, column), begun) for begun in since]
    return Prepared(select(literal_column("1", Whole())).where(or_(*found)))


_COLUMNS = (_RUN, _SESSION)
_ASKING = {column: _asking(column) for column in _COLUMNS}
_CALLS = {column: _calls(column) for column in _COLUMNS}
_USES = {column: _uses(column) for column in _COLUMNS}
_USED_SINCE = {column: _once_used(column) for column in _COLUMNS}
FORGET = Prepared(
    delete(call_tools).where(
        call_tools.c.project_id == bindparam("project"),
        call_tools.c.llm_call_uuid == bindparam("call"),
        call_tools.c.tool_name == bindparam("tool"),
    )
)


def asking(conn: Connection, project: ProjectId, place: Place, at: datetime) -> list[dict[str, Any]]:
    """Return the call that asked for a tool used at an instant: a row for each tool that it has, or one."""
    return conn.maps(_ASKING[place.column], {**_params(project, place), "at": at})


def asked_in(
    conn: Connection, project: ProjectId, place: Place, first: datetime, last: datetime
) -> dict[UUID, frozenset[str]]:
    """Return what each call of a place asked for, from the one before `first` to the last one at `last`."""
    here = _params(project, place)
    calls = conn.rows(_CALLS[place.column], {**here, "first": first, "last": last})
    if not calls:
        return {}
    moments = [at for _, at in calls]
    names: list[set[str]] = [set() for _ in calls]
    end = moments[-1] if moments[-1] > last else _FOREVER
    for at, name in conn.rows(_USES[place.column], {**here, "first": moments[0], "end": end}):
        names[bisect_right(moments, at) - 1].add(name)
    return {call: frozenset(found) for (call, at), found in zip(calls, names, strict=True) if at <= last}


def _params(project: ProjectId, place: Place) -> dict[str, object]:
    return {"project": project, "place": place.row_id, "user": place.user}


def used_since(conn: Connection, project: ProjectId, since: Mapping[Place, datetime]) -> set[Place]:
    """Return the places where a tool was used at or after an instant that is told for each."""
    found: set[Place] = set()
    if len(since) == 1:
        ((place, at),) = since.items()
        is_used = conn.first(_USED_SINCE[place.column], {**_params(project, place), "first": at}) is not None
        return {place} if is_used else found
    for column in _COLUMNS:
        wanted = [place for place in since if place.column == column]
        for start in range(0, len(wanted), CHUNK):
            chunk = wanted[start : start + CHUNK]
            values = [value for number, place in enumerate(chunk) for value in (number, place.row_id, since[place])]
            rows = conn.text(_used_since(conn, column, len(chunk)), (*values, project, project))
            found.update(chunk[number] for (number,) in rows)
    return found


def _used_since(conn: Connection, column: str, count: int) -> str:
    """Return SQL text that says in which of so many places a tool was used since: one look-up in an index for each."""
    table = tool_calls.name if conn.schema is None else f"{conn.schema}.{tool_calls.name}"
    mark = "(?, ?, ?)" if conn.is_sqlite else "(%s::int, %s::uuid, %s::bigint)"
    project = "?" if conn.is_sqlite else "%s"
    outside = " AND used.run_uuid IS NULL" if column == _SESSION else ""
    used = f"SELECT 1 FROM {table} AS used WHERE used.project_id = {project} AND used.{column} = asked.place{outside}"
    return (
        f"WITH asked(number, place, at) AS (VALUES {', '.join([mark] * count)}) SELECT number FROM asked"
        f" WHERE EXISTS ({used} AND used.started_at >= asked.at)"
        f" OR EXISTS ({used} AND used.started_at IS NULL AND used.created_at >= asked.at)"
    )
