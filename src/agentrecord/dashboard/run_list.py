"""The list of runs: what a filter finds, its sums, its facets, and how it spreads over time."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from agentrecord.dashboard.charts import WIDE, Bar, Line, Part, stacked_bars
from agentrecord.dashboard.contexts import Chart
from agentrecord.dashboard.filters import Asked, Range
from agentrecord.dashboard.listing import (
    ROWS,
    Column,
    ListView,
    columns_of,
    filled,
    folded,
    frame,
    refused,
    sort_of,
    understood,
)
from agentrecord.dashboard.stretches import DEFAULT, between, stretch_of
from agentrecord.exceptions import InvalidFilter
from agentrecord.records.facet import Failure, RunBucket, RunSums
from agentrecord.records.page import Page
from agentrecord.records.run import Run, RunFilter, RunStatus
from agentrecord.store import AsyncStore
from agentrecord.store.runs import SORTS
from agentrecord.store.words import RUN_WORDS

PATH, SORT = "/runs", "-started_at"
LEGACY = {"user": "user", "agent": "agent", "status": "status"}
COLUMNS = (
    Column(name="input", title="input", sort="objective"),
    Column(name="started", title="started", sort="started_at"),
    Column(name="status", title="status", sort="status"),
    Column(name="agent", title="agent"),
    Column(name="user", title="user"),
    Column(name="session", title="session"),
    Column(name="calls", title="LLM calls", sort="calls", is_number=True),
    Column(name="tools", title="tools", sort="tools", is_number=True),
    Column(name="tokens", title="tokens", sort="tokens", is_number=True),
    Column(name="cost", title="cost", sort="cost", is_number=True),
    Column(name="duration", title="duration", sort="duration", is_number=True),
    Column(name="error", title="first failure", sort="errors"),
    Column(name="run", title="run id", sort="run_id", is_shown=False),
)
SLOTS = {
    RunStatus.COMPLETED: 0,
    RunStatus.ERROR: 1,
    RunStatus.RUNNING: 2,
    RunStatus.CANCELLED: 3,
    RunStatus.PENDING: 4,
}
"""Which of the chart's colours a status has, the lowest part of a bar first."""

_BUCKETS_S = (60, 300, 900, 3600, 3 * 3600, 6 * 3600, 86_400, 7 * 86_400, 30 * 86_400)
_MOST_BARS = 60
HEIGHT = 180


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsPage:
    """The list of runs; `before` counts those that the filter finds outside of the range, where it finds none in it."""

    view: ListView
    found: Page[Run]
    sums: RunSums
    failures: Mapping[UUID, Failure]
    chart: Chart | None
    before: int | None
    is_empty: bool


async def default_range(store: AsyncStore, now: datetime) -> str:
    """Return the range to begin with: a week, or everything where the last week would show nothing."""
    week = stretch_of({}, now, default=DEFAULT)
    latest = await store.runs.list(limit=1)
    started = latest.items[0].started_at if latest.items else None
    return DEFAULT if started is not None and week.since is not None and started >= week.since else "all"


def filter_of(asked: Asked, stretch: Range) -> RunFilter:
    """Return the runs that an address asks for."""
    return RunFilter(query=asked.get("q"), since=stretch.since, until=stretch.until)


def folded_runs(asked: Asked) -> Asked:
    """Return an address with its single parameters in its filter."""
    errors = asked.get("errors")
    if errors not in (None, "only"):
        raise InvalidFilter("errors", errors, "must be only, or left out")
    found = folded({**asked, **({"has": "error"} if errors else {})}, RUN_WORDS, {**LEGACY, "has": "has"})
    return {name: value for name, value in found.items() if name != "errors"}


async def runs(store: AsyncStore, given: Asked, now: datetime) -> RunsPage:
    """Return a page of runs with all that is told about the whole filter; a filter not understood finds nothing."""
    asked = folded_runs(given)
    stretch = stretch_of(asked, now, default=await default_range(store, now))
    view = frame(PATH, asked, now, words=RUN_WORDS, stretch=stretch, known=COLUMNS, default_sort=SORT)
    try:
        query = understood(RUN_WORDS, asked)
        shown = columns_of(asked, COLUMNS)
        wanted = filter_of(asked, stretch)
        sort_of(asked, SORT, tuple(SORTS))
        found, sums, facets = await asyncio.gather(
            store.runs.list(wanted, sort=view.sort, limit=ROWS, cursor=asked.get("after")),
            store.runs.sums(wanted),
            store.runs.facets(wanted),
        )
    except InvalidFilter as error:
        return _nothing(refused(view, error))
    failures, chart = await asyncio.gather(
        store.runs.failures([run.id for run in found if run.tool_error_count or run.usage.failed_calls]),
        _chart(store, asked, wanted, found, now),
    )
    before = None
    if not found.items and stretch.name != "all":
        before = (await store.runs.list(RunFilter(query=wanted.query), limit=1)).total
    return RunsPage(
        view=filled(view, asked, query, facets, shown), found=found, sums=sums, failures=failures, chart=chart,
        before=before, is_empty=not found.items and stretch.name == "all" and not query.terms,
    )  # fmt: skip


def _nothing(view: ListView) -> RunsPage:
    return RunsPage(
        view=view, found=Page([], ROWS, total=0), sums=RunSums(), failures={}, chart=None, before=None, is_empty=False
    )


async def _chart(store: AsyncStore, asked: Asked, wanted: RunFilter, found: Page[Run], now: datetime) -> Chart | None:
    """Return the chart of runs over time by status; None without runs."""
    if not found.items:
        return None
    start = wanted.since
    if start is None:
        first = await store.runs.list(wanted, sort="started_at", limit=50)
        start = next((run.started_at for run in first if run.started_at is not None), None)
    if start is None:
        return None
    length_s = ((wanted.until or now) - start).total_seconds()
    bucket_s = next((size for size in _BUCKETS_S if length_s / size <= _MOST_BARS), _BUCKETS_S[-1])
    rows = await store.runs.series(wanted, bucket_s=bucket_s)
    return chart_of(asked, rows, bucket_s)


def chart_of(asked: Asked, rows: Sequence[RunBucket], bucket_s: int) -> Chart | None:
    """Return the chart of runs by status in buckets of so many seconds, the empty ones too; each leads to its runs."""
    if not rows:
        return None
    by_start = {row.start: row for row in rows}
    width, count = timedelta(seconds=bucket_s), (rows[-1].start - rows[0].start) // timedelta(seconds=bucket_s)
    buckets = [
        by_start.get(at) or RunBucket(start=at, by_status={})
        for at in (rows[0].start + place * width for place in range(count + 1))
    ]
    bars = [
        Bar(
            label=_label(bucket.start, bucket_s),
            parts=_parts(bucket),
            href=between(asked, bucket.start, bucket.start + width),
        )
        for bucket in buckets
    ]
    over = [
        Line(name="p50 duration", look="p50", points=[bucket.p50_ms for bucket in buckets]),
        Line(name="p95 duration", look="p95", points=[bucket.p95_ms for bucket in buckets]),
    ]
    is_timed = any(bucket.timed_runs for bucket in buckets)
    title = f"Runs started per {_span(bucket_s)}, by status" + (", and how long they took" if is_timed else "")
    shown = over if is_timed else ()
    svg = stacked_bars(bars, title=title, tick=lambda value: f"{value:,}", width=WIDE, height=HEIGHT, over=shown)
    seen = {status for row in rows for status in row.by_status}
    series = [(str(status), slot) for status, slot in SLOTS.items() if status in seen]
    return Chart(title=title, svg=svg, bars=bars, series=series, over=shown)


def _parts(bucket: RunBucket) -> tuple[Part, ...]:
    counts = bucket.by_status
    return tuple(
        Part(
            series=status, slot=slot, value=counts[status], text=f"{counts[status]:,}",
            is_bad=status is RunStatus.ERROR,
        )
        for status, slot in SLOTS.items()
        if counts.get(status)
    )  # fmt: skip


def _label(at: datetime, bucket_s: int) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d" if bucket_s >= 86_400 else "%Y-%m-%d %H:%M")


def _span(bucket_s: int) -> str:
    for size, name in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if bucket_s >= size:
            count = bucket_s // size
            return name if count == 1 else f"{count} {name}s"
    return f"{bucket_s} seconds"
