"""Usage: what was spent, by whatever people ask for, from exact rollups; days and performance; coding-plan blocks.

Days, hours and the rest come from the rollups, so that a year is read at once; sessions and directories come from
the sessions' own sums, or from the calls where a range of time is asked for.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from operator import add
from typing import Any  # `Any`: rows hold whatever their columns hold

from sqlalchemy import func, select

from agentrecord.codec import values
from agentrecord.engine import Connection
from agentrecord.engine.moments import HOUR_MICROS, from_micros
from agentrecord.exceptions import InvalidFilter
from agentrecord.records.scope import Scope
from agentrecord.records.usage import (
    UsageBlock,
    UsageBy,
    UsageReport,
    UsageRow,
    UsageTop,
    UsageTotals,
    added,
    costliest,
)
from agentrecord.schema import models, usage_hours
from agentrecord.schema.tables import USAGE_COUNTERS
from agentrecord.store import prices, usage_by_session, usage_by_tool, usage_by_version
from agentrecord.store._page import checked_limit
from agentrecord.store._sql import usage_totals, within
from agentrecord.store.usage_sums import (
    NAMES,
    NO_NAME,
    TIME,
    Summed,
    by_few_names,
    by_names,
    ends,
    few_names,
    known,
    period,
    summed,
    sums,
    totals_of,
    unpriced,
    whole,
)

BLOCK_HOURS = 5
MOST_NAMES = 500
FEW_NAMES = 20
"""Up to so many names are told apart by the statement itself, which leaves fewer rows to read."""

SORTED_BY = {
    "calls": "calls",
    "input": "input_tokens",
    "cache_read": "cache_read_tokens",
    "output": "output_tokens",
    "cost": "cost_nanos",
}
"""What the rows of a report can be sorted by, and the counter of each."""

_COUNTS = len(USAGE_COUNTERS)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Which calls are summed up, and how far ahead of UTC the days are that they are told apart by."""

    since: datetime | None
    until: datetime | None
    include_subagents: bool
    offset_minutes: int = 0

    def summed(self, scope: Scope, by: UsageBy) -> Summed:
        """Return the calls as the rollup has them that has the figures."""
        hourly = by is UsageBy.HOUR or (by in TIME and self.offset_minutes != 0)
        return summed(scope, self.since, self.until, hourly=hourly, include_subagents=self.include_subagents)

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
    name_unpriced: bool = True,
) -> UsageReport:
    """Return the sums over calls from `since` up to `until`, one row for each `by`, and their total.

    With `split` there is a row for each two of them, as in `series`. The range counts in whole hours. Days, weeks (from
    Monday) and months are those of a time zone `utc_offset_minutes` ahead of UTC. Rows of time come in order of time,
    others the costliest first. A call counts for the version of its run's agent, and for each tool that it asked for,
    its cost and tokens evenly divided among them: there the rows' costs and tokens add up to the total, and their
    calls may come to more. Which models have no price costs about as much to find as the sums: that, and which prices
    are behind the sums, is left out without `name_unpriced`.
    """
    if utc_offset_minutes % 60:
        raise InvalidFilter("utc_offset_minutes", utc_offset_minutes, "must be whole hours: figures are kept by hour")
    wanted = _Wanted(since, until, include_subagents, utc_offset_minutes)
    all_calls: UsageTotals | None = None
    if split is not None:
        if split is by:
            raise InvalidFilter("split", split, "must be another than what there is a row for")
        rows = _crossed(conn, scope, by, split, wanted)
        if UsageBy.TOOL in (by, split):
            all_calls = total(conn, scope, **wanted.bounds())
        rows.sort(key=lambda row: (row.key, *costliest(row)) if by in TIME else costliest(row))
    elif by in (UsageBy.SESSION, UsageBy.DIRECTORY):
        rows = usage_by_session.rows(conn, scope, by, **wanted.bounds())
    elif by in TIME:
        rows = _by_time(conn, scope, by, wanted)
    elif by is UsageBy.TOOL:
        all_calls = total(conn, scope, **wanted.bounds())
        rows = sorted(usage_by_tool.rows(conn, scope, all_calls, **wanted.bounds()), key=costliest)
    else:
        rows = _by_name(conn, scope, by, wanted.summed(scope, by))
    if all_calls is None:
        all_calls = added(row.totals for row in rows)
    is_told = name_unpriced and all_calls.unpriced_calls > 0
    return UsageReport(
        by=by,
        split=split,
        rows=tuple(rows),
        total=all_calls,
        unpriced_models=_unpriced(conn, scope, by, rows, wanted) if is_told else (),
        prices=prices.behind(conn, scope, since=since, until=until) if name_unpriced and all_calls.calls else None,
    )


def _by_time(conn: Connection, scope: Scope, by: UsageBy, wanted: _Wanted) -> list[UsageRow]:
    calls = wanted.summed(scope, by)
    smallest = UsageBy.HOUR if calls.shape.is_hourly else UsageBy.DAY
    merged: dict[str, UsageRow] = {}
    for bucket, *counts, first_at, last_at in conn.rows(by_names(calls.shape, (smallest,)), calls.params):
        label = _period_of(bucket, calls, by, wanted)
        new = UsageRow(key=label, label=label, totals=totals_of(counts), first_at=first_at, last_at=last_at)
        old = merged.get(label)
        merged[label] = new if old is None else replace(old, totals=old.totals + new.totals, last_at=new.last_at)
    return list(merged.values())


def _period_of(bucket: int, calls: Summed, by: UsageBy, wanted: _Wanted) -> str:
    return period(from_micros(bucket * calls.bucket_micros) + timedelta(minutes=wanted.offset_minutes), by)


def _by_name(conn: Connection, scope: Scope, by: UsageBy, calls: Summed) -> list[UsageRow]:
    if by is UsageBy.TOTAL:
        found = [("all", *row) for row in conn.rows(whole(calls.shape), calls.params) if row[0]]
    else:
        found = conn.rows(by_names(calls.shape, (by,)), calls.params)
    told = _told(conn, scope, by)
    rows = []
    for name, *counts, first_at, last_at in found:
        key, label = told(name)
        rows.append(UsageRow(key=key, label=label, totals=totals_of(counts), first_at=first_at, last_at=last_at))
    return sorted(rows, key=costliest)


def _periods(calls: Summed, by: UsageBy, wanted: _Wanted) -> Callable[[Any], tuple[str, str]]:
    """Return what tells the key and the label of the period that a bucket begins in: one and the same."""

    def told(bucket: int) -> tuple[str, str]:
        name = _period_of(bucket, calls, by, wanted)
        return name, name

    return told


def _told(conn: Connection, scope: Scope, by: UsageBy) -> Callable[[Any], tuple[str, str]]:
    """Return what tells the key and the label of what a statement tells apart."""
    if by is UsageBy.VERSION:
        versions = usage_by_version.stored(conn, scope)
        return lambda row: versions.get(row, usage_by_version.OF_NONE)
    return lambda name: (name or NO_NAME, name or NO_NAME)


def _unpriced(
    conn: Connection, scope: Scope, by: UsageBy, rows: Sequence[UsageRow], wanted: _Wanted
) -> tuple[str, ...]:
    if by is UsageBy.MODEL:
        return tuple(sorted({row.key for row in rows if row.totals.unpriced_calls}))
    calls = summed(scope, wanted.since, wanted.until)
    return tuple(name or NO_NAME for (name,) in conn.rows(unpriced(calls.shape), calls.params))


def total(
    conn: Connection,
    scope: Scope,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    include_subagents: bool = True,
) -> UsageTotals:
    """Return the sums over all calls from `since` up to `until`, in whole hours: the total of a report alone."""
    calls = summed(scope, since, until, include_subagents=include_subagents)
    (row,) = conn.rows(whole(calls.shape), calls.params)
    return totals_of(row[:_COUNTS])


def series(
    conn: Connection,
    scope: Scope,
    split: UsageBy,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    by: UsageBy = UsageBy.DAY,
    include_subagents: bool = True,
    apart: Collection[str] | None = None,
) -> tuple[UsageRow, ...]:
    """Return the sums for each period, model, host, user, agent, version, tool or project, split by one of the others.

    `key` is of what `by` names, `split`, which is no period, of what `split` names; both have daily and hourly figures,
    so sessions and directories cannot be crossed and raise `InvalidFilter`. With `apart`, only what it names is told
    apart by `split`: all else of a period is one row, whose `split` is None. A version is told by the filter that finds
    its runs, and `split_label` is what people read of it. With tools a call is in the rows of each that it asked for,
    as in `report`.
    """
    return tuple(_crossed(conn, scope, by, split, _Wanted(since, until, include_subagents), apart))


def _crossed(
    conn: Connection,
    scope: Scope,
    by: UsageBy,
    split: UsageBy,
    wanted: _Wanted,
    apart: Collection[str] | None = None,
) -> list[UsageRow]:
    if by not in (*TIME, *NAMES):
        raise InvalidFilter("by", by, f"cannot be split; use one of {', '.join((*TIME, *NAMES))}")
    if split not in NAMES:
        raise InvalidFilter("split", split, f"must be one of {', '.join(NAMES)}")
    calls = wanted.summed(scope, by)
    found, is_folded = _sums_of_two(conn, scope, by, split, wanted, calls, apart)
    told_first = _periods(calls, by, wanted) if by in TIME else _told(conn, scope, by)
    firsts = {first: told_first(first) for first in {row[0] for row in found}}
    told_second = _told(conn, scope, split)
    seconds: dict[Any, tuple[str | None, str | None]] = {}
    for second in {row[1] for row in found}:
        key, label = told_second(second)
        is_apart = apart is None or (key in apart and not (is_folded and second is None))
        seconds[second] = (key, label) if is_apart else (None, None)
    merged: dict[tuple[tuple[str, str], tuple[str | None, str | None]], Sequence[int]] = {}
    for first, second, *counts in found:
        place = firsts[first], seconds[second]
        old = merged.get(place)
        merged[place] = counts if old is None else list(map(add, old, counts))
    return [
        UsageRow(key=key, label=label, split=name, split_label=read, totals=totals_of(counts))
        for ((key, label), (name, read)), counts in merged.items()
    ]


def _sums_of_two(
    conn: Connection,
    scope: Scope,
    by: UsageBy,
    split: UsageBy,
    wanted: _Wanted,
    calls: Summed,
    apart: Collection[str] | None,
) -> tuple[list[tuple[Any, ...]], bool]:
    """Return rows of what `by` and `split` tell calls apart by, and their sums.

    Say, too, whether what is not `apart` is one row of each already, which tells nothing for `split`.
    """
    # Where days do not begin as those of UTC do, they are told by their hours.
    first = UsageBy.HOUR if by in TIME and wanted.offset_minutes else by
    if split is UsageBy.TOOL:
        return list(usage_by_tool.crossed(conn, scope, first, calls, **wanted.bounds())), False
    if by is UsageBy.TOOL:
        crossed = usage_by_tool.crossed(conn, scope, split, calls, **wanted.bounds())
        return [(tool, other, *counts) for other, tool, *counts in crossed], False
    few: Collection[object] = () if apart is None else apart
    if apart is not None and split is UsageBy.VERSION:
        few = usage_by_version.rows_of(conn, scope, apart)
    if 0 < len(few) <= FEW_NAMES:
        return conn.rows(by_few_names(calls.shape, (first, split), len(few)), {**calls.params, **few_names(few)}), True
    return conn.rows(by_names(calls.shape, (first, split), with_times=False), calls.params), False


def span(
    conn: Connection,
    scope: Scope,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    include_subagents: bool = True,
) -> tuple[datetime, datetime] | None:
    """Return when the first call from `since` up to `until`, in whole hours, was made, and the last; None without."""
    calls = summed(scope, since, until, include_subagents=include_subagents)
    ((first_at, last_at),) = conn.rows(ends(calls.shape), calls.params)
    return None if first_at is None else (first_at, last_at)


def sessions(
    conn: Connection,
    scope: Scope,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    include_subagents: bool = True,
    sort: str = "-cost",
    limit: int = 100,
) -> UsageTop:
    """Return the first rows of a report by session, as `sort` orders them, and how many there are in all.

    `sort` is one of calls, input, cache_read, output and cost, with - before it for the highest first.
    """
    column = SORTED_BY.get(sort.removeprefix("-"))
    if column is None:
        known = f"{', '.join(SORTED_BY)}, with - before it for the highest first"
        raise InvalidFilter("sort", sort, f"must be one of {known}")
    ranked = usage_by_session.Ranked(column=column, is_down=sort.startswith("-"), limit=checked_limit(limit))
    rows, count = usage_by_session.top(
        conn, scope, ranked, since=since, until=until, include_subagents=include_subagents
    )
    return UsageTop(rows=tuple(rows), count=count)


def names(conn: Connection, scope: Scope, of: UsageBy) -> tuple[str, ...]:
    """Return the models, hosts, users, agents, versions or project, in the order in which the record came to know them.

    At most 500, the first ones. What comes later is named after all that was there before, whatever time it tells of;
    but tools are named by the day of the first call that asked for them. A version is named by the filter that finds
    its runs.
    """
    if of not in NAMES:
        raise InvalidFilter("of", of, f"must be one of {', '.join(NAMES)}")
    if of is UsageBy.TOOL:
        return tuple(usage_by_tool.known(conn, scope)[:MOST_NAMES])
    if of is UsageBy.VERSION:
        return tuple(key for key, _ in usage_by_version.stored(conn, scope).values())[:MOST_NAMES]
    rows = conn.rows(known(scope, of).limit(MOST_NAMES))
    return tuple(dict.fromkeys(name or NO_NAME for (name,) in rows))


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
