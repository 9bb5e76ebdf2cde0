"""How runs went, over all time: read from the daily figures, so that it costs the same however many runs there are."""

import math
from collections.abc import Sequence
from typing import Any  # `Any`: SQLAlchemy columns are generic over values they do not know
from uuid import UUID

from sqlalchemy import Table, bindparam, func, select

from agentrecord.engine import Connection, Prepared
from agentrecord.records.run import EXACT_CALLS, RunFigures
from agentrecord.records.scope import Scope
from agentrecord.records.tool_call import ToolFigures
from agentrecord.schema import activity_days, latency_days, llm_calls, tool_days, usage_days
from agentrecord.store import agents
from agentrecord.store._sql import bound_within, scope_params, total, usage_totals
from agentrecord.store.daily import percentile
from agentrecord.store.usage_sums import sums

_SHARES = {"p50": 0.50, "p75": 0.75, "p90": 0.90, "p95": 0.95, "p99": 0.99}
_TOOL_SUMS = ("calls", "errors", "duration_ms_sum", "duration_count")
_RUN_SUMS = ("run_count", "completed_runs", "failed_runs", "run_iterations")


class _Asked:
    """One question, prepared for all agents and for one."""

    def __init__(self, statement: Any, table: Table) -> None:
        within_user = "user_uuid" in table.c
        scoped = statement.where(
            *(bound_within(table) if within_user else [table.c.project_id == bindparam("project")])
        )
        self._of_all = Prepared(scoped)
        self._of_one = Prepared(scoped.where(table.c.agent_uuid == bindparam("agent")))

    def maps(self, conn: Connection, scope: Scope, agent: UUID | None) -> list[dict[str, Any]]:
        """Return the answer's rows by column name."""
        params = {**scope_params(scope), "project": scope.project, "agent": agent}
        return conn.maps(self._of_all if agent is None else self._of_one, params)


_ACTIVITY = _Asked(select(*[total(activity_days.c[name]).label(name) for name in _RUN_SUMS]), activity_days)
_USAGE = _Asked(select(*sums(usage_days)), usage_days)
_TOOLS = _Asked(
    select(tool_days.c.tool_name, *[total(tool_days.c[name]).label(name) for name in _TOOL_SUMS])
    .group_by(tool_days.c.tool_name)
    .having(func.sum(tool_days.c.calls) > 0)
    .order_by(tool_days.c.tool_name),
    tool_days,
)
_LATENCIES = _Asked(select(llm_calls.c.latency_ms).where(llm_calls.c.latency_ms.is_not(None)), llm_calls)
_HISTOGRAM = _Asked(
    select(latency_days.c.bucket, total(latency_days.c.calls).label("calls")).group_by(latency_days.c.bucket),
    latency_days,
)


def figures(conn: Connection, scope: Scope, *, agent_id: str | None = None) -> RunFigures:
    """Return how the runs of an agent, or of all, went, what their calls used and how their tools fared."""
    agent = None if agent_id is None else agents.row_id(scope, agent_id)
    counted = _ACTIVITY.maps(conn, scope, agent)[0]
    usage = usage_totals(_USAGE.maps(conn, scope, agent)[0])
    return RunFigures(
        total_runs=counted["run_count"],
        completed_runs=counted["completed_runs"],
        error_runs=counted["failed_runs"],
        total_iterations=counted["run_iterations"],
        usage=usage,
        tools=tuple(ToolFigures(**row) for row in _TOOLS.maps(conn, scope, agent)),
        **_latencies(conn, scope, agent, usage.latency_count),
    )


def _latencies(conn: Connection, scope: Scope, agent: UUID | None, calls: int) -> dict[str, Any]:
    # The histogram knows no users: what one user's calls took is read from those calls.
    if calls <= EXACT_CALLS or scope.user is not None:
        found = sorted(row["latency_ms"] for row in _LATENCIES.maps(conn, scope, agent))
        return {f"latency_{name}_ms": interpolated(found, share) for name, share in _SHARES.items()}
    histogram = {row["bucket"]: row["calls"] for row in _HISTOGRAM.maps(conn, scope, agent) if row["calls"] > 0}
    return {f"latency_{name}_ms": percentile(histogram, share) for name, share in _SHARES.items()}


def interpolated(ordered: Sequence[float], share: float) -> float | None:
    """Return the percentile of ordered values by linear interpolation between the two nearest; None without any."""
    if not ordered:
        return None
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)
