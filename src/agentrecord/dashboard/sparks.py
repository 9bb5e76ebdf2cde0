"""Small charts for the cells of tables: the days of a range as bars, named bars for a breakdown."""

import math
from collections.abc import Sequence
from datetime import date, timedelta

from markupsafe import Markup, escape

from agentrecord.dashboard import formats
from agentrecord.records.usage import DayCount

BARS, WIDTH, HEIGHT = 30, 120, 22
_GAP = 1


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
    highest = max(bars) or 1
    step = WIDTH / len(bars)
    drawn = "".join(
        f'<rect x="{place * step:.1f}" y="{HEIGHT - height:.1f}" width="{max(1.0, step - _GAP):.1f}" '
        f'height="{height:.1f}"/>'
        for place, value in enumerate(bars)
        if value and (height := max(1.5, HEIGHT * value / highest))
    )
    most = max(days, key=lambda day: day.count)
    total = formats.counted(sum(day.count for day in days), noun)
    on_days = "on one day" if len(days) == 1 else f"on {len(days)} days"
    told = escape(f"{total} {on_days}, most on {most.date.isoformat()}: {most.count:,}")
    return Markup(
        f'<svg class="spark" viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="{told}"><title>{told}</title>{drawn}</svg>'
    )


def span_of(
    days: Sequence[Sequence[DayCount]], since: date | None, until: date | None, today: date
) -> tuple[date, date]:
    """Return the first and last day that the rows of a table share: the range's, else from the first that counts."""
    seen = [day.date for row in days for day in row]
    first = since or min(seen, default=today)
    last = until - timedelta(days=1) if until is not None else max([*seen, today])
    return first, max(first, last)
