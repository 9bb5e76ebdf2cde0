"""The forms of the chat page: what a browser without scripts sends; each is answered by the way back to the page."""

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse

from agentrecord.codec.values import name as checked_as_name
from agentrecord.dashboard.formats import one_line
from agentrecord.exceptions import InvalidValue, OverBudget, TurnFailed
from agentrecord.ids import new_id
from agentrecord.records.message import MessageRole, NewMessage
from agentrecord.records.session import Session, SessionChanges
from agentrecord.records.turn import NewTurn
from agentrecord.server.forms import form_of
from agentrecord.server.leaving import unless_gone
from agentrecord.server.middleware import MAX_BODY_BYTES
from agentrecord.server.routes.agent_sessions import session_of
from agentrecord.server.routes.conversation import conversations_of
from agentrecord.server.wire import owner_of, store_of

router = APIRouter(include_in_schema=False)

TITLE_LENGTH = 60
DEEDS = ("send", "rename", "activate", "deactivate", "delete")


@router.post("/chat")
async def begin_chat(request: Request) -> RedirectResponse:
    """Say something in a new conversation."""
    form = await _form(request, "key", "message", "agent_name", "agent_instructions")
    return await _say(request, form, None)


@router.post("/chat/{session_id:path}")
async def go_on(request: Request, session_id: str) -> RedirectResponse:
    """Say something in a conversation, or rename, activate, deactivate or delete it."""
    session, store = await session_of(request, session_id), store_of(request)
    form = await _form(request, "do", "key", "message", "title")
    deed = form.get("do", "send")
    match deed:
        case "send":
            return await _say(request, form, session)
        case "rename":
            await store.sessions.update(session.id, SessionChanges(title=form.get("title")))
        case "activate":
            await store.sessions.activate(session.id)
        case "deactivate":
            await store.sessions.deactivate(session.id)
        case "delete":
            await store.sessions.delete(session.id)
            return RedirectResponse("/chat", HTTPStatus.SEE_OTHER)
        case _:
            raise InvalidValue("do", deed, f"must be one of {', '.join(DEEDS)}")
    return _back(session.id)


async def _say(request: Request, form: Mapping[str, str], session: Session | None) -> RedirectResponse:
    conversations, store = conversations_of(request), store_of(request)
    new = _turn(form, session)
    begun = await unless_gone(request, conversations.begin(store, new, user=owner_of(request), is_resumable=True))
    # How the turn ended is on the page that this leads to, with a way to try again.
    with suppress(TurnFailed, OverBudget):
        await unless_gone(request, conversations.result(store, begun.turn.id))
    return _back(begun.session.id)


def _turn(form: Mapping[str, str], session: Session | None) -> NewTurn:
    # Browsers send lines with CR LF, whatever was typed.
    said = form.get("message", "").replace("\r\n", "\n")
    if not said.strip():
        raise InvalidValue("message", said, "is empty; write something")
    key = form.get("key")
    told = json.dumps([None if session is None else str(session.id), *sorted(form.items())])
    return NewTurn(
        session_id=f"conversation-{new_id()}" if session is None else str(session.id),
        messages=(NewMessage(role=MessageRole.USER, content=said),),
        session_name=one_line(said, TITLE_LENGTH) if session is None else None,
        agent_name=form.get("agent_name"),
        agent_instructions=form.get("agent_instructions"),
        idempotency_key=None if key is None else checked_as_name("key", key),
        request_hash=hashlib.sha256(told.encode()).hexdigest(),
    )


def _back(session: UUID) -> RedirectResponse:
    return RedirectResponse(f"/chat/{session}#say", HTTPStatus.SEE_OTHER)


async def _form(request: Request, *known: str) -> Mapping[str, str]:
    return await form_of(request, *known, as_is=("message",), max_bytes=MAX_BODY_BYTES)
