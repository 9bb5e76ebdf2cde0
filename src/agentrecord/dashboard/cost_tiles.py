"""What stands above the page of what was spent: amounts with their change, and what the month will have cost."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from agentrecord.dashboard import figures, formats
from agentrecord.dashboard.filters import Range
from agentrecord.records.activity import Activity
from agentrecord.records.price import ModelUse, Rates
from agentrecord.records.usage import UsageBy, UsageReport, UsageRow, UsageTotals, added
from agentrecord.store import AsyncStore

TREND_DAYS = 7
"""From how many whole days before today the forecast takes what a day costs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What the tiles tell beside what was spent: the work of the stretch and of the one before, and a forecast.

    `old` is the total of the stretch before, where it is not added up for the rows anyway.
    """

    work: Activity
    old_work: Activity | None
    old: UsageTotals | None
    forecast: figures.FigureTile


async def beside(store: AsyncStore, stretch: Range, now: datetime, *, with_subagents: bool, with_old: bool) -> Beside:
    """Return what the tiles of a stretch tell beside what was spent; `with_old` with the total of the one before."""
    before = stretch.previous()
    work, forecast, old_work, old = await asyncio.gather(
        _activity(store, stretch, with_subagents),
        _forecast(store, now, with_subagents),
        _none() if before is None else _activity(store, before, with_subagents),
        _none() if before is None or not with_old else _total(store, before, with_subagents),
    )
    return Beside(work=work, old_work=old_work, old=old, forecast=forecast)


async def _none() -> None:
    return None


def tiles(
    models: UsageReport, uses: Sequence[ModelUse], beside: Beside, old: UsageTotals | None
) -> Sequence[figures.FigureTile]:
    """Return what stands above the rows; `old` is the total of the stretch before, if the rows' were added up."""
    amounts = _amounts(models.total, beside.work, beside.old if old is None else old, beside.old_work)
    return (*amounts, _saved(models.rows, uses), beside.forecast)


async def _activity(store: AsyncStore, stretch: Range, with_subagents: bool) -> Activity:
    return await store.usage.activity(
        UsageBy.DAY, since=stretch.since, until=stretch.until, include_subagents=with_subagents, only_work=True
    )


async def _total(store: AsyncStore, stretch: Range, with_subagents: bool) -> UsageTotals:
    return await store.usage.total(since=stretch.since, until=stretch.until, include_subagents=with_subagents)


def _each(totals: UsageTotals | None, number: int) -> int | None:
    """Return what one of a number of things cost; None where there is none, or nothing has a price."""
    spent = figures.spent(totals)
    return None if spent is None or not number else spent // number


def _amounts(
    totals: UsageTotals, activity: Activity, old: UsageTotals | None, old_activity: Activity | None
) -> Sequence[figures.FigureTile]:
    per_run, per_session = _each(totals, activity.runs), _each(totals, activity.sessions)
    old_run = _each(old, old_activity.runs) if old_activity else None
    old_session = _each(old, old_activity.sessions) if old_activity else None
    failed = totals.failed_calls
    return (
        figures.FigureTile(
            name="Spend", value=formats.cost(totals), nanos=totals.cost_nanos if totals.calls else None,
            change=figures.change(figures.spent(totals), figures.spent(old)), is_worse_up=True,
            note=figures.excluded(totals) or (formats.counted(totals.calls, "call") if totals.calls else "no calls"),
        ),
        figures.FigureTile(
            name="Per run", value=formats.money(per_run), change=figures.change(per_run, old_run), is_worse_up=True,
            note=formats.counted(activity.runs, "run") if activity.runs else "no run began",
        ),
        figures.FigureTile(
            name="Per session", value=formats.money(per_session), is_worse_up=True,
            change=figures.change(per_session, old_session),
            note=formats.counted(activity.sessions, "session") if activity.sessions else "no session was active",
        ),
        figures.FigureTile(
            # A call that failed mostly tells no tokens: where none of them does, the cost is unknown and not nothing.
            name="Failed calls",
            value=formats.money(activity.failed_nanos or None),
            nanos=activity.failed_nanos or None,
            note=f"{formats.counted(failed, 'call')} of {totals.calls:,}" if failed else "no call failed",
        ),
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheSavings:
    """What caches saved: None where nothing was cached that has a price; `unpriced_models` are left out of it."""

    cost_nanos: int | None
    cached_share: float | None
    unpriced_models: int


def savings(rows: Sequence[UsageRow], uses: Sequence[ModelUse]) -> CacheSavings:
    """Return what the caches of models saved, by the prices that charge them now."""
    rates: dict[str, Rates] = {}
    for use in sorted(uses, key=lambda use: use.totals.calls):
        if use.rates is not None:
            rates[use.model] = use.rates
    cached = [row for row in rows if _cache_tokens(row.totals)]
    saved = [cache_savings(row.totals, rates[row.key]) for row in cached if row.key in rates]
    return CacheSavings(
        cost_nanos=sum(saved) if saved else None,
        cached_share=added(row.totals for row in rows).cached_share,
        unpriced_models=len(cached) - len(saved),
    )


def _saved(rows: Sequence[UsageRow], uses: Sequence[ModelUse]) -> figures.FigureTile:
    found = savings(rows, uses)
    share, unknown = found.cached_share, found.unpriced_models
    without = f"; without {formats.counted(unknown, 'model')} that has no price" if unknown else ""
    return figures.FigureTile(
        name="Saved by cache",
        value=formats.UNKNOWN if found.cost_nanos is None else formats.money(found.cost_nanos),
        note=(f"{formats.percent(share)} of input from cache" if share else "no input from cache") + without,
    )


def _cache_tokens(totals: UsageTotals) -> int:
    return totals.cache_read_tokens + totals.cache_write_5m_tokens + totals.cache_write_1h_tokens


def cache_savings(totals: UsageTotals, rates: Rates) -> int:
    """Return what a model's cache saved, in nano-dollars: less than 0 where writing cost more than reading saved.

    That is read × (input price − cache-read price) − written × (cache-write price − input price), since without a
    cache all of it would have cost the input price. The prices are those that charge the model now (its own or
    genai-prices'), without tiers; a class without a price of its own costs what input does, as the charge has it.
    """
    if rates.input is None:
        return 0
    read = rates.input if rates.cache_read is None else rates.cache_read
    five = rates.input if rates.cache_write_5m is None else rates.cache_write_5m
    hour = five if rates.cache_write_1h is None else rates.cache_write_1h
    saved = (
        totals.cache_read_tokens * (rates.input - read)
        - totals.cache_write_5m_tokens * (five - rates.input)
        - totals.cache_write_1h_tokens * (hour - rates.input)
    )
    return saved // 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What this month will have cost: `spent` so far, and each day left as one of the last `days` whole days did.

    `cost_nanos` is None where no whole day, or none that has a price, tells what a day costs; `lately` is what these
    days came to. `month` is its first day.
    """

    month: date
    spent: UsageTotals
    lately: UsageTotals
    days: int
    cost_nanos: int | None


async def outlook(store: AsyncStore, now: datetime, *, with_subagents: bool = True) -> Outlook:
    """Return what this month will have cost.

    A record that is younger than a week is told from the days that it has, without that of its first call: it may be
    but a part of one.
    """
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    first = today.replace(day=1)
    end = (first + timedelta(days=31)).replace(day=1)
    begun, _ = await store.usage.span() or (now, now)
    days = max(0, min(TREND_DAYS, (today - begun) // timedelta(days=1)))
    month = Range(name="month", since=first, until=today + timedelta(days=1))
    trend = Range(name="trend", since=today - timedelta(days=days), until=today)
    spent, lately = await asyncio.gather(
        _total(store, month, with_subagents), _total(store, trend, with_subagents) if days else _nothing()
    )
    daily = figures.spent(lately) if days else None
    left = (end - now) / timedelta(days=1)
    return Outlook(
        month=first.date(), spent=spent, lately=lately, days=days,
        cost_nanos=None if daily is None else spent.cost_nanos + round(daily / days * left),
    )  # fmt: skip


async def _nothing() -> UsageTotals:
    return UsageTotals()


async def _forecast(store: AsyncStore, now: datetime, with_subagents: bool) -> figures.FigureTile:
    found = await outlook(store, now, with_subagents=with_subagents)
    if found.cost_nanos is None:
        needs = f"needs calls of the last {TREND_DAYS} days" if found.days else "needs a whole day of calls"
        return figures.FigureTile(name="Month's end", value=formats.UNKNOWN, note=needs)
    excluded = figures.excluded(found.spent + found.lately) and ", without calls that have no price"
    so_far = f"{formats.cost(found.spent)} so far in {found.month:%B}"
    return figures.FigureTile(name="Month's end", value=f"≈ {formats.money(found.cost_nanos)}", note=so_far + excluded)
