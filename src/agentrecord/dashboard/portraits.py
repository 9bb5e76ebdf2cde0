"""What the pages of agents and users share: their range, their bars of spend, how their values are written."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Generic, Protocol, TypeVar
from uuid import UUID

from markupsafe import Markup

from agentrecord.dashboard import figures
from agentrecord.dashboard.charts import WIDE, series_slots
from agentrecord.dashboard.contexts import Chart
from agentrecord.dashboard.filters import Asked, Range, range_of
from agentrecord.dashboard.sparks import span_of, sparkline
from agentrecord.records.page import Page
from agentrecord.records.usage import DayCount, UsageBy, UsageRow, UsageTotals

T = TypeVar("T")

ROWS = 50
DEFAULT = "7d"
_RANGE = ("since", "from", "to")


def days_of(asked: Asked, now: datetime) -> Range:
    """Return the range that is asked for; everything where none is."""
    return range_of(asked, now, default="all")


async def in_range(
    asked: Asked, now: datetime, ask: Callable[[Range], Awaitable[T]], *, is_empty: Callable[[T], bool]
) -> tuple[Range, T]:
    """Return a range and what `ask` finds in it: the one asked for, else the last week, or all if that is empty."""
    stretch = range_of(asked, now, default=DEFAULT)
    found = await ask(stretch)
    if is_empty(found) and not any(name in asked for name in _RANGE):
        stretch = range_of({}, now, default="all")
        found = await ask(stretch)
    return stretch, found


def is_filtered(asked: Asked) -> bool:
    """Say whether an address asks for anything but an order, a place or another tab."""
    return any(name not in ("sort", "after", "tab", "tool", "failures") for name in asked)


def with_range(asked: Asked, stretch: Range) -> Asked:
    """Return what was asked for with its range in words, so that every link from the page keeps to it."""
    return asked if stretch.name == "custom" else {**asked, "since": stretch.name}


class _Counted(Protocol):
    """What has figures day by day, and sums over its calls."""

    @property
    def days(self) -> tuple[DayCount, ...]: ...

    @property
    def usage(self) -> UsageTotals: ...


F = TypeVar("F", bound=_Counted)


@dataclass(frozen=True, slots=True, kw_only=True)
class FiguresPage(Generic[F]):
    """A list of agents or users with their figures; `sparks` draws each one's calls day by day."""

    found: Page[F]
    sparks: Mapping[UUID, Markup]
    stretch: Range
    sort: str
    is_first: bool
    is_filtered: bool
    whole: UsageTotals | None


async def figures_page(
    report: Callable[..., Awaitable[Page[F]]], asked: Asked, now: datetime, *, sort: str, id_of: Callable[[F], UUID]
) -> FiguresPage[F]:
    """Return a page of what `report` lists, in the order asked for, else in that of `sort`."""
    sort, cursor = asked.get("sort", sort), asked.get("after")

    async def ask(stretch: Range) -> Page[F]:
        return await report(
            query=asked.get("q"), since=stretch.since, until=stretch.until, sort=sort, limit=ROWS, cursor=cursor
        )

    stretch, found = await in_range(asked, now, ask, is_empty=lambda page: not page.items)
    first, last = span_of([one.days for one in found], *edges(stretch), now.date())
    return FiguresPage(
        found=found,
        sparks={id_of(one): sparkline(one.days, first=first, last=last, noun="call") for one in found},
        stretch=stretch,
        sort=sort,
        is_first=cursor is None,
        is_filtered=is_filtered(asked),
        whole=whole_of(found, cursor is None),
    )


def whole_of(found: Page[F], is_first: bool) -> UsageTotals | None:
    """Return the sums over a list, where the page holds all of it; None where it does not."""
    if not is_first or found.next_cursor is not None:
        return None
    return sum((one.usage for one in found), start=UsageTotals())


def edges(stretch: Range) -> tuple[date | None, date | None]:
    """Return the first day of a range and the one after its last; None where it is open."""
    since = None if stretch.since is None else stretch.since.date()
    if stretch.until is None:
        return since, None
    return since, (stretch.until - timedelta(microseconds=1)).date() + timedelta(days=1)


def spend_chart(rows: Sequence[UsageRow], names: Sequence[str]) -> Chart:
    """Return the chart of what was spent over time by model, in days, weeks or months as the time is long."""
    by, keyed = _stepped(rows)
    return figures.spend_chart(keyed, series_slots(names), by=by, of=UsageBy.MODEL, width=WIDE)


def _stepped(rows: Sequence[UsageRow]) -> tuple[UsageBy, Sequence[UsageRow]]:
    days = [date.fromisoformat(row.key) for row in rows]
    length = (max(days) - min(days)).days if days else 0
    if length <= figures.MOST_DAYS:
        return UsageBy.DAY, rows
    if length <= figures.MOST_WEEKS * 7:
        mondays = [day - timedelta(days=day.weekday()) for day in days]
        return UsageBy.WEEK, [replace(row, key=day.isoformat()) for row, day in zip(rows, mondays, strict=True)]
    return UsageBy.MONTH, [replace(row, key=row.key[:7]) for row in rows]
