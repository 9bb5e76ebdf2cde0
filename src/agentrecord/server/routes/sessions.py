"""Sessions over REST: the list, one, its messages, tool calls, events and children."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Depends, Request, Response
from fastapi import Query as InQuery
from pydantic import Field

from agentrecord.codec.jsonable import from_json
from agentrecord.exceptions import InvalidValue
from agentrecord.records.event import Event
from agentrecord.records.message import Message, MessageRole
from agentrecord.records.page import MAX_OFFSET
from agentrecord.records.people import SessionDrivers
from agentrecord.records.session import Session, SessionChanges
from agentrecord.records.tool_call import ToolCall, ToolCallStatus
from agentrecord.server.fields import JsonText, sort_of
from agentrecord.server.routes.common import NAMED, PROBLEMS, ListQuery
from agentrecord.server.routes.lists import SessionWhere, session_filter
from agentrecord.server.wire import (
    ItemsOf,
    PageOf,
    StrictRoute,
    answer,
    changes_of,
    described,
    model_of,
    no_query,
    store_of,
)
from agentrecord.store.events import SORTS as EVENT_SORTS
from agentrecord.store.messages import SORTS as MESSAGE_SORTS
from agentrecord.store.sessions import SORTS as SESSION_SORTS
from agentrecord.store.tool_calls import SORTS as TOOL_CALL_SORTS

router = APIRouter(prefix="/api/sessions", tags=["sessions"], responses=PROBLEMS, route_class=StrictRoute)


CHANGES = changes_of(SessionChanges, metadata=JsonText | None)
"""What the body of a change may hold."""


class SessionQuery(SessionWhere, ListQuery):
    """Which sessions, in which order."""

    offset: int = Field(0, ge=0, le=MAX_OFFSET, description="Rows to leave out first; a cursor is cheaper")
    sort: str = sort_of(
        SESSION_SORTS, "-last_activity_at", "`cost`, `tree_cost`, `messages`, `created_at` …; `-` first: descending"
    )


class MessageQuery(ListQuery):
    """Which messages."""

    offset: int = Field(0, ge=0, le=MAX_OFFSET)
    role: MessageRole | None = None
    sort: str = sort_of(MESSAGE_SORTS, "sequence")


class ToolCallQuery(ListQuery):
    """Which tool calls."""

    tool: str | None = Field(None, examples=["Bash"])
    status: ToolCallStatus | None = None
    sort: str = sort_of(TOOL_CALL_SORTS, "started_at")


class EventQuery(ListQuery):
    """Which events."""

    event_type: str | None = Field(None, examples=["compaction"])
    sort: str = sort_of(EVENT_SORTS, "timestamp")


@router.get("", response_model=None, responses=described(PageOf[model_of(Session)], "Sessions"))  # type: ignore[misc]
async def list_sessions(request: Request, query: Annotated[SessionQuery, InQuery()]) -> Response:
    """List sessions, the last active first."""
    return answer(
        await store_of(request).sessions.list(
            session_filter(query), sort=query.sort, limit=query.limit, cursor=query.cursor, offset=query.offset
        )
    )


@router.get(
    "/{session_id:path}/messages",
    response_model=None,
    responses={**described(PageOf[model_of(Message)], "Messages"), **NAMED},  # type: ignore[misc]
)
async def list_messages(request: Request, session_id: str, query: Annotated[MessageQuery, InQuery()]) -> Response:
    """List a session's messages in order."""
    return answer(
        await store_of(request).messages.list(
            await _row_id(request, session_id),
            sort=query.sort,
            role=query.role,
            limit=query.limit,
            cursor=query.cursor,
            offset=query.offset,
        )
    )


@router.get(
    "/{session_id:path}/tool-calls",
    response_model=None,
    responses={**described(PageOf[model_of(ToolCall)], "Tool calls"), **NAMED},  # type: ignore[misc]
)
async def list_tool_calls(request: Request, session_id: str, query: Annotated[ToolCallQuery, InQuery()]) -> Response:
    """List what a session did with tools, the oldest first."""
    return answer(
        await store_of(request).tool_calls.list(
            session=await _row_id(request, session_id),
            tool_name=query.tool,
            status=query.status,
            sort=query.sort,
            limit=query.limit,
            cursor=query.cursor,
        )
    )


@router.get(
    "/{session_id:path}/events",
    response_model=None,
    responses={**described(PageOf[model_of(Event)], "Events"), **NAMED},  # type: ignore[misc]
)
async def list_events(request: Request, session_id: str, query: Annotated[EventQuery, InQuery()]) -> Response:
    """List what happened in a session, the oldest first."""
    return answer(
        await store_of(request).events.list(
            session=await _row_id(request, session_id),
            event_type=query.event_type,
            sort=query.sort,
            limit=query.limit,
            cursor=query.cursor,
        )
    )


@router.get(
    "/{session_id:path}/children",
    response_model=None,
    responses={**described(ItemsOf[model_of(Session)], "The sessions right below"), **NAMED},  # type: ignore[misc]
    dependencies=[Depends(no_query)],
)
async def list_children(request: Request, session_id: str) -> Response:
    """List the sessions right below one, its sub-agents."""
    return answer({"items": await store_of(request).sessions.children(await _row_id(request, session_id))})


@router.get(
    "/{session_id:path}/drivers",
    response_model=None,
    responses={**described(model_of(SessionDrivers), "What made it cost what it did"), **NAMED},
    dependencies=[Depends(no_query)],
)
async def get_drivers(request: Request, session_id: str) -> Response:
    """Return what a session and all below it cost, the model that most of it went to, and the costliest call."""
    row_id = await _row_id(request, session_id)
    found = await store_of(request).pages.session_drivers([row_id])
    return answer(found.get(row_id, SessionDrivers(cost_nanos=0, calls=0, unpriced_calls=0)))


# An id may hold slashes, so these routes are the last: they take whatever the others leave.
@router.get(
    "/{session_id:path}",
    response_model=None,
    responses={**described(model_of(Session), "The session, with the sums over its sub-agents"), **NAMED},
    dependencies=[Depends(no_query)],
)
async def get_session(request: Request, session_id: str) -> Response:
    """Return a session, by its own id or by its row id."""
    return answer(await store_of(request).sessions.get(session_id, with_subtree=True))


@router.patch(
    "/{session_id:path}",
    response_model=None,
    responses={**described(model_of(Session), "The session as it is now"), **NAMED},
    dependencies=[Depends(no_query)],
)
async def change_session(
    request: Request,
    session_id: str,
    changes: Annotated[
        dict[str, object], Body(examples=[{"title": "Fix the build", "status": "completed"}], json_schema_extra=CHANGES)
    ],
) -> Response:
    """Change a session's description and state; what is left out stays."""
    _known_fields(changes)
    wanted = from_json(SessionChanges, await request.body())
    return answer(await store_of(request).sessions.update(session_id, wanted))


def _known_fields(changes: dict[str, object]) -> None:
    for name, value in changes.items():
        if name not in SessionChanges.__dataclass_fields__:
            known = ", ".join(SessionChanges.__dataclass_fields__)
            raise InvalidValue(name, value, f"is not a field that can be changed; those are {known}")


@router.delete(
    "/{session_id:path}", status_code=204, response_model=None, responses=NAMED, dependencies=[Depends(no_query)]
)
async def delete_session(request: Request, session_id: str) -> Response:
    """Delete a session's content; its calls and their cost stay in the figures."""
    await store_of(request).sessions.delete(session_id)
    return Response(status_code=204)


async def _row_id(request: Request, session_id: str) -> UUID:
    return (await store_of(request).sessions.get(session_id)).id
