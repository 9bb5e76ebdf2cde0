"""Facts of any door as spans, and back: in the words of the GenAI conventions for whoever reads them, and with every
field under `agentrecord.` for a record, which so gets them as they were.
"""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any  # `Any`: fields and attributes are plain JSON
from uuid import UUID

import msgspec

from agentrecord.records.exchange import Carried, FactKind, Placed
from agentrecord.records.span import Span

PREFIX = "agentrecord."
_MARK = f'"{PREFIX}kind"'
_ERROR_KIND = "error_kind"
_PROMPT = "gen_ai.input.messages"
_MAX_SHOWN = 100_000
"""Longer texts are not told twice."""

_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INTERNAL, _CLIENT = 1, 3
_FAILED = 2
_RESOURCE = {"service.name": "agentrecord"}
_SCOPE = {"name": "agentrecord"}


def span_of(placed: Placed, *, now: datetime) -> Span:
    """Return a fact as a span; its times lie between 2000 and `now`, as spans' must, whatever the fact's own are."""
    fact = placed.fact
    start, end = (_nanos(min(max(at, _EARLIEST), now)) for at in (placed.began, placed.ended))
    name, told = _SHOWN[fact.kind](fact.fields)
    attributes = {**_common(placed), **told, **_own(fact)}
    data: dict[str, Any] = {
        "name": name,
        "kind": _CLIENT if fact.kind is FactKind.LLM_CALL else _INTERNAL,
        "attributes": {name: value for name, value in attributes.items() if value is not None},
    }
    if (failure := _failure(fact)) is not None:
        data["status"] = {"code": _FAILED, "message": failure}
    if fact.kind is FactKind.ERROR:
        data["events"] = [{"name": "exception", "time": start, "attributes": _exception(fact.fields)}]
    data.update(resource=_RESOURCE, scope=_SCOPE, start=start, end=end)
    parent = None if placed.parent is None else _span_id(*placed.parent)
    if parent is not None:
        data["parent"] = parent
    return Span(
        trace_id=placed.trace.hex,
        span_id=_span_id(fact.kind, fact.id),
        parent_span_id=parent,
        start_nanos=start,
        end_nanos=end,
        data=msgspec.json.encode(data).decode(),
    )


def _nanos(at: datetime) -> int:
    delta = at - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000_000 + delta.microseconds * 1000


def _span_id(kind: FactKind, row_id: UUID) -> str:
    return hashlib.sha256(f"{kind}\x1f{row_id}".encode()).hexdigest()[:16]


def _common(placed: Placed) -> dict[str, Any]:
    fields = placed.fact.fields
    session = placed.session_id
    return {
        "session.id": session,
        "gen_ai.conversation.id": session,
        "user.id": fields.get("user"),
        "gen_ai.agent.name": fields.get("agent_id"),
    }


def _own(fact: Carried) -> dict[str, Any]:
    """Return every field, but for what is told already: the words of a prompt are those of the request's messages."""
    own: dict[str, Any] = {f"{PREFIX}kind": fact.kind.value, f"{PREFIX}id": str(fact.id)}
    for name, value in fact.fields.items():
        # What a fact is has the name already.
        own[PREFIX + (_ERROR_KIND if name == "kind" else name)] = value
    if "prompt" in fact.fields:
        kept = ("role", "message_uuid", "revision")
        own[f"{PREFIX}prompt"] = [
            {name: part[name] for name in kept if part[name] is not None} for part in fact.fields["prompt"]
        ]
    return own


def _failure(fact: Carried) -> str | None:
    if fact.kind is FactKind.ERROR or fact.fields.get("status") == "error":
        return str(fact.fields.get("error_message") or "failed")
    return None


def _exception(fields: Mapping[str, Any]) -> dict[str, Any]:
    told = {
        "exception.type": fields.get("error_type"),
        "exception.message": fields.get("error_message"),
        "exception.stacktrace": fields.get("stack_trace"),
    }
    return {name: value for name, value in told.items() if value is not None}


# -- in the words of others ------------------------------------------------------------------------------------------


def _session(fields: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    return f"session {fields['session_id']}", {}


def _run(fields: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    told = {
        "gen_ai.operation.name": "invoke_agent",
        "input.value": _short(fields.get("objective")),
        "output.value": _short(fields.get("final_synthesis_output")),
    }
    return f"invoke_agent {fields.get('agent_id') or fields['run_id']}", told


def _message(fields: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    return f"message {fields['role']}", {}


def _call(fields: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    kinds = ("input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens")
    given = [fields[name] for name in kinds if name in fields]
    written = [fields[name] for name in kinds[2:] if name in fields]
    answer, cost = _short(fields.get("response_content")), fields.get("cost_nanos")
    host, model = fields.get("host") or None, fields.get("model") or None
    told = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": host.lower() if host else None,
        "gen_ai.request.model": model,
        "gen_ai.response.id": fields.get("request_id"),
        "gen_ai.usage.input_tokens": sum(given) if given else None,
        "gen_ai.usage.output_tokens": fields.get("output_tokens"),
        "gen_ai.usage.cache_read.input_tokens": fields.get("cache_read_tokens"),
        "gen_ai.usage.cache_creation.input_tokens": sum(written) if written else None,
        "gen_ai.usage.reasoning.output_tokens": fields.get("reasoning_tokens"),
        "llm.cost.total": None if cost is None else cost / 1e9,
        _PROMPT: _said((part["role"], part["content"]) for part in fields.get("prompt", ())),
        "gen_ai.output.messages": None if answer is None else _said([("assistant", answer)]),
    }
    return f"chat {model or 'unknown'}", told


def _tool(fields: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    told = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": fields["tool_name"],
        "gen_ai.tool.call.id": fields.get("call_ref"),
        "gen_ai.tool.call.arguments": _short(fields.get("arguments")),
        "gen_ai.tool.call.result": _short(fields.get("result")),
    }
    return f"execute_tool {fields['tool_name']}", told


def _event(fields: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    return fields["event_type"], {}


def _error(fields: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    return f"error {fields['error_type']}", {"error.type": fields["error_type"]}


def _short(text: Any) -> str | None:
    return text if isinstance(text, str) and len(text) <= _MAX_SHOWN else None


def _said(messages: Any) -> str | None:
    found = [
        {"role": role or "user", "parts": [{"type": "text", "content": content or ""}]} for role, content in messages
    ]
    return msgspec.json.encode(found).decode() if found else None


_SHOWN = {
    FactKind.SESSION: _session,
    FactKind.RUN: _run,
    FactKind.MESSAGE: _message,
    FactKind.LLM_CALL: _call,
    FactKind.TOOL_CALL: _tool,
    FactKind.EVENT: _event,
    FactKind.ERROR: _error,
}


# -- and back --------------------------------------------------------------------------------------------------------


def fact_in(span: Span) -> Carried | None:
    """Return the fact that a span carries from another record, None if it carries none.

    Raises `ValueError` if it should carry one and does not.
    """
    if _MARK not in span.data:
        return None
    attributes = msgspec.json.decode(span.data).get("attributes", {})
    if f"{PREFIX}kind" not in attributes:
        return None
    fields = {
        name.removeprefix(PREFIX): value
        for name, value in attributes.items()
        if name.startswith(PREFIX) and value is not None
    }
    told, row_id = fields.pop("kind"), fields.pop("id", None)
    if _ERROR_KIND in fields:
        fields["kind"] = fields.pop(_ERROR_KIND)
    try:
        kind, row = FactKind(told), UUID(row_id)
    except (ValueError, TypeError, AttributeError):
        reason = (
            f"span {span.span_id} says it is the {str(told)[:40]!r} {str(row_id)[:40]!r} of a record, which is none"
        )
        raise ValueError(reason) from None
    if "prompt" in fields:
        fields["prompt"] = _with_words(span, fields["prompt"], attributes.get(_PROMPT))
    return Carried(kind=kind, id=row, fields=fields)


def _with_words(span: Span, parts: Any, told: Any) -> list[dict[str, Any]]:
    try:
        words = [message["parts"][0]["content"] for message in msgspec.json.decode(told)]
        return [{**part, "content": content} for part, content in zip(parts, words, strict=True)]
    except (msgspec.DecodeError, TypeError, KeyError, IndexError, ValueError) as error:
        reason = f"span {span.span_id} has a prompt whose words are not those of its {_PROMPT}; send it whole"
        raise ValueError(reason) from error
