"""Which columns of a row travel between records, and how a value is written as plain JSON and read again.

What each record counts or numbers itself stays at home: figures, integer ids, when a row was stored or last changed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, cast  # `Any`: rows hold whatever their columns hold
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Table

from agentrecord.codec import values
from agentrecord.exceptions import InvalidValue
from agentrecord.records.exchange import FactKind
from agentrecord.records.message import Part
from agentrecord.records.run import ReportedTotals
from agentrecord.schema import errors, events, llm_calls, messages, runs, sessions, tool_calls
from agentrecord.schema.types import EnumText, Flag, Id, Micros, Real, Whole, WordList

_MAX_COST_NANOS = 10**15


@dataclass(frozen=True, slots=True)
class Kind:
    """How facts of a kind lie in their table: what travels, and in which order they are read."""

    table: Table
    columns: tuple[str, ...]
    order: tuple[ColumnElement[Any], ...]
    began: str
    ended: str | None = None


KINDS: Mapping[FactKind, Kind] = {
    FactKind.SESSION: Kind(
        sessions,
        ("session_id", "agent_name", "agent_instructions", "title", "description", "is_active", "status", "purpose",
         "business_context", "tags", "quality_score", "user_satisfaction", "learning_outcomes", "source",
         "parent_uuid", "root_uuid", "metadata", "created_at", "last_activity_at"),
        (sessions.c.created_at, sessions.c.id), "created_at", "last_activity_at",
    ),
    FactKind.RUN: Kind(
        runs,
        ("run_id", "agent_name", "objective", "additional_context", "status", "status_reason", "error_message",
         "total_iterations", "reported", "final_synthesis_output", "execution_history", "session_uuid", "parent_uuid",
         "trace_id", "metadata", "created_at", "started_at", "finished_at", "heartbeat_at"),
        (runs.c.created_at, runs.c.id), "started_at", "finished_at",
    ),
    FactKind.MESSAGE: Kind(
        messages,
        ("session_uuid", "role", "content", "revision", "message_id", "parts", "tool_call_id", "tool_name",
         "tools_used", "extra_data", "metadata", "model_used", "response_time_ms", "run_uuid", "created_at",
         "updated_at", "deleted_at"),
        (messages.c.session_uuid, messages.c.sequence), "created_at",
    ),
    FactKind.LLM_CALL: Kind(
        llm_calls,
        ("session_uuid", "run_uuid", "run_ref", "message_uuid", "is_subagent", "dedup_key", "request_id",
         "prompt_length", "input_params", "response_content", "response_length", "input_tokens", "cache_read_tokens",
         "cache_write_5m_tokens", "cache_write_1h_tokens", "output_tokens", "reasoning_tokens",
         "unclassified_tokens", "usage_metrics", "status", "error_message", "latency_ms", "time_to_first_token_ms",
         "cost_nanos", "cost_source", "origin", "timestamp"),
        (llm_calls.c.timestamp, llm_calls.c.id), "timestamp",
    ),
    FactKind.TOOL_CALL: Kind(
        tool_calls,
        ("tool_name", "call_ref", "arguments", "result", "status", "error_message", "session_uuid", "run_uuid",
         "message_uuid", "result_message_uuid", "started_at", "finished_at", "duration_ms"),
        (tool_calls.c.id,), "started_at", "finished_at",
    ),
    FactKind.EVENT: Kind(
        events,
        ("event_type", "agent_name", "run_uuid", "run_ref", "session_uuid", "session_sequence", "run_sequence",
         "parent_event_uuid", "span_id", "data", "duration_ms", "timestamp"),
        (events.c.timestamp, events.c.id), "timestamp",
    ),
    FactKind.ERROR: Kind(
        errors,
        ("kind", "error_type", "error_message", "tool_name", "error_code", "stack_trace", "context", "session_uuid",
         "run_uuid", "tool_call_uuid", "llm_call_uuid", "is_resolved", "resolved_at", "created_at"),
        (errors.c.created_at, errors.c.id), "created_at",
    ),
}  # fmt: skip

_NAMES = frozenset({"session_id", "run_id", "tool_name", "event_type", "error_type"})
_JSON = frozenset({"metadata", "data", "extra_data", "input_params", "usage_metrics", "context"})
_SHAPED: Mapping[str, Any] = {"parts": tuple[Part, ...], "reported": ReportedTotals}
_TOKENS = frozenset(name for name in KINDS[FactKind.LLM_CALL].columns if name.endswith("_tokens"))


def plain(value: object) -> Any:
    """Return a column's value as plain JSON."""
    match value:
        case StrEnum():
            return value.value
        case UUID():
            return str(value)
        case datetime():
            return value.isoformat()
        case tuple():
            return [plain(item) for item in value]
        case _:
            return value


def typed(kind: FactKind, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a fact as the columns that travel; raise `InvalidValue` for one that no row can hold."""
    found: dict[str, Any] = {}
    for name in KINDS[kind].columns:
        column, value = KINDS[kind].table.c[name], fields.get(name)
        if value is not None:
            found[name] = _checked(name, column.type, value)
        elif column.nullable or column.server_default is not None:
            found[name] = () if isinstance(column.type, WordList) else None
        else:
            raise InvalidValue(name, None, f"is missing; a {kind} has it")
    return found


def _identity(name: str, value: object) -> UUID:
    """Return a row id; raise `InvalidValue` if it is none."""
    try:
        return UUID(cast(str, value))
    except (ValueError, AttributeError, TypeError):
        raise InvalidValue(name, value, "is no row id; write a UUID") from None


def _checked(name: str, kind: object, value: Any) -> Any:
    match kind:
        case Id():
            return _identity(name, value)
        case Micros():
            return _moment(name, value)
        case Whole():
            return _number(name, value)
        case Real():
            return values.fraction(name, value)
        case Flag():
            return _flag(name, value)
        case EnumText():
            return _member(name, kind.members, value)
        case WordList():
            return _words(name, value)
        case _:
            return _text(name, value)


def _text(name: str, value: Any) -> str:
    if name in _NAMES:
        return values.name(name, value)
    if name in _JSON or name in _SHAPED:
        checked = values.json_text(name, value)
        if name in _SHAPED:
            _shaped(name, checked)
        return checked
    return values.text(name, value)


def _shaped(name: str, value: str) -> None:
    try:
        msgspec.json.decode(value, type=_SHAPED[name])
    except msgspec.DecodeError as error:
        raise InvalidValue(name, value[:80], f"has not the shape that it must have: {error}") from error


def _moment(name: str, value: object) -> datetime:
    try:
        return values.moment(name, datetime.fromisoformat(cast(str, value)))
    except (ValueError, TypeError):
        raise InvalidValue(name, value, "is no time; write it as ISO 8601 with its zone") from None


def _number(name: str, value: object) -> int:
    if name in _TOKENS:
        return values.tokens(name, value)
    return values.integer(
        name, value, minimum=0, maximum=_MAX_COST_NANOS if name == "cost_nanos" else values.MAX_INTEGER
    )


def _flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidValue(name, value, "must be true or false")
    return value


def _member(name: str, members: type[StrEnum], value: Any) -> StrEnum:
    try:
        return members(value)
    except ValueError:
        raise InvalidValue(name, value, f"must be one of: {', '.join(members)}") from None


def _words(name: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise InvalidValue(name, value, "must be a list of texts")
    return values.texts(name, tuple(value))
