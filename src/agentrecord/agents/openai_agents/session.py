"""A session of the record behind the SDK's session protocol."""

import asyncio
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from typing import TypeVar, cast
from uuid import UUID

from agents.items import TResponseInputItem
from agents.memory.session_settings import SessionSettings, coerce_session_settings, resolve_session_limit

from agentrecord.agents.openai_agents.items import Item, Told, items_of, message_of, needs_tool_calls
from agentrecord.engine import Connection
from agentrecord.exceptions import Conflict, NotFound
from agentrecord.records.message import Message
from agentrecord.records.page import MAX_PAGE
from agentrecord.records.scope import Scope
from agentrecord.records.session import NewSession
from agentrecord.records.tool_call import ToolCall
from agentrecord.store import AsyncStore, messages, sessions, tool_calls

T = TypeVar("T")

SOURCE = "openai-agents"
_ALL = 2**31 - 1
_CONTEXT = 20
"""How many messages are read to tell the last one: whether a tool's result has its call just before it."""


async def settled(work: Awaitable[T]) -> T:
    """Await something that must come to its end even if the caller is cancelled meanwhile, as often as it likes."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = cancelled or error
    if cancelled is not None:
        if not task.cancelled():
            # Looked at, so that asyncio does not report an error that the cancellation hides.
            task.exception()
        raise cancelled
    return task.result()


class RecordSession:
    """A conversation of the record, as the SDK's runner reads and writes it.

    The session is made by the first items added, for the store's own user.
    """

    session_id: str
    session_settings: SessionSettings | None

    def __init__(
        self,
        session_id: str,
        store: AsyncStore,
        *,
        session_settings: SessionSettings | dict[str, object] | None = None,
        row: UUID | None = None,
    ) -> None:
        """Stand for the session `session_id` of the store's user, or for the one whose row id is `row`.

        `session_settings` may hold a `limit`: how many of the latest items are read where the caller names no number.
        """
        self.session_id = session_id
        self.session_settings = coerce_session_settings(session_settings or SessionSettings())
        self._store = store
        self._key: str | UUID = session_id if row is None else row

    async def get_items(self, limit: int | None = None) -> list[TResponseInputItem]:
        """Return the latest `limit` items, oldest first; all of them without a limit, or with a negative one."""
        told = await self.told(resolve_session_limit(limit, self.session_settings))
        return cast("list[TResponseInputItem]", [each.item for each in told])

    async def told(self, limit: int | None = None) -> list[Told]:
        """Return the latest `limit` items, each with the message that tells it."""
        if limit == 0:
            return []
        session = await self._store.sessions.find(self._key)
        if session is None:
            return []
        wanted = window = _ALL if limit is None or limit < 0 else limit
        while True:
            found = await self._store.messages.recent(session.id, limit=window)
            told = items_of(found, await self._tool_calls(session.id, found))
            # A message may tell several items or none, so that the last n messages are not the last n items.
            if len(told) >= wanted or len(found) < window:
                return told[-wanted:]
            window = min(_ALL, window * 2)

    async def add_items(self, items: list[TResponseInputItem]) -> None:
        """Add items: all of them together, or none.

        Raises `InvalidValue` for an item that no engine could store.
        """
        if not items:
            return
        given = cast("list[Item]", items)
        try:
            await settled(self._store.run(_add, self._key, given))
        except (Conflict, NotFound) as error:
            if error.kind != "session":
                raise
            # Somebody else made the session, or deleted it, after we had looked: what is true now is seen at once.
            await settled(self._store.run(_add, self._key, given))

    async def pop_item(self) -> TResponseInputItem | None:
        """Remove the latest item and return it; None if there is none."""
        return cast("TResponseInputItem | None", await settled(self._store.run(_pop, self._key)))

    async def clear_session(self) -> None:
        """Remove every item; what the conversation cost stays."""
        with suppress(NotFound):
            await settled(self._store.messages.clear(self._key))

    async def _tool_calls(self, session: UUID, found: Sequence[Message]) -> dict[str, ToolCall]:
        """Return the session's tool calls by their reference, if a message's own columns do not tell all of them."""
        calls: dict[str, ToolCall] = {}
        if not any(map(needs_tool_calls, found)):
            return calls
        cursor: str | None = None
        while True:
            page = await self._store.tool_calls.list(session=session, limit=MAX_PAGE, cursor=cursor)
            calls.update((call.call_ref, call) for call in page if call.call_ref is not None)
            cursor = page.next_cursor
            if cursor is None:
                return calls


def _add(conn: Connection, scope: Scope, key: str | UUID, items: Sequence[Item]) -> None:
    """Append items to a session, which is made if it is not there."""
    new = [message_of(item, position=position) for position, item in enumerate(items)]
    session = sessions.find(conn, scope, key)
    if session is None:
        session = sessions.create(conn, scope, NewSession(session_id=str(key), source=SOURCE))
    messages.append(conn, scope, session.id, new)


def _pop(conn: Connection, scope: Scope, key: str | UUID) -> Item | None:
    """Take the latest item out of a session; of a message that tells several, the others stay."""
    try:
        # Locked, so that nobody else takes the same item.
        session = sessions.locked(conn, scope, key)
    except NotFound:
        return None
    while True:
        found = messages.recent(conn, scope, session.id, limit=_CONTEXT)
        if not found:
            return None
        last = found[-1]
        calls = tool_calls.list_(conn, scope, session=session.id, sort="-started_at", limit=MAX_PAGE)
        by_ref = {call.call_ref: call for call in calls if call.call_ref is not None}
        items = [each.item for each in items_of(found, by_ref) if each.message is last]
        messages.delete(conn, scope, last.id)
        messages.append(conn, scope, session.id, [message_of(item) for item in items[:-1]])
        if items:
            return items[-1]
