"""The page of one group of equal errors."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from markupsafe import Markup

from agentrecord.dashboard.charts import WIDE, Bar, Part, stacked_bars
from agentrecord.dashboard.contexts import Chart
from agentrecord.dashboard.error_list import LATEST
from agentrecord.records.error import ErrorBreakdown, ErrorGroup, ErrorRecord
from agentrecord.records.page import Page
from agentrecord.records.usage import DayCount
from agentrecord.store import AsyncStore
from agentrecord.store.error_groups import TREND_DAYS

HEIGHT = 150


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorPage:
    """One group of equal errors: its latest occurrences, where it was met, and what that cost."""

    group: ErrorGroup
    trend: Chart
    latest: Page[ErrorRecord]
    breakdown: ErrorBreakdown
    stack: str | None


async def error(store: AsyncStore, fingerprint: str, now: datetime) -> ErrorPage:
    """Return the page of one group."""
    group = await store.errors.group(fingerprint)
    breakdown, latest = await asyncio.gather(
        store.errors.breakdown(group.fingerprint), store.errors.list(group=group.id, derived=True, limit=LATEST)
    )
    return ErrorPage(
        group=group,
        trend=trend(group.days, now),
        latest=latest,
        breakdown=breakdown,
        stack=next((one.stack_trace for one in latest if one.stack_trace), None),
    )


def trend(days: Sequence[DayCount], now: datetime) -> Chart:
    """Return the chart of how often a group was met on each of the last days; without bars where it was on none."""
    counts = {day.date: day.count for day in days}
    bars = []
    for back in range(TREND_DAYS - 1, -1, -1):
        date = now.date() - timedelta(days=back)
        count = counts.get(date, 0)
        part = Part(series="errors", slot=1, value=count, text=f"{count:,}", is_bad=True)
        bars.append(Bar(label=date.isoformat(), parts=(part,) if count else ()))
    title = f"Errors per UTC day, the last {TREND_DAYS} days"
    svg = stacked_bars(bars, title=title, tick=lambda value: f"{value:,}", width=WIDE, height=HEIGHT)
    return Chart(title=title, svg=Markup(svg), bars=bars if counts else [], series=[("errors", 1)])
