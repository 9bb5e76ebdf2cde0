"""The lists of agents and of users: what each did and spent over whole UTC days, with its calls day by day."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Any, Protocol, TypeVar  # `Any`: counts of any name
from uuid import UUID

from markupsafe import Markup

from agentrecord.dashboard.filters import Asked, Range
from agentrecord.dashboard.list_page import Kind, ListPage, Reads, list_page
from agentrecord.dashboard.listing import Column
from agentrecord.dashboard.sparks import span_of, sparkline
from agentrecord.records.agent import AgentFigures
from agentrecord.records.facet import Facets, FigureSums
from agentrecord.records.lengths import DAY
from agentrecord.records.page import Page
from agentrecord.records.people import UserFigures
from agentrecord.records.price_sources import PriceSources
from agentrecord.records.usage import DayCount, UsageTotals, added
from agentrecord.store import AsyncStore
from agentrecord.store.agent_figures import REPORT_SORTS as AGENT_SORTS
from agentrecord.store.user_figures import REPORT_SORTS as USER_SORTS
from agentrecord.store.words import AGENT_WORDS, USER_WORDS


class _Figures(Protocol):
    """What has figures, calls day by day, and sums over them."""

    @property
    def days(self) -> tuple[DayCount, ...]: ...

    @property
    def usage(self) -> UsageTotals: ...


F = TypeVar("F", bound=_Figures)

RANGES = ("1d", "7d", "30d", "90d", "all")

_WORK = (
    Column(name="runs", title="runs", sort="runs", is_number=True),
    Column(name="failed", title="failed runs", sort="failed_runs", is_number=True),
)
_SPENT = (
    Column(name="calls", title="LLM calls", sort="calls", is_number=True, is_shown=False),
    Column(name="tokens", title="tokens", sort="tokens", is_number=True),
)
_COST = Column(name="cost", title="cost", sort="cost", is_number=True)
AGENT_COLUMNS = (
    Column(name="agent", title="agent", sort="agent_id"),
    Column(name="version", title="version"),
    Column(name="seen", title="last active", sort="last_active_at"),
    Column(name="days", title="calls by day"),
    Column(name="sessions", title="sessions", sort="sessions", is_number=True, is_shown=False),
    *_WORK,
    Column(name="rate", title="error rate", is_number=True),
    Column(name="tools", title="tools", sort="tool_calls", is_number=True, is_shown=False),
    Column(name="tool_errors", title="failed tools", sort="tool_errors", is_number=True, is_shown=False),
    Column(name="errors", title="errors", sort="errors", is_number=True, is_shown=False),
    Column(name="p50", title="p50 of calls", is_number=True, is_shown=False),
    Column(name="p95", title="p95 of calls", is_number=True),
    *_SPENT,
    Column(name="per_run", title="cost/run", is_number=True),
    _COST,
)
USER_COLUMNS = (
    Column(name="user", title="user", sort="user"),
    Column(name="email", title="e-mail", is_shown=False),
    Column(name="seen", title="last seen", sort="last_seen_at"),
    Column(name="days", title="calls by day"),
    Column(name="sessions", title="sessions", sort="sessions", is_number=True),
    Column(name="messages", title="messages", sort="messages", is_number=True, is_shown=False),
    *_WORK,
    Column(name="rate", title="error rate", is_number=True, is_shown=False),
    Column(name="tools", title="tools", sort="tool_calls", is_number=True, is_shown=False),
    Column(name="tool_errors", title="failed tools", sort="tool_errors", is_number=True),
    Column(name="errors", title="errors", sort="errors", is_number=True),
    *_SPENT,
    _COST,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FiguresPage(ListPage[F, FigureSums]):
    """A list of agents or users; `sparks` draws the calls of each, day by day, from `first_day` to `last_day`."""

    sparks: Mapping[UUID, Markup]
    first_day: date
    last_day: date


def _reads(
    report: Callable[..., Awaitable[Page[F]]],
    sums: Callable[..., Awaitable[FigureSums]],
    facets: Callable[..., Awaitable[Facets]],
    behind: Callable[..., Awaitable[PriceSources | None]],
    query: str | None,
    stretch: Range,
) -> Reads[F, FigureSums]:
    where = {"query": query, "since": stretch.since, "until": stretch.until}
    return Reads(
        page=lambda sort, limit, cursor: report(**where, sort=sort, limit=limit, cursor=cursor),
        sums=lambda: sums(**where),
        facets=lambda: facets(**where),
        sums_of=_sums_of,
        more=lambda: behind(since=stretch.since, until=stretch.until),
    )


def _sums_of(rows: Sequence[F]) -> FigureSums:
    """Return the sums over some agents or users."""
    names = [one.name for one in fields(FigureSums) if one.name not in ("found", "totals", "prices")]
    counts: dict[str, Any] = {name: sum(getattr(row, name) for row in rows) for name in names}
    return FigureSums(found=len(rows), totals=added(row.usage for row in rows), **counts)


async def _is_new(store: AsyncStore, since: datetime) -> bool:
    """Say whether a call was made, or a run began."""
    span, runs = await asyncio.gather(store.usage.span(), store.runs.list(limit=1, counted=False))
    known = [*([] if span is None else [span[1]]), *[run.started_at for run in runs if run.started_at is not None]]
    return any(at >= since for at in known)


AGENTS: Kind[AgentFigures, FigureSums] = Kind(
    path="/agents", api="/api/agents", words=AGENT_WORDS, columns=AGENT_COLUMNS, sort="-last_active_at",
    sorts=AGENT_SORTS, steady="agent_id", is_new=_is_new, legacy={}, whole=DAY, ranges=RANGES,
    reads=lambda store, query, stretch: _reads(
        store.agents.report, store.agents.sums, store.agents.facets, store.prices.behind, query, stretch
    ),
)  # fmt: skip
"""The list of agents."""

USERS: Kind[UserFigures, FigureSums] = Kind(
    path="/users", api="/api/users", words=USER_WORDS, columns=USER_COLUMNS, sort="-last_seen_at",
    sorts=USER_SORTS, steady="user", is_new=_is_new, legacy={}, whole=DAY, ranges=RANGES,
    reads=lambda store, query, stretch: _reads(
        store.users.report, store.users.sums, store.users.facets, store.prices.behind, query, stretch
    ),
)  # fmt: skip
"""The list of users."""


async def agents(store: AsyncStore, asked: Asked, now: datetime) -> FiguresPage[AgentFigures]:
    """Return a page of agents."""
    return _with_sparks(await list_page(AGENTS, store, asked, now), now, id_of=lambda one: one.agent.id)


async def users(store: AsyncStore, asked: Asked, now: datetime) -> FiguresPage[UserFigures]:
    """Return a page of users."""
    return _with_sparks(await list_page(USERS, store, asked, now), now, id_of=lambda one: one.user.id)


def _with_sparks(page: ListPage[F, FigureSums], now: datetime, *, id_of: Callable[[F], UUID]) -> FiguresPage[F]:
    stretch = page.view.stretch
    since, until = (None if at is None else at.date() for at in (stretch.since, stretch.until))
    first, last = span_of([one.days for one in page.found], since, until, now.date())
    sparks = {id_of(one): sparkline(one.days, first=first, last=last, noun="call") for one in page.found}
    return FiguresPage(**page.parts(), sparks=sparks, first_day=first, last_day=last)
