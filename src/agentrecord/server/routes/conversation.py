"""The conversation endpoint: say something, get the agent's answer, at once or as it comes."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any  # `Any`: an answer is JSON
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from agentrecord.agents.conversation import Conversations
from agentrecord.codec.values import name as checked_as_name
from agentrecord.ids import new_id
from agentrecord.records.message import MessageRole, NewMessage
from agentrecord.records.turn import ConversationTurn, NewTurn, TurnResponse, TurnStatus
from agentrecord.server.fields import Name
from agentrecord.server.leaving import unless_gone
from agentrecord.server.routes.agent_sessions import checked_name
from agentrecord.server.routes.common import CONFLICT, MISSING, PROBLEMS, UPSTREAM
from agentrecord.server.sse import EVENT_STREAM, last_seen, resumed_after, stream, wants_stream
from agentrecord.server.wire import JSON, StrictRoute, answer, described, model_of, no_query, owner_of, store_of

router = APIRouter(
    prefix="/api/agent-sessions/conversation", tags=["conversation"], responses=PROBLEMS, route_class=StrictRoute
)
STREAMED: dict[str, Any] = {"content": {EVENT_STREAM: {"schema": {"type": "string"}}}}


class ConversationMessage(BaseModel):
    """Something said."""

    model_config = ConfigDict(extra="forbid")
    role: MessageRole = Field(examples=["user"])
    content: str = Field(min_length=1, strict=True, examples=["Hello, I need help with project planning"])


class ConversationRequest(BaseModel):
    """What is said now, and in which session; the session is made if it is not there."""

    model_config = ConfigDict(extra="forbid")
    messages: list[ConversationMessage] = Field(min_length=1, max_length=1000)
    session_id: Name | None = Field(None, min_length=1, max_length=255, strict=True, examples=["my-session-001"])
    session_name: str | None = Field(None, max_length=1_000_000, strict=True, examples=["Project Planning Chat"])
    agent_name: Name | None = Field(None, min_length=1, max_length=255, strict=True, examples=["Planning Assistant"])
    agent_instructions: str | None = Field(
        None, max_length=1_000_000, strict=True, examples=["You are a helpful project planning assistant."]
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnState:
    """A turn as it stands; its `response` is what the conversation endpoint answered."""

    turn_id: UUID
    status: TurnStatus
    session_uuid: UUID
    run_id: UUID
    response: str | None
    error_type: str | None
    error_message: str | None
    last_event: int
    created_at: datetime
    finished_at: datetime | None


def conversations_of(request: Request) -> Conversations:
    """Return what answers in this process."""
    found: Conversations = request.app.state.conversations
    return found


def _state(turn: ConversationTurn) -> TurnState:
    return TurnState(
        turn_id=turn.id, status=turn.status, session_uuid=turn.session_uuid, run_id=turn.run_uuid,
        response=turn.response, error_type=turn.error_type, error_message=turn.error_message,
        last_event=turn.last_event, created_at=turn.created_at, finished_at=turn.finished_at,
    )  # fmt: skip


def _asked(body: ConversationRequest, key: str | None) -> NewTurn:
    said = body.model_dump_json(exclude_none=True)
    return NewTurn(
        session_id=checked_name(body.session_id or f"conversation-{new_id()}"),
        messages=tuple(NewMessage(role=message.role, content=message.content) for message in body.messages),
        session_name=body.session_name,
        agent_name=body.agent_name,
        agent_instructions=body.agent_instructions,
        idempotency_key=None if key is None else checked_as_name("Idempotency-Key", key),
        request_hash=hashlib.sha256(said.encode()).hexdigest(),
    )


@router.post(
    "",
    status_code=201,
    response_model=None,
    responses={
        201: {"model": model_of(TurnResponse), "description": "The agent's answer"},
        200: {"description": "The answer as it comes, for clients that accept events", **STREAMED},
        **CONFLICT,
        **UPSTREAM,
    },
    dependencies=[Depends(no_query)],
)
async def converse(
    request: Request,
    body: ConversationRequest,
    idempotency_key: Annotated[Name | None, Header(description="The same key again is the same turn")] = None,
) -> Response:
    """Say something in a session, made if it is not there, and return the agent's answer.

    With `Accept: text/event-stream` the answer comes as server-sent events, each with an id; a client that was cut off
    sends the request again with the same `Idempotency-Key` and the last id as `Last-Event-ID`, or follows the turn.
    """
    conversations, store = conversations_of(request), store_of(request)
    streams = wants_stream(request)
    # Before anything begins: what is refused must not have been done.
    seen = last_seen(request) if streams else None
    begun = await unless_gone(
        request,
        conversations.begin(
            store,
            _asked(body, idempotency_key),
            user=owner_of(request),
            is_resumable=streams or idempotency_key is not None,
        ),
    )
    turn = begun.turn
    if streams:
        after = 0 if begun.is_new else resumed_after(seen, turn.id)
        opening = {
            "turn_id": turn.id, "session_id": begun.session.session_id, "session_uuid": begun.session.id,
            "run_id": begun.run.run_id,
        }  # fmt: skip
        return stream(turn.id, opening, conversations.follow(store, turn.id, after=after))
    text = await unless_gone(request, conversations.result(store, turn.id))
    return Response(text, 201, media_type=JSON)


@router.get(
    "/{turn_id}",
    response_model=None,
    responses={200: {"model": model_of(TurnState), "description": "The turn"}, **MISSING},
    dependencies=[Depends(no_query)],
)
async def get_turn(request: Request, turn_id: UUID) -> Response:
    """Return a turn as it stands, or, for clients that accept events, follow it from `Last-Event-ID` to its end."""
    store = store_of(request)
    turn = await store.turns.get(turn_id)
    if wants_stream(request):
        after = resumed_after(last_seen(request), turn_id)
        return stream(turn_id, _state(turn), conversations_of(request).follow(store, turn_id, after=after))
    return answer(_state(turn))


@router.put(
    "/{turn_id}/cancel",
    response_model=None,
    responses={**described(model_of(TurnState), "The turn"), **MISSING},
    dependencies=[Depends(no_query)],
)
async def cancel_turn(request: Request, turn_id: UUID) -> Response:
    """Ask for a turn to be stopped; what was said, done and paid until then stays."""
    return answer(_state(await conversations_of(request).cancel(store_of(request), turn_id)))
