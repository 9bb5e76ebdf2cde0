"""Uses of tools that are told as events alone: each becomes a tool call too, with the id of its event."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, cast  # `Any`: rows and JSON hold whatever they hold

import msgspec

from agentrecord.codec import values
from agentrecord.engine import Connection
from agentrecord.exceptions import InvalidValue
from agentrecord.records.change import ChangeKind
from agentrecord.records.event import EventType
from agentrecord.records.scope import Scope
from agentrecord.records.tool_call import ToolCallStatus
from agentrecord.schema import tool_calls
from agentrecord.store._arrivals import announcing
from agentrecord.store._figures import Figures
from agentrecord.store._sql import insert_into

TOOL_CALL = "tool_call"
UNKNOWN_TOOL = "unknown"
_TELLING = frozenset({TOOL_CALL, EventType.ACTION_EXECUTION_COMPLETED})
_LONGEST_MS = 10**11
_ADD = announcing(insert_into(tool_calls), ChangeKind.TOOL_CALL)


def record_uses(conn: Connection, scope: Scope, event_rows: Sequence[dict[str, Any]]) -> None:
    """Store and count the uses of tools among events that are being recorded."""
    uses = [use for row in event_rows if row["event_type"] in _TELLING and (use := _use_of(row)) is not None]
    if not uses:
        return
    conn.many(_ADD, uses)
    figures = Figures(scope.project, conn.now)
    for use in uses:
        failed = use["status"] is ToolCallStatus.ERROR
        figures.tool(use, calls=1, errors=int(failed), duration_ms=use["duration_ms"])
    figures.apply(conn)


def _use_of(event: dict[str, Any]) -> dict[str, Any] | None:
    told: Any = msgspec.json.decode(event["data"]) if event["data"] else None
    if not isinstance(told, dict):
        return None
    said = cast("dict[str, Any]", told)
    result = said.get("result", said.get("result_preview"))
    error = said.get("error") or (isinstance(result, dict) and _is_error(cast("dict[str, Any]", result)))
    duration = _duration_ms(said)
    return {
        "project_id": event["project_id"],
        "id": event["id"],
        "serial": None,
        "tool_name": _name(said),
        "call_ref": None,
        "user_uuid": event["user_uuid"],
        "agent_uuid": event["agent_uuid"],
        "arguments": _text(said.get("args", said.get("arguments"))),
        "result": _text(result),
        "status": ToolCallStatus.ERROR if error else ToolCallStatus.SUCCESS,
        "error_message": _text(said.get("error")) if error else None,
        "session_uuid": event["session_uuid"],
        "run_uuid": event["run_uuid"],
        "message_uuid": None,
        "result_message_uuid": None,
        "started_at": event["timestamp"] - timedelta(milliseconds=duration or 0),
        "finished_at": event["timestamp"],
        "duration_ms": duration,
        "created_at": event["created_at"],
    }


def _name(said: dict[str, Any]) -> str:
    """Return the tool's name; an event is not refused because what it says of a tool is not a name."""
    try:
        return values.name("tool_name", said.get("tool_name", said.get("action")))
    except InvalidValue:
        return UNKNOWN_TOOL


def _is_error(result: dict[str, Any]) -> bool:
    return result.get("status") == "error"


def _duration_ms(said: dict[str, Any]) -> int | None:
    told = said.get("latency_ms", said.get("duration_ms"))
    if isinstance(told, bool) or not isinstance(told, (int, float)) or not 0 <= told <= _LONGEST_MS:
        return None
    return round(told)


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()
