"""Small charts for the cells of tables: the days of a range as bars."""

import math
from collections.abc import Sequence
from datetime import date, timedelta

from markupsafe import Markup

from agentrecord.dashboard import charts, formats
from agentrecord.records.usage import DayCount

BARS = 30


def sparkline(days: Sequence[DayCount], *, first: date, last: date, noun: str) -> Markup:
    """Return how often something happened from `first` to `last`, in at most 30 bars; a dash where it never did."""
    if not days:
        return Markup(formats.UNKNOWN)
    length = (last - first).days + 1
    size = max(1, math.ceil(length / BARS))
    bars = [0] * max(1, math.ceil(length / size))
    for day in days:
        place = (day.date - first).days // size
        if 0 <= place < len(bars):
            bars[place] += day.count
    most = max(days, key=lambda day: day.count)
    total = formats.counted(sum(day.count for day in days), noun)
    on_days = "on one day" if len(days) == 1 else f"on {len(days)} days"
    told = f"{total} {on_days}, most on {most.date.isoformat()}: {most.count:,}"
    return charts.sparkline(bars, title=told)


def span_of(
    days: Sequence[Sequence[DayCount]], since: date | None, until: date | None, today: date
) -> tuple[date, date]:
    """Return the first and last day that the rows of a table share: the range's, else from the first that counts."""
    seen = [day.date for row in days for day in row]
    first = since or min(seen, default=today)
    last = until - timedelta(days=1) if until is not None else max([*seen, today])
    return first, max(first, last)
