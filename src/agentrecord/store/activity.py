"""Activity: runs by how they ended and active users by period, from daily figures where whole days are asked for."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any  # `Any`: SQLAlchemy columns are generic over values they do not know

from sqlalchemy import (
    CTE,
    ColumnElement,
    Executable,
    Select,
    case,
    exists,
    func,
    literal_column,
    null,
    select,
    type_coerce,
    union,
    union_all,
)

from agentrecord.codec import values
from agentrecord.engine import Connection
from agentrecord.engine.moments import DAY_MICROS, HOUR_MICROS, from_micros, to_micros
from agentrecord.exceptions import InvalidFilter
from agentrecord.records.activity import TIMED_RUNS, Activity, ActivityRow
from agentrecord.records.project import UNASSIGNED
from agentrecord.records.run import Run, RunStatus
from agentrecord.records.scope import Scope
from agentrecord.records.usage import UsageBy
from agentrecord.schema import activity_days, llm_calls, runs, sessions, usage_days, usage_hours, users
from agentrecord.schema.types import Whole
from agentrecord.store._page import checked_limit
from agentrecord.store._sql import by_value, total, within
from agentrecord.store.run_figures import interpolated
from agentrecord.store.runs import ABANDONED, SELECT_RUN, run_of
from agentrecord.store.usage_sums import TIME, period

_DAYS_TO_MONDAY = 3
"""Weeks of buckets that are days since 1970-01-01, a Thursday, start so many days before it."""

_AS_TIMES = 8
"""How strongly division binds, as SQLAlchemy counts it: what is divided may be a sum."""


class _Stretch:
    """A stretch of time in buckets of hours, or of days where it is made of whole ones."""

    def __init__(self, by: UsageBy, since: datetime | None, until: datetime | None) -> None:
        given = {"since": since, "until": until}
        first, end = [None if at is None else to_micros(values.moment(name, at)) for name, at in given.items()]
        self.hourly = by is UsageBy.HOUR or any(edge is not None and edge % DAY_MICROS for edge in (first, end))
        self.size = HOUR_MICROS if self.hourly else DAY_MICROS
        self.first = None if first is None else first // self.size
        self.end = None if end is None else -(-end // self.size)

    def buckets(self, column: Any) -> list[ColumnElement[bool]]:
        """Return the conditions on a column that counts buckets."""
        found: list[ColumnElement[bool]] = []
        if self.first is not None:
            found.append(column >= self.first)
        if self.end is not None:
            found.append(column < self.end)
        return found

    def moments(self, column: Any) -> list[ColumnElement[bool]]:
        """Return the conditions on a column of instants."""
        found: list[ColumnElement[bool]] = []
        if self.first is not None:
            found.append(column >= from_micros(self.first * self.size))
        if self.end is not None:
            found.append(column < from_micros(self.end * self.size))
        return found


def activity(
    conn: Connection,
    scope: Scope,
    by: UsageBy = UsageBy.DAY,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    include_subagents: bool = True,
    only_work: bool = False,
) -> Activity:
    """Return how many runs began from `since` up to `until` and how they ended, for each hour, day, week or month.

    The range counts in whole hours, in UTC. A run counts where it began. Rows that belong to nobody in particular make
    no active user. With `only_work`, nothing is told of who was active and of how long runs took, which takes longest
    to find out.
    """
    if by not in TIME:
        raise InvalidFilter("by", by, f"must be one of {', '.join(TIME)}")
    stretch = _Stretch(by, since, until)
    users, each = (0, {}) if only_work else _users(conn, _active(conn, scope, stretch), by, stretch)
    if stretch.hourly:
        begun = conn.rows(_runs_by_hour(scope, stretch, include_subagents))
    else:
        begun = [*conn.rows(_runs_by_day(scope, stretch)), *_runs_below(conn, scope, stretch, include_subagents)]
    rows = _rows(begun, stretch, by, each)
    times = () if only_work else _times(conn, scope, stretch, include_subagents)
    return Activity(
        rows=rows,
        runs=sum(row.runs for row in rows),
        completed_runs=sum(row.completed_runs for row in rows),
        failed_runs=sum(row.failed_runs for row in rows),
        users=users,
        sessions=_sessions(conn, scope, stretch),
        run_p95_ms=interpolated(times, 0.95),
        timed_runs=len(times),
        failed_nanos=_failed_nanos(conn, scope, stretch, include_subagents),
    )


def _rows(
    counted: Sequence[tuple[int, ...]], stretch: _Stretch, by: UsageBy, active: dict[str, int]
) -> tuple[ActivityRow, ...]:
    found: dict[str, list[int]] = {}
    for bucket, *counts in counted:
        sums = found.setdefault(_key(bucket, stretch, by), [0, 0, 0])
        for place, count in enumerate(counts):
            sums[place] += count
    rows = []
    for key in sorted({*[key for key, counts in found.items() if counts[0]], *active}):
        begun, completed, failed = found.get(key, (0, 0, 0))
        users_in = None if by is UsageBy.MONTH else active.get(key, 0)
        rows.append(ActivityRow(key=key, runs=begun, completed_runs=completed, failed_runs=failed, users=users_in))
    return tuple(rows)


def _key(bucket: int, stretch: _Stretch, by: UsageBy) -> str:
    return period(from_micros(bucket * stretch.size), by)


def _bucket(column: Any, size: int) -> ColumnElement[int]:
    divided: ColumnElement[int] = column.op("/", precedence=_AS_TIMES, return_type=Whole())(literal_column(str(size)))
    return divided


def _begun(scope: Scope, stretch: _Stretch, include_subagents: bool) -> list[ColumnElement[bool]]:
    """Return the conditions on the runs that began in a stretch of time."""
    found = [*within(scope, runs), *stretch.moments(runs.c.started_at), runs.c.started_at.is_not(None)]
    return found if include_subagents else [*found, runs.c.parent_uuid.is_(None)]


def _runs_by_hour(scope: Scope, stretch: _Stretch, include_subagents: bool) -> Executable:
    return _by_bucket(runs.c.started_at, stretch, _begun(scope, stretch, include_subagents))


def _by_bucket(began: Any, stretch: _Stretch, conditions: Sequence[ColumnElement[bool]]) -> Executable:
    begun = select(_bucket(began, stretch.size).label("bucket"), runs.c.status).where(*conditions).subquery("begun")
    return select(
        begun.c.bucket,
        func.count(),
        *[total(case((begun.c.status == status, 1), else_=0)) for status in (RunStatus.COMPLETED, RunStatus.ERROR)],
    ).group_by(begun.c.bucket)


def _runs_below(conn: Connection, scope: Scope, stretch: _Stretch, include_subagents: bool) -> list[tuple[int, ...]]:
    """Return by day, below zero, the runs of sub-agents, which daily figures count, where these shall not."""
    if include_subagents:
        return []
    # A run that has not started counts on the day that it was made, as in the daily figures.
    began = func.coalesce(runs.c.started_at, runs.c.created_at)
    below = [*within(scope, runs), runs.c.parent_uuid.is_not(None), *stretch.moments(began)]
    return [(day, *(-count for count in counts)) for day, *counts in conn.rows(_by_bucket(began, stretch, below))]


def _runs_by_day(scope: Scope, stretch: _Stretch) -> Executable:
    table = activity_days
    return (
        select(table.c.day, total(table.c.run_count), total(table.c.completed_runs), total(table.c.failed_runs))
        .where(*within(scope, table), *stretch.buckets(table.c.day))
        .group_by(table.c.day)
        .having(func.sum(table.c.run_count) > 0)
    )


def _active(conn: Connection, scope: Scope, stretch: _Stretch) -> CTE:
    """Return each user who did anything with each bucket in which they did."""
    nobody = conn.value(
        select(users.c.id).where(users.c.project_id == scope.project, users.c.external_id == UNASSIGNED)
    )
    calls, other = (_active_hours if stretch.hourly else _active_days)(scope, stretch)
    if nobody is not None:
        calls, other = (one.where(one.selected_columns[1] != nobody) for one in (calls, other))
    return union(calls, other).cte("active")


def _active_hours(scope: Scope, stretch: _Stretch) -> tuple[Select[*tuple[Any, ...]], Select[*tuple[Any, ...]]]:
    calls = select(usage_hours.c.bucket.label("bucket"), usage_hours.c.user_uuid).where(
        *within(scope, usage_hours), *stretch.buckets(usage_hours.c.bucket), usage_hours.c.calls > 0
    )
    other = select(_bucket(runs.c.started_at, HOUR_MICROS).label("bucket"), runs.c.user_uuid).where(
        *within(scope, runs), *stretch.moments(runs.c.started_at), runs.c.started_at.is_not(None)
    )
    return calls, other


def _active_days(scope: Scope, stretch: _Stretch) -> tuple[Select[*tuple[Any, ...]], Select[*tuple[Any, ...]]]:
    counted = (activity_days.c[name] for name in ("session_count", "message_count", "run_count"))
    acted = [*within(scope, activity_days), sum((column for column in counted), start=literal_column("0", Whole())) > 0]
    other = select(activity_days.c.day.label("bucket"), activity_days.c.user_uuid).where(
        *acted, *stretch.buckets(activity_days.c.day)
    )
    days = select(usage_days.c.bucket, usage_days.c.user_uuid).where(
        *within(scope, usage_days), *stretch.buckets(usage_days.c.bucket)
    )
    if stretch.first is not None:
        return days.where(usage_days.c.calls > 0), other
    # Of all time an index tells who may have called on which day. Whether a call is left is looked up only for who did
    # nothing else: that takes longer.
    called = days.distinct().subquery("called")
    did_else = exists().where(
        *acted, activity_days.c.day == called.c.bucket, activity_days.c.user_uuid == called.c.user_uuid
    )
    has_call = exists().where(
        *within(scope, usage_days), usage_days.c.user_uuid == called.c.user_uuid,
        usage_days.c.bucket == called.c.bucket, usage_days.c.calls > 0,
    )  # fmt: skip
    return select(called.c.bucket, called.c.user_uuid).where(~did_else, has_call), other


def _users(conn: Connection, active: CTE, by: UsageBy, stretch: _Stretch) -> tuple[int, dict[str, int]]:
    """Return how many users were active, and how many in each period; none of months, whose lengths differ."""
    whole = select(null().label("place"), func.count(active.c.user_uuid.distinct()))
    if by is UsageBy.MONTH:
        return conn.rows(whole)[0][1], {}
    length, shift = {
        UsageBy.HOUR: (1, 0),
        UsageBy.DAY: (DAY_MICROS // stretch.size, 0),
        UsageBy.WEEK: (7 * DAY_MICROS // stretch.size, _DAYS_TO_MONDAY * DAY_MICROS // stretch.size),
    }[by]
    numbered = select(
        _bucket(active.c.bucket + literal_column(str(shift), Whole()), length).label("place"), active.c.user_uuid
    ).subquery("numbered")
    each = select(numbered.c.place, func.count(numbered.c.user_uuid.distinct())).group_by(numbered.c.place)
    # In one statement, so that who was active is found out once.
    found: dict[int | None, int] = dict(conn.rows(union_all(each, whole)))
    return found.pop(None), {
        _key(place * length - shift, stretch, by): count for place, count in found.items() if place is not None
    }


def _times(conn: Connection, scope: Scope, stretch: _Stretch, include_subagents: bool) -> Sequence[int]:
    """Return how many milliseconds each of the last runs took, in order."""
    micros = type_coerce(runs.c.finished_at, Whole()) - type_coerce(runs.c.started_at, Whole())
    found = conn.rows(
        select(micros)
        .where(*_begun(scope, stretch, include_subagents), runs.c.finished_at.is_not(None))
        .order_by(runs.c.started_at.desc(), runs.c.id.desc())
        .limit(TIMED_RUNS)
    )  # fmt: skip
    return sorted(took // 1000 for (took,) in found)


def _sessions(conn: Connection, scope: Scope, stretch: _Stretch) -> int:
    live = select(func.count()).where(*within(scope, sessions), sessions.c.deleted_at.is_(None))
    active = stretch.moments(sessions.c.last_activity_at)
    if active:
        return int(conn.value(live.where(sessions.c.parent_uuid.is_(None), *active)))
    # All there are and all below others are each counted by an index; the tops among them have none.
    below = live.where(sessions.c.parent_uuid.is_not(None))
    return int(conn.value(select(live.scalar_subquery() - below.scalar_subquery())))


def _failed_nanos(conn: Connection, scope: Scope, stretch: _Stretch, include_subagents: bool) -> int:
    return int(
        conn.value(
            select(total(llm_calls.c.cost_nanos)).where(
                *within(scope, llm_calls),
                # As the index has it: a bound value would not find the index of failed calls.
                llm_calls.c.status == literal_column("'error'"),
                *stretch.moments(llm_calls.c.timestamp),
                *([] if include_subagents else [~llm_calls.c.is_subagent]),
            )
        )
    )


def broken(
    conn: Connection, scope: Scope, *, since: datetime | None = None, until: datetime | None = None, limit: int = 10
) -> tuple[Run, ...]:
    """Return runs that broke their promise of a sign of life, the last begun first.

    Those that still run count whenever they began; those that were ended for it, where they began from `since` up to
    `until`.
    """
    going = SELECT_RUN.where(
        *within(scope, runs), runs.c.status == RunStatus.RUNNING, runs.c.alive_until < conn.now
    ).order_by(runs.c.started_at.desc(), runs.c.id.desc())
    stretch = _Stretch(UsageBy.DAY, since, until)
    ended = SELECT_RUN.where(
        *within(scope, runs), runs.c.status_reason == ABANDONED, *stretch.moments(runs.c.started_at)
    ).order_by(by_value(runs.c.started_at).desc(), runs.c.id.desc())
    rows = [row for statement in (going, ended) for row in conn.maps(statement.limit(checked_limit(limit)))]
    found = sorted((run_of(row) for row in rows), key=lambda run: run.started_at or run.created_at, reverse=True)
    return tuple(found[:limit])
