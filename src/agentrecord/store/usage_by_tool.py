"""Usage by tool: a call counts for the tools that it asked for, and its tokens and cost are divided among them.

Which those are is kept when it is written (`_tool_shares`), with sums by hour and by day. Of a stretch of time the days
in it are read, and the hours at its ends.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from operator import sub
from typing import Any  # `Any`: what calls are told apart by is of several types

from sqlalchemy import ColumnElement, Select, Table, bindparam, func, literal_column, select, union_all

from agentrecord.codec import values
from agentrecord.engine import Connection, Prepared
from agentrecord.engine.moments import HOUR_MICROS, to_micros
from agentrecord.ids import NIL
from agentrecord.records.scope import Scope
from agentrecord.records.usage import UsageBy, UsageRow, UsageTotals
from agentrecord.schema import tool_usage_days, tool_usage_hours
from agentrecord.schema.tables import USAGE_COUNTERS
from agentrecord.schema.types import Whole
from agentrecord.schema.usage import CUT_KEYS, DIVIDED, TOOL_COUNTERS, UNDIVIDED, ToolCut
from agentrecord.store._sql import total
from agentrecord.store.usage_sums import KEYS, TIME, Summed, by_names, times, told_apart, totals_of, with_names

NO_TOOL = "no tool"
_EVER = 2**60
_HOURS_A_DAY = 24
_COUNTED = len(USAGE_COUNTERS)
_TAKEN_OFF = [
    USAGE_COUNTERS.index(name) if name in DIVIDED else _COUNTED + UNDIVIDED.index(name) for name in USAGE_COUNTERS
]
"""Where, among a row's counters, stands what a tool takes off the whole: of what is not divided, what it has first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """What statements over the figures of tools differ by, but for their values.

    `other` is what tools are crossed with, if anything; days come with the hours at both ends of them.
    """

    other: UsageBy | None
    is_hourly: bool
    has_user: bool
    with_subagents: bool

    @property
    def day_cut(self) -> ToolCut:
        """The cut whose days tell it in the fewest rows."""
        if self.has_user:
            return ToolCut.ALL
        match self.other:
            case UsageBy.USER:
                return ToolCut.USER
            case UsageBy.AGENT | UsageBy.VERSION:
                return ToolCut.AGENT
            case _:
                return ToolCut.MODEL

    @property
    def hour_cut(self) -> ToolCut:
        """The cut whose hours tell it in the fewest rows."""
        return ToolCut.ALL if self.has_user or self.other in KEYS else ToolCut.TOOL


def _part(shape: _Shape, table: Table, edges: tuple[str, str]) -> Select[Any]:
    """Return the sums over a table's buckets from the first edge up to the second."""
    rollup, is_days = table.c, table is tool_usage_days
    cut = shape.day_cut if is_days else shape.hour_cut
    first, end = edges
    conditions: list[ColumnElement[bool]] = [
        rollup.project_id == bindparam("scope_project"),
        rollup.cut == literal_column(f"'{cut}'"),
        rollup.bucket >= bindparam(first),
        rollup.bucket < bindparam(end),
    ]
    if shape.has_user:
        conditions.append(rollup.user_uuid == bindparam("scope_user"))
    elif "user_uuid" not in CUT_KEYS[cut]:
        conditions.append(rollup.user_uuid == bindparam("nobody"))
    if not shape.with_subagents:
        conditions.append(~rollup.is_subagent)
    bucket: ColumnElement[Any] = rollup.bucket
    if not is_days and not shape.is_hourly:
        bucket = bucket.op("/", return_type=Whole())(literal_column(str(_HOURS_A_DAY)))
    keys: list[ColumnElement[Any]] = [rollup.tool_name]
    key = None if shape.other is None else KEYS.get(shape.other)
    if shape.other in TIME:
        keys.append(bucket.label("bucket"))
    elif key is not None:
        # A user's days come before those of a tool: added up in their order they need not be sorted.
        keys.insert(0 if key == "user_uuid" else 1, rollup[key])
    sums = [total(rollup[name]).label(name) for name in TOOL_COUNTERS]
    return select(*keys, *sums, *_times(shape, table)).where(*conditions).group_by(*keys)


def _times(shape: _Shape, table: Any) -> list[ColumnElement[Any]]:
    """Return when the first call was made, and the last: rows of two names do not tell it."""
    return times(table) if shape.other is None else []


@cache
def _charged(shape: _Shape) -> Prepared:
    """Return the statement whose rows are what tools are crossed with, a tool, and its sums.

    Alone, tools come with a null before them, and their first and last call after them.
    """
    parts = [_part(shape, tool_usage_hours, ("first", "end"))]
    if not shape.is_hourly:
        parts.append(_part(shape, tool_usage_days, ("first_day", "end_day")))
        parts.append(_part(shape, tool_usage_hours, ("tail", "tail_end")))
    inner = union_all(*parts).subquery("charged")
    others = () if shape.other is None else (shape.other,)
    crossed = [told_apart(inner, other, is_hourly=shape.is_hourly) for other in others] or [literal_column("NULL")]
    keys = [*crossed[: len(others)], inner.c.tool_name]
    return Prepared(
        select(*crossed, inner.c.tool_name, *[total(inner.c[name]) for name in TOOL_COUNTERS], *_times(shape, inner))
        .select_from(with_names(inner, others))
        .group_by(*keys)
        .having(func.sum(inner.c.calls) > 0)
        .order_by(*keys)
    )


def _params(scope: Scope, since: datetime | None, until: datetime | None, *, is_hourly: bool) -> Mapping[str, object]:
    first = -_EVER if since is None else to_micros(values.moment("since", since)) // HOUR_MICROS
    end = _EVER if until is None else -(-to_micros(values.moment("until", until)) // HOUR_MICROS)
    # Whole days are read as days.
    days = -(-first // _HOURS_A_DAY), end // _HOURS_A_DAY
    head, tail = (end, end) if is_hourly or days[0] >= days[1] else (days[0] * _HOURS_A_DAY, days[1] * _HOURS_A_DAY)
    return {
        "scope_project": scope.project,
        "scope_user": scope.user,
        "nobody": NIL,
        "first": first,
        "end": head,
        "first_day": days[0],
        "end_day": days[1],
        "tail": tail,
        "tail_end": end,
    }


def _rows(
    conn: Connection,
    scope: Scope,
    other: UsageBy | None,
    *,
    since: datetime | None,
    until: datetime | None,
    include_subagents: bool,
) -> list[tuple[Any, ...]]:
    shape = _Shape(
        other=other, is_hourly=other is UsageBy.HOUR, has_user=scope.user is not None, with_subagents=include_subagents
    )
    return conn.rows(_charged(shape), _params(scope, since, until, is_hourly=shape.is_hourly))


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
    found = _rows(conn, scope, None, since=since, until=until, include_subagents=include_subagents)
    shown = []
    for _, tool, *counts, first_at, last_at in found:
        # Of each call only its first tool takes what is not divided off the whole: what is left asked for none.
        whole = whole - totals_of([counts[place] for place in _TAKEN_OFF])
        totals = totals_of(counts[:_COUNTED])
        shown.append(UsageRow(key=tool, label=tool, totals=totals, first_at=first_at, last_at=last_at))
    if whole.calls:
        shown.append(UsageRow(key=NO_TOOL, label=NO_TOOL, totals=whole))
    return shown


def crossed(
    conn: Connection,
    scope: Scope,
    other: UsageBy,
    calls: Summed,
    *,
    since: datetime | None,
    until: datetime | None,
    include_subagents: bool,
) -> list[tuple[Any, ...]]:
    """Return what `other` tells `calls` apart by, each with each tool and with none, and its usage counters."""
    whole = conn.rows(by_names(calls.shape, (other,), with_times=False), calls.params)
    left: dict[Any, Sequence[int]] = {key: counts for key, *counts in whole}
    # Days begin at an hour of those by which all calls are told.
    length = _HOURS_A_DAY if other in TIME and other is not UsageBy.HOUR and calls.shape.is_hourly else 1
    found: list[tuple[Any, ...]] = []
    rows = _rows(conn, scope, other, since=since, until=until, include_subagents=include_subagents)
    for key, tool, *counts in rows:
        place = key * length if length > 1 else key
        found.append((place, tool, *counts[:_COUNTED]))
        left[place] = list(map(sub, left[place], [counts[one] for one in _TAKEN_OFF]))
    found.extend((key, NO_TOOL, *counts) for key, counts in left.items() if counts[0])
    return found


@cache
def _known(has_user: bool) -> Prepared:
    rollup, cut = tool_usage_days.c, ToolCut.ALL if has_user else ToolCut.MODEL
    return Prepared(
        select(rollup.tool_name)
        .where(
            rollup.project_id == bindparam("scope_project"),
            rollup.cut == literal_column(f"'{cut}'"),
            rollup.user_uuid == bindparam("whose"),
            rollup.calls > 0,
        )
        .group_by(rollup.tool_name)
        .order_by(func.min(rollup.bucket), rollup.tool_name)
    )


def known(conn: Connection, scope: Scope) -> list[str]:
    """Return the tools that calls asked for, by the day on which one did first."""
    params = {"scope_project": scope.project, "whose": NIL if scope.user is None else scope.user}
    return [name for (name,) in conn.rows(_known(scope.user is not None), params)]
