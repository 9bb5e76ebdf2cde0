"""The list of groups of equal errors, what share of uses and calls failed, and runs that failed without an error."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from uuid import UUID

from markupsafe import Markup

from agentrecord.dashboard.filters import Asked, Range, with_changes
from agentrecord.dashboard.list_page import Kind, ListPage, Reads, list_page
from agentrecord.dashboard.listing import Column, Link
from agentrecord.dashboard.sparks import sparkline
from agentrecord.records.error import ErrorGroup, ErrorKind, ErrorStatus
from agentrecord.records.facet import GroupSums
from agentrecord.records.page import Page
from agentrecord.records.query import Query, Term, Value, written
from agentrecord.records.run import Run, RunFilter, RunStatus
from agentrecord.records.usage import UsageBy
from agentrecord.store import AsyncStore
from agentrecord.store.error_groups import GROUP_SORTS, TREND_DAYS
from agentrecord.store.words import GROUP_WORDS

LATEST = 20
COLUMNS = (
    Column(name="message", title="message"),
    Column(name="kind", title="kind"),
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
class Share:
    """A tool or a model: how many of its uses or calls failed, and where the groups of these are."""

    name: str
    failed: int
    of: int
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """Tools and models that failed, the most often first, and the failed runs of which no error tells."""

    tools: Sequence[Share]
    models: Sequence[Share]
    runs: Page[Run]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorsPage(ListPage[ErrorGroup, GroupSums]):
    """Groups of equal errors, those that are open unless the filter asks for others, and what share failed.

    Every kind is shown, since failures of tools fall into few groups by their first lines; `kinds` lead to those of one
    kind alone, `standings` to those that stand otherwise. `trends` draws each group's last days, from `first_day` to
    `last_day`. `failures` is None where the filter was not understood.
    """

    trends: Mapping[UUID, Markup]
    first_day: date
    last_day: date
    standings: Sequence[Link]
    kinds: Sequence[Link]
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
    """Say whether an open error was met, failed uses and calls among them, or whether a run failed."""
    groups, runs = await asyncio.gather(
        store.errors.groups(since=since, limit=1),
        store.runs.list(RunFilter(status=RunStatus.ERROR, since=since), limit=1),
    )
    return bool(groups.items or runs.items)


ERRORS: Kind[ErrorGroup, GroupSums] = Kind(
    path="/errors", api="/api/errors/groups", words=GROUP_WORDS, columns=COLUMNS, sort="-last_seen_at",
    sorts=tuple(GROUP_SORTS), steady="-first_seen_at", reads=_reads, is_new=_is_new,
    legacy={"status": "status", "agent": "agent", "user": "user", "tool": "tool"},
)  # fmt: skip
"""The list of groups of equal errors."""


async def errors(store: AsyncStore, given: Asked, now: datetime) -> ErrorsPage:
    """Return groups of equal errors, and what share failed."""
    page = await list_page(ERRORS, store, given, now)
    first = now.date() - timedelta(days=TREND_DAYS - 1)
    trends = {group.id: sparkline(group.days, first=first, last=now.date(), noun="error") for group in page.found}
    is_refused = page.view.problem is not None
    return ErrorsPage(
        **page.parts(), trends=trends, first_day=first, last_day=now.date(),
        standings=() if is_refused else _standings(page.asked),
        kinds=() if is_refused else _kinds(page.asked),
        failures=None if is_refused else await _failures(store, page.asked, page.view.stretch),
    )  # fmt: skip


def _standings(asked: Asked) -> Sequence[Link]:
    """Return links to the groups that are open, that are resolved, and to all, under the same filter otherwise."""
    return _choices(asked, "status", (("open", ()), ("resolved", (ErrorStatus.RESOLVED,)), ("all", tuple(ErrorStatus))))


def _kinds(asked: Asked) -> Sequence[Link]:
    """Return links to the groups of every kind, and of each alone, under the same filter otherwise."""
    return _choices(asked, "kind", (("every kind", ()), *((str(kind), (kind,)) for kind in ErrorKind)))


def _choices(asked: Asked, word: str, choices: Sequence[tuple[str, Sequence[StrEnum]]]) -> Sequence[Link]:
    """Return links that give a word of the filter some values each, or take it away."""
    query = GROUP_WORDS.parse(asked.get("q", ""))
    others = tuple(term for term in query.terms if term.word != word)
    now = tuple(term for term in query.terms if term.word == word)
    found = []
    for name, members in choices:
        values = tuple(Value(text=str(member)) for member in members)
        wanted = (Term(word=word, values=values),) if values else ()
        text = str(Query((*others, *wanted))) or None
        found.append(Link(text=name, address=with_changes(asked, q=text, after=None), is_chosen=now == wanted))
    return found


async def _failures(store: AsyncStore, asked: Asked, stretch: Range) -> Failures:
    since, until = stretch.since, stretch.until
    untold = RunFilter(status=RunStatus.ERROR, tells_error=False, since=since, until=until)
    tools, models, failed = await asyncio.gather(
        store.tool_calls.figures(since=since, until=until),
        store.usage.report(UsageBy.MODEL, since=since, until=until),
        store.runs.list(untold, limit=LATEST),
    )
    calls = _address(asked, "kind", ErrorKind.LLM)
    return Failures(
        tools=_shares(
            Share(name=one.tool_name, failed=one.errors, of=one.calls, address=_address(asked, "tool", one.tool_name))
            for one in tools
        ),
        models=_shares(
            Share(name=row.label, failed=row.totals.failed_calls, of=row.totals.calls, address=calls)
            for row in models.rows
        ),
        runs=failed,
    )


def _shares(found: Iterable[Share]) -> Sequence[Share]:
    return sorted((one for one in found if one.failed), key=lambda one: -one.failed)


def _address(asked: Asked, word: str, value: str) -> str:
    return with_changes(asked, q=str(Term(word=word, values=(written(value),))), after=None)
