"""The first page: what was spent and by what, how runs ended, and what needs attention."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup

from agentrecord.dashboard import charts, figures, formats, periods
from agentrecord.dashboard.contexts import Chart
from agentrecord.dashboard.cost import work_of
from agentrecord.dashboard.filters import Asked, Range
from agentrecord.records.activity import TIMED_RUNS, Activity, ActivityRow
from agentrecord.records.budget import BudgetStatus
from agentrecord.records.error import ErrorGroup, ErrorKind
from agentrecord.records.price import ModelUse
from agentrecord.records.run import Run, RunStatus
from agentrecord.records.usage import UsageBy, UsageReport, UsageRow, UsageTotals
from agentrecord.store import AsyncStore

RECENT = 10
TOP = 5
MOST_ATTENTION = 10
MOST_TOOLS = 3
OFTEN_FAILING_TOOLS = f"kind:{ErrorKind.TOOL} count:>=10"
"""Uses of tools fail now and then in all work: a group of these wants attention once it is met often."""

MOST_UNPRICED = 3
STUCK = "stuck run"
ENDS = (("completed", 0), ("failed", 1), ("going on or cancelled", 2))
"""How runs end, and the slot of each, from below."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    """Something that needs attention: since when, what it is in a word, which one, and where to look."""

    at: datetime
    kind: str
    text: str
    href: str
    is_bad: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OverviewPage:
    """The first page."""

    is_empty: bool
    stretch: Range
    query: Mapping[str, str]
    tiles: Sequence[figures.FigureTile]
    attention: Sequence[Attention]
    unpriced: figures.Unpriced
    run_chart: Chart
    spend_chart: Chart
    models: UsageReport
    model_links: Mapping[str, str | None]
    users: UsageReport
    uses: Sequence[ModelUse]
    slots: Mapping[str, int]
    runs: Sequence[Run]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Whole:
    """All figures of a stretch of time."""

    totals: UsageTotals
    activity: Activity


@dataclass(frozen=True, slots=True, kw_only=True)
class _Steps:
    """The periods that figures over time are told by: how long each is, and the first and the last of the range."""

    by: UsageBy
    ends: tuple[str, str] | None

    def filled(self, names: Iterable[str]) -> Sequence[str]:
        """Return the names of all periods, those included in which nothing was."""
        return periods.filled(sorted(names), self.by, self.ends)


async def overview(store: AsyncStore, asked: Asked, now: datetime) -> OverviewPage:
    """Return the first page."""
    called, found = await asyncio.gather(
        figures.called_in(store, asked, now), store.runs.list(limit=RECENT, counted=False)
    )
    stretch, by = called.stretch, figures.step(called)
    # All that depends on nothing else is read side by side, what takes longest first.
    spending, users, activity, earlier, names, attention = await asyncio.gather(
        store.prices.spending(by, since=stretch.since, until=stretch.until),
        store.usage.report(UsageBy.USER, since=stretch.since, until=stretch.until, name_unpriced=False),
        store.usage.activity(by, since=stretch.since, until=stretch.until),
        _earlier(store, stretch),
        store.usage.names(UsageBy.MODEL),
        _attention(store, stretch, now),
    )
    uses, rows, slots = spending.uses, spending.rows, charts.series_slots(names)
    ends = periods.ends_of(stretch, by, now)
    models = figures.models_of(uses)
    return OverviewPage(
        is_empty=not found.items and not uses and not activity.rows and not names,
        stretch=stretch,
        query=figures.range_query(stretch, asked),
        tiles=_tiles(
            _Whole(totals=models.total, activity=activity), earlier, rows, _Steps(by=by, ends=ends), attention.stuck
        ),
        attention=attention.of(uses),
        unpriced=figures.unpriced_of(models.rows, uses),
        run_chart=_run_chart(activity, _Steps(by=by, ends=ends)),
        spend_chart=figures.spend_chart(rows, slots, by=by, of=UsageBy.MODEL, path="/runs", ends=ends),
        models=models,
        model_links={
            row.key: work_of(UsageBy.MODEL, row.key, figures.range_query(stretch, asked) or {"since": "all"})
            for row in models.rows[:TOP]
        },
        users=users,
        uses=uses,
        slots=slots,
        runs=found.items,
    )


async def _earlier(store: AsyncStore, stretch: Range) -> _Whole | None:
    before = stretch.previous()
    if before is None:
        return None
    totals, activity = await asyncio.gather(
        store.usage.total(since=before.since, until=before.until),
        store.usage.activity(UsageBy.DAY, since=before.since, until=before.until),
    )
    return _Whole(totals=totals, activity=activity)


def _tiles(
    whole: _Whole, earlier: _Whole | None, rows: Sequence[UsageRow], steps: _Steps, stuck: int
) -> Sequence[figures.FigureTile]:
    runs, failed = _run_tiles(whole.activity, earlier.activity if earlier else None, steps)
    p95, users = _people_tiles(whole.activity, earlier.activity if earlier else None, steps)
    spend = figures.FigureTile(
        name="Spend", value=formats.cost(whole.totals), is_worse_up=True,
        nanos=whole.totals.cost_nanos if whole.totals.calls else None,
        change=figures.change(figures.spent(whole.totals), figures.spent(earlier.totals if earlier else None)),
        spark=_spark(_spent(rows, steps), f"Spend per {steps.by}"),
        note=figures.excluded(whole.totals) if whole.totals.calls else "no call was made",
    )  # fmt: skip
    waiting = figures.FigureTile(
        name="Stuck runs", value=figures.count(stuck), href="#attention" if stuck else None,
        note="without the sign of life they promised" if stuck else "none is",
    )  # fmt: skip
    return runs, failed, spend, p95, users, waiting


def _run_tiles(now: Activity, old: Activity | None, steps: _Steps) -> tuple[figures.FigureTile, figures.FigureTile]:
    by, rows, ended = steps.by, _periods(now, steps), now.completed_runs + now.failed_runs
    return (
        figures.FigureTile(
            name="Runs", value=figures.count(now.runs), change=figures.change(now.runs, old.runs if old else None),
            spark=_spark([row.runs for row in rows], f"Runs per {by}"), note="" if now.runs else "no run began",
        ),
        figures.FigureTile(
            name="Error rate", value=formats.percent(now.failed_share), is_worse_up=True,
            change=figures.change(now.failed_share, old.failed_share if old else None),
            spark=_spark([row.failed_runs for row in rows], f"Failed runs per {by}"),
            note=f"{now.failed_runs:,} of {ended:,} that completed or failed" if ended else "no run ended",
        ),
    )  # fmt: skip


def _people_tiles(now: Activity, old: Activity | None, steps: _Steps) -> tuple[figures.FigureTile, figures.FigureTile]:
    users = [row.users or 0 for row in _periods(now, steps)]
    nobody = "nobody was named" if now.runs or now.sessions else "nobody was active"
    timed = f"of the last {now.timed_runs:,} runs" if now.timed_runs == TIMED_RUNS else ""
    return (
        figures.FigureTile(
            name="p95 run time", value=formats.duration(now.run_p95_ms), is_worse_up=True,
            change=figures.change(now.run_p95_ms, old.run_p95_ms if old else None),
            note=timed if now.timed_runs else "no run ended",
        ),
        figures.FigureTile(
            name="Active users", value=figures.count(now.users),
            change=figures.change(now.users, old.users if old else None),
            spark=_spark(users, f"Users per {steps.by}"), note="" if now.users else nobody,
        ),
    )  # fmt: skip


def _periods(activity: Activity, steps: _Steps) -> Sequence[ActivityRow]:
    known = {row.key: row for row in activity.rows}
    return [known.get(key) or ActivityRow(key=key) for key in steps.filled(known)]


def _spent(rows: Sequence[UsageRow], steps: _Steps) -> Sequence[int]:
    sums: dict[str, int] = {}
    for row in rows:
        sums[row.key] = sums.get(row.key, 0) + row.totals.cost_nanos
    return [sums.get(key, 0) for key in steps.filled(sums)]


def _spark(values: Sequence[float], title: str) -> Markup | None:
    return charts.sparkline(values, title=title) if any(values) else None


def _run_chart(activity: Activity, steps: _Steps) -> Chart:
    bars, by = [], steps.by
    for row in _periods(activity, steps):
        counts = (row.completed_runs, row.failed_runs, row.other_runs)
        parts = [
            charts.Part(series=name, slot=slot, value=value, text=formats.number(value), is_bad=name == "failed")
            for (name, slot), value in zip(ENDS, counts, strict=True)
            if value > 0
        ]
        bars.append(
            charts.Bar(
                label=row.key, parts=tuple(parts), href="/runs" + periods.days_query(row.key, by),
                total=formats.counted(row.runs, "run") if row.runs else "", span=periods.span_of(row.key, by),
            )
        )  # fmt: skip
    shown = bars if activity.runs else []
    title = f"Runs per {by} by how they ended"
    svg = charts.stacked_bars(shown, title=title, tick=formats.short)
    series = {part.series: part.slot for bar in shown for part in bar.parts}
    return Chart(title=title, svg=svg, bars=shown, series=sorted(series.items(), key=lambda item: item[1]))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanting:
    """What needs attention beside models without a price, and how many runs are stuck."""

    found: Sequence[Attention]
    stuck: int

    def of(self, uses: Sequence[ModelUse]) -> Sequence[Attention]:
        """Return all that needs attention, the newest first."""
        return sorted([*self.found, *_unpriced(uses)], key=lambda item: item.at, reverse=True)[:MOST_ATTENTION]


async def _attention(store: AsyncStore, stretch: Range, now: datetime) -> _Wanting:
    broken, groups, tools, budgets, stuck = await asyncio.gather(
        store.runs.broken(since=stretch.since, until=stretch.until, limit=MOST_ATTENTION),
        store.errors.groups(query=f"-kind:{ErrorKind.TOOL}", sort="-first_seen_at", limit=MOST_ATTENTION),
        store.errors.groups(query=OFTEN_FAILING_TOOLS, sort="-first_seen_at", limit=MOST_TOOLS),
        store.budgets.near(),
        store.runs.count_abandoned(),
    )
    return _Wanting(found=[*_broken(broken), *_new([*groups, *tools], stretch), *_near(budgets, now)], stuck=stuck)


def _broken(runs: Sequence[Run]) -> Iterator[Attention]:
    for run in runs:
        yield Attention(
            at=run.heartbeat_at or run.started_at or run.created_at,
            kind=STUCK if run.status is RunStatus.RUNNING else "abandoned run",
            text=formats.one_line(run.objective or run.run_id, 90),
            href=f"/r/{run.id}",
            is_bad=True,
        )


def _new(groups: Sequence[ErrorGroup], stretch: Range) -> Iterator[Attention]:
    for group in groups:
        if stretch.since is None or group.first_seen_at >= stretch.since:
            said = ": ".join(filter(None, (group.error_type, group.error_message)))
            times = f" ({group.count:,} times)" if group.count > 1 else ""
            yield Attention(
                at=group.first_seen_at, kind=f"{group.status} error", text=formats.one_line(said, 150) + times,
                href=f"/errors/{formats.segment(group.fingerprint)}", is_bad=True,
            )  # fmt: skip


def _unpriced(uses: Sequence[ModelUse]) -> Iterator[Attention]:
    # Where the source told no token counts, there is nothing that a price could charge.
    found = [u for u in uses if u.totals.unpriced_calls > u.totals.uncounted_calls]
    found.sort(key=lambda use: use.totals.unpriced_calls, reverse=True)
    for use in found[:MOST_UNPRICED]:
        calls = formats.counted(use.totals.unpriced_calls, "call")
        is_shared = sum(other.model == use.model for other in found) > 1
        host = f" at {formats.one_line(use.host or 'no host', 40)}" if is_shared else ""
        yield Attention(
            at=use.last_at,
            kind="no price",
            text=f"{formats.one_line(use.model, 60)}{host}: no total contains {calls}",
            href=f"/prices?model={formats.segment(use.model)}",
        )  # fmt: skip
    rest = found[MOST_UNPRICED:]
    if rest:
        calls = formats.counted(sum(use.totals.unpriced_calls for use in rest), "call")
        models = formats.counted(len(rest), "model")
        yield Attention(
            at=max(use.last_at for use in rest),
            kind="no price",
            text=f"{models} more: no total contains {calls}",
            href="/prices",
        )  # fmt: skip


def _near(budgets: Sequence[BudgetStatus], now: datetime) -> Iterator[Attention]:
    for standing in budgets:
        budget = standing.budget
        state = "is over" if standing.is_over else "is used up" if standing.is_used_up else "is nearly used up"
        period = "in total" if budget.period == "total" else f"a {budget.period}"
        anew = f"; it starts anew on {standing.end_at:%Y-%m-%d}" if standing.end_at else ""
        yield Attention(
            # A budget stands as it does now: what crossed it is not kept apart.
            at=now,
            kind="budget",
            text=f"{formats.one_line(budget.name, 60)} {state}: {formats.money(standing.spent_nanos)} of "
            f"{formats.money(budget.limit_nanos)} {period} spent{anew}",
            href="/cost#budgets",
            is_bad=standing.is_used_up,
        )
