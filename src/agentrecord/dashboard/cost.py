"""The page of what was spent: by anything that calls are told apart by, over time, and against budgets."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from agentrecord.dashboard import charts, cost_tiles, figures, formats, periods
from agentrecord.dashboard.contexts import Chart
from agentrecord.dashboard.filters import Asked, Range, with_changes
from agentrecord.exceptions import InvalidFilter
from agentrecord.records.budget import BudgetPeriod, BudgetStatus
from agentrecord.records.page import MAX_PAGE, Page
from agentrecord.records.price import ModelUse
from agentrecord.records.usage import UsageBy, UsageReport, UsageRow, UsageTotals, added
from agentrecord.store import AsyncStore
from agentrecord.store.usage_sums import NO_NAME, TIME

MOST_ROWS = 100
LEAST_ROWS = 25
ROOM = 2_300
"""How many elements rows and chart may have together: a browser lays out three thousand of a page at once."""

ROW, PART = 19, 9
"""How many elements a row has, and a part of a bar with what tells of it in the table of the chart."""

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
    # All that depends on nothing else is read side by side; what more depends on comes first.
    drawn, spending, beside, budgets = await asyncio.gather(
        _drawn(store, wanted, step),
        store.prices.spending(
            step, since=wanted.stretch.since, until=wanted.stretch.until, include_subagents=wanted.with_subagents
        ),
        cost_tiles.beside(
            store, wanted.stretch, now, with_subagents=wanted.with_subagents, with_old=not _is_compared(wanted)
        ),
        store.budgets.statuses(limit=MAX_PAGE),
    )
    uses, models = spending.uses, figures.models_of(spending.uses)
    # Those of models are there already.
    found = drawn.found or _Found(rows=models.rows, count=len(models.rows), total=models.total)
    chart = figures.spend_chart(
        spending.rows if drawn.series is None else drawn.series, drawn.slots, by=step, of=_chart_of(wanted),
        width=charts.WIDE, limits=drawn.limits, path="/runs", ends=periods.ends_of(wanted.stretch, step, now),
    )  # fmt: skip
    shown = _rows(found.rows, wanted, drawn.before, dict(chart.series), asked)
    return CostPage(
        stretch=wanted.stretch,
        by=wanted.by,
        split=wanted.split,
        splits=figures.splits_of(wanted.by),
        sort=wanted.sort,
        with_subagents=wanted.with_subagents,
        rows=shown[: _rows_beside(chart)],
        row_count=found.count,
        total=models.total if found.total is None else found.total,
        tiles=cost_tiles.tiles(models, uses, beside, None if drawn.before is None else drawn.before.total),
        chart=chart,
        chart_of=_chart_of(wanted),
        unpriced=figures.unpriced_of(models.rows, uses),
        budgets=budgets,
        uses=uses,
        projects=await _projects(projects or {}, wanted) if wanted.by is UsageBy.PROJECT else (),
    )


def _rows_beside(chart: Chart) -> int:
    """Return how many rows are shown below a chart: the more parts that has, the fewer."""
    parts = sum(len(bar.parts) for bar in chart.bars)
    return max(LEAST_ROWS, min(MOST_ROWS, (ROOM - PART * parts) // ROW))


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """The rows that the page shows the first of, how many there are, and their total as of the moment they were read.

    What is read beside them may know a call more, so that its total would not be that of these rows.
    """

    rows: Sequence[UsageRow]
    count: int
    total: UsageTotals | None


async def _rows_of(store: AsyncStore, wanted: _Asked) -> _Found | None:
    """Return the rows, without a total where only some of them were added up; None for those of models alone."""
    if wanted.by is UsageBy.MODEL and wanted.split is None:
        return None
    if wanted.by is UsageBy.SESSION and wanted.sort.removeprefix("-") != "key":
        # Of all sessions only those that are shown are added up in full.
        top = await store.usage.sessions(
            since=wanted.stretch.since, until=wanted.stretch.until, include_subagents=wanted.with_subagents,
            sort=wanted.sort, limit=MOST_ROWS,
        )  # fmt: skip
        is_whole = len(top.rows) == top.count
        whole = added(row.totals for row in top.rows) if is_whole else None
        return _Found(rows=top.rows, count=top.count, total=whole)
    report = await figures.cost_report(
        store, wanted.stretch, wanted.by, wanted.split, wanted.with_subagents, name_unpriced=False
    )
    return _Found(rows=report.rows, count=len(report.rows), total=report.total)


async def _before(store: AsyncStore, wanted: _Asked) -> UsageReport | None:
    """Return what each name cost in the stretch before; None where there is none before, or rows are periods.

    Nor are sessions compared with the time before, which few of them were in.
    """
    before = wanted.stretch.previous()
    return await _report(store, wanted.by, before, wanted) if before is not None and _is_compared(wanted) else None


def _is_compared(wanted: _Asked) -> bool:
    """Say whether each row is compared with the stretch before."""
    return wanted.by not in (*TIME, UsageBy.SESSION) and wanted.split is None


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Drawn:
    """The rows, what they were before, and what the chart is drawn with.

    Rows and series are None where they are those of models.
    """

    found: _Found | None
    before: UsageReport | None
    series: Sequence[UsageRow] | None
    slots: Mapping[str, int]
    limits: Sequence[charts.Limit]


async def _drawn(store: AsyncStore, wanted: _Asked, step: UsageBy) -> _Drawn:
    names, budgets, (found, series), before = await asyncio.gather(
        store.usage.names(_chart_of(wanted)), store.budgets.list(limit=MAX_PAGE), _read(store, wanted, step),
        _before(store, wanted),
    )  # fmt: skip
    slots = charts.series_slots(names)
    if series is None and _chart_of(wanted) is wanted.by is not UsageBy.MODEL:
        # Of a thousand users only so many are drawn: the others need not be told apart before they are summed up.
        rows = () if found is None else found.rows
        height = figures.height_of(rows)
        apart = charts.drawn_apart({row.key: height(row) for row in rows}, slots)
        series = await _series(store, wanted, step, apart)
    limits = [
        charts.Limit(value=budget.limit_nanos, text=f"budget {formats.one_line(budget.name, 40)}")
        for budget in budgets.items
        if budget.is_active and budget.user is None and budget.agent_id is None and _lasts(budget.period, step)
    ]
    return _Drawn(found=found, before=before, series=series, slots=slots, limits=limits)


async def _read(store: AsyncStore, wanted: _Asked, step: UsageBy) -> tuple[_Found | None, Sequence[UsageRow] | None]:
    """Return the rows, and the series that does not depend on which of them are drawn.

    Of versions few are at work in a period, so that the series tells the rows too.
    """
    of = _chart_of(wanted)
    if of is wanted.by is UsageBy.VERSION:
        series = await _series(store, wanted, step)
        rows = figures.rows_of(series)
        return _Found(rows=rows, count=len(rows), total=added(row.totals for row in rows)), series
    if of in (UsageBy.MODEL, wanted.by):
        return await _rows_of(store, wanted), None
    return await asyncio.gather(_rows_of(store, wanted), _series(store, wanted, step))


async def _series(
    store: AsyncStore, wanted: _Asked, step: UsageBy, apart: Collection[str] | None = None
) -> Sequence[UsageRow]:
    stretch = wanted.stretch
    return await store.usage.series(
        _chart_of(wanted), by=step, since=stretch.since, until=stretch.until,
        include_subagents=wanted.with_subagents, apart=apart,
    )  # fmt: skip


def _lasts(period: BudgetPeriod, by: UsageBy) -> bool:
    """Say whether a budget's period is that of a chart's bars."""
    return str(period) == str(by)
