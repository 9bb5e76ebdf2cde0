"""The page of what was spent: by anything that calls are told apart by, over time, and against budgets."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from agentrecord.dashboard import charts, figures, formats, periods
from agentrecord.dashboard.contexts import Chart
from agentrecord.dashboard.filters import Asked, Range, with_changes
from agentrecord.exceptions import InvalidFilter
from agentrecord.records.activity import Activity
from agentrecord.records.budget import BudgetPeriod, BudgetStatus
from agentrecord.records.page import MAX_PAGE, Page
from agentrecord.records.price import ModelUse, Rates, Spending
from agentrecord.records.usage import UsageBy, UsageReport, UsageRow, UsageTotals
from agentrecord.store import AsyncStore
from agentrecord.store.usage_sums import NO_NAME, TIME

MOST_ROWS = 100
TREND_DAYS = 7
"""From how many whole days before today the forecast takes what a day costs."""

SORTS: dict[str, Callable[["CostRow"], str | int]] = {
    "key": lambda row: row.usage.label.casefold(),
    "calls": lambda row: row.usage.totals.calls,
    "input": lambda row: row.usage.totals.input_tokens,
    "cache_read": lambda row: row.usage.totals.cache_read_tokens,
    "output": lambda row: row.usage.totals.output_tokens,
    "cost": lambda row: row.usage.totals.cost_nanos,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CostRow:
    """A row: its sums, its colour, how its cost changed, and where the work behind it is listed."""

    usage: UsageRow
    slot: int
    change: float | None = None
    is_new: bool = False
    href: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CostPage:
    """What was spent in a range, by one thing or by two, and over time."""

    stretch: Range
    by: UsageBy
    split: UsageBy | None
    splits: Sequence[UsageBy]
    groups: Sequence[UsageBy] = figures.GROUPED
    sort: str
    with_subagents: bool
    rows: Sequence[CostRow]
    row_count: int
    total: UsageTotals
    tiles: Sequence[figures.FigureTile]
    chart: Chart
    chart_of: UsageBy
    unpriced: figures.Unpriced
    budgets: Page[BudgetStatus]
    uses: Sequence[ModelUse]
    projects: Sequence[UsageRow] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What the address asks for, understood."""

    stretch: Range
    by: UsageBy
    split: UsageBy | None
    sort: str
    with_subagents: bool


async def cost(
    store: AsyncStore, asked: Asked, now: datetime, projects: Mapping[str, AsyncStore] | None = None
) -> CostPage:
    """Return the page of what was spent; `projects` are all those that the viewer may choose from, if several."""
    called = await figures.called_in(store, asked, now, include_subagents=figures.subagents_of(asked))
    wanted = _wanted(asked, called.stretch)
    step = wanted.by if wanted.by in TIME else figures.step(called)
    spending = await store.prices.spending(
        step, since=wanted.stretch.since, until=wanted.stretch.until, include_subagents=wanted.with_subagents
    )
    uses, models = spending.uses, figures.models_of(spending.uses)
    (found, row_count), before = await asyncio.gather(_rows_of(store, wanted, models), _before(store, wanted))
    (chart, slots), budgets, tiles = await asyncio.gather(
        _chart(store, wanted, spending, found, step), store.budgets.statuses(limit=MAX_PAGE),
        _tiles(store, wanted, models, uses, None if before is None else before.total, now),
    )  # fmt: skip
    shown = _rows(found, wanted, before, slots, asked)
    return CostPage(
        stretch=wanted.stretch,
        by=wanted.by,
        split=wanted.split,
        splits=figures.splits_of(wanted.by),
        sort=wanted.sort,
        with_subagents=wanted.with_subagents,
        rows=shown[:MOST_ROWS],
        row_count=row_count,
        total=models.total,
        tiles=tiles,
        chart=chart,
        chart_of=_chart_of(wanted),
        unpriced=figures.unpriced_of(models.rows, uses),
        budgets=budgets,
        uses=uses,
        projects=await _projects(projects or {}, wanted) if wanted.by is UsageBy.PROJECT else (),
    )


async def _projects(stores: Mapping[str, AsyncStore], wanted: _Asked) -> Sequence[UsageRow]:
    """Return what was spent in each of several projects, the costliest first."""
    found = [
        UsageRow(key=name, label=name, totals=(await _report(store, UsageBy.TOTAL, wanted.stretch, wanted)).total)
        for name, store in stores.items()
    ]
    return sorted(found, key=lambda row: (-row.totals.cost_nanos, -row.totals.calls, row.key))


def _wanted(asked: Asked, stretch: Range) -> _Asked:
    by = figures.cost_by(asked)
    sort = asked.get("sort", "key" if by in TIME else "-cost")
    if sort.removeprefix("-") not in SORTS:
        raise InvalidFilter("sort", sort, f"must be one of {', '.join(SORTS)}, with - before it for the highest first")
    return _Asked(
        stretch=stretch, by=by, split=figures.split_of(asked, by), sort=sort,
        with_subagents=figures.subagents_of(asked),
    )  # fmt: skip


async def _report(store: AsyncStore, by: UsageBy, stretch: Range, wanted: _Asked) -> UsageReport:
    return await figures.cost_report(store, stretch, by, None, wanted.with_subagents, name_unpriced=False)


async def _total(store: AsyncStore, stretch: Range, wanted: _Asked) -> UsageTotals:
    return await store.usage.total(since=stretch.since, until=stretch.until, include_subagents=wanted.with_subagents)


async def _rows_of(store: AsyncStore, wanted: _Asked, models: UsageReport) -> tuple[Sequence[UsageRow], int]:
    """Return the rows that the page shows the first of, and how many there are; those of models are there already."""
    if wanted.by is UsageBy.MODEL and wanted.split is None:
        return models.rows, len(models.rows)
    if wanted.by is UsageBy.SESSION and wanted.sort.removeprefix("-") != "key":
        # Of all sessions only those that are shown are added up in full.
        top = await store.usage.sessions(
            since=wanted.stretch.since, until=wanted.stretch.until, include_subagents=wanted.with_subagents,
            sort=wanted.sort, limit=MOST_ROWS,
        )  # fmt: skip
        return top.rows, top.count
    report = await figures.cost_report(
        store, wanted.stretch, wanted.by, wanted.split, wanted.with_subagents, name_unpriced=False
    )
    return report.rows, len(report.rows)


async def _before(store: AsyncStore, wanted: _Asked) -> UsageReport | None:
    """Return what each name cost in the stretch before; None where there is none before, or rows are periods.

    Nor are sessions compared with the time before, which few of them were in.
    """
    before = wanted.stretch.previous()
    if before is None or wanted.by in (*TIME, UsageBy.SESSION) or wanted.split is not None:
        return None
    return await _report(store, wanted.by, before, wanted)


def _rows(
    found: Sequence[UsageRow], wanted: _Asked, before: UsageReport | None, slots: Mapping[str, int],
    asked: Asked,
) -> Sequence[CostRow]:  # fmt: skip
    query = figures.range_query(wanted.stretch, asked) or {"since": "all"}
    earlier = {} if before is None else {row.key: row.totals for row in before.rows}
    rows = []
    for usage in found:
        old = None if before is None else earlier.get(usage.key, UsageTotals())
        coloured = (usage.split if wanted.split is not None else usage.key) or ""
        rows.append(
            CostRow(
                usage=usage,
                slot=slots.get(coloured, charts.SLOTS if _chart_of(wanted) in (wanted.by, wanted.split) else 0),
                change=figures.change(figures.spent(usage.totals), figures.spent(old)),
                is_new=old is not None and not old.calls,
                href=_work_of_row(wanted, usage, query),
            )
        )
    is_down = wanted.sort.startswith("-")
    return sorted(rows, key=SORTS[wanted.sort.removeprefix("-")], reverse=is_down)


def _work_of_row(wanted: _Asked, usage: UsageRow, query: Mapping[str, str]) -> str | None:
    if wanted.split is None or usage.split is None:
        return work_of(wanted.by, usage.key, query)
    words = (
        None if wanted.by in TIME else figures.words_of(wanted.by, usage.key),
        figures.words_of(wanted.split, usage.split),
    )
    if words[1] is None or (words[0] is None and wanted.by not in TIME):
        return None
    asked = periods.days_of(usage.key, wanted.by) if wanted.by in TIME else query
    return "/runs" + with_changes(asked, q=" ".join(word for word in words if word is not None))


def work_of(by: UsageBy, key: str, query: Mapping[str, str]) -> str | None:
    """Return the address of the list of the work that a row sums up; None where no list can be asked for it."""
    if by is UsageBy.SESSION:
        return None if key == "no session" else f"/s/{formats.segment(key)}"
    if by in TIME:
        return "/runs" + periods.days_query(key, by)
    if by is UsageBy.DIRECTORY:
        return "/sessions" + with_changes(query, directory=key) if key and key != NO_NAME else None
    words = figures.words_of(by, key)
    return None if words is None else "/runs" + with_changes(query, q=words)


def _chart_of(wanted: _Asked) -> UsageBy:
    """Return what the chart's bars are made of: the split, or what the rows are by, else models."""
    if wanted.split is not None:
        return wanted.split
    return wanted.by if wanted.by in figures.NAMES else UsageBy.MODEL


async def _chart(
    store: AsyncStore, wanted: _Asked, spending: Spending, found: Sequence[UsageRow], by: UsageBy
) -> tuple[Chart, Mapping[str, int]]:
    of, stretch = _chart_of(wanted), wanted.stretch
    names, budgets = await asyncio.gather(store.usage.names(of), store.budgets.list(limit=MAX_PAGE))
    slots = charts.series_slots(names)
    rows = spending.rows
    if of is not UsageBy.MODEL:
        apart = None
        if of is wanted.by:
            # Of a thousand users only so many are drawn: the others need not be told apart before they are summed up.
            height = figures.height_of(found)
            apart = charts.drawn_apart({row.key: height(row) for row in found}, slots)
        rows = await store.usage.series(
            of, by=by, since=stretch.since, until=stretch.until, include_subagents=wanted.with_subagents, apart=apart
        )
    limits = [
        charts.Limit(value=budget.limit_nanos, text=f"budget {formats.one_line(budget.name, 40)}")
        for budget in budgets.items
        if budget.is_active and budget.user is None and budget.agent_id is None and _lasts(budget.period, by)
    ]
    chart = figures.spend_chart(rows, slots, by=by, of=of, width=charts.WIDE, limits=limits, path="/runs")
    return chart, dict(chart.series)


def _lasts(period: BudgetPeriod, by: UsageBy) -> bool:
    """Say whether a budget's period is that of a chart's bars."""
    return str(period) == str(by)


async def _tiles(
    store: AsyncStore, wanted: _Asked, models: UsageReport, uses: Sequence[ModelUse], old: UsageTotals | None,
    now: datetime,
) -> Sequence[figures.FigureTile]:  # fmt: skip
    """Return what stands above the rows; `old` is the total of the stretch before, if it was added up already."""
    stretch, before = wanted.stretch, wanted.stretch.previous()
    activity, forecast = await asyncio.gather(
        _activity(store, stretch, wanted),
        _forecast(store, wanted, now),
    )
    if before is None:
        return (*_amounts(models.total, activity, None, None), _saved(models.rows, uses), forecast)
    old_activity = await _activity(store, before, wanted)
    if old is None:
        old = await _total(store, before, wanted)
    return (*_amounts(models.total, activity, old, old_activity), _saved(models.rows, uses), forecast)


async def _activity(store: AsyncStore, stretch: Range, wanted: _Asked) -> Activity:
    return await store.usage.activity(
        UsageBy.DAY, since=stretch.since, until=stretch.until, include_subagents=wanted.with_subagents, only_work=True
    )


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


def _saved(rows: Sequence[UsageRow], uses: Sequence[ModelUse]) -> figures.FigureTile:
    rates: dict[str, Rates] = {}
    for use in sorted(uses, key=lambda use: use.totals.calls):
        if use.rates is not None:
            rates[use.model] = use.rates
    cached = [row for row in rows if _cache_tokens(row.totals)]
    saved = [cache_savings(row.totals, rates[row.key]) for row in cached if row.key in rates]
    whole = sum((row.totals for row in rows), start=UsageTotals())
    share, unknown = whole.cached_share, len(cached) - len(saved)
    without = f"; without {formats.counted(unknown, 'model')} that has no price" if unknown else ""
    return figures.FigureTile(
        name="Saved by cache",
        value=formats.money(sum(saved)) if saved else formats.UNKNOWN,
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


async def _forecast(store: AsyncStore, wanted: _Asked, now: datetime) -> figures.FigureTile:
    """Return what this month will have cost: so far, and each day left as one of the last whole days did.

    A record that is younger than those days is told from the days that it has, without that of its first call: it may
    be but a part of one.
    """
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    first = today.replace(day=1)
    end = (first + timedelta(days=31)).replace(day=1)
    begun, _ = await store.usage.span() or (now, now)
    days = min(TREND_DAYS, (today - begun) // timedelta(days=1))
    tile = figures.FigureTile(
        name="Month's end", value=formats.UNKNOWN, note=f"needs calls of the last {TREND_DAYS} days"
    )
    if days < 1:
        return replace(tile, note="needs a whole day of calls")
    month = Range(name="month", since=first, until=today + timedelta(days=1))
    trend = Range(name="trend", since=today - timedelta(days=days), until=today)
    spent, lately = await asyncio.gather(_total(store, month, wanted), _total(store, trend, wanted))
    daily = figures.spent(lately)
    if daily is None:
        return tile
    left = (end - now) / timedelta(days=1)
    nanos = spent.cost_nanos + round(daily / days * left)
    so_far = f"{formats.cost(spent)} so far in {first:%B}"
    excluded = figures.excluded(spent + lately) and ", without calls that have no price"
    return replace(tile, value=f"≈ {formats.money(nanos)}", note=so_far + excluded)
