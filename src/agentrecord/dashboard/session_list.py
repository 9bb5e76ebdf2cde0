"""The list of sessions: what a filter finds, its sums with all below each, and its facets."""

from datetime import datetime

from agentrecord.dashboard.filters import Range
from agentrecord.dashboard.list_page import Kind, Reads
from agentrecord.dashboard.listing import Column
from agentrecord.records.session import Session, SessionFilter
from agentrecord.store import AsyncStore
from agentrecord.store.pages import SessionSums
from agentrecord.store.sessions import SORTS
from agentrecord.store.words import SESSION_WORDS

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


def _reads(store: AsyncStore, query: str | None, stretch: Range) -> Reads[Session, SessionSums]:
    wanted = SessionFilter(query=query, since=stretch.since, until=stretch.until)
    return Reads(
        page=lambda sort, limit, cursor: store.sessions.list(wanted, sort=sort, limit=limit, cursor=cursor),
        sums=lambda: store.sessions.sums(wanted),
        facets=lambda: store.sessions.facets(wanted),
    )


async def _is_new(store: AsyncStore, since: datetime) -> bool:
    latest = (await store.sessions.list(limit=1, counted=False)).items
    return any(session.last_activity_at >= since for session in latest)


SESSIONS = Kind(
    path="/sessions", api="/api/sessions", words=SESSION_WORDS, columns=COLUMNS, sort="-last_activity_at",
    # The last activity may move a session past the page that is read next.
    sorts=tuple(SORTS), steady="-created_at", reads=_reads, is_new=_is_new,
    legacy={name: name for name in ("user", "agent", "source", "directory", "status")},
)  # fmt: skip
"""The list of sessions, each with the sums over itself and all below it."""
