"""Values: what one engine would refuse or change, every engine refuses, with the same error, and stores nothing."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from agentrecord.exceptions import InvalidValue
from agentrecord.records.error import NewError
from agentrecord.records.event import NewEvent
from agentrecord.records.llm_call import NewLLMCall, PromptPart
from agentrecord.records.message import MessageRole, NewMessage, Part, PartKind
from agentrecord.records.run import NewRun
from agentrecord.records.session import CodingDetails, NewSession, SessionChanges, SessionFilter
from agentrecord.records.tokens import TokenCounts
from agentrecord.records.tool_call import NewToolCall
from faces import Facing

USER = MessageRole.USER
NUL, LONE = "a\0b", "a\ud800b"
NAIVE = datetime(2026, 1, 1)
BAD_JSON = ("", "{", "NaN", '{"a": Infinity}', '{"a":1,"a":2}', '"\\u0000"', '"\\ud800"', "9223372036854775808",
            "1e400",
            "[" * 1000 + "]" * 1000, NUL, '"' + LONE + '"')  # fmt: skip
BAD_NAMES = ("", "  ", "x" * 256, "a\nb", NUL, LONE)
BAD_COUNTS = (-1, 2**63, 2**64, True, 1.5)
BAD_TOKENS = (*BAD_COUNTS, 10**9 + 1)

Write = Callable[[Facing, Any], Any]


def append(**fields: Any) -> Write:
    """Return what appends a message with one bad field."""
    (name,) = fields

    def write(store: Facing, value: Any) -> Any:
        given = {"role": USER, "content": "ok", name: value}
        return store.messages.append(store.session_uuid("there"), [NewMessage(**given)])

    return write


def call(name: str) -> Write:
    """Return what records a call with one bad field."""
    return lambda store, value: store.llm_calls.record(NewLLMCall(**{"model": "m", name: value}))


TABLE: tuple[tuple[str, tuple[Any, ...], Write], ...] = (
    ("session_id", BAD_NAMES, lambda s, v: s.sessions.create(NewSession(session_id=v))),
    ("title", (NUL, LONE), lambda s, v: s.sessions.create(NewSession(session_id="x", title=v))),
    ("source", (NUL, LONE), lambda s, v: s.sessions.create(NewSession(session_id="x", source=v))),
    ("tags", (("a", NUL), (LONE,)), lambda s, v: s.sessions.create(NewSession(session_id="x", tags=v))),
    ("metadata", BAD_JSON, lambda s, v: s.sessions.create(NewSession(session_id="x", metadata=v))),
    ("created_at", (NAIVE,), lambda s, v: s.sessions.create(NewSession(session_id="x", created_at=v))),
    ("agent_id", BAD_NAMES, lambda s, v: s.sessions.create(NewSession(session_id="x", agent_id=v))),
    ("user", BAD_NAMES, lambda s, v: s.sessions.create(NewSession(session_id="x"), user=v)),
    ("tool_name", (NUL, LONE), lambda s, v: s.sessions.create(
        NewSession(session_id="x", coding=CodingDetails(tool_name=v)))),
    ("task_count", BAD_COUNTS, lambda s, v: s.sessions.create(
        NewSession(session_id="x", coding=CodingDetails(tool_name="t", task_count=v)))),
    ("title", (NUL, LONE), lambda s, v: s.sessions.update("there", SessionChanges(title=v))),
    ("tags", ((NUL,), (LONE,)), lambda s, v: s.sessions.update("there", SessionChanges(tags=v))),
    ("quality_score", (float("nan"), float("inf"), "x", 10**400), lambda s, v: s.sessions.update(
        "there", SessionChanges(quality_score=v))),
    ("content", (NUL, LONE), append(content=None)),
    ("metadata", BAD_JSON, append(metadata=None)),
    ("extra_data", BAD_JSON, append(extra_data=None)),
    ("created_at", (NAIVE,), append(created_at=None)),
    ("response_time_ms", BAD_COUNTS, append(response_time_ms=None)),
    ("tools_used", ((NUL,), (LONE,)), append(tools_used=None)),
    ("parts.text", (NUL, LONE), lambda s, v: append(parts=None)(s, (Part(kind=PartKind.TEXT, text=v),))),
    ("parts.name", (NUL, LONE), lambda s, v: append(parts=None)(s, (Part(kind=PartKind.TOOL_CALL, name=v),))),
    ("run_id", BAD_NAMES, lambda s, v: s.runs.start(NewRun(run_id=v))),
    ("objective", (NUL, LONE), lambda s, v: s.runs.start(NewRun(run_id="x", objective=v))),
    ("started_at", (NAIVE,), lambda s, v: s.runs.start(NewRun(run_id="x", started_at=v))),
    ("event_type", BAD_NAMES, lambda s, v: s.events.record(NewEvent(event_type=v))),
    ("data", BAD_JSON, lambda s, v: s.events.record(NewEvent(event_type="e", data=v))),
    ("duration_ms", BAD_COUNTS, lambda s, v: s.events.record(NewEvent(event_type="e", duration_ms=v))),
    ("model", ("x" * 256, "a\nb", NUL, LONE), call("model")),
    ("host", ("x" * 256, "a\nb", NUL, LONE), call("host")),
    ("tokens.input", BAD_TOKENS, lambda s, v: call("tokens")(s, TokenCounts(input=v))),
    ("tokens.output", BAD_TOKENS, lambda s, v: call("tokens")(s, TokenCounts(output=v))),
    ("cost_nanos", (*BAD_COUNTS, 10**15 + 1), call("cost_nanos")),
    ("latency_ms", BAD_COUNTS, call("latency_ms")),
    ("timestamp", (NAIVE,), call("timestamp")),
    ("prompt", (NUL, LONE), call("prompt")),
    ("prompt", (NUL, LONE), lambda s, v: call("prompt")(s, (PromptPart(role=USER, content=v),))),
    ("response_content", (NUL, LONE), call("response_content")),
    ("usage_metrics", BAD_JSON, call("usage_metrics")),
    ("dedup_key", (NUL, LONE), call("dedup_key")),
    ("tool_name", BAD_NAMES, lambda s, v: s.tool_calls.record(NewToolCall(tool_name=v))),
    ("arguments", (NUL, LONE), lambda s, v: s.tool_calls.record(NewToolCall(tool_name="t", arguments=v))),
    ("started_at", (NAIVE,), lambda s, v: s.tool_calls.record(NewToolCall(tool_name="t", started_at=v))),
    ("error_type", BAD_NAMES, lambda s, v: s.errors.record(NewError(error_type=v, error_message="m"))),
    ("error_message", (NUL, LONE), lambda s, v: s.errors.record(NewError(error_type="E", error_message=v))),
    ("context", BAD_JSON, lambda s, v: s.errors.record(NewError(error_type="E", error_message="m", context=v))),
    ("project", BAD_NAMES, lambda s, v: s.projects.ensure(v)),
    ("user", BAD_NAMES, lambda s, v: s.users.ensure(v)),
    ("agent_id", BAD_NAMES, lambda s, v: s.agents.ensure(v)),
    ("changes", BAD_JSON, lambda s, v: s.agents.create_version("bot", "1", changes=v)),
    ("action", BAD_NAMES, lambda s, v: s.audit.record(v, "session", "s")),
    ("details", BAD_JSON, lambda s, v: s.audit.record("a", "session", "s", details=v)),
    ("origin", (NUL, LONE), lambda s, v: s.audit.record("a", "session", "s", origin=v)),
)  # fmt: skip

LOOKED_FOR: tuple[Write, ...] = (
    lambda s, v: s.sessions.get(v),
    lambda s, v: s.sessions.list(SessionFilter(words=v)),
    lambda s, v: s.sessions.list(SessionFilter(user=v)),
    lambda s, v: s.runs.find(v),
    lambda s, v: s.agents.get(v),
    lambda s, v: s.errors.list(words=v),
    lambda s, v: s.llm_calls.list(model=v),
    lambda s, v: s.imports.files(v),
    lambda s, v: s.events.list(event_type=v),
)
COUNTED = ("sessions", "messages", "runs", "events", "llm_calls", "tool_calls", "errors", "error_groups", "agents",
           "audit_entries", "contents", "prompts", "projects", "users", "coding_sessions", "usage_days")  # fmt: skip


def test_a_value_that_cannot_be_stored_is_refused_by_its_field_and_nothing_is_stored(store: Facing) -> None:
    store.sessions.create(NewSession(session_id="there"))
    before = [store.rows_in(f"ar_{name}") for name in COUNTED]
    for field, bad, write in TABLE:
        for value in bad:
            with pytest.raises(InvalidValue) as refused:
                write(store, value)
            assert refused.value.field == field, (field, value)
    assert [store.rows_in(f"ar_{name}") for name in COUNTED] == before


def test_what_cannot_be_stored_cannot_be_looked_for_either(store: Facing) -> None:
    for look in LOOKED_FOR:
        for value in (NUL, LONE):
            with pytest.raises(InvalidValue):
                look(store, value)


def test_the_largest_values_are_stored_and_come_back(store: Facing) -> None:
    session = store.sessions.create(
        NewSession(session_id="x" * 255, metadata='{"n": 9223372036854775807, "f": 1.7976931348623157e308}')
    )
    assert store.sessions.get("x" * 255).metadata == session.metadata
    deep = "[" * 64 + "]" * 64
    content = "🙂" * 100_000
    message = NewMessage(role=USER, content=content, metadata=deep, response_time_ms=2**63 - 1)
    stored = store.messages.append(session.id, [message]).messages[0]
    assert store.messages.get(stored.id) == stored
    assert (stored.content, stored.metadata, stored.response_time_ms) == (content, deep, 2**63 - 1)
    tokens = TokenCounts(input=10**9, cache_read=10**9, cache_write_5m=10**9, cache_write_1h=10**9, output=10**9)
    for _ in range(3):
        store.llm_calls.record(NewLLMCall(model="m", tokens=tokens, cost_nanos=10**15, session_uuid=session.id))
    assert store.sessions.get(session.id).usage.cost_nanos == 3 * 10**15
