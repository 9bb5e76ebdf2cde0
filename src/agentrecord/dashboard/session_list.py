"""The list of sessions: what a filter finds, its sums with all below each, and its facets."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from agentrecord.dashboard.filters import Asked, Range
from agentrecord.dashboard.listing import (
    ROWS,
    Column,
    ListView,
    columns_of,
    filled,
    folded,
    frame,
    refused,
    sort_of,
    understood,
)
from agentrecord.dashboard.stretches import DEFAULT, stretch_of
from agentrecord.exceptions import InvalidFilter
from agentrecord.records.page import Page
from agentrecord.records.session import Session, SessionFilter
from agentrecord.records.usage import UsageTotals
from agentrecord.store import AsyncStore
from agentrecord.store.pages import NO_SUMS, SessionSums
from agentrecord.store.sessions import SORTS
from agentrecord.store.words import SESSION_WORDS

PATH, SORT = "/sessions", "-last_activity_at"
LEGACY = {name: name for name in ("user", "agent", "source", "directory", "status")}
COLUMNS = (
    Column(name="session", title="session", sort="title"),
    Column(name="active", title="last activity", sort="last_activity_at"),
    Column(name="user", title="user"),
    Column(name="agent", title="agent"),
    Column(name="directory", title="directory"),
    Column(name="status", title="status", sort="status", is_shown=False),
    Column(name="source", title="source", is_shown=False),
    Column(name="created", title="created", sort="created_at", is_shown=False),
    Column(name="turns", title="turns", sort="runs", is_number=True),
    Column(name="messages", title="messages", sort="messages", is_number=True),
    Column(name="tokens", title="tokens", sort="tree_tokens", is_number=True),
    Column(name="cost", title="cost", sort="tree_cost", is_number=True),
    Column(name="duration", title="duration", sort="duration", is_number=True),
    Column(name="errors", title="errors", sort="errors", is_number=True),
    Column(name="id", title="session id", sort="session_id", is_shown=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionsPage:
    """The list of sessions; `before` counts those that the filter finds outside of a range that holds none."""

    view: ListView
    found: Page[Session]
    sums: Mapping[UUID, UsageTotals]
    whole: SessionSums
    before: int | None
    is_empty: bool


async def default_range(store: AsyncStore, now: datetime) -> str:
    """Return the range to begin with: a week, or everything where the last week would show nothing."""
    week = stretch_of({}, now, default=DEFAULT)
    latest = (await store.sessions.list(limit=1)).items
    return DEFAULT if latest and week.since is not None and latest[0].last_activity_at >= week.since else "all"


def filter_of(asked: Asked, stretch: Range) -> SessionFilter:
    """Return the sessions that an address asks for."""
    return SessionFilter(query=asked.get("q"), since=stretch.since, until=stretch.until)


def folded_sessions(asked: Asked) -> Asked:
    """Return an address with its single parameters in its filter."""
    return folded(asked, SESSION_WORDS, LEGACY)


async def sessions(store: AsyncStore, given: Asked, now: datetime) -> SessionsPage:
    """Return a page of sessions and the sums over all that the filter finds; one not understood finds nothing."""
    asked = folded_sessions(given)
    stretch = stretch_of(asked, now, default=await default_range(store, now))
    view = frame(PATH, asked, now, words=SESSION_WORDS, stretch=stretch, known=COLUMNS, default_sort=SORT)
    try:
        query = understood(SESSION_WORDS, asked)
        shown = columns_of(asked, COLUMNS)
        wanted = filter_of(asked, stretch)
        sort_of(asked, SORT, tuple(SORTS))
        found, whole, facets = await asyncio.gather(
            store.sessions.list(wanted, sort=view.sort, limit=ROWS, cursor=asked.get("after")),
            store.sessions.sums(wanted),
            store.sessions.facets(wanted),
        )
    except InvalidFilter as error:
        return SessionsPage(
            view=refused(view, error), found=Page([], ROWS, total=0), sums={}, whole=NO_SUMS, before=None,
            is_empty=False,
        )  # fmt: skip
    before = None
    if not found.items and stretch.name != "all":
        before = (await store.sessions.list(SessionFilter(query=wanted.query), limit=1)).total
    return SessionsPage(
        view=filled(view, asked, query, facets, shown), found=found,
        sums=await store.pages.subtree_sums([session.id for session in found]),
        whole=whole, before=before, is_empty=not found.items and stretch.name == "all" and not query.terms,
    )  # fmt: skip
