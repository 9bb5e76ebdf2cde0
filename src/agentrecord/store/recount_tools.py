"""The recount of what tools are charged for: what each call asked for by the rule, and every sum over that."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any  # `Any`: rows hold whatever their columns hold

from sqlalchemy import ColumnElement, Select, Table, and_, case, func, literal_column, select, union_all

from agentrecord.engine import Connection
from agentrecord.engine.moments import HOUR_MICROS
from agentrecord.ids import NIL
from agentrecord.records.scope import Scope
from agentrecord.schema import call_tools, llm_calls, tool_calls, tool_usage_days, tool_usage_hours
from agentrecord.schema.tables import USAGE_COUNTERS
from agentrecord.schema.types import Id, Whole
from agentrecord.schema.usage import (
    CUT_KEYS,
    DAY_CUTS,
    DIMENSIONS,
    DIVIDED,
    HOUR_CUTS,
    TOOL_COUNTERS,
    UNDIVIDED,
    ToolCut,
)
from agentrecord.store._sql import total
from agentrecord.store.usage_by_session import measures

Key = tuple[Any, ...]
Sums = dict[Key, dict[str, int]]
Sides = tuple[str, Sums, Sums, tuple[str, ...]]
"""A table, its sums by key as they are kept and as they are counted, and their names."""

_AS_TIMES = 8
"""How strongly division binds, as SQLAlchemy counts it: what is divided is a sum."""


def sides(conn: Connection, scope: Scope) -> Iterator[Sides]:
    """Return all that is kept of tools with what is counted anew, for the scope's whole project."""
    kept = select(call_tools.c.llm_call_uuid, call_tools.c.tool_name, call_tools.c.user_uuid)
    rows = conn.rows(kept.where(call_tools.c.project_id == scope.project))
    asked = conn.rows(by_rule(scope))
    yield call_tools.name, {row: {"calls": 1} for row in rows}, {row: {"calls": 1} for row in asked}, ("calls",)
    hours = _counted(conn, scope)
    for table, cuts, length in ((tool_usage_hours, HOUR_CUTS, 1), (tool_usage_days, DAY_CUTS, 24)):
        yield table.name, _kept(conn, scope, table), _in_cuts(hours, cuts, length), TOOL_COUNTERS


def by_rule(scope: Scope) -> Select[*tuple[Any, ...]]:
    """Return the statement whose rows are each call that asked for a tool, each tool that it asked for, and its user.

    It reads every call and every use of a project: the rule in one piece, which what is kept has to agree with.
    """
    both = union_all(*_begun(scope, "run_uuid"), *_begun(scope, "session_uuid")).subquery("both")
    here = (both.c.within, both.c.user_uuid)
    # Each call begins a group, which the uses after it are in, up to the next call.
    number = func.sum(1 - both.c.is_use).over(partition_by=here, order_by=(both.c.at, both.c.is_use, both.c.id))
    grouped = select(both, number.label("number")).subquery("grouped")
    call = func.first_value(grouped.c.id, type_=Id()).over(
        partition_by=(grouped.c.within, grouped.c.user_uuid, grouped.c.number),
        order_by=(grouped.c.is_use, grouped.c.id),
    )
    asked = select(grouped, call.label("call")).where(grouped.c.number > 0).subquery("asked")
    return select(asked.c.call, asked.c.tool, asked.c.user_uuid).where(asked.c.is_use == 1).distinct()


def _begun(scope: Scope, place: str) -> Sequence[Select[*tuple[Any, ...]]]:
    """Return the uses of tools and the calls in runs, or in sessions (`place`) outside of runs."""
    uses, calls = [table.c.project_id == scope.project for table in (tool_calls, llm_calls)]
    outside = [] if place == "run_uuid" else [tool_calls.c.run_uuid.is_(None)]
    outside_of = [] if place == "run_uuid" else [llm_calls.c.run_uuid.is_(None)]
    return (
        select(
            tool_calls.c[place].label("within"),
            tool_calls.c.user_uuid.label("user_uuid"),
            func.coalesce(tool_calls.c.started_at, tool_calls.c.created_at).label("at"),
            literal_column("1", Whole()).label("is_use"),
            tool_calls.c.id.label("id"),
            tool_calls.c.tool_name.label("tool"),
        ).where(uses, tool_calls.c[place].is_not(None), *outside),
        select(
            llm_calls.c[place],
            llm_calls.c.user_uuid,
            llm_calls.c.timestamp,
            literal_column("0", Whole()),
            llm_calls.c.id,
            literal_column("''"),
        ).where(calls, llm_calls.c[place].is_not(None), *outside_of),
    )


def _counted(conn: Connection, scope: Scope) -> Sums:
    """Return what each tool is charged for by the hour, from the calls and what is kept of what they asked for."""
    mine = call_tools.c.llm_call_uuid
    tools = (
        select(
            mine.label("call"),
            call_tools.c.tool_name.label("tool"),
            func.count().over(partition_by=mine).label("tools"),
            func.row_number().over(partition_by=mine, order_by=call_tools.c.tool_name).label("place"),
        )
        .where(call_tools.c.project_id == scope.project)
        .subquery("tools")
    )
    added, is_first = measures(), tools.c.place == 1
    hour = llm_calls.c.timestamp.op("/", return_type=Whole())(literal_column(str(HOUR_MICROS)))
    keys = [hour.label("bucket"), tools.c.tool, *[llm_calls.c[name] for name in DIMENSIONS]]
    rows = conn.rows(
        select(
            *keys,
            *[total(_share(added, name, tools)) for name in USAGE_COUNTERS],
            *[total(case((is_first, added[name]), else_=0)) for name in UNDIVIDED],
        )
        .select_from(
            tools.join(llm_calls, and_(llm_calls.c.project_id == scope.project, llm_calls.c.id == tools.c.call))
        )
        .group_by(*keys)
    )
    found: Sums = {}
    for row in rows:
        key = tuple([NIL if part is None else part for part in row[: len(keys)]])
        found[key] = dict(zip(TOOL_COUNTERS, row[len(keys) :], strict=True))
    return found


def _share(added: Mapping[str, ColumnElement[Any]], name: str, tools: Any) -> ColumnElement[Any]:
    """Return what a call adds to a counter of one of its tools: the first ones get what cannot be divided."""
    if name not in DIVIDED:
        return added[name]
    rounded = added[name] + tools.c.tools - tools.c.place
    share: ColumnElement[Any] = rounded.op("/", precedence=_AS_TIMES, return_type=Whole())(tools.c.tools)
    return share


def _kept(conn: Connection, scope: Scope, table: Table) -> Sums:
    names = ("cut", "bucket", "tool_name", *DIMENSIONS)
    columns = [table.c[name] for name in (*names, *TOOL_COUNTERS)]
    found = {}
    for row in conn.rows(select(*columns).where(table.c.project_id == scope.project)):
        if any(row[len(names) :]):
            found[row[: len(names)]] = dict(zip(TOOL_COUNTERS, row[len(names) :], strict=True))
    return found


def _in_cuts(hours: Sums, cuts: Sequence[ToolCut], length: int) -> Sums:
    """Return what hours come to in stretches of so many hours, by what each cut tells apart."""
    found: Sums = {}
    for cut in cuts:
        for (hour, tool, *key), counts in hours.items():
            told = [part if name in CUT_KEYS[cut] else NIL for name, part in zip(DIMENSIONS, key, strict=True)]
            place = (cut, hour // length, tool, *told)
            old = found.get(place)
            found[place] = counts if old is None else {name: old[name] + value for name, value in counts.items()}
    return found
