"""Usage: what was spent, by whatever people ask for, from exact rollups; days and performance; coding-plan blocks.

Days, hours and the rest come from the rollups, so that a year is read at once; sessions and directories come from
the sessions' own sums, or from the calls where a range of time is asked for; versions and tools from the calls.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any  # `Any`: rows hold whatever their columns hold

from sqlalchemy import ColumnElement, Table, func, select

from agentrecord.codec import values
from agentrecord.engine import Connection
from agentrecord.engine.moments import from_micros, to_micros
from agentrecord.exceptions import InvalidFilter
from agentrecord.records.scope import Scope
from agentrecord.records.usage import UsageBlock, UsageBy, UsageReport, UsageRow, UsageTotals
from agentrecord.schema import agents, hosts, models, projects, usage_days, usage_hours, users
from agentrecord.schema.tables import USAGE_COUNTERS
from agentrecord.store import usage_by_session, usage_by_tool, usage_by_version
from agentrecord.store._figures import DAY_MICROS, HOUR_MICROS
from agentrecord.store._sql import total, usage_totals, within

NO_NAME = "unknown"
BLOCK_HOURS = 5
TIME = (UsageBy.HOUR, UsageBy.DAY, UsageBy.WEEK, UsageBy.MONTH)
NAMES = (UsageBy.MODEL, UsageBy.HOST, UsageBy.USER, UsageBy.AGENT, UsageBy.PROJECT)
_OF_CALLS = {UsageBy.VERSION: usage_by_version.rows, UsageBy.TOOL: usage_by_tool.rows}


def sums(table: Table) -> list[ColumnElement[Any]]:
    """Return the sum of every usage counter of a table."""
    return [total(table.c[name]).label(name) for name in USAGE_COUNTERS]


def _rollup(since: datetime | None, until: datetime | None, *, hourly: bool) -> tuple[Table, list[Any]]:
    """Choose days where whole UTC days are asked for, else hours; the edges are whole hours."""
    given = {"since": since, "until": until}
    edges = [None if at is None else to_micros(values.moment(name, at)) for name, at in given.items()]
    if hourly or any(edge is not None and edge % DAY_MICROS for edge in edges):
        table, size = usage_hours, HOUR_MICROS
    else:
        table, size = usage_days, DAY_MICROS
    conditions: list[Any] = []
    if edges[0] is not None:
        conditions.append(table.c.bucket >= edges[0] // size)
    if edges[1] is not None:
        conditions.append(table.c.bucket < -(-edges[1] // size))
    return table, conditions


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Which calls are summed up, and how far ahead of UTC the days are that they are told apart by."""

    since: datetime | None
    until: datetime | None
    include_subagents: bool
    offset_minutes: int = 0

    def rollup(self, scope: Scope, by: UsageBy) -> tuple[Table, list[Any]]:
        """Return the rollup that has the figures, and the conditions on it."""
        hourly = by is UsageBy.HOUR or (by in TIME and self.offset_minutes != 0)
        table, conditions = _rollup(self.since, self.until, hourly=hourly)
        conditions.extend(within(scope, table))
        if not self.include_subagents:
            conditions.append(~table.c.is_subagent)
        return table, conditions

    def bounds(self) -> dict[str, Any]:
        """Return what bounds the calls, where the calls themselves are read."""
        return {"since": self.since, "until": self.until, "include_subagents": self.include_subagents}


def report(
    conn: Connection,
    scope: Scope,
    by: UsageBy = UsageBy.DAY,
    *,
    split: UsageBy | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    include_subagents: bool = True,
    utc_offset_minutes: int = 0,
) -> UsageReport:
    """Return the sums over calls from `since` up to `until`, one row for each `by`, and their total.

    With `split` there is a row for each two of them, as in `series`. The range counts in whole hours. Days, weeks (from
    Monday) and months are those of a time zone `utc_offset_minutes` ahead of UTC. Rows of time come in order of time,
    others the costliest first. A call counts for the version of its run's agent, and for each tool that it asked for,
    its cost and tokens evenly divided among them: there the rows' costs and tokens add up to the total, and their
    calls may come to more.
    """
    if utc_offset_minutes % 60:
        raise InvalidFilter("utc_offset_minutes", utc_offset_minutes, "must be whole hours: figures are kept by hour")
    wanted = _Wanted(since, until, include_subagents, utc_offset_minutes)
    whole: UsageTotals | None = None
    if split is not None:
        if split is by:
            raise InvalidFilter("split", split, "must be another than what there is a row for")
        rows = _crossed(conn, scope, by, split, wanted)
        rows.sort(key=lambda row: (row.key, *_costliest(row)) if by in TIME else _costliest(row))
    elif by in (UsageBy.SESSION, UsageBy.DIRECTORY):
        rows = usage_by_session.rows(conn, scope, by, **wanted.bounds())
    elif by in TIME:
        rows = _by_time(conn, scope, by, wanted)
    elif by in _OF_CALLS:
        whole = _sum(_by_name(conn, scope, UsageBy.TOTAL, wanted))
        rows = sorted(_OF_CALLS[by](conn, scope, whole, **wanted.bounds()), key=_costliest)
    else:
        rows = _by_name(conn, scope, by, wanted)
    whole = _sum(rows) if whole is None else whole
    return UsageReport(
        by=by,
        split=split,
        rows=tuple(rows),
        total=whole,
        unpriced_models=_unpriced(conn, scope, since, until) if whole.unpriced_calls else (),
    )


def _sum(rows: Sequence[UsageRow]) -> UsageTotals:
    return sum((row.totals for row in rows), start=UsageTotals())


def _by_time(conn: Connection, scope: Scope, by: UsageBy, wanted: _Wanted) -> list[UsageRow]:
    table, conditions = wanted.rollup(scope, by)
    found = conn.maps(
        select(
            table.c.bucket,
            *sums(table),
            func.min(table.c.first_at).label("first_at"),
            func.max(table.c.last_at).label("last_at"),
        )
        .where(*conditions)
        .group_by(table.c.bucket)
        .order_by(table.c.bucket)
    )
    merged: dict[str, UsageRow] = {}
    for row in found:
        label = _period_of(row["bucket"], table, by, wanted)
        new = UsageRow(
            key=label, label=label, totals=usage_totals(row), first_at=row["first_at"], last_at=row["last_at"]
        )
        old = merged.get(label)
        merged[label] = new if old is None else replace(old, totals=old.totals + new.totals, last_at=new.last_at)
    return list(merged.values())


def _period_of(bucket: int, table: Table, by: UsageBy, wanted: _Wanted) -> str:
    size = HOUR_MICROS if table is usage_hours else DAY_MICROS
    return period(from_micros(bucket * size) + timedelta(minutes=wanted.offset_minutes), by)


def period(start: datetime, by: UsageBy) -> str:
    """Return the name of the hour, day, week or month that holds an instant."""
    match by:
        case UsageBy.HOUR:
            return start.strftime("%Y-%m-%d %H:00")
        case UsageBy.WEEK:
            return (start - timedelta(days=start.weekday())).strftime("%Y-%m-%d")
        case UsageBy.MONTH:
            return start.strftime("%Y-%m")
        case _:
            return start.strftime("%Y-%m-%d")


@dataclass(frozen=True, slots=True)
class _Dimension:
    """What calls are told apart by: what a rollup's table is joined with for it, and the column of its names."""

    joins: tuple[tuple[Table, ColumnElement[bool]], ...]
    key: ColumnElement[Any]


def _dimension(table: Table, by: UsageBy) -> _Dimension:
    in_project = users.c.project_id == table.c.project_id
    of_model = (models, models.c.id == table.c.model_uuid)
    match by:
        case UsageBy.MODEL:
            return _Dimension((of_model,), models.c.name)
        case UsageBy.HOST:
            return _Dimension((of_model, (hosts, hosts.c.id == models.c.host_uuid)), hosts.c.name)
        case UsageBy.USER:
            return _Dimension(((users, in_project & (users.c.id == table.c.user_uuid)),), users.c.external_id)
        case UsageBy.AGENT:
            is_agent = (agents.c.project_id == table.c.project_id) & (agents.c.id == table.c.agent_uuid)
            return _Dimension(((agents, is_agent),), agents.c.agent_id)
        case _:
            return _Dimension(((projects, projects.c.id == table.c.project_id),), projects.c.name)


def _joined(table: Table, dimensions: Sequence[_Dimension]) -> Any:
    """Return a rollup's table joined with all that its dimensions need, each table once."""
    joined: Any = table
    seen: set[str] = set()
    for dimension in dimensions:
        for other, condition in dimension.joins:
            if other.name not in seen:
                seen.add(other.name)
                # Calls without an agent have the nil one, which no row names.
                joined = joined.join(other, condition, isouter=other is agents)
    return joined


def _by_name(conn: Connection, scope: Scope, by: UsageBy, wanted: _Wanted) -> list[UsageRow]:
    table, conditions = wanted.rollup(scope, by)
    dimension = _dimension(table, by)
    key = dimension.key
    found = conn.maps(
        select(
            key.label("key"),
            *sums(table),
            func.min(table.c.first_at).label("first_at"),
            func.max(table.c.last_at).label("last_at"),
        )
        .select_from(_joined(table, [dimension]))
        .where(*conditions)
        .group_by(key)
    )
    rows = []
    for row in found:
        name = "all" if by is UsageBy.TOTAL else row["key"] or NO_NAME
        rows.append(
            UsageRow(key=name, label=name, totals=usage_totals(row), first_at=row["first_at"], last_at=row["last_at"])
        )
    return sorted(rows, key=_costliest)


def _costliest(row: UsageRow) -> tuple[int, int, str]:
    return -row.totals.cost_nanos, -row.totals.total_tokens, row.label


def _unpriced(conn: Connection, scope: Scope, since: datetime | None, until: datetime | None) -> tuple[str, ...]:
    table, conditions = _rollup(since, until, hourly=False)
    rows = conn.rows(
        select(models.c.name, func.sum(table.c.unpriced_calls))
        .select_from(table.join(models, models.c.id == table.c.model_uuid))
        .where(*conditions, *within(scope, table))
        .group_by(models.c.name)
        .having(func.sum(table.c.unpriced_calls) > 0)
        .order_by(models.c.name)
    )
    return tuple(name or NO_NAME for name, _ in rows)


def series(
    conn: Connection,
    scope: Scope,
    split: UsageBy,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    by: UsageBy = UsageBy.DAY,
    include_subagents: bool = True,
) -> tuple[UsageRow, ...]:
    """Return the sums for each period, model, host, user, agent or project, split by one of the latter five.

    `key` is of what `by` names, `split` of what `split` names; both have daily and hourly figures, so sessions,
    directories and tools cannot be crossed and raise `InvalidFilter`.
    """
    return tuple(_crossed(conn, scope, by, split, _Wanted(since, until, include_subagents)))


def _crossed(conn: Connection, scope: Scope, by: UsageBy, split: UsageBy, wanted: _Wanted) -> list[UsageRow]:
    if by not in (*TIME, *NAMES):
        raise InvalidFilter("by", by, f"cannot be split; use one of {', '.join((*TIME, *NAMES))}")
    if split not in NAMES:
        raise InvalidFilter("split", split, f"must be one of {', '.join(NAMES)}")
    table, conditions = wanted.rollup(scope, by)
    dimensions = [_dimension(table, split)]
    first: ColumnElement[Any] = table.c.bucket
    if by not in TIME:
        dimensions.append(_dimension(table, by))
        first = dimensions[-1].key
    found = conn.maps(
        select(first.label("first"), dimensions[0].key.label("second"), *sums(table))
        .select_from(_joined(table, dimensions))
        .where(*conditions)
        .group_by(first, dimensions[0].key)
        .order_by(first, dimensions[0].key)
    )
    merged: dict[tuple[str, str], UsageRow] = {}
    for row in found:
        key = _period_of(row["first"], table, by, wanted) if by in TIME else row["first"] or NO_NAME
        name = row["second"] or NO_NAME
        old = merged.get((key, name))
        totals = usage_totals(row) if old is None else old.totals + usage_totals(row)
        merged[key, name] = UsageRow(key=key, label=key, split=name, totals=totals)
    return list(merged.values())


def blocks(
    conn: Connection, scope: Scope, *, since: datetime | None = None, include_subagents: bool = True
) -> tuple[UsageBlock, ...]:
    """Return the five-hour windows of a coding plan, the oldest first.

    A window starts on the hour of its first call; the first call after its end opens the next one. Because windows
    start and end on the hour, the hourly figures give them exactly.
    """
    if since is not None:
        values.moment("since", since)
    # Where a window starts depends on all before it: the chain is built whole, then cut.
    table = usage_hours
    conditions = within(scope, table)
    if not include_subagents:
        conditions.append(~table.c.is_subagent)
    found = conn.maps(
        select(table.c.bucket, models.c.name.label("model"), *sums(table),
               func.min(table.c.first_at).label("first_at"), func.max(table.c.last_at).label("last_at"))
        .select_from(table.join(models, models.c.id == table.c.model_uuid))
        .where(*conditions)
        .group_by(table.c.bucket, models.c.name)
        .order_by(table.c.bucket, models.c.name)
    )  # fmt: skip
    windows: list[list[dict[str, Any]]] = []
    for row in found:
        if not windows or row["bucket"] >= windows[-1][0]["bucket"] + BLOCK_HOURS:
            windows.append([])
        windows[-1].append(row)
    told = (_block(window, conn.now) for window in windows)
    return tuple(block for block in told if since is None or block.end_at > since)


def _block(window: list[dict[str, Any]], now: datetime) -> UsageBlock:
    start = from_micros(window[0]["bucket"] * HOUR_MICROS)
    end = start + timedelta(hours=BLOCK_HOURS)
    whole = UsageTotals()
    for row in window:
        whole = whole + usage_totals(row)
    return UsageBlock(
        start_at=start,
        end_at=end,
        first_at=min(row["first_at"] for row in window),
        last_at=max(row["last_at"] for row in window),
        is_active=start <= now < end,
        totals=whole,
        models=tuple(sorted({row["model"] or NO_NAME for row in window})),
    )
