"""The list of groups of equal errors, and what else failed: tools, models and runs that told no error."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from markupsafe import Markup

from agentrecord.dashboard.filters import Asked, Range, with_changes
from agentrecord.dashboard.list_page import Kind, ListPage, Reads, list_page
from agentrecord.dashboard.listing import Column, Link
from agentrecord.dashboard.sparks import sparkline
from agentrecord.records.error import ErrorGroup, ErrorStatus
from agentrecord.records.facet import GroupSums
from agentrecord.records.page import Page
from agentrecord.records.query import Query, Term, Value
from agentrecord.records.run import Run, RunFilter, RunStatus
from agentrecord.records.tool_call import ToolCall, ToolCallStatus, ToolFigures
from agentrecord.records.usage import UsageBy, UsageRow
from agentrecord.store import AsyncStore
from agentrecord.store.error_groups import GROUP_SORTS, TREND_DAYS
from agentrecord.store.words import GROUP_WORDS

LATEST = 20
COLUMNS = (
    Column(name="message", title="message"),
    Column(name="last", title="last seen", sort="last_seen_at"),
    Column(name="status", title="status"),
    Column(name="type", title="type", sort="error_type"),
    Column(name="count", title="count", sort="count", is_number=True),
    Column(name="users", title="users", is_number=True),
    Column(name="agents", title="agents"),
    Column(name="version", title="since version"),
    Column(name="trend", title="trend"),
    Column(name="first", title="first seen", sort="first_seen_at"),
    Column(name="group", title="group id", is_shown=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """What failed without being told as an error; `of_tools` are the last failed uses of `tool`, or of every one."""

    tools: Sequence[ToolFigures]
    of_tools: Page[ToolCall]
    tool: str | None
    models: Sequence[UsageRow]
    runs: Page[Run]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorsPage(ListPage[ErrorGroup, GroupSums]):
    """Groups of equal errors, those that are open unless the filter asks for others, and what else failed.

    `trends` draws each group's last days, from `first_day` to `last_day`; `standings` lead to the groups that stand
    otherwise. `failures` is None where the filter was not understood.
    """

    trends: Mapping[UUID, Markup]
    first_day: date
    last_day: date
    standings: Sequence[Link]
    failures: Failures | None


def _reads(store: AsyncStore, query: str | None, stretch: Range) -> Reads[ErrorGroup, GroupSums]:
    since, until, errors = stretch.since, stretch.until, store.errors
    return Reads(
        page=lambda sort, limit, cursor: errors.groups(
            query=query, since=since, until=until, sort=sort, limit=limit, cursor=cursor
        ),
        sums=lambda: errors.group_sums(query=query, since=since, until=until),
        facets=lambda: errors.group_facets(query=query, since=since, until=until),
    )


async def _is_new(store: AsyncStore, since: datetime) -> bool:
    """Say whether an open error was met, or whether a run, a use of a tool or a call to a model failed."""
    groups, runs, tools, models = await asyncio.gather(
        store.errors.groups(since=since, limit=1),
        store.runs.list(RunFilter(status=RunStatus.ERROR, since=since), limit=1),
        store.tool_calls.figures(since=since),
        store.usage.report(UsageBy.TOTAL, since=since),
    )
    failed = bool(models.total.failed_calls) or any(tool.errors for tool in tools)
    return failed or bool(groups.items or runs.items)


ERRORS: Kind[ErrorGroup, GroupSums] = Kind(
    path="/errors", api="/api/errors/groups", words=GROUP_WORDS, columns=COLUMNS, sort="-last_seen_at",
    sorts=tuple(GROUP_SORTS), steady="-first_seen_at", reads=_reads, is_new=_is_new, kept=("tool", "failures"),
    legacy={"status": "status", "agent": "agent", "user": "user"},
)  # fmt: skip
"""The list of groups of equal errors."""


async def errors(store: AsyncStore, given: Asked, now: datetime) -> ErrorsPage:
    """Return groups of equal errors, and what else failed."""
    page = await list_page(ERRORS, store, given, now)
    first = now.date() - timedelta(days=TREND_DAYS - 1)
    trends = {group.id: sparkline(group.days, first=first, last=now.date(), noun="error") for group in page.found}
    is_refused = page.view.problem is not None
    return ErrorsPage(
        **page.parts(), trends=trends, first_day=first, last_day=now.date(),
        standings=() if is_refused else _standings(page.asked),
        failures=None if is_refused else await _failures(store, page.asked, page.view.stretch),
    )  # fmt: skip


def _standings(asked: Asked) -> Sequence[Link]:
    """Return links to the groups that are open, that are resolved, and to all, under the same filter otherwise."""
    query = GROUP_WORDS.parse(asked.get("q", ""))
    others = tuple(term for term in query.terms if term.word != "status")
    now = tuple(term for term in query.terms if term.word == "status")
    found = []
    for name, statuses in (("open", ()), ("resolved", (ErrorStatus.RESOLVED,)), ("all", tuple(ErrorStatus))):
        values = tuple(Value(text=str(status)) for status in statuses)
        wanted = (Term(word="status", values=values),) if values else ()
        text = str(Query((*others, *wanted))) or None
        found.append(Link(text=name, address=with_changes(asked, q=text, after=None), is_chosen=now == wanted))
    return found


async def _failures(store: AsyncStore, asked: Asked, stretch: Range) -> Failures:
    tool, since, until = asked.get("tool"), stretch.since, stretch.until
    tools, models, failed, of_tools = await asyncio.gather(
        store.tool_calls.figures(since=since, until=until),
        store.usage.report(UsageBy.MODEL, since=since, until=until),
        store.runs.list(RunFilter(status=RunStatus.ERROR, since=since, until=until), limit=LATEST),
        store.tool_calls.list(
            status=ToolCallStatus.ERROR,
            tool_name=tool,
            since=since,
            until=until,
            sort="-started_at",
            limit=LATEST,
            cursor=asked.get("failures"),
        ),
    )
    failing = [row for row in models.rows if row.totals.failed_calls]
    return Failures(
        tools=sorted((one for one in tools if one.errors), key=lambda one: -one.errors),
        of_tools=of_tools,
        tool=tool,
        models=sorted(failing, key=lambda row: -row.totals.failed_calls),
        runs=failed,
    )
