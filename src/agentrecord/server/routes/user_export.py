"""Everything that is recorded for one user, as lines of JSON: `kind`, and the fact as the API shows it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from agentrecord.codec.jsonable import to_json
from agentrecord.records.page import MAX_PAGE, Page
from agentrecord.records.project import User
from agentrecord.records.session import SessionFilter
from agentrecord.store import AsyncStore

T = TypeVar("T")


async def lines_of(store: AsyncStore, user: User) -> AsyncIterator[bytes]:
    """Yield a line for the user, then for each session with its messages, run, call, use of a tool, event and error.

    `store` is the record as that user sees it: nothing of anybody else's is in reach.
    """
    yield _line("user", user)
    wanted = SessionFilter(user_uuid=user.id, include_children=True)
    async for session in _all(lambda at: store.sessions.list(wanted, sort="created_at", limit=MAX_PAGE, cursor=at)):
        yield _line("session", session)
        own = session.id
        async for message in _all(lambda at, own=own: store.messages.list(own, limit=MAX_PAGE, cursor=at)):  # type: ignore[misc]
            yield _line("message", message)
    async for run in _all(lambda at: store.runs.list(sort="started_at", limit=MAX_PAGE, cursor=at)):
        yield _line("run", run)
    async for call in _all(lambda at: store.llm_calls.list(sort="timestamp", limit=MAX_PAGE, cursor=at)):
        yield _line("llm_call", call)
    async for use in _all(lambda at: store.tool_calls.list(limit=MAX_PAGE, cursor=at)):
        yield _line("tool_call", use)
    async for event in _all(lambda at: store.events.list(limit=MAX_PAGE, cursor=at)):
        yield _line("event", event)
    async for error in _all(lambda at: store.errors.list(sort="created_at", limit=MAX_PAGE, cursor=at)):
        yield _line("error", error)


async def _all(ask: Callable[[str | None], Awaitable[Page[T]]]) -> AsyncIterator[T]:
    cursor: str | None = None
    while True:
        found = await ask(cursor)
        for one in found:
            yield one
        cursor = found.next_cursor
        if cursor is None:
            return


def _line(kind: str, fact: object) -> bytes:
    return b'{"kind":"%s","fact":%s}\n' % (kind.encode(), to_json(fact))
