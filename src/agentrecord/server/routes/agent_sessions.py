"""The documented sessions API: conversations and their messages under `/api/agent-sessions`."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any  # `Any`: fields that were given, whatever they hold
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from fastapi import Query as InQuery
from pydantic import BaseModel, ConfigDict, Field

from agentrecord.exceptions import InvalidValue, NotFound
from agentrecord.records.message import Message, MessageRole, NewMessage
from agentrecord.records.page import MAX_OFFSET
from agentrecord.records.session import NewSession, Session, SessionChanges, SessionFilter
from agentrecord.records.usage import UsageTotals
from agentrecord.server.fields import JsonText, Moment, Name, sort_of
from agentrecord.server.routes.common import CONFLICT, NAMED, PROBLEMS, ListQuery
from agentrecord.server.wire import (
    PageOf,
    StrictRoute,
    answer,
    described,
    model_of,
    no_query,
    owner_of,
    page_of,
    store_of,
)
from agentrecord.store.messages import SORTS as MESSAGE_SORTS
from agentrecord.store.sessions import SORTS as SESSION_SORTS

router = APIRouter(prefix="/api/agent-sessions", tags=["agent-sessions"], responses=PROBLEMS, route_class=StrictRoute)
RESERVED = "conversation"
RESERVED_ENDS = ("/messages", "/clear-messages", "/activate", "/deactivate")
"""What follows a session's name in paths: a session so called would stand in the way of another's."""
"""What no session may be called: the conversation endpoint stands at its place."""

_SORTS = {"session_name": "title", "message_count": "messages"}
_STRICT = ConfigDict(extra="forbid", strict=True)
Text = Annotated[str, Field(max_length=1_000_000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSession:
    """A conversation as the sessions API shows it."""

    id: UUID
    session_id: str
    session_name: str | None
    description: str | None
    is_active: bool
    user_id: UUID
    agent_name: str | None
    agent_instructions: str | None
    created_at: datetime
    updated_at: datetime
    last_activity_at: datetime
    message_count: int
    usage: UsageTotals


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionMessage:
    """A message as the sessions API shows it; `session_id` is the session's UUID."""

    id: UUID
    role: MessageRole
    content: str
    tool_call_id: str | None
    tool_name: str | None
    extra_data: str | None
    session_id: UUID
    created_at: datetime
    updated_at: datetime
    sequence: int
    model: str | None
    run_id: UUID | None
    usage: UsageTotals


@dataclass(frozen=True, slots=True, kw_only=True)
class Deleted:
    """How many messages were deleted."""

    deleted: int


class CreateSession(BaseModel):
    """A conversation to create."""

    model_config = _STRICT
    session_id: Name = Field(min_length=1, max_length=255, examples=["my-session-001"])
    session_name: Text | None = Field(None, examples=["Project Planning Chat"])
    description: Text | None = Field(None, examples=["AI assistant for project planning tasks"])
    agent_name: Name | None = Field(None, min_length=1, max_length=255, examples=["Planning Assistant"])
    agent_instructions: Text | None = Field(None, examples=["You are a helpful project planning assistant."])
    is_active: bool = True


class UpdateSession(BaseModel):
    """What to change in a conversation; whatever is left out stays."""

    model_config = _STRICT
    session_name: Text | None = Field(None, examples=["Updated Session Name"])
    description: Text | None = Field(None, examples=["Updated description"])
    agent_name: str | None = Field(None, min_length=1, max_length=255)
    agent_instructions: Text | None = None
    is_active: bool = True


class CreateMessage(BaseModel):
    """A message to add to a conversation."""

    model_config = ConfigDict(extra="forbid")
    role: MessageRole = Field(examples=["user"])
    content: str = Field(min_length=1, strict=True, examples=["Hello, how can you help me?"])
    tool_call_id: str | None = Field(None, max_length=255, strict=True)
    tool_name: str | None = Field(None, max_length=255, strict=True)
    extra_data: JsonText | None = Field(None, strict=True, description="JSON text", examples=['{"edited": true}'])


class UpdateMessage(BaseModel):
    """What to change in a message; whatever is left out stays, and an old content is kept as a revision."""

    model_config = _STRICT
    content: str = Field("", min_length=1, examples=["Updated message content"])
    tool_call_id: str | None = Field(None, max_length=255)
    tool_name: str | None = Field(None, max_length=255)
    extra_data: JsonText | None = Field(None, description="JSON text", examples=['{"edited": true}'])


class AgentSessionQuery(ListQuery):
    """Which conversations."""

    offset: int = Field(0, ge=0, le=MAX_OFFSET, description="Rows to leave out first; a cursor is cheaper")
    q: str | None = Field(None, description="Words in the id, the name, the description or the agent's name")
    session_id: str | None = None
    agent_name: str | None = None
    is_active: bool | None = None
    since: Moment | None = Field(None, description="Last active at or after", examples=["2026-01-31T00:00:00Z"])
    until: Moment | None = Field(None, description="Last active before")
    sort: str = sort_of(
        (*SESSION_SORTS, *_SORTS), "-updated_at", "`created_at`, `session_name`, `last_activity_at` …; `-`: descending"
    )


class SessionMessageQuery(ListQuery):
    """Which messages."""

    offset: int = Field(0, ge=0, le=MAX_OFFSET)
    role: MessageRole | None = None
    sort: str = sort_of(MESSAGE_SORTS, "sequence", "`sequence` or `created_at`; `-` first: the newest first")


def shown_session(session: Session) -> AgentSession:
    """Return a session as the sessions API shows it."""
    return AgentSession(
        id=session.id, session_id=session.session_id, session_name=session.title, description=session.description,
        is_active=session.is_active, user_id=session.user_uuid, agent_name=session.agent_name,
        agent_instructions=session.agent_instructions, created_at=session.created_at, updated_at=session.updated_at,
        last_activity_at=session.last_activity_at, message_count=session.message_count, usage=session.usage,
    )  # fmt: skip


def shown_message(message: Message) -> SessionMessage:
    """Return a message as the sessions API shows it."""
    return SessionMessage(
        id=message.id, role=message.role, content=message.content, tool_call_id=message.tool_call_id,
        tool_name=message.tool_name, extra_data=message.extra_data, session_id=message.session_uuid,
        created_at=message.created_at, updated_at=message.updated_at, sequence=message.sequence,
        model=message.model_used, run_id=message.run_uuid, usage=message.usage,
    )  # fmt: skip


async def session_of(request: Request, session_id: str) -> Session:
    """Return a session by its own id, the caller's own first, or by its UUID; raise `NotFound` for anybody else's."""
    store, owner = store_of(request), owner_of(request)
    if owner is not None:
        # An administrator sees everybody's sessions, and others may have one of the same name.
        mine = SessionFilter(session_id=session_id, user=owner, include_children=True)
        own = await store.sessions.list(mine, limit=1)
        if own.items:
            return own.items[0]
    return await store.sessions.get(session_id)


def checked_name(session_id: str) -> str:
    """Return `session_id` unless it is reserved."""
    if session_id == RESERVED or session_id.startswith(f"{RESERVED}/"):
        raise InvalidValue("session_id", session_id, "is reserved for the conversation endpoint; take another")
    if session_id.endswith(RESERVED_ENDS) or "/messages/" in session_id:
        raise InvalidValue("session_id", session_id, "is the path of what another session has; take another")
    return session_id


@router.get("", response_model=None, responses=described(PageOf[model_of(AgentSession)], "Sessions"))  # type: ignore[misc]
async def list_agent_sessions(request: Request, query: Annotated[AgentSessionQuery, InQuery()]) -> Response:
    """List the caller's sessions, the last changed first."""
    wanted = SessionFilter(
        words=query.q, session_id=query.session_id, agent_name=query.agent_name, is_active=query.is_active,
        since=query.since, until=query.until, include_children=True,
    )  # fmt: skip
    name = query.sort.removeprefix("-")
    sort = query.sort.replace(name, _SORTS.get(name, name))
    found = await store_of(request).sessions.list(
        wanted, sort=sort, limit=query.limit, cursor=query.cursor, offset=query.offset
    )
    return answer(page_of(found, shown_session))


@router.post(
    "",
    status_code=201,
    response_model=None,
    responses={**described(model_of(AgentSession), "The session", status=201), **CONFLICT},
    dependencies=[Depends(no_query)],
)
async def create_agent_session(request: Request, body: CreateSession) -> Response:
    """Create a session; its `session_id` is unique for the caller."""
    new = NewSession(
        session_id=checked_name(body.session_id), title=body.session_name, description=body.description,
        agent_id=body.agent_name, agent_name=body.agent_name, agent_instructions=body.agent_instructions,
        is_active=body.is_active, source="user",
    )  # fmt: skip
    return answer(shown_session(await store_of(request).sessions.create(new, user=owner_of(request))), 201)


@router.put(
    "/{session_id:path}/activate",
    response_model=None,
    responses={**described(model_of(AgentSession), "The session as it is now"), **NAMED},
    dependencies=[Depends(no_query)],
)
async def activate_agent_session(request: Request, session_id: str) -> Response:
    """Open a session for further messages."""
    found = await session_of(request, session_id)
    return answer(shown_session(await store_of(request).sessions.activate(found.id)))


@router.put(
    "/{session_id:path}/deactivate",
    response_model=None,
    responses={**described(model_of(AgentSession), "The session as it is now"), **NAMED},
    dependencies=[Depends(no_query)],
)
async def deactivate_agent_session(request: Request, session_id: str) -> Response:
    """Close a session for further messages; it can still be read, and activated again."""
    found = await session_of(request, session_id)
    return answer(shown_session(await store_of(request).sessions.deactivate(found.id)))


@router.get(
    "/{session_id:path}/messages",
    response_model=None,
    responses={**described(PageOf[model_of(SessionMessage)], "Messages"), **NAMED},  # type: ignore[misc]
)
async def list_session_messages(
    request: Request, session_id: str, query: Annotated[SessionMessageQuery, InQuery()]
) -> Response:
    """List a session's messages in order."""
    session = await session_of(request, session_id)
    found = await store_of(request).messages.list(
        session.id, sort=query.sort, role=query.role, limit=query.limit, cursor=query.cursor, offset=query.offset
    )
    return answer(page_of(found, shown_message))


@router.post(
    "/{session_id:path}/messages",
    status_code=201,
    response_model=None,
    responses={**described(model_of(SessionMessage), "The message", status=201), **NAMED, **CONFLICT},
    dependencies=[Depends(no_query)],
)
async def create_session_message(request: Request, session_id: str, body: CreateMessage) -> Response:
    """Add a message to an active session."""
    session = await session_of(request, session_id)
    new = NewMessage(
        role=body.role, content=body.content, tool_call_id=body.tool_call_id, tool_name=body.tool_name,
        extra_data=body.extra_data,
    )  # fmt: skip
    return answer(shown_message(await store_of(request).messages.post(session.id, new)), 201)


async def _message_of(request: Request, session_id: str, message_id: str) -> Message:
    session = await session_of(request, session_id)
    try:
        wanted = UUID(message_id)
    except ValueError as error:
        raise NotFound("message", message_id) from error
    found = await store_of(request).messages.get(wanted)
    if found.session_uuid != session.id:
        raise NotFound("message", message_id)
    return found


@router.get(
    "/{session_id:path}/messages/{message_id}",
    response_model=None,
    responses={**described(model_of(SessionMessage), "The message"), **NAMED},
    dependencies=[Depends(no_query)],
)
async def get_session_message(request: Request, session_id: str, message_id: str) -> Response:
    """Return a message."""
    return answer(shown_message(await _message_of(request, session_id, message_id)))


@router.patch(
    "/{session_id:path}/messages/{message_id}",
    response_model=None,
    responses={**described(model_of(SessionMessage), "The message as it is now"), **NAMED, **CONFLICT},
    dependencies=[Depends(no_query)],
)
async def update_session_message(request: Request, session_id: str, message_id: str, body: UpdateMessage) -> Response:
    """Change a message; what is left out stays."""
    found = await _message_of(request, session_id, message_id)
    given: dict[str, Any] = {name: getattr(body, name) for name in body.model_fields_set}
    return answer(shown_message(await store_of(request).messages.edit(found.id, **given)))


@router.delete(
    "/{session_id:path}/messages/{message_id}",
    status_code=204,
    response_model=None,
    responses=NAMED,
    dependencies=[Depends(no_query)],
)
async def delete_session_message(request: Request, session_id: str, message_id: str) -> Response:
    """Delete a message's content; its calls and their cost stay in the figures."""
    await store_of(request).messages.delete((await _message_of(request, session_id, message_id)).id)
    return Response(status_code=204)


@router.delete(
    "/{session_id:path}/clear-messages",
    response_model=None,
    responses={**described(model_of(Deleted), "How many messages were deleted"), **NAMED},
    dependencies=[Depends(no_query)],
)
async def clear_session_messages(request: Request, session_id: str) -> Response:
    """Delete the content of all messages of a session; its calls and their cost stay in the figures."""
    session = await session_of(request, session_id)
    return answer(Deleted(deleted=await store_of(request).messages.clear(session.id)))


# An id may hold slashes, so these routes are the last: they take whatever the others leave.
@router.get(
    "/{session_id:path}",
    response_model=None,
    responses={**described(model_of(AgentSession), "The session"), **NAMED},
    dependencies=[Depends(no_query)],
)
async def get_agent_session(request: Request, session_id: str) -> Response:
    """Return a session, by its own id or by its UUID."""
    return answer(shown_session(await session_of(request, session_id)))


@router.patch(
    "/{session_id:path}",
    response_model=None,
    responses={**described(model_of(AgentSession), "The session as it is now"), **NAMED},
    dependencies=[Depends(no_query)],
)
async def update_agent_session(request: Request, session_id: str, body: UpdateSession) -> Response:
    """Change a session; what is left out stays."""
    found = await session_of(request, session_id)
    given: dict[str, Any] = {name: getattr(body, name) for name in body.model_fields_set}
    if "session_name" in given:
        given["title"] = given.pop("session_name")
    return answer(shown_session(await store_of(request).sessions.update(found.id, SessionChanges(**given))))


@router.delete(
    "/{session_id:path}", status_code=204, response_model=None, responses=NAMED, dependencies=[Depends(no_query)]
)
async def delete_agent_session(request: Request, session_id: str) -> Response:
    """Delete a session and its messages; its calls and their cost stay in the figures."""
    await store_of(request).sessions.delete((await session_of(request, session_id)).id)
    return Response(status_code=204)
