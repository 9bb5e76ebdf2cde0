"""The list of runs: what a filter finds, its sums, its facets, and how it spreads over time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from agentrecord.dashboard.charts import WIDE, Bar, Line, Part, stacked_bars
from agentrecord.dashboard.contexts import Chart
from agentrecord.dashboard.filters import Asked, Range
from agentrecord.dashboard.formats import counted
from agentrecord.dashboard.list_page import Kind, ListPage, Reads, list_page
from agentrecord.dashboard.listing import Column, folded
from agentrecord.dashboard.stretches import between, written
from agentrecord.exceptions import InvalidFilter
from agentrecord.records.facet import Failure, RunBucket, RunSums
from agentrecord.records.lengths import floor
from agentrecord.records.run import Run, RunFilter, RunStatus
from agentrecord.store import AsyncStore
from agentrecord.store.runs import SORTS
from agentrecord.store.words import RUN_WORDS

WHOLE = "whole"
"""The column of what a run cost with the runs below it: shown where any run of a page has some."""

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
    Column(name=WHOLE, title="with sub-agents", is_number=True),
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
class RunsPage(ListPage[Run, RunSums]):
    """The list of runs; `failures` has the first thing that failed in each."""

    failures: Mapping[UUID, Failure]
    chart: Chart | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Runs(Kind[Run, RunSums]):
    def folded(self, asked: Asked) -> Asked:
        """Return an address with its single parameters in its filter; `errors=only` is one of them."""
        errors = asked.get("errors")
        if errors not in (None, "only"):
            raise InvalidFilter("errors", errors, "must be only, or left out")
        given = {name: value for name, value in asked.items() if name != "errors"}
        return folded({**given, **({"has": "error"} if errors else {})}, self.words, {**self.legacy, "has": "has"})


def filter_of(query: str | None, stretch: Range) -> RunFilter:
    """Return the runs that a filter and a range ask for."""
    return RunFilter(query=query, since=stretch.since, until=stretch.until)


def _reads(store: AsyncStore, query: str | None, stretch: Range) -> Reads[Run, RunSums]:
    wanted = filter_of(query, stretch)
    return Reads(
        page=lambda sort, limit, cursor: store.runs.list(wanted, sort=sort, limit=limit, cursor=cursor, counted=False),
        sums=lambda: store.runs.sums(wanted),
        count_of=lambda sums: sums.runs,
        facets=lambda: store.runs.facets(wanted),
        more=lambda: _series(store, wanted),
    )


async def _is_new(store: AsyncStore, since: datetime) -> bool:
    latest = (await store.runs.list(limit=1, counted=False)).items
    return any(run.started_at is not None and run.started_at >= since for run in latest)


RUNS = _Runs(
    path="/runs", api="/api/runs", words=RUN_WORDS, columns=COLUMNS, sort="-started_at", sorts=tuple(SORTS),
    steady="-started_at", reads=_reads, is_new=_is_new, kept=("errors",),
    legacy={"user": "user", "agent": "agent", "status": "status"},
)  # fmt: skip
"""The list of runs."""


async def runs(store: AsyncStore, given: Asked, now: datetime) -> RunsPage:
    """Return a page of runs with all that is told about the whole filter; a filter not understood finds nothing."""
    page = await list_page(RUNS, store, given, now)
    if "cols" not in page.asked and all(run.subtree is None for run in page.found):
        columns = [column for column in page.view.columns if column.name != WHOLE]
        page = replace(page, view=replace(page.view, columns=columns))
    if not page.found.items:
        return RunsPage(**page.parts(), failures={}, chart=None)
    failed = [run.id for run in page.found if run.tool_error_count or run.usage.failed_calls]
    failures, chart = await store.runs.failures(failed), chart_of(page.asked, *page.more)
    return RunsPage(**page.parts(), failures=failures, chart=chart)


async def _series(store: AsyncStore, wanted: RunFilter) -> tuple[Sequence[RunBucket], int]:
    """Return the runs over time by status, and in buckets of how many seconds they are told."""
    now = store.engine.maker.clock.now()
    start, end = wanted.since, min(wanted.until or now, now)
    if start is None:
        first = await store.runs.list(wanted, sort="started_at", limit=50, counted=False)
        start = next((run.started_at for run in first if run.started_at is not None), None)
    if start is None:
        return (), _BUCKETS_S[-1]
    length_s = (end - start).total_seconds()
    bucket_s = next((size for size in _BUCKETS_S if length_s / size <= _MOST_BARS), _BUCKETS_S[-1])
    rows = await store.runs.series(wanted, bucket_s=bucket_s)
    return _to_the_ends(rows, start, end, timedelta(seconds=bucket_s)) if wanted.since else rows, bucket_s


def _to_the_ends(rows: Sequence[RunBucket], start: datetime, end: datetime, width: timedelta) -> Sequence[RunBucket]:
    """Return buckets with the first and the last of a range, though nothing began in them."""
    if not rows:
        return rows
    first, last = floor(start, width), floor(end - timedelta(microseconds=1), width)
    before = [RunBucket(start=first, by_status={})] if first < rows[0].start else []
    after = [RunBucket(start=last, by_status={})] if last > rows[-1].start else []
    return [*before, *rows, *after]


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
            total=counted(sum(bucket.by_status.values()), "run") if bucket.by_status else "",
            span=(written(bucket.start), written(bucket.start + width)),
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
