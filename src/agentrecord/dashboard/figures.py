"""What the pages of figures share: ranges, tiles, charts over time, and links to the work behind a figure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from markupsafe import Markup

from agentrecord.dashboard import formats
from agentrecord.dashboard.charts import OTHER, SLOTS, WIDTH, Limit, bars_of, stacked_bars
from agentrecord.dashboard.contexts import Chart
from agentrecord.dashboard.filters import Asked, Range
from agentrecord.dashboard.stretches import range_of
from agentrecord.exceptions import InvalidFilter
from agentrecord.records.lengths import DAY_S
from agentrecord.records.price import ModelUse
from agentrecord.records.query import written
from agentrecord.records.usage import UsageBy, UsageReport, UsageRow, UsageTotals, added, costliest
from agentrecord.store import AsyncStore
from agentrecord.store.usage_by_tool import NO_TOOL
from agentrecord.store.usage_by_version import NO_VERSION
from agentrecord.store.usage_sums import NO_NAME, TIME

NAMES = (
    UsageBy.MODEL, UsageBy.USER, UsageBy.AGENT, UsageBy.VERSION, UsageBy.TOOL, UsageBy.HOST, UsageBy.PROJECT,
)  # fmt: skip
"""What has figures by hour and day, so that it can be drawn over time and crossed."""
GROUPED = (
    UsageBy.MODEL, UsageBy.USER, UsageBy.AGENT, UsageBy.VERSION, UsageBy.TOOL, UsageBy.SESSION, UsageBy.DIRECTORY,
    UsageBy.PROJECT, UsageBy.HOST, UsageBy.DAY, UsageBy.WEEK, UsageBy.MONTH,
)  # fmt: skip
"""What the page of costs can have a row for, in the order in which it offers them."""

MOST_DAYS, MOST_WEEKS = 70, 80
RANGE_WORDS = frozenset({"since", "from", "to"})
"""The parameters that ask for a range."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureTile:
    """A figure of a range: its name, the figure, its change, a line below it, and how it went over time.

    `nanos` is the exact amount behind a rounded one.
    """

    name: str
    value: str
    nanos: int | None = None
    change: float | None = None
    is_worse_up: bool = False
    note: str = ""
    spark: Markup | None = None
    href: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """A range in which calls are looked at, and when the first and the last of them were made, if there are any."""

    stretch: Range
    span: tuple[datetime, datetime] | None


async def called_in(store: AsyncStore, asked: Asked, now: datetime, *, include_subagents: bool = True) -> Called:
    """Return the range that is asked for.

    Without one asked for it is a week, or everything where the last week would show nothing.
    """
    stretch = range_of(asked, now, default="7d")
    span = await store.usage.span(since=stretch.since, until=stretch.until, include_subagents=include_subagents)
    if span is None and RANGE_WORDS.isdisjoint(asked):
        return Called(stretch=Range(name="all"), span=await store.usage.span(include_subagents=include_subagents))
    return Called(stretch=stretch, span=span)


def models_of(uses: Sequence[ModelUse]) -> UsageReport:
    """Return the report by model of what was called, whoever served it; the costliest first."""
    rows: dict[str, UsageRow] = {}
    for use in uses:
        row = rows.get(use.model)
        if row is None:
            rows[use.model] = UsageRow(
                key=use.model, label=use.model, totals=use.totals, first_at=use.first_at, last_at=use.last_at
            )
        else:
            first, last = min(row.first_at or use.first_at, use.first_at), max(row.last_at or use.last_at, use.last_at)
            rows[use.model] = replace(row, totals=row.totals + use.totals, first_at=first, last_at=last)
    return UsageReport(
        by=UsageBy.MODEL,
        rows=tuple(sorted(rows.values(), key=costliest)),
        total=added(use.totals for use in uses),
        unpriced_models=tuple(sorted(row.key for row in rows.values() if row.totals.unpriced_calls)),
    )


def rows_of(series: Sequence[UsageRow]) -> Sequence[UsageRow]:
    """Return a row for each of what a series tells apart, its periods summed up; the costliest first."""
    periods: dict[tuple[str, str], list[UsageTotals]] = {}
    for row in series:
        name = row.split or NO_NAME
        periods.setdefault((name, row.split_label or name), []).append(row.totals)
    rows = [UsageRow(key=key, label=label, totals=added(totals)) for (key, label), totals in periods.items()]
    return sorted(rows, key=costliest)


def change(new: float | None, old: float | None) -> float | None:
    """Return by what share a figure changed; None where there is nothing to compare."""
    return (new - old) / old if old and new is not None else None


def spent(totals: UsageTotals | None) -> int | None:
    """Return what calls cost in nano-dollars; None where that is not known: without calls, or without any price."""
    return None if totals is None or totals.calls == totals.unpriced_calls else totals.cost_nanos


def count(value: int) -> str:
    """Return a count, a dash for none."""
    return f"{value:,}" if value else formats.UNKNOWN


def excluded(totals: UsageTotals) -> str:
    """Return the words that go with a sum in which calls are missing, none if none is."""
    return f"excludes {formats.counted(totals.unpriced_calls, 'call')} without a price" if totals.unpriced_calls else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Excluded:
    """Calls to one model that no total contains, and their tokens where none of them is in any."""

    model: str
    calls: int
    tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpriced:
    """Calls without a price: those that a price would charge, and those whose source told no token counts."""

    priceless: Sequence[Excluded] = ()
    uncounted: Sequence[Excluded] = ()


def unpriced_of(rows: Sequence[UsageRow], uses: Sequence[ModelUse]) -> Unpriced:
    """Return the calls without a price of a report by model, the models with the most first.

    Which of a model's calls told no tokens is exact where none of its calls has a cost. Where some have one, calls
    without token counts are those that lack it as long as the model has a price, which would charge all others.
    """
    priced = {use.model for use in uses if use.rates is not None}
    priceless, uncounted = [], []
    for row in rows:
        totals = row.totals
        missing = totals.unpriced_calls
        is_told_apart = missing == totals.calls or row.key in priced
        without = min(missing, totals.uncounted_calls) if is_told_apart else 0
        if without:
            uncounted.append(Excluded(model=row.key, calls=without))
        if missing > without:
            whole = totals.total_tokens or None if missing == totals.calls else None
            priceless.append(Excluded(model=row.key, calls=missing - without, tokens=whole))
    return Unpriced(
        priceless=sorted(priceless, key=lambda one: one.calls, reverse=True),
        uncounted=sorted(uncounted, key=lambda one: one.calls, reverse=True),
    )


def cost_by(asked: Asked) -> UsageBy:
    """Return what the page of costs has a row for."""
    by = asked.get("by", UsageBy.MODEL)
    if by not in GROUPED:
        raise InvalidFilter("by", by, f"must be one of {', '.join(GROUPED)}")
    return UsageBy(by)


def splits_of(by: UsageBy) -> Sequence[UsageBy]:
    """Return what the rows of the page of costs can be split by."""
    return [name for name in NAMES if name is not by] if by in (*NAMES, *TIME) else []


def split_of(asked: Asked, by: UsageBy) -> UsageBy | None:
    """Return what the rows of the page of costs are split by, if they are."""
    split, known = asked.get("split"), splits_of(by)
    if split is not None and split not in known:
        raise InvalidFilter("split", split, f"{by} can be split by {', '.join(known)}" if known else f"{by} has none")
    return None if split is None else UsageBy(split)


async def cost_report(
    store: AsyncStore,
    stretch: Range,
    by: UsageBy,
    split: UsageBy | None,
    with_subagents: bool,
    *,
    name_unpriced: bool = True,
) -> UsageReport:
    """Return the report that the page of costs and its exports tell of."""
    return await store.usage.report(
        by, split=split, since=stretch.since, until=stretch.until, include_subagents=with_subagents,
        name_unpriced=name_unpriced,
    )  # fmt: skip


def subagents_of(asked: Asked) -> bool:
    """Return whether the calls of sub-agents count."""
    wanted = asked.get("subagents", "with")
    if wanted not in ("with", "without"):
        raise InvalidFilter("subagents", wanted, "must be with or without")
    return wanted == "with"


def step(called: Called) -> UsageBy:
    """Return the length of the periods that a chart of a range has a bar for."""
    stretch = called.stretch
    first = stretch.since or (called.span[0] if called.span else None)
    last = stretch.until or (called.span[1] if called.span else None)
    if first is None or last is None:
        return UsageBy.DAY
    days = (last - first).total_seconds() / DAY_S
    if days <= 2 and stretch.since is not None:
        return UsageBy.HOUR
    if days <= MOST_DAYS:
        return UsageBy.DAY
    return UsageBy.WEEK if days <= MOST_WEEKS * 7 else UsageBy.MONTH


def height_of(rows: Sequence[UsageRow]) -> Callable[[UsageRow], int]:
    """Return what is drawn of each row: its cost, or its tokens where nothing has a price."""
    if any(row.totals.cost_nanos for row in rows):
        return lambda row: row.totals.cost_nanos
    return lambda row: row.totals.total_tokens


def words_of(by: UsageBy, key: str) -> str | None:
    """Return the filter that finds the runs of a row, if a filter of runs has a word for it."""
    if key in (NO_NAME, NO_VERSION, NO_TOOL):
        return None
    if by is UsageBy.VERSION:
        return key
    return f"{by}:{written(key)}" if by in (UsageBy.MODEL, UsageBy.AGENT, UsageBy.USER, UsageBy.TOOL) else None


def spend_chart(
    rows: Sequence[UsageRow], slots: Mapping[str, int], *, by: UsageBy, of: UsageBy, width: int = WIDTH,
    limits: Sequence[Limit] = (), path: str | None = None, ends: tuple[str, str] | None = None,
) -> Chart:  # fmt: skip
    """Return the chart of what was spent per period, by what `of` names; of tokens, where nothing has a price.

    It reaches to the periods of the `ends`.

    With `path`, that of a list of runs, a bar leads to what the list holds of its days, a part to what is of its name.
    """

    def words(name: str) -> str | None:
        return None if name == OTHER else words_of(of, name)

    measure, has_price = height_of(rows), any(row.totals.cost_nanos for row in rows)
    tick, text = (formats.round_money, formats.money) if has_price else (formats.short, formats.number)
    bars = bars_of(rows, slots, by, measure=measure, text=text, path=path, words=words, ends=ends)
    title = f"{'Spend' if has_price else 'Tokens'} per {by} by {of}"
    if not has_price:
        limits = ()
    names = {part.series: part.slot for bar in bars for part in bar.parts}
    return Chart(
        title=title,
        svg=stacked_bars(bars, title=title, tick=tick, width=width, limits=limits),
        bars=bars,
        series=sorted(names.items(), key=lambda item: (item[1] == SLOTS, item[1], item[0])),
        labels={part.series: part.told for bar in bars for part in bar.parts},
    )


def range_query(stretch: Range, asked: Asked) -> dict[str, str]:
    """Return the parameters that ask another page for the same stretch of time."""
    if stretch.name == "custom":
        return {name: asked[name] for name in ("from", "to") if name in asked}
    return {} if stretch.name == "all" else {"since": stretch.name}
