"""What the pages of one agent and of one user share: their range, and their bars of spend."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta

from agentrecord.dashboard import figures, periods
from agentrecord.dashboard.charts import WIDE, series_slots
from agentrecord.dashboard.contexts import Chart
from agentrecord.dashboard.filters import Asked, Range
from agentrecord.dashboard.stretches import range_of
from agentrecord.records.usage import UsageBy, UsageRow


def days_of(asked: Asked, now: datetime) -> Range:
    """Return the range that is asked for; everything where none is."""
    return range_of(asked, now, default="all")


def spend_chart(rows: Sequence[UsageRow], names: Sequence[str], stretch: Range, now: datetime) -> Chart:
    """Return the chart of what was spent over a range by model, in days, weeks or months as the time is long."""
    by, keyed = _stepped(rows)
    ends = periods.ends_of(stretch, by, now)
    return figures.spend_chart(keyed, series_slots(names), by=by, of=UsageBy.MODEL, width=WIDE, ends=ends)


def _stepped(rows: Sequence[UsageRow]) -> tuple[UsageBy, Sequence[UsageRow]]:
    days = [date.fromisoformat(row.key) for row in rows]
    length = (max(days) - min(days)).days if days else 0
    if length <= figures.MOST_DAYS:
        return UsageBy.DAY, rows
    if length <= figures.MOST_WEEKS * 7:
        mondays = [day - timedelta(days=day.weekday()) for day in days]
        return UsageBy.WEEK, [replace(row, key=day.isoformat()) for row, day in zip(rows, mondays, strict=True)]
    return UsageBy.MONTH, [replace(row, key=row.key[:7]) for row in rows]
