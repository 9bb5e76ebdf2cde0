"""The dashboard's pages: each a plain GET that works without scripts."""

from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from agentrecord.dashboard import chat, conversation, filters, lists, session_page
from agentrecord.exceptions import InvalidValue
from agentrecord.server.forms import form_of
from agentrecord.server.identity import administrator_of
from agentrecord.server.routes.agent_sessions import session_of
from agentrecord.server.routes.conversation import conversations_of
from agentrecord.server.shown import page as _page
from agentrecord.server.wire import owner_of, store_of

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

STRETCH = ("since", "from", "to")
COST_FILTERS = ("by", "split", "subagents", *STRETCH)
CHAT_FILTERS = ("q", "show", "after", "from")


async def _chat(request: Request, session: UUID | None) -> HTMLResponse:
    asked = filters.checked(request.query_params, CHAT_FILTERS)
    runner = conversations_of(request).runner_name
    context = await chat.chat_page(store_of(request), asked, session=session, owner=owner_of(request), runner=runner)
    return _page(request, "chat.html", context, active="chat", asked=asked)


@router.get("/chat")
async def new_chat(request: Request) -> HTMLResponse:
    """Show one's conversations, and where to begin another."""
    return await _chat(request, None)


@router.get("/chat/{session_id:path}")
async def open_chat(request: Request, session_id: str) -> HTMLResponse:
    """Show a conversation, and where to go on with it."""
    return await _chat(request, (await session_of(request, session_id)).id)


@router.get("/s/{session_id:path}")
async def session(request: Request, session_id: str) -> HTMLResponse:
    """Show a conversation."""
    asked = filters.checked(request.query_params, session_page.SESSION_FILTERS)
    context = await session_page.session_page(store_of(request), session_id, asked)
    return _page(request, "session.html", context, active="sessions", asked=asked)


@router.post("/s/{session_id:path}/delete")
async def delete_session(request: Request, session_id: str) -> Response:
    """Delete a session's content, once the session's own id was typed."""
    who, given = administrator_of(request), await form_of(request, "confirm")
    found = await who.store.sessions.get(session_id)
    if given.get("confirm") != found.session_id:
        error = InvalidValue("confirm", given.get("confirm", ""), f"must be {found.session_id}; nothing was deleted")
        context = await session_page.session_page(who.store, session_id, {}, refused=f"{error}.")
        return _page(request, "session.html", context, active="sessions", asked={}, status=422, at=f"/s/{found.id}")
    await who.store.audit.record(
        "session.delete", "session", str(found.id), actor_kind=who.actor.kind, actor=who.actor.name,
        origin=who.actor.origin,
    )  # fmt: skip
    await who.store.sessions.delete(found.id)
    return RedirectResponse("/sessions", 303)


@router.get("/m/{message_id}")
async def message(request: Request, message_id: UUID) -> RedirectResponse:
    """Lead to a message's place in its conversation."""
    filters.checked(request.query_params, ())
    found = await store_of(request).messages.get(message_id)
    start = conversation.page_start(found.sequence)
    return RedirectResponse(f"/s/{found.session_uuid}?from={start}#m-{found.id}", 303)


@router.get("/imports")
async def imports(request: Request) -> HTMLResponse:
    """List lines that could not be read."""
    asked = filters.checked(request.query_params, ("after",))
    return _page(request, "imports.html", await lists.imports(store_of(request), asked), active="imports", asked=asked)
