"""Tool calls: record their start and their end, read them, and count how tools fare."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any  # `Any`: rows hold whatever their columns hold
from uuid import UUID

from sqlalchemy import func, literal_column, select, update

from agentrecord.codec import values
from agentrecord.engine import Connection
from agentrecord.exceptions import Conflict, InvalidTransition, NotFound
from agentrecord.ids import UserId
from agentrecord.records.change import ChangeKind
from agentrecord.records.page import Page
from agentrecord.records.scope import Scope
from agentrecord.records.tool_call import NewToolCall, ToolCall, ToolCallStatus, ToolFigures
from agentrecord.schema import messages, tool_calls, tool_days
from agentrecord.store import owners
from agentrecord.store._arrivals import announcing, note
from agentrecord.store._days import touched
from agentrecord.store._figures import Figures
from agentrecord.store._page import moving, page
from agentrecord.store._sql import insert_into, total, within

ADD_TOOL_CALL = announcing(insert_into(tool_calls), ChangeKind.TOOL_CALL)
_RESULT = messages.alias("result_message")
SELECT_TOOL_CALL = select(
    *[c for c in tool_calls.c if c.name not in ("project_id", "agent_uuid", "created_at", "result")],
    func.coalesce(tool_calls.c.result, _RESULT.c.content).label("result"),
).select_from(
    tool_calls.outerjoin(
        _RESULT,
        (_RESULT.c.project_id == tool_calls.c.project_id) & (_RESULT.c.id == tool_calls.c.result_message_uuid),
    )
)
SORTS = {
    "started_at": tool_calls.c.started_at,
    "duration_ms": tool_calls.c.duration_ms,
    "tool_name": tool_calls.c.tool_name,
}


def tool_call_of(row: Mapping[str, Any]) -> ToolCall:
    """Return a row of `SELECT_TOOL_CALL` as a tool call."""
    return ToolCall(**{name: value for name, value in row.items() if name != "page_key"})


def tool_row(
    conn: Connection, scope: Scope, new: NewToolCall, *, call: UUID, user: UserId, agent: UUID | None
) -> dict[str, Any]:
    """Return a new tool call as a row."""
    return {
        "project_id": scope.project,
        "id": call,
        "serial": None,
        "tool_name": values.name("tool_name", new.tool_name),
        "call_ref": None if new.call_ref is None else values.text("call_ref", new.call_ref),
        "user_uuid": user,
        "agent_uuid": agent,
        "arguments": None if new.arguments is None else values.text("arguments", new.arguments),
        "result": None,
        "status": ToolCallStatus.PENDING,
        "error_message": None,
        "session_uuid": new.session_uuid,
        "run_uuid": new.run_uuid,
        "message_uuid": new.message_uuid,
        "result_message_uuid": None,
        "started_at": conn.now if new.started_at is None else values.moment("started_at", new.started_at),
        "finished_at": None,
        "duration_ms": None,
        "created_at": conn.now,
    }


def record(conn: Connection, scope: Scope, new: NewToolCall, *, user: str | None = None) -> ToolCall:
    """Record that a tool was called; the same `id` again is the same call.

    Raises `Conflict` if that id is another tool's call.
    """
    if new.id is not None:
        stored = conn.first_map(SELECT_TOOL_CALL.where(*within(scope, tool_calls), tool_calls.c.id == new.id))
        if stored is not None:
            if stored["tool_name"] != new.tool_name or stored["arguments"] != new.arguments:
                raise Conflict("tool call", new.id)
            return tool_call_of(stored)
    owner, agent = owners.of(conn, scope, session=new.session_uuid, run=new.run_uuid, user=user)
    row = tool_row(conn, scope, new, call=new.id or conn.new_id(), user=owner, agent=agent)
    conn.run(ADD_TOOL_CALL, row)
    figures = Figures(scope.project, conn.now)
    figures.tool(row, calls=1, errors=0, duration_ms=None)
    figures.apply(conn)
    return get(conn, scope, row["id"])


def finish(
    conn: Connection,
    scope: Scope,
    call: UUID,
    *,
    result: str | None = None,
    error_message: str | None = None,
    finished_at: datetime | None = None,
    duration_ms: int | None = None,
) -> ToolCall:
    """Record what a tool gave back; with an `error_message` it failed.

    Without `duration_ms`, it is the time since the call started. Raises `InvalidTransition` if it ended before.
    """
    old = conn.first_map(select(tool_calls).where(*within(scope, tool_calls), tool_calls.c.id == call))
    if old is None:
        raise NotFound("tool call", call)
    status = ToolCallStatus.SUCCESS if error_message is None else ToolCallStatus.ERROR
    ended = conn.now if finished_at is None else values.moment("finished_at", finished_at)
    if duration_ms is not None:
        values.integer("duration_ms", duration_ms, minimum=0)
    if duration_ms is None and old["started_at"] is not None:
        duration_ms = max(0, round((ended - old["started_at"]).total_seconds() * 1000))
    changed = conn.first(
        update(tool_calls)
        .where(
            tool_calls.c.project_id == scope.project,
            tool_calls.c.id == call,
            tool_calls.c.status == ToolCallStatus.PENDING,
        )
        .values(
            status=status,
            result=None if result is None else values.text("result", result),
            error_message=None if error_message is None else values.text("error_message", error_message),
            finished_at=ended,
            duration_ms=duration_ms,
        )
        .returning(tool_calls.c.id)
    )
    if changed is None:
        raise InvalidTransition("tool call", call, old["status"], status)
    note(conn, scope.project, ChangeKind.TOOL_CALL, call, old["user_uuid"])
    figures = Figures(scope.project, conn.now)
    figures.tool(old, calls=0, errors=int(status is ToolCallStatus.ERROR), duration_ms=duration_ms)
    figures.apply(conn)
    return get(conn, scope, call)


def get(conn: Connection, scope: Scope, call: UUID) -> ToolCall:
    """Return a tool call; raise `NotFound` if it is not there."""
    row = conn.first_map(SELECT_TOOL_CALL.where(*within(scope, tool_calls), tool_calls.c.id == call))
    if row is None:
        raise NotFound("tool call", call)
    return tool_call_of(row)


def list_(
    conn: Connection,
    scope: Scope,
    *,
    session: UUID | None = None,
    run: UUID | None = None,
    tool_name: str | None = None,
    status: ToolCallStatus | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    sort: str = "started_at",
    limit: int = 50,
    cursor: str | None = None,
) -> Page[ToolCall]:
    """Return tool calls, the oldest first; with a range, those that began from `since` up to `until`."""
    wanted: dict[Any, object] = {
        tool_calls.c.session_uuid: session,
        tool_calls.c.run_uuid: run,
        tool_calls.c.tool_name: tool_name,
        # Failures are few, and have an index: SQLite takes it only where the statement itself says so.
        tool_calls.c.status: literal_column("'error'") if status is ToolCallStatus.ERROR else status,
    }
    conditions = [column == value for column, value in wanted.items() if value is not None]
    started = tool_calls.c.started_at
    if since is not None:
        conditions.append(started >= moving("since", values.moment("since", since), started))
    if until is not None:
        conditions.append(started < values.moment("until", until))
    return page(
        conn, SELECT_TOOL_CALL.where(*within(scope, tool_calls), *conditions), tool_call_of,
        sorts=SORTS, sort=sort, row_id=tool_calls.c.id, limit=limit, cursor=cursor,
    )  # fmt: skip


def figures(
    conn: Connection, scope: Scope, *, since: datetime | None = None, until: datetime | None = None
) -> tuple[ToolFigures, ...]:
    """Return each tool's uses and failures on the UTC days that a range touches, the most used first."""
    conditions = [*within(scope, tool_days), *touched(tool_days.c.day, since, until)]
    names = ("calls", "errors", "duration_ms_sum", "duration_count")
    rows = conn.maps(
        select(tool_days.c.tool_name, *[total(tool_days.c[name]).label(name) for name in names])
        .where(*conditions)
        .group_by(tool_days.c.tool_name)
        .order_by(func.sum(tool_days.c.calls).desc(), tool_days.c.tool_name)
    )
    return tuple(ToolFigures(**row) for row in rows)
