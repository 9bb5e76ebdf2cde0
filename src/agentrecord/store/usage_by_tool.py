"""Usage by tool: a call counts for the tools that it asked for, and its tokens and cost are divided among them.

What asked for a use of a tool is not told alike by every source, but the order is: the last call of the same run, or
outside any run of the same session, before the use began.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any  # `Any`: rows hold whatever their columns hold

from sqlalchemy import ColumnElement, Select, Subquery, and_, case, func, literal_column, select, union_all

from agentrecord.engine import Connection
from agentrecord.records.scope import Scope
from agentrecord.records.usage import UsageRow, UsageTotals
from agentrecord.schema import llm_calls, tool_calls
from agentrecord.schema.tables import USAGE_COUNTERS
from agentrecord.schema.types import Whole
from agentrecord.store._sql import total, usage_totals, within
from agentrecord.store.usage_by_session import hour_of, in_range, measures

NO_TOOL = "no tool"
DIVIDED = (*[name for name in USAGE_COUNTERS if name.endswith("_tokens")], "cost_nanos")
"""What is divided among the tools of a call; a call itself counts whole for each of them."""

_WHOLE = tuple(name for name in USAGE_COUNTERS if name not in DIVIDED)
_AS_TIMES = 8
"""How strongly division binds, as SQLAlchemy counts it: what is divided is a sum."""


def rows(
    conn: Connection,
    scope: Scope,
    whole: UsageTotals,
    *,
    since: datetime | None,
    until: datetime | None,
    include_subagents: bool,
) -> list[UsageRow]:
    """Return one row for each tool, and one for what is left of the `whole`: the calls that asked for none.

    Costs and tokens add up to the whole's, to the nano-dollar; a call that asked for several tools is among the
    calls of each.
    """
    shown = []
    for row in _found(conn, scope, since, until, include_subagents):
        totals = usage_totals(row)
        # Of each call only its first tool takes what is not divided off the whole: what is left asked for none.
        whole = whole - usage_totals({**row, **{name: row[f"once_{name}"] for name in _WHOLE}})
        shown.append(
            UsageRow(
                key=row["tool"], label=row["tool"], totals=totals, first_at=row["first_at"], last_at=row["last_at"]
            )
        )
    if whole.calls:
        shown.append(UsageRow(key=NO_TOOL, label=NO_TOOL, totals=whole))
    return shown


def _found(
    conn: Connection, scope: Scope, since: datetime | None, until: datetime | None, include_subagents: bool
) -> list[dict[str, Any]]:
    uses = _uses(scope, since, until)
    tools = select(
        uses,
        func.count().over(partition_by=uses.c.call).label("tools"),
        func.row_number().over(partition_by=uses.c.call, order_by=uses.c.tool).label("place"),
    ).subquery("tools")
    is_first = tools.c.place == 1
    added = measures()
    statement = (
        select(
            tools.c.tool,
            *[total(_share(added, name, tools)).label(name) for name in USAGE_COUNTERS],
            *[total(case((is_first, added[name]), else_=0)).label(f"once_{name}") for name in _WHOLE],
            func.min(llm_calls.c.timestamp).label("first_at"),
            func.max(llm_calls.c.timestamp).label("last_at"),
        )
        .select_from(
            tools.join(llm_calls, and_(llm_calls.c.project_id == scope.project, llm_calls.c.id == tools.c.call))
        )
        .where(
            *within(scope, llm_calls),
            *in_range(since, until),
            *([] if include_subagents else [~llm_calls.c.is_subagent]),
        )
        .group_by(tools.c.tool)
    )
    return conn.maps(statement)


def _share(added: Mapping[str, ColumnElement[Any]], name: str, tools: Any) -> ColumnElement[Any]:
    """Return what a call adds to a counter of one of its tools: the first ones get what cannot be divided."""
    if name not in DIVIDED:
        return added[name]
    rounded = added[name] + tools.c.tools - tools.c.place
    share: ColumnElement[Any] = rounded.op("/", precedence=_AS_TIMES, return_type=Whole())(tools.c.tools)
    return share


def _uses(scope: Scope, since: datetime | None, until: datetime | None) -> Subquery:
    """Return each call that asked for a tool with each tool that it asked for.

    What began after the end of a stretch of time is read too: a use there may be of a call before it, or of another.
    """
    begun = (*_begun(scope, "run_uuid", since, until), *_begun(scope, "session_uuid", since, until))
    both = union_all(*begun).subquery("both")
    # Each call begins a group, which the uses after it are in, up to the next call.
    number = func.sum(1 - both.c.is_use).over(
        partition_by=both.c.within, order_by=(both.c.at, both.c.is_use, both.c.id)
    )
    grouped = select(both, number.label("number")).subquery("grouped")
    call = func.first_value(grouped.c.id).over(
        partition_by=(grouped.c.within, grouped.c.number), order_by=(grouped.c.is_use, grouped.c.id)
    )
    asked = select(grouped, call.label("call")).where(grouped.c.number > 0).subquery("asked")
    return select(asked.c.call, asked.c.tool).where(asked.c.is_use == 1).distinct().subquery("uses")


def _begun(
    scope: Scope, place: str, since: datetime | None, until: datetime | None
) -> tuple[Select[*tuple[Any, ...]], Select[*tuple[Any, ...]]]:
    """Return the uses of tools and the calls around them in runs, or in sessions (`place`) outside of runs."""
    use_place, call_place = tool_calls.c[place], llm_calls.c[place]
    in_uses = [*within(scope, tool_calls), use_place.is_not(None)]
    in_calls = [*within(scope, llm_calls), call_place.is_not(None)]
    if use_place is not tool_calls.c.run_uuid:
        in_uses.append(tool_calls.c.run_uuid.is_(None))
        in_calls.append(llm_calls.c.run_uuid.is_(None))
    used_at = func.coalesce(tool_calls.c.started_at, tool_calls.c.created_at)
    if since is not None:
        # Calls have an index by time, uses one by their run.
        called = select(call_place).where(*in_calls, *in_range(since, until))
        in_uses.extend((used_at >= hour_of(since), use_place.in_(called)))
        in_calls.extend(in_range(since, None))
    uses = select(
        use_place.label("within"),
        used_at.label("at"),
        literal_column("1", Whole()).label("is_use"),
        tool_calls.c.id.label("id"),
        tool_calls.c.tool_name.label("tool"),
    ).where(*in_uses)
    calls = select(
        call_place, llm_calls.c.timestamp, literal_column("0", Whole()), llm_calls.c.id, literal_column("''")
    ).where(*in_calls, call_place.in_(select(use_place).where(*in_uses)))
    return uses, calls
