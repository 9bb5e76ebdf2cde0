"""The documented models to records and back.

Models are taken by what they say, whatever class they are of: newer agents of the family bring models of their own,
which call the output `final_output` and what a provider told of a call `metadata`.
"""

import json
import math
from datetime import UTC, datetime
from enum import Enum
from typing import Any, cast  # `Any`: models of any class, and JSON

from agentrecord.adapters.persistence.models import AgentLLMUsage, AgentRun, AgentRunEvent
from agentrecord.codec import values
from agentrecord.exceptions import InvalidValue
from agentrecord.records.event import NamedEvent, NewEvent
from agentrecord.records.llm_call import CallStatus, NamedCall, NewLLMCall
from agentrecord.records.run import ReportedTotals, Run, RunContent, RunStatus
from agentrecord.records.tokens import TokenCounts

TIMEOUT = "timeout"
_TOTALS = ("llm_calls", "tool_calls", "input_tokens", "output_tokens")
_CACHE_READ = (
    ("cache_read_input_tokens",), ("cache_read_tokens",), ("prompt_tokens_details", "cached_tokens"),
    ("input_tokens_details", "cached_tokens"),
)  # fmt: skip
_CACHE_WRITE = (("cache_creation_input_tokens",), ("cache_write_tokens",))
_REASONING = (("completion_tokens_details", "reasoning_tokens"), ("output_tokens_details", "reasoning_tokens"))
_MOST_DOLLARS = 1_000_000


def to_utc(field: str, value: datetime | None) -> datetime | None:
    """Return a datetime of this door as an instant: a naive one is local time."""
    if value is None:
        return None
    if not isinstance(value, datetime):
        raise InvalidValue(field, value, f"must be a datetime, not {type(value).__name__}")
    try:
        return value.astimezone(UTC)
    except (OverflowError, ValueError, OSError) as error:
        raise InvalidValue(field, value, "must lie in the years 1970 to 9999") from error


def to_local(value: datetime | None) -> datetime | None:
    """Return an instant as this door shows it: naive, in local time."""
    if value is None:
        return None
    shown = value.astimezone().replace(tzinfo=None)
    # An hour that comes twice in autumn is told apart by `fold`, which a conversion to local time leaves out.
    return shown if shown.astimezone(UTC) == value else shown.replace(fold=1)


def run_content(run: Any) -> RunContent:
    """Return what a run's model says."""
    status, reason = _status(run.status)
    output = getattr(run, "final_synthesis_output", None)
    totals = {name: getattr(run, f"total_{name}", 0) for name in _TOTALS}
    return RunContent(
        status=status,
        status_reason=reason,
        agent_name=_short("agent_name", run.agent_name, 255),
        objective=run.objective or None,
        additional_context=run.additional_context,
        started_at=to_utc("started_at", run.started_at),
        finished_at=to_utc("finished_at", run.finished_at),
        total_iterations=run.total_iterations,
        reported=ReportedTotals(**totals) if any(totals.values()) else None,
        final_synthesis_output=getattr(run, "final_output", None) if output is None else output,
        execution_history=run.execution_history,
        error_message=run.error_message,
        metadata=run.metadata,
    )


def _status(given: Any) -> tuple[RunStatus, str | None]:
    word = given.value if isinstance(given, Enum) else given
    if word == TIMEOUT:
        return RunStatus.ERROR, TIMEOUT
    try:
        return RunStatus(word), None
    except ValueError as error:
        known = ", ".join([*RunStatus, TIMEOUT])
        raise InvalidValue("status", given, f"is no status of a run; use one of {known}") from error


def _short(field: str, value: Any, most: int) -> str | None:
    return None if value is None or value == "" else values.text(field, value, max_chars=most)


def agent_of(model: Any) -> str | None:
    """Return the agent that a model names; None where it leaves it empty."""
    return model.agent_id or None


def run_model(run: Run) -> AgentRun:
    """Return a run as its documented model; totals that its source did not tell are the record's own."""
    counted = ReportedTotals(
        llm_calls=run.usage.calls,
        tool_calls=run.tool_call_count,
        input_tokens=run.usage.input_tokens
        + run.usage.cache_read_tokens
        + run.usage.cache_write_5m_tokens
        + run.usage.cache_write_1h_tokens,
        output_tokens=run.usage.output_tokens,
    )
    totals = run.reported or counted
    timed_out = run.status is RunStatus.ERROR and run.status_reason == TIMEOUT
    return AgentRun(
        agent_id=run.agent_id or "",
        run_id=run.run_id,
        agent_name=run.agent_name or "",
        objective=run.objective or "",
        additional_context=run.additional_context,
        started_at=to_local(run.started_at),
        finished_at=to_local(run.finished_at),
        total_iterations=run.total_iterations,
        final_synthesis_output=run.final_synthesis_output,
        execution_history=run.execution_history,
        status=TIMEOUT if timed_out else run.status.value,
        error_message=run.error_message,
        metadata=run.metadata,
        id=run.serial,
        created_at=to_local(run.created_at),
        updated_at=to_local(run.updated_at),
        **{f"total_{name}": getattr(totals, name) for name in _TOTALS},
    )


def new_event(event: Any) -> NewEvent:
    """Return what an event's model says."""
    kind = event.event_type.value if isinstance(event.event_type, Enum) else event.event_type
    return NewEvent(
        event_type=values.text("event_type", kind, max_chars=100),
        timestamp=to_utc("timestamp", event.timestamp),
        data=event.data or None,
        agent_id=agent_of(event),
        agent_name=_short("agent_name", event.agent_name, 255),
        run_ref=values.text("run_id", event.run_id),
    )


def event_model(named: NamedEvent) -> AgentRunEvent:
    """Return an event as its documented model."""
    event = named.event
    return AgentRunEvent(
        agent_id=named.agent_id or "",
        run_id=named.run_id or "",
        agent_name=event.agent_name or "",
        timestamp=to_local(event.timestamp),
        event_type=event.event_type,
        data=event.data,
        id=event.serial,
        created_at=to_local(event.created_at),
    )


def new_call(usage: Any) -> NewLLMCall:
    """Return what a call's model says.

    What the provider told of cached tokens and of the cost is taken from `usage_metrics`.
    """
    metrics = getattr(usage, "usage_metrics", None) or getattr(usage, "metadata", None) or None
    told = _object(metrics)
    prompt = getattr(usage, "prompt", None) or None
    return NewLLMCall(
        model=_short("model", usage.model, 255),
        host=_short("provider", usage.provider, 100),
        tokens=_tokens(usage, told),
        run_ref=None if usage.run_id is None else values.text("run_id", usage.run_id),
        agent_id=agent_of(usage),
        prompt=prompt,
        prompt_length=getattr(usage, "prompt_length", None) or (None if prompt else 0),
        input_params=getattr(usage, "input_params", None) or None,
        response_content=getattr(usage, "response_content", None),
        response_length=getattr(usage, "response_length", None),
        usage_metrics=metrics,
        status=_call_status(usage.status),
        error_message=usage.error_message,
        latency_ms=usage.latency_ms,
        cost_nanos=_cost_nanos(told.get("cost_usd")),
    )


def _call_status(given: Any) -> CallStatus:
    try:
        return CallStatus(given.value if isinstance(given, Enum) else given)
    except ValueError as error:
        raise InvalidValue("status", given, "is no status of a call; use success or error") from error


def _object(text: Any) -> dict[str, Any]:
    if not isinstance(text, str):
        return {}
    try:
        found: Any = json.loads(text)
    except ValueError:
        # Not read here; the store refuses it and says why.
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _tokens(usage: Any, told: dict[str, Any]) -> TokenCounts:
    given, made = usage.input_tokens, usage.output_tokens
    read, written = _count(told, _CACHE_READ), _count(told, _CACHE_WRITE)
    cached = (read or 0) + (written or 0)
    if not isinstance(given, int) or not 0 < cached <= given:
        # The provider's total does not hold the cached tokens (or there are none): it stays as it was told.
        read, written, cached = None, None, 0
    reasoning = _count(told, _REASONING)
    if not isinstance(made, int) or (reasoning or 0) > made:
        reasoning = None
    return TokenCounts(
        input=given - cached if cached else given,
        cache_read=read,
        cache_write_5m=written,
        output=made,
        reasoning=reasoning,
    )


def _count(told: dict[str, Any], paths: tuple[tuple[str, ...], ...]) -> int | None:
    for path in paths:
        found: Any = told
        for name in path:
            found = found.get(name) if isinstance(found, dict) else None
        if isinstance(found, int) and not isinstance(found, bool) and found >= 0:
            return found
    return None


def _cost_nanos(dollars: Any) -> int | None:
    if isinstance(dollars, bool) or not isinstance(dollars, (int, float)):
        return None
    if not math.isfinite(dollars) or not 0 <= dollars <= _MOST_DOLLARS:
        return None
    return round(dollars * 1_000_000_000)


def usage_model(named: NamedCall) -> AgentLLMUsage:
    """Return a call as its documented model."""
    call = named.call
    return AgentLLMUsage(
        agent_id=named.agent_id,
        run_id=named.run_id,
        provider=call.host or "",
        model=call.model or "",
        prompt=named.prompt or "",
        prompt_length=call.prompt_length or 0,
        input_params=call.input_params,
        input_tokens=None if call.tokens.input is None else call.tokens.total_input,
        output_tokens=call.tokens.output,
        response_content=call.response_content,
        response_length=call.response_length,
        usage_metrics=call.usage_metrics,
        status=call.status.value,
        error_message=call.error_message,
        latency_ms=call.latency_ms,
        id=call.serial,
        created_at=to_local(call.created_at),
        cost_usd=None if call.cost_usd is None else float(call.cost_usd),
    )
