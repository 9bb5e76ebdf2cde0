"""Daily figures by user and agent, and how each agent did each day."""

from collections import defaultdict
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select

from agentrecord.engine import Connection
from agentrecord.exceptions import Forbidden
from agentrecord.ids import NIL
from agentrecord.records.scope import Scope
from agentrecord.records.usage import DailyPerformance, DailyUsage, UsageTotals
from agentrecord.schema import activity_days, agents, latency_days, tool_days, usage_days, users
from agentrecord.schema.usage import ACTIVITY_COUNTERS
from agentrecord.store._days import touched
from agentrecord.store._figures import date_of
from agentrecord.store._sql import total, usage_totals, within
from agentrecord.store.usage_sums import sums

NO_USAGE = UsageTotals()


def usage(
    conn: Connection, scope: Scope, *, since: datetime | None = None, until: datetime | None = None
) -> tuple[DailyUsage, ...]:
    """Return each user's use of each agent by UTC day: sessions begun, messages, distinct tools, calls' sums."""
    activity = conn.maps(
        select(activity_days).where(*within(scope, activity_days), *touched(activity_days.c.day, since, until))
    )
    spent = conn.maps(
        select(usage_days.c.bucket, usage_days.c.user_uuid, usage_days.c.agent_uuid, *sums(usage_days))
        .where(*within(scope, usage_days), *touched(usage_days.c.bucket, since, until))
        .group_by(usage_days.c.bucket, usage_days.c.user_uuid, usage_days.c.agent_uuid)
    )
    tools = conn.rows(
        select(tool_days.c.day, tool_days.c.user_uuid, tool_days.c.agent_uuid, func.count())
        .where(*within(scope, tool_days), *touched(tool_days.c.day, since, until))
        .group_by(tool_days.c.day, tool_days.c.user_uuid, tool_days.c.agent_uuid)
    )
    by_activity = {(row["day"], row["user_uuid"], row["agent_uuid"]): row for row in activity}
    by_usage = {(row["bucket"], row["user_uuid"], row["agent_uuid"]): usage_totals(row) for row in spent}
    by_tools = {(day, user, agent): count for day, user, agent, count in tools}
    user_names, agent_names = _names(conn, scope)
    found = []
    for day, user, agent in sorted({*by_activity, *by_usage, *by_tools}):
        counted = by_activity.get((day, user, agent), {"session_count": 0, "message_count": 0})
        found.append(
            DailyUsage(
                user_uuid=user,
                user=user_names.get(user, str(user)),
                agent_id=agent_names.get(agent),
                date=date_of(day),
                session_count=counted["session_count"],
                message_count=counted["message_count"],
                unique_tools_used=by_tools.get((day, user, agent), 0),
                totals=by_usage.get((day, user, agent), NO_USAGE),
            )
        )
    return tuple(found)


def _names(conn: Connection, scope: Scope) -> tuple[dict[UUID, str], dict[UUID, str]]:
    user_rows = conn.rows(select(users.c.id, users.c.external_id).where(users.c.project_id == scope.project))
    agent_rows = conn.rows(select(agents.c.id, agents.c.agent_id).where(agents.c.project_id == scope.project))
    return dict(user_rows), dict(agent_rows)


def performance(
    conn: Connection, scope: Scope, *, since: datetime | None = None, until: datetime | None = None
) -> tuple[DailyPerformance, ...]:
    """Return how each agent did on each UTC day; over all users, so a scope of one user may not ask."""
    if scope.user is not None:
        raise Forbidden("an agent's performance is about all of its users; ask without a user")
    names = (*ACTIVITY_COUNTERS, "satisfaction_count")
    activity = conn.maps(
        select(activity_days.c.day, activity_days.c.agent_uuid,
               *[total(activity_days.c[name]).label(name) for name in names],
               func.sum(activity_days.c.satisfaction_sum).label("satisfaction_sum"))
        .where(*within(scope, activity_days), *touched(activity_days.c.day, since, until))
        .group_by(activity_days.c.day, activity_days.c.agent_uuid)
    )  # fmt: skip
    spent = conn.maps(
        select(usage_days.c.bucket, usage_days.c.agent_uuid, *sums(usage_days))
        .where(*within(scope, usage_days), *touched(usage_days.c.bucket, since, until))
        .group_by(usage_days.c.bucket, usage_days.c.agent_uuid)
    )
    by_activity = {(row["day"], row["agent_uuid"]): row for row in activity}
    by_usage = {(row["bucket"], row["agent_uuid"]): usage_totals(row) for row in spent}
    latencies = _latencies(conn, scope, since, until)
    _, agent_names = _names(conn, scope)
    found = []
    for day, agent in sorted({*by_activity, *by_usage}):
        row = by_activity.get((day, agent), {})
        histogram = latencies.get((day, agent), {})
        found.append(
            DailyPerformance(
                agent_id=agent_names.get(agent) if agent != NIL else None,
                date=date_of(day),
                total_sessions=row.get("session_count", 0),
                failed_sessions=row.get("failed_sessions", 0),
                satisfaction_sum=row.get("satisfaction_sum", 0.0),
                satisfaction_count=row.get("satisfaction_count", 0),
                totals=by_usage.get((day, agent), NO_USAGE),
                latency_p50_ms=percentile(histogram, 0.50),
                latency_p95_ms=percentile(histogram, 0.95),
            )
        )
    return tuple(found)


def _latencies(
    conn: Connection, scope: Scope, since: datetime | None, until: datetime | None
) -> dict[tuple[int, UUID], dict[int, int]]:
    found: defaultdict[tuple[int, UUID], dict[int, int]] = defaultdict(dict)
    rows = conn.rows(
        select(latency_days.c.day, latency_days.c.agent_uuid, latency_days.c.bucket, total(latency_days.c.calls))
        .where(latency_days.c.project_id == scope.project, *touched(latency_days.c.day, since, until))
        .group_by(latency_days.c.day, latency_days.c.agent_uuid, latency_days.c.bucket)
    )
    for day, agent, bucket, calls in rows:
        found[day, agent][bucket] = calls
    return found


def percentile(histogram: dict[int, int], share: float) -> float | None:
    """Return the latency in milliseconds below which `share` of the calls lie; within 9 %, None without calls.

    Bucket `b` stands for 2^(b/4) ms (see `latency_bucket`), so the answer is off by at most half a bucket.
    """
    calls = sum(histogram.values())
    if calls <= 0:
        return None
    seen = 0
    for bucket in sorted(histogram):
        seen += histogram[bucket]
        if seen >= share * calls:
            return float(2 ** (bucket / 4))
    return None
