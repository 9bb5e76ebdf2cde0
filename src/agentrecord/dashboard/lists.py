"""Pages that list: sessions, runs, unreadable lines."""

import asyncio
from datetime import datetime

from agentrecord.dashboard.contexts import ImportsPage, RunsPage, SessionsPage
from agentrecord.dashboard.filters import Asked, range_of, session_filter
from agentrecord.exceptions import InvalidFilter
from agentrecord.records.run import RunFilter, RunStatus
from agentrecord.store import AsyncStore

ROWS = 50


async def sessions(store: AsyncStore, asked: Asked, now: datetime) -> SessionsPage:
    """Return a page of sessions and the sums over all that the filter finds."""
    stretch = range_of(asked, now)
    wanted = session_filter(asked, stretch)
    sort, cursor = asked.get("sort", "-last_activity_at"), asked.get("after")
    found, whole, choices = await asyncio.gather(
        store.sessions.list(wanted, sort=sort, limit=ROWS, cursor=cursor),
        store.pages.session_sums(wanted),
        store.pages.choices(),
    )
    sums = await store.pages.subtree_sums([session.id for session in found])
    return SessionsPage(
        found=found, sums=sums, whole=whole, choices=choices, stretch=stretch, sort=sort, is_first=cursor is None
    )


async def runs(store: AsyncStore, asked: Asked, now: datetime) -> RunsPage:
    """Return a page of runs."""
    stretch = range_of(asked, now)
    status = asked.get("status")
    if status is not None and status not in list(RunStatus):
        raise InvalidFilter("status", status, f"is none; use {', '.join(RunStatus)}")
    errors = asked.get("errors")
    if errors not in (None, "only"):
        raise InvalidFilter("errors", errors, "must be only, or left out")
    wanted = RunFilter(
        words=asked.get("q"),
        user=asked.get("user"),
        agent_id=asked.get("agent"),
        status=None if status is None else RunStatus(status),
        has_error=True if errors else None,
        since=stretch.since,
        until=stretch.until,
    )
    sort, cursor = asked.get("sort", "-started_at"), asked.get("after")
    found = await store.runs.list(wanted, sort=sort, limit=ROWS, cursor=cursor)
    return RunsPage(found=found, stretch=stretch, sort=sort, is_first=cursor is None)


async def imports(store: AsyncStore, asked: Asked) -> ImportsPage:
    """Return the lines that could not be read."""
    found = await store.imports.unreadable(limit=ROWS, cursor=asked.get("after"))
    return ImportsPage(found=found, is_first="after" not in asked)
