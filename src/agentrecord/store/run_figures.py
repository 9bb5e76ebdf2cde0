"""How runs went, over all time: read from the daily figures, so that it costs the same however many runs there are."""

import math
from collections.abc import Sequence
from typing import Any  # `Any`: SQLAlchemy columns are generic over values they do not know
from uuid import UUID

from sqlalchemy import ColumnElement, Table, func, select

from agentrecord.engine import Connection
from agentrecord.records.run import EXACT_CALLS, RunFigures
from agentrecord.records.scope import Scope
from agentrecord.records.tool_call import ToolFigures
from agentrecord.records.usage import UsageTotals
from agentrecord.schema import activity_days, latency_days, llm_calls, tool_days, usage_days
from agentrecord.store import agents
from agentrecord.store._sql import total, usage_totals, within
from agentrecord.store.daily import percentile
from agentrecord.store.usage import sums

_SHARES = {"p50": 0.50, "p75": 0.75, "p90": 0.90, "p95": 0.95, "p99": 0.99}
_TOOL_SUMS = ("calls", "errors", "duration_ms_sum", "duration_count")


def figures(conn: Connection, scope: Scope, *, agent_id: str | None = None) -> RunFigures:
    """Return how the runs of an agent, or of all, went, what their calls used and how their tools fared."""
    agent = None if agent_id is None else agents.row_id(scope, agent_id)
    names = ("run_count", "completed_runs", "failed_runs", "run_iterations")
    activity = conn.first_map(
        select(*[total(activity_days.c[name]).label(name) for name in names]).where(*_of(scope, activity_days, agent))
    )
    spent = conn.first_map(select(*sums(usage_days)).where(*_of(scope, usage_days, agent)))
    usage = usage_totals(spent) if spent else UsageTotals()
    counted = activity or dict.fromkeys(names, 0)
    return RunFigures(
        total_runs=counted["run_count"],
        completed_runs=counted["completed_runs"],
        error_runs=counted["failed_runs"],
        total_iterations=counted["run_iterations"],
        usage=usage,
        tools=_tools(conn, scope, agent),
        **_latencies(conn, scope, agent, usage.latency_count),
    )


def _of(scope: Scope, table: Table, agent: UUID | None) -> list[ColumnElement[bool]]:
    conditions = within(scope, table)
    if agent is not None:
        conditions.append(table.c.agent_uuid == agent)
    return conditions


def _tools(conn: Connection, scope: Scope, agent: UUID | None) -> tuple[ToolFigures, ...]:
    rows = conn.maps(
        select(tool_days.c.tool_name, *[total(tool_days.c[name]).label(name) for name in _TOOL_SUMS])
        .where(*_of(scope, tool_days, agent))
        .group_by(tool_days.c.tool_name)
        .having(func.sum(tool_days.c.calls) > 0)
        .order_by(tool_days.c.tool_name)
    )
    return tuple(ToolFigures(**row) for row in rows)


def _latencies(conn: Connection, scope: Scope, agent: UUID | None, calls: int) -> dict[str, Any]:
    # The histogram knows no users: what one user's calls took is read from those calls.
    if calls <= EXACT_CALLS or scope.user is not None:
        conditions = [*_of(scope, llm_calls, agent), llm_calls.c.latency_ms.is_not(None)]
        found = [row[0] for row in conn.rows(select(llm_calls.c.latency_ms).where(*conditions))]
        found.sort()
        return {f"latency_{name}_ms": _between(found, share) for name, share in _SHARES.items()}
    rows = conn.rows(
        select(latency_days.c.bucket, total(latency_days.c.calls))
        .where(*_of(scope, latency_days, agent))
        .group_by(latency_days.c.bucket)
    )
    histogram = {bucket: number for bucket, number in rows if number > 0}
    return {f"latency_{name}_ms": percentile(histogram, share) for name, share in _SHARES.items()}


def _between(ordered: Sequence[int], share: float) -> float | None:
    """Return the percentile by linear interpolation between the two nearest values."""
    if not ordered:
        return None
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)
