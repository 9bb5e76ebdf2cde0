"""Requests as tracing clients send them, built span by span."""

import json
from datetime import UTC, datetime
from typing import Any

from agentrecord.ingest.otlp_export import json_attributes
from agentrecord.ingest.otlp_wire import spans_of_json
from agentrecord.records.span import Span

AT = datetime(2026, 3, 4, 9, tzinfo=UTC)
LATEST = datetime(2030, 1, 1, tzinfo=UTC)
TRACE = "0af7651916cd43dd8448eb211c80319c"


def nanos(milliseconds: float) -> int:
    """Return a time that many milliseconds after `AT`."""
    return int(AT.timestamp() * 1000 + milliseconds) * 1_000_000


def span(
    number: int,
    name: str,
    attributes: dict[str, Any] | None = None,
    *,
    parent: int | None = None,
    trace: str = TRACE,
    at: tuple[float, float] = (0, 10),
    error: str | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Return a span in OTLP's JSON; `number` makes its id, `at` are its start and end in milliseconds."""
    found: dict[str, Any] = {
        "traceId": trace,
        "spanId": f"{number:016x}",
        "name": name,
        "kind": 1,
        "startTimeUnixNano": str(nanos(at[0])),
        "endTimeUnixNano": str(nanos(at[1])),
        "attributes": json_attributes(attributes or {}),
        **more,
    }
    if parent is not None:
        found["parentSpanId"] = f"{parent:016x}"
    if error is not None:
        found["status"] = {"code": 2, "message": error}
    return found


def request(*spans: dict[str, Any], resource: dict[str, Any] | None = None, scope: str = "test") -> dict[str, Any]:
    """Return an ExportTraceServiceRequest in JSON."""
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": json_attributes(resource or {"service.name": "shop"})},
                "scopeSpans": [{"scope": {"name": scope, "version": "1"}, "spans": list(spans)}],
            }
        ]
    }


def received(*spans: dict[str, Any]) -> list[Span]:
    """Return spans as they are stored."""
    found = spans_of_json(json.dumps(request(*spans)).encode(), latest=LATEST)
    assert found.rejected == 0, found.reasons
    return found.spans


def said(role: str, text: str) -> dict[str, Any]:
    """Return a message of the GenAI conventions."""
    return {"role": role, "parts": [{"type": "text", "content": text}]}


def chat(
    number: int,
    given: list[dict[str, Any]],
    answer: dict[str, Any],
    *,
    tokens: tuple[int, int] = (10, 5),
    more: dict[str, Any] | None = None,
    **place: Any,
) -> dict[str, Any]:
    """Return a span of one request to a model, in the words of the GenAI conventions."""
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.usage.input_tokens": tokens[0],
        "gen_ai.usage.output_tokens": tokens[1],
        "gen_ai.input.messages": json.dumps(given),
        "gen_ai.output.messages": json.dumps([answer]),
        **(more or {}),
    }
    return span(number, "chat gpt-4o", attributes, **place)


def event(name: str, attributes: dict[str, Any], at_ms: float = 1) -> dict[str, Any]:
    """Return an event of a span."""
    return {"name": name, "timeUnixNano": str(nanos(at_ms)), "attributes": json_attributes(attributes)}


CALL = {"role": "assistant", "parts": [{"type": "tool_call", "id": "use-1", "name": "weather", "arguments": {"c": 1}}]}
RESULT = {"role": "tool", "parts": [{"type": "tool_call_response", "id": "use-1", "response": "sunny"}]}
SECOND_TRACE = "1bf7651916cd43dd8448eb211c80319d"


def conversation() -> list[dict[str, Any]]:
    """Return two traces of one conversation: an agent with a tool and a sub-agent, and a request that repeats it all.

    The session and the user are named by the agent's span alone, which ends last.
    """
    ask, answer = said("user", "Is it sunny?"), said("assistant", "It is.")
    history = [said("system", "Be brief."), ask, CALL, RESULT]
    return [
        span(1, "invoke_agent guide", {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "guide",
                                       "gen_ai.conversation.id": "talk", "user.id": "ana",
                                       "gen_ai.usage.input_tokens": 30, "gen_ai.usage.output_tokens": 12},
             at=(0, 100)),
        chat(2, history[:2], CALL, parent=1, at=(1, 20), tokens=(10, 5)),
        span(3, "execute_tool weather", {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "weather",
                                         "gen_ai.tool.call.id": "use-1", "gen_ai.tool.call.arguments": '{"c":1}',
                                         "gen_ai.tool.call.result": "sunny"}, parent=1, at=(21, 60)),
        span(4, "invoke_agent helper", {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "helper"},
             parent=3, at=(22, 50)),
        chat(5, [said("user", "Look outside")], said("assistant", "sunny"), parent=4, at=(23, 40), tokens=(5, 1),
             error="slow", events=[event("exception", {"exception.type": "TimeoutError", "exception.message": "slow",
                                                       "exception.stacktrace": "at line 1"}, 30)]),
        chat(6, history, answer, parent=1, at=(61, 90), tokens=(15, 6)),
        chat(7, [*history, answer, said("user", "Is it sunny?")], said("assistant", "Still."), trace=SECOND_TRACE,
             at=(200, 220), tokens=(20, 2), more={"session.id": "talk", "user.id": "ana"}),
    ]  # fmt: skip
