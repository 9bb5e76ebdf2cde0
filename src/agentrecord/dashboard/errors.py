"""Pages about errors: groups of equal ones, one group, and the tools, models and runs that fail."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from markupsafe import Markup

from agentrecord.dashboard.filters import Asked, Range
from agentrecord.dashboard.portraits import ROWS, in_range, is_filtered
from agentrecord.dashboard.sparks import sparkline
from agentrecord.exceptions import InvalidFilter
from agentrecord.records.error import ErrorBreakdown, ErrorGroup, ErrorRecord, ErrorStatus
from agentrecord.records.page import Page
from agentrecord.records.run import Run, RunFilter, RunStatus
from agentrecord.records.tool_call import ToolCall, ToolCallStatus, ToolFigures
from agentrecord.records.usage import UsageBy, UsageRow
from agentrecord.store import AsyncStore

TREND_DAYS = 30
LATEST = 20
LOOKS = {"new": "bad", "ongoing": "warn", "regressed": "bad", "resolved": "ok"}
MARKS = {"new": "✕", "ongoing": "✕", "regressed": "⚠", "resolved": "✓"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorsPage:
    """Groups of equal errors, and what failed without being told as an error: runs, tools, calls to models."""

    groups: Page[ErrorGroup]
    trends: Mapping[UUID, Markup]
    tools: Sequence[ToolFigures]
    failures: Page[ToolCall]
    models: Sequence[UsageRow]
    runs: Page[Run]
    tool: str | None
    stretch: Range
    sort: str
    is_first: bool
    is_filtered: bool
    statuses: tuple[ErrorStatus, ...] = tuple(ErrorStatus)
    looks: Mapping[str, str]
    marks: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorPage:
    """One group of equal errors: its latest occurrences, where it was met, and what that cost."""

    group: ErrorGroup
    trend: Markup
    latest: Page[ErrorRecord]
    breakdown: ErrorBreakdown
    stack: str | None
    looks: Mapping[str, str]
    marks: Mapping[str, str]


def status_of(asked: Asked) -> ErrorStatus | None:
    """Return the status that groups are to have; None for every open one."""
    wanted = asked.get("status")
    if wanted is not None and wanted not in list(ErrorStatus):
        raise InvalidFilter("status", wanted, f"is none; use {', '.join(ErrorStatus)}")
    return None if wanted is None else ErrorStatus(wanted)


async def errors(store: AsyncStore, asked: Asked, now: datetime) -> ErrorsPage:
    """Return groups of equal errors, and what else failed."""
    sort, cursor, tool = asked.get("sort", "-last_seen_at"), asked.get("after"), asked.get("tool")

    async def ask(stretch: Range) -> _Found:
        return await _failed(store, asked, stretch, sort=sort, cursor=cursor)

    stretch, found = await in_range(asked, now, ask, is_empty=_Found.is_empty)
    failures = await store.tool_calls.list(
        status=ToolCallStatus.ERROR, tool_name=tool, sort="-started_at", limit=LATEST, cursor=asked.get("failures")
    )
    return ErrorsPage(
        groups=found.groups,
        trends={group.id: trend(group, now) for group in found.groups},
        tools=sorted((one for one in found.tools if one.errors), key=lambda one: -one.errors),
        failures=failures,
        models=sorted(found.models, key=lambda row: -row.totals.failed_calls),
        runs=found.runs,
        tool=tool,
        stretch=stretch,
        sort=sort,
        is_first=cursor is None,
        is_filtered=is_filtered(asked),
        looks=LOOKS,
        marks=MARKS,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What failed in a range."""

    groups: Page[ErrorGroup]
    tools: Sequence[ToolFigures]
    models: Sequence[UsageRow]
    runs: Page[Run]

    def is_empty(self) -> bool:
        return not (self.groups.items or self.models or self.runs.items or any(one.errors for one in self.tools))


async def _failed(store: AsyncStore, asked: Asked, stretch: Range, *, sort: str, cursor: str | None) -> _Found:
    groups, tools, models, failed = await asyncio.gather(
        store.errors.groups(
            status=status_of(asked), query=asked.get("q"), agent_id=asked.get("agent"), user=asked.get("user"),
            since=stretch.since, until=stretch.until, sort=sort, limit=ROWS, cursor=cursor,
        ),
        store.tool_calls.figures(since=stretch.since, until=stretch.until),
        store.usage.report(UsageBy.MODEL, since=stretch.since, until=stretch.until),
        store.runs.list(
            RunFilter(status=RunStatus.ERROR, since=stretch.since, until=stretch.until), limit=LATEST
        ),
    )  # fmt: skip
    failing = [row for row in models.rows if row.totals.failed_calls]
    return _Found(groups=groups, tools=tools, models=failing, runs=failed)


def trend(group: ErrorGroup, now: datetime) -> Markup:
    """Return how often a group was met on each of the last days."""
    first = now.date() - timedelta(days=TREND_DAYS - 1)
    return sparkline(group.days, first=first, last=now.date(), noun="error")


async def error(store: AsyncStore, fingerprint: str, now: datetime) -> ErrorPage:
    """Return the page of one group."""
    group = await store.errors.group(fingerprint)
    breakdown, latest = await asyncio.gather(
        store.errors.breakdown(group.fingerprint), store.errors.list(group=group.id, limit=LATEST)
    )
    return ErrorPage(
        group=group,
        trend=trend(group, now),
        latest=latest,
        breakdown=breakdown,
        stack=next((one.stack_trace for one in latest if one.stack_trace), None),
        looks=LOOKS,
        marks=MARKS,
    )
