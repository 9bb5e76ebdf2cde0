"""Records to rows for the tables that are written most, checked by the one validator on the way."""

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any  # `Any`: rows hold whatever their columns hold
from uuid import UUID

import msgspec

from agentrecord.codec import values
from agentrecord.engine import Connection
from agentrecord.ids import ProjectId, UserId
from agentrecord.records.llm_call import CostSource, LLMCall, NewLLMCall
from agentrecord.records.message import Message, NewMessage, Part
from agentrecord.records.scope import Scope
from agentrecord.records.tokens import TokenCounts
from agentrecord.records.usage import UsageTotals
from agentrecord.store import _charging
from agentrecord.store import _refs as refs

_PARTS = msgspec.json.Decoder(tuple[Part, ...])
TOKEN_COLUMNS = {
    "input_tokens": "input",
    "cache_read_tokens": "cache_read",
    "cache_write_5m_tokens": "cache_write_5m",
    "cache_write_1h_tokens": "cache_write_1h",
    "output_tokens": "output",
    "reasoning_tokens": "reasoning",
    "unclassified_tokens": "unclassified",
}
NO_USAGE = UsageTotals()
_CALL_FIELDS = tuple(f.name for f in fields(LLMCall) if f.name not in ("tokens", "model", "host"))


def _optional_text(field: str, value: str | None) -> str | None:
    return None if value is None else values.text(field, value)


def _optional_json(field: str, value: str | None) -> str | None:
    return None if value is None else values.json_text(field, value)


def _optional_count(field: str, value: int | None) -> int | None:
    return None if value is None else values.integer(field, value, minimum=0)


def parts_text(parts: tuple[Part, ...]) -> str | None:
    """Return a message's parts as JSON text; None for none."""
    if not parts:
        return None
    for part in parts:
        for name in ("text", "call_ref", "name", "media_type"):
            _optional_text(f"parts.{name}", getattr(part, name))
        _optional_count("parts.size_bytes", part.size_bytes)
    return msgspec.json.encode(parts).decode()


def parts_of(text: str | None) -> tuple[Part, ...]:
    """Return JSON text as a message's parts."""
    return () if text is None else _PARTS.decode(text)


def message_row(
    project: ProjectId, session: UUID, user: UserId, new: NewMessage, *, message: UUID, sequence: int, now: datetime
) -> dict[str, Any]:
    """Return a new message as a row."""
    created_at = now if new.created_at is None else values.moment("created_at", new.created_at)
    return {
        "project_id": project,
        "id": message,
        "serial": None,
        "session_uuid": session,
        "user_uuid": user,
        "sequence": sequence,
        "role": new.role,
        "content": values.text("content", new.content),
        "revision": 1,
        "message_id": _optional_text("message_id", new.message_id),
        "parts": parts_text(new.parts),
        "tool_call_id": _optional_text("tool_call_id", new.tool_call_id),
        "tool_name": _optional_text("tool_name", new.tool_name),
        "tools_used": values.texts("tools_used", new.tools_used),
        "extra_data": _optional_json("extra_data", new.extra_data),
        "metadata": _optional_json("metadata", new.metadata),
        "model_used": _optional_text("model_used", new.model_used),
        "response_time_ms": _optional_count("response_time_ms", new.response_time_ms),
        "run_uuid": new.run_uuid,
        "created_at": created_at,
        "updated_at": created_at,
        "deleted_at": None,
    }


def message_of(row: dict[str, Any], usage: UsageTotals = NO_USAGE) -> Message:
    """Return a message's row as a record."""
    return Message(
        id=row["id"],
        serial=row["serial"],
        session_uuid=row["session_uuid"],
        user_uuid=row["user_uuid"],
        sequence=row["sequence"],
        role=row["role"],
        content=row["content"],
        revision=row["revision"],
        message_id=row["message_id"],
        parts=parts_of(row["parts"]),
        tool_call_id=row["tool_call_id"],
        tool_name=row["tool_name"],
        tools_used=row["tools_used"],
        extra_data=row["extra_data"],
        metadata=row["metadata"],
        model_used=row["model_used"],
        response_time_ms=row["response_time_ms"],
        run_uuid=row["run_uuid"],
        usage=usage,
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        deleted_at=row["deleted_at"],
    )


def _token_columns(tokens: TokenCounts) -> dict[str, int | None]:
    found: dict[str, int | None] = {}
    for column, name in TOKEN_COLUMNS.items():
        value = getattr(tokens, name)
        found[column] = None if value is None else values.tokens(f"tokens.{name}", value)
    return found


def call_row(
    conn: Connection,
    scope: Scope,
    new: NewLLMCall,
    *,
    call: UUID,
    user: UserId,
    agent: UUID | None,
    version: UUID | None = None,
    session: UUID | None = None,
    message: UUID | None = None,
) -> dict[str, Any]:
    """Return a new call as a row, priced; a call that names no session or message belongs to those given."""
    at = conn.now if new.timestamp is None else values.moment("timestamp", new.timestamp)
    tokens = _token_columns(new.tokens)
    if new.cost_nanos is not None:
        given = values.integer("cost_nanos", new.cost_nanos, minimum=0, maximum=10**15)
        charge = _charging.Charge(given, CostSource.PROVIDER, None)
    else:
        charge = _charging.charge(conn, scope.project, model=new.model, host=new.host, tokens=new.tokens, at=at)
    return {
        "project_id": scope.project,
        "id": call,
        "serial": None,
        "user_uuid": user,
        "agent_uuid": agent,
        "agent_version_uuid": version,
        "session_uuid": new.session_uuid or session,
        "session_ref": None,
        "run_uuid": new.run_uuid,
        "run_ref": None if new.run_uuid is not None or new.run_ref is None else refs.ref(new.run_ref),
        "message_uuid": new.message_uuid or message,
        "model_uuid": _charging.model_uuid(conn, new.model, new.host),
        "is_subagent": new.is_subagent,
        "dedup_key": _optional_text("dedup_key", new.dedup_key),
        "request_id": _optional_text("request_id", new.request_id),
        "prompt_uuid": None,
        "prompt_length": _optional_count("prompt_length", new.prompt_length),
        "input_params": _optional_json("input_params", new.input_params),
        "response_content": _optional_text("response_content", new.response_content),
        "response_length": _optional_count("response_length", new.response_length),
        **tokens,
        "usage_metrics": _optional_json("usage_metrics", new.usage_metrics),
        "status": new.status,
        "error_message": _optional_text("error_message", new.error_message),
        "latency_ms": _optional_count("latency_ms", new.latency_ms),
        "time_to_first_token_ms": _optional_count("time_to_first_token_ms", new.time_to_first_token_ms),
        "cost_nanos": charge.cost_nanos,
        "cost_source": charge.cost_source,
        "price_uuid": charge.price_uuid,
        "origin": new.origin,
        "timestamp": at,
        "created_at": conn.now,
    }


def tokens_of(row: Mapping[str, Any]) -> TokenCounts:
    """Return the token columns of a call's row as a record."""
    return TokenCounts(**{name: row[column] for column, name in TOKEN_COLUMNS.items()})


def call_of(row: dict[str, Any], model: str | None, host: str | None) -> LLMCall:
    """Return a call's row as a record."""
    return LLMCall(
        **{name: row[name] for name in _CALL_FIELDS},
        tokens=tokens_of(row),
        model=model or None,
        host=host or None,
    )
