"""How a turn ends: whatever it left open is closed, and its client is told one last thing."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any  # `Any`: rows hold whatever their columns hold
from uuid import UUID

from sqlalchemy import bindparam, select, update

from agentrecord.codec import values
from agentrecord.codec.jsonable import to_json
from agentrecord.engine import Connection, Prepared
from agentrecord.exceptions import InvalidValue
from agentrecord.records.error import NewError
from agentrecord.records.scope import Scope
from agentrecord.records.session import Session
from agentrecord.records.tool_call import ToolCallStatus
from agentrecord.records.turn import LAST_EVENTS, TurnEnd, TurnEvent, TurnResponse, TurnStatus
from agentrecord.schema import tool_calls, turn_events, turns
from agentrecord.store import errors, messages, runs, sessions
from agentrecord.store import tool_calls as tool_store
from agentrecord.store._open_calls import close_calls
from agentrecord.store._sql import bound_within, insert_into, scope_params

_ADD_EVENT = insert_into(turn_events)
_OPEN_TOOLS = Prepared(
    select(tool_calls.c.id).where(
        *bound_within(tool_calls),
        tool_calls.c.run_uuid == bindparam("run"),
        tool_calls.c.status == ToolCallStatus.PENDING,
    )
)
_OF_TURN = (turns.c.project_id == bindparam("project"), turns.c.id == bindparam("turn"))
_ANSWERED = Prepared(update(turns).where(*_OF_TURN).values(response=bindparam("told", type_=turns.c.response.type)))
_FAILED = Prepared(
    update(turns)
    .where(*_OF_TURN)
    .values(
        status=bindparam("ended", type_=turns.c.status.type),
        error_type=bindparam("kind", type_=turns.c.error_type.type),
        error_message=bindparam("message", type_=turns.c.error_message.type),
    )
)


def add_events(
    conn: Connection, scope: Scope, row: Mapping[str, Any], events: Sequence[tuple[str, str]]
) -> tuple[TurnEvent, ...]:
    """Store events whose numbers the turn's row, as it is now, has counted already."""
    first = row["last_event"] - len(events) + 1
    told = [
        TurnEvent(sequence=first + n, event=values.name("event", event), data=values.json_text("data", data))
        for n, (event, data) in enumerate(events)
    ]
    conn.many(
        _ADD_EVENT,
        [
            {
                "project_id": scope.project,
                "turn_uuid": row["id"],
                "user_uuid": row["user_uuid"],
                "sequence": one.sequence,
                "event": one.event,
                "data": one.data,
                "created_at": conn.now,
            }
            for one in told
        ],
    )
    return tuple(told)


def end_of(conn: Connection, scope: Scope, row: Mapping[str, Any], end: TurnEnd) -> None:
    """Store how a turn ended, whose row has its `finished_at` already: reply, run, error, calls, last event."""
    session = sessions.find(conn, scope, row["session_uuid"])
    if session is None:
        end = TurnEnd(status=TurnStatus.CANCELLED, error_type="SessionDeleted", error_message="the session is gone")
    _close_tools(conn, scope, row["run_uuid"])
    session_uuid = None if session is None else session.id
    close_calls(conn, scope, row["run_uuid"], session=session_uuid, ended="the turn ended")
    if end.status is TurnStatus.COMPLETED and session is not None:
        told = _answer(conn, scope, row, session, end)
        conn.run(_ANSWERED, {"project": scope.project, "turn": row["id"], "told": told})
    else:
        told = to_json({"type": end.error_type, "detail": end.error_message}).decode()
        _close_run(conn, scope, row, end, has_session=session is not None)
        failed = {"ended": end.status, "kind": end.error_type, "message": end.error_message}
        conn.run(_FAILED, {"project": scope.project, "turn": row["id"], **failed})
    add_events(conn, scope, row, [(LAST_EVENTS[end.status], told)])


def _answer(conn: Connection, scope: Scope, row: Mapping[str, Any], session: Session, end: TurnEnd) -> str:
    message = end.reply_uuid
    if end.reply is not None:
        reply = replace(end.reply, run_uuid=row["run_uuid"])
        message = messages.append(conn, scope, session.id, [reply]).messages[0].id
    if message is None:
        raise InvalidValue("reply", None, "a completed turn has a reply")
    content = messages.get(conn, scope, message).content
    run = runs.get(conn, scope, row["run_uuid"])
    if not run.status.is_final:
        run = runs.finish(conn, scope, run.id, output=content)
    session = sessions.get(conn, scope, session.id)
    response = TurnResponse(
        session_id=session.session_id, session_uuid=session.id, response=content,
        messages_count=session.message_count, session_active=session.is_active, model=end.model, run_id=run.run_id,
        turn_id=row["id"], message_id=message, usage=run.usage,
    )  # fmt: skip
    return to_json(response).decode()


def _close_run(conn: Connection, scope: Scope, row: Mapping[str, Any], end: TurnEnd, *, has_session: bool) -> None:
    message = end.error_message or end.error_type or "unknown"
    if runs.get(conn, scope, row["run_uuid"]).status.is_final:
        # Its runner ended it by itself.
        return
    if end.status is TurnStatus.CANCELLED:
        runs.cancel(conn, scope, row["run_uuid"], reason=message)
        return
    runs.fail(conn, scope, row["run_uuid"], message)
    if has_session:
        error = NewError(
            error_type=end.error_type or "TurnFailed", error_message=message,
            session_uuid=row["session_uuid"], run_uuid=row["run_uuid"],
        )  # fmt: skip
        errors.record(conn, scope, error)


def _close_tools(conn: Connection, scope: Scope, run: UUID) -> None:
    open_calls = conn.rows(_OPEN_TOOLS, {**scope_params(scope), "run": run})
    for (call,) in open_calls:
        tool_store.finish(conn, scope, call, error_message="interrupted: the turn ended before the tool answered")
