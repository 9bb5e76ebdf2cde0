"""Pages of figures: the overview, what was spent, and prices."""

import asyncio
from collections.abc import Sequence
from datetime import datetime

from agentrecord.dashboard import formats
from agentrecord.dashboard.charts import WIDE, WIDTH, bars_of, series_slots, stacked_bars
from agentrecord.dashboard.contexts import Chart, CostPage, OverviewPage, PricesPage, Tile
from agentrecord.dashboard.filters import Asked, Range, range_of
from agentrecord.exceptions import InvalidFilter
from agentrecord.records.page import MAX_PAGE
from agentrecord.records.price import ModelUse
from agentrecord.records.tool_call import ToolCallStatus
from agentrecord.records.usage import NANOS_PER_DOLLAR, UsageBy, UsageReport, UsageTotals
from agentrecord.store import AsyncStore
from agentrecord.store.pages import Counts

COST_BY = tuple(by for by in UsageBy if by not in (UsageBy.HOUR, UsageBy.TOTAL))
RECENT = 8
MOST_DAYS, MOST_WEEKS = 70, 80


def default_range(uses: Sequence[ModelUse], now: datetime) -> str:
    """Return the range to begin with: a week, or everything where the last week would show nothing."""
    week = range_of({}, now, default="7d")
    recent = any(week.since is not None and use.last_at >= week.since for use in uses)
    return "7d" if recent else "all"


async def overview(store: AsyncStore, asked: Asked, now: datetime) -> OverviewPage:
    """Return the first page."""
    uses, found = await asyncio.gather(store.prices.uses(), store.sessions.list(limit=RECENT))
    stretch = range_of(asked, now, default=default_range(uses, now))
    before = stretch.previous()
    models, chart, counts, earlier = await asyncio.gather(
        store.usage.report(UsageBy.MODEL, since=stretch.since, until=stretch.until),
        spend_chart(store, stretch, uses),
        store.pages.counts(since=stretch.since, until=stretch.until),
        _figures(store, before),
    )
    failures, groups, sums, budgets = await asyncio.gather(
        store.tool_calls.list(status=ToolCallStatus.ERROR, sort="-started_at", limit=RECENT),
        store.errors.groups(limit=RECENT),
        store.pages.subtree_sums([session.id for session in found]),
        store.budgets.near(),
    )
    return OverviewPage(
        is_empty=not found.items and not uses and not counts.runs,
        stretch=stretch,
        tiles=_overview_tiles(models.total, counts, earlier),
        chart=chart,
        models=models,
        slots=series_slots(uses),
        unpriced=[row for row in models.rows if row.totals.unpriced_calls],
        budgets=budgets,
        sessions=found.items,
        sums=sums,
        failures=failures.items,
        groups=groups.items,
    )


async def _figures(store: AsyncStore, stretch: Range | None) -> tuple[UsageTotals, Counts] | None:
    if stretch is None:
        return None
    report, counts = await asyncio.gather(
        store.usage.report(UsageBy.TOTAL, since=stretch.since, until=stretch.until),
        store.pages.counts(since=stretch.since, until=stretch.until),
    )
    return report.total, counts


def _change(new: float, old: float | None) -> float | None:
    return (new - old) / old if old else None


def _overview_tiles(totals: UsageTotals, counts: Counts, earlier: tuple[UsageTotals, Counts] | None) -> Sequence[Tile]:
    old_totals, old = earlier if earlier is not None else (None, None)
    failed = formats.percent(counts.failed_tool_calls, counts.tool_calls)
    return (
        Tile(
            name="Spend",
            value=formats.cost(totals),
            change=_change(totals.cost_nanos, old_totals.cost_nanos if old_totals else None),
            is_worse_up=True,
            note=excluded(totals),
        ),
        Tile(
            name="Sessions",
            value=_count(counts.sessions),
            change=_change(counts.sessions, old.sessions if old else None),
        ),
        Tile(
            name="Runs",
            value=_count(counts.runs),
            change=_change(counts.runs, old.runs if old else None),
            note=f"{formats.percent(counts.failed_runs, counts.runs)} failed" if counts.runs else "",
        ),
        Tile(
            name="Failed tool calls",
            value=failed,
            note=f"{counts.failed_tool_calls:,} of {counts.tool_calls:,}" if counts.tool_calls else "",
        ),
        Tile(
            name="Tokens",
            value=formats.short(totals.total_tokens) if totals.calls else formats.UNKNOWN,
            change=_change(totals.total_tokens, old_totals.total_tokens if old_totals else None),
            note=f"{formats.percent(totals.cached_share)} of input from cache" if totals.calls else "",
        ),
    )


def _count(value: int) -> str:
    return f"{value:,}" if value else formats.UNKNOWN


def excluded(totals: UsageTotals) -> str:
    """Return the words that go with a sum in which calls are missing, none if none is."""
    return f"excludes {formats.counted(totals.unpriced_calls, 'call')} without a price" if totals.unpriced_calls else ""


def _step(stretch: Range, uses: Sequence[ModelUse]) -> UsageBy:
    first = stretch.since or min((use.first_at for use in uses), default=None)
    last = stretch.until or max((use.last_at for use in uses), default=None)
    if first is None or last is None:
        return UsageBy.DAY
    days = (last - first).total_seconds() / formats.DAY_S
    if days <= 2 and stretch.since is not None:
        return UsageBy.HOUR
    if days <= MOST_DAYS:
        return UsageBy.DAY
    return UsageBy.WEEK if days <= MOST_WEEKS * 7 else UsageBy.MONTH


async def spend_chart(
    store: AsyncStore,
    stretch: Range,
    uses: Sequence[ModelUse],
    *,
    with_subagents: bool = True,
    width: int = WIDTH,
) -> Chart:
    """Return the chart of what was spent over time by model; of tokens, where nothing has a price."""
    by = _step(stretch, uses)
    rows = await store.usage.series(
        UsageBy.MODEL, since=stretch.since, until=stretch.until, by=by, include_subagents=with_subagents
    )
    slots = series_slots(uses)
    if any(row.totals.cost_nanos for row in rows):
        bars = bars_of(rows, slots, by, measure=lambda row: row.totals.cost_nanos, text=formats.money)
        title = f"Spend per {by} by model"
        svg = stacked_bars(bars, title=title, tick=_dollars, width=width)
    else:
        bars = bars_of(rows, slots, by, measure=lambda row: row.totals.total_tokens, text=formats.number)
        title = f"Tokens per {by} by model"
        svg = stacked_bars(bars, title=title, tick=formats.short, width=width)
    names = {part.series: part.slot for bar in bars for part in bar.parts}
    series = sorted(names.items(), key=lambda item: (item[1], item[0]))
    return Chart(title=title, svg=svg, bars=bars, series=series)


def _dollars(nanos: int) -> str:
    value = nanos / NANOS_PER_DOLLAR
    return f"${value:,.0f}" if value >= 5 or not value else f"${value:.2f}" if value >= 0.05 else f"${value:.4f}"


async def cost(store: AsyncStore, asked: Asked, now: datetime) -> CostPage:
    """Return the page of what was spent."""
    uses = await store.prices.uses()
    stretch, by = range_of(asked, now, default=default_range(uses, now)), cost_by(asked)
    with_subagents = subagents_of(asked)
    before = stretch.previous()
    report, models, counts, chart, earlier, budgets = await asyncio.gather(
        store.usage.report(by, since=stretch.since, until=stretch.until, include_subagents=with_subagents),
        store.usage.report(UsageBy.MODEL, since=stretch.since, until=stretch.until, include_subagents=with_subagents),
        store.pages.counts(since=stretch.since, until=stretch.until),
        spend_chart(store, stretch, uses, with_subagents=with_subagents, width=WIDE),
        _total(store, before, with_subagents),
        store.budgets.statuses(limit=MAX_PAGE),
    )
    return CostPage(
        stretch=stretch,
        by=by,
        with_subagents=with_subagents,
        report=report,
        tiles=_cost_tiles(report.total, counts, earlier),
        chart=chart,
        slots=series_slots(uses),
        unpriced=[row for row in models.rows if row.totals.unpriced_calls],
        budgets=budgets,
        uses=uses,
    )


def cost_by(asked: Asked) -> UsageBy:
    """Return what the page of costs has a row for."""
    by = asked.get("by", UsageBy.MODEL)
    if by not in COST_BY:
        raise InvalidFilter("by", by, f"must be one of {', '.join(COST_BY)}")
    return UsageBy(by)


def subagents_of(asked: Asked) -> bool:
    """Return whether the calls of sub-agents count."""
    wanted = asked.get("subagents", "with")
    if wanted not in ("with", "without"):
        raise InvalidFilter("subagents", wanted, "must be with or without")
    return wanted == "with"


async def _total(store: AsyncStore, stretch: Range | None, with_subagents: bool) -> UsageTotals | None:
    if stretch is None:
        return None
    report: UsageReport = await store.usage.report(
        UsageBy.TOTAL, since=stretch.since, until=stretch.until, include_subagents=with_subagents
    )
    return report.total


def _cost_tiles(totals: UsageTotals, counts: Counts, before: UsageTotals | None) -> Sequence[Tile]:
    written = totals.cache_write_5m_tokens + totals.cache_write_1h_tokens
    per_session = totals.cost_nanos // counts.sessions if counts.sessions and totals.calls else None
    return (
        Tile(
            name="Spend",
            value=formats.cost(totals),
            change=_change(totals.cost_nanos, before.cost_nanos if before else None),
            is_worse_up=True,
            note=excluded(totals),
        ),
        Tile(name="Per session", value=formats.money(per_session), note=formats.counted(counts.sessions, "session")),
        Tile(
            name="LLM calls",
            value=_count(totals.calls),
            change=_change(totals.calls, before.calls if before else None),
            note=f"{totals.failed_calls:,} failed" if totals.calls else "",
        ),
        Tile(
            name="Tokens",
            value=formats.short(totals.total_tokens) if totals.calls else formats.UNKNOWN,
            note=f"{formats.short(totals.output_tokens)} output" if totals.calls else "",
        ),
        Tile(
            name="Input from cache",
            value=formats.percent(totals.cached_share),
            note=f"{formats.short(written)} written to it" if totals.calls else "",
        ),
    )


async def prices(store: AsyncStore) -> PricesPage:
    """Return the page of prices."""
    uses, known = await asyncio.gather(store.prices.uses(), store.prices.list())
    return PricesPage(uses=uses, prices=known, slots=series_slots(uses))
