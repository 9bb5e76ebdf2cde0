"""What the pages of agents and users share: their range, their bars of spend, how their values are written."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import TypeVar

from agentrecord.dashboard import formats
from agentrecord.dashboard.charts import WIDE, bars_of, series_slots, stacked_bars
from agentrecord.dashboard.contexts import Chart
from agentrecord.dashboard.filters import Asked, Range, range_of
from agentrecord.records.price import ModelUse
from agentrecord.records.usage import NANOS_PER_DOLLAR, UsageBy, UsageRow

T = TypeVar("T")

ROWS = 50
DEFAULT = "7d"
_RANGE = ("since", "from", "to")
MOST_DAYS, MOST_WEEKS = 70, 80


def days_of(asked: Asked, now: datetime) -> Range:
    """Return the range that is asked for; everything where none is."""
    return range_of(asked, now, default="all")


async def in_range(
    asked: Asked, now: datetime, ask: Callable[[Range], Awaitable[T]], *, is_empty: Callable[[T], bool]
) -> tuple[Range, T]:
    """Return a range and what `ask` finds in it: the one asked for, else the last week, or all if that is empty."""
    stretch = range_of(asked, now, default=DEFAULT)
    found = await ask(stretch)
    if is_empty(found) and not any(name in asked for name in _RANGE):
        stretch = range_of({}, now, default="all")
        found = await ask(stretch)
    return stretch, found


def is_filtered(asked: Asked) -> bool:
    """Say whether an address asks for anything but an order, a place or another tab."""
    return any(name not in ("sort", "after", "tab", "tool", "failures") for name in asked)


def with_range(asked: Asked, stretch: Range) -> Asked:
    """Return what was asked for with its range in words, so that every link from the page keeps to it."""
    return asked if stretch.name == "custom" else {**asked, "since": stretch.name}


def edges(stretch: Range) -> tuple[date | None, date | None]:
    """Return the first day of a range and the one after its last; None where it is open."""
    since = None if stretch.since is None else stretch.since.date()
    if stretch.until is None:
        return since, None
    return since, (stretch.until - timedelta(microseconds=1)).date() + timedelta(days=1)


def spend_chart(rows: Sequence[UsageRow], uses: Sequence[ModelUse]) -> Chart:
    """Return the chart of what was spent over time by model; of tokens, where nothing has a price."""
    by, keyed = _stepped(rows)
    slots = series_slots(uses)
    if any(row.totals.cost_nanos for row in keyed):
        title = f"Spend per {by} by model"
        bars = bars_of(keyed, slots, by, measure=lambda row: row.totals.cost_nanos, text=formats.money)
        svg = stacked_bars(bars, title=title, tick=_dollars, width=WIDE)
    else:
        title = f"Tokens per {by} by model"
        bars = bars_of(keyed, slots, by, measure=lambda row: row.totals.total_tokens, text=formats.number)
        svg = stacked_bars(bars, title=title, tick=formats.short, width=WIDE)
    names = {part.series: part.slot for bar in bars for part in bar.parts}
    return Chart(title=title, svg=svg, bars=bars, series=sorted(names.items(), key=lambda item: (item[1], item[0])))


def _stepped(rows: Sequence[UsageRow]) -> tuple[UsageBy, Sequence[UsageRow]]:
    days = [date.fromisoformat(row.key) for row in rows]
    length = (max(days) - min(days)).days if days else 0
    if length <= MOST_DAYS:
        return UsageBy.DAY, rows
    if length <= MOST_WEEKS * 7:
        mondays = [day - timedelta(days=day.weekday()) for day in days]
        return UsageBy.WEEK, [replace(row, key=day.isoformat()) for row, day in zip(rows, mondays, strict=True)]
    return UsageBy.MONTH, [replace(row, key=row.key[:7]) for row in rows]


def _dollars(nanos: int) -> str:
    value = nanos / NANOS_PER_DOLLAR
    return f"${value:,.0f}" if value >= 5 or not value else f"${value:.2f}" if value >= 0.05 else f"${value:.4f}"
