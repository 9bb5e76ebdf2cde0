"""The chat: one's conversations, the end of the one that is open, and what its last turn came to."""

from uuid import UUID

from agentrecord.dashboard.contexts import ChatPage, SessionPage
from agentrecord.dashboard.conversation import STRETCH, stretch_from
from agentrecord.dashboard.filters import Asked, whole_number
from agentrecord.exceptions import InvalidFilter
from agentrecord.ids import new_id
from agentrecord.records.run import Run, RunStatus
from agentrecord.records.session import SessionFilter
from agentrecord.store import AsyncStore

ROWS = 30
OWN_SOURCE = "user"
"""The source of sessions that people made, as opposed to those that were imported."""

_UNANSWERED = (RunStatus.ERROR, RunStatus.CANCELLED)


async def chat_page(
    store: AsyncStore, asked: Asked, *, session: UUID | None, owner: str | None, runner: str
) -> ChatPage:
    """Return the chat with `session` open; `owner` is whose conversations are listed, None for the scope's.

    A conversation is shown from its last `STRETCH` messages on, unless the address says from where.
    """
    show = asked.get("show", "chats")
    if show not in ("chats", "all"):
        raise InvalidFilter("show", show, "must be chats or all")
    cursor = asked.get("after")
    wanted = SessionFilter(words=asked.get("q"), user=owner, source=OWN_SOURCE if show == "chats" else None)
    found = await store.sessions.list(wanted, limit=ROWS, cursor=cursor)
    talk = None if session is None else await _talk(store, session, asked)
    last = None if talk is None or talk.next_start is not None else _last_run(talk)
    return ChatPage(
        found=found,
        is_first=cursor is None,
        shows_all=show == "all",
        talk=talk,
        running=None if session is None else await _running(store, session),
        retry=last.objective if last is not None and last.status in _UNANSWERED else None,
        runner=runner,
        key=new_id(),
    )


async def _talk(store: AsyncStore, session: UUID, asked: Asked) -> SessionPage:
    if "from" in asked:
        return await stretch_from(store, session, whole_number(asked, "from", 1))
    last = await store.messages.list(session, sort="-sequence", limit=1)
    start = last.items[0].sequence - STRETCH + 1 if last.items else 1
    return await stretch_from(store, session, max(1, start))


def _last_run(talk: SessionPage) -> Run | None:
    return talk.turns[-1].run if talk.turns else None


async def _running(store: AsyncStore, session: UUID) -> UUID | None:
    return next((turn.id for turn in await store.turns.running() if turn.session_uuid == session), None)
