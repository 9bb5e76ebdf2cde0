"""Whatever attributes hold, a span is understood or kept as it is: nothing in it breaks the request that brings it."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agentrecord.ingest.otlp_facts import derive
from agentrecord.store import Store
from otlp_requests import event, received, span

NAMES = st.sampled_from([
    "gen_ai.operation.name", "openinference.span.kind", "langfuse.observation.type", "session.id", "user.id",
    "gen_ai.agent.name", "gen_ai.request.model", "gen_ai.provider.name", "gen_ai.usage.input_tokens",
    "gen_ai.usage.output_tokens", "llm.token_count.total", "llm.token_count.prompt_details.cache_read",
    "gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.system_instructions", "input.value", "output.value",
    "llm.input_messages.0.message.role", "llm.input_messages.0.message.content",
    "llm.input_messages.0.message.tool_calls.0.tool_call.function.name", "llm.output_messages.x.message.content",
    "llm.input_messages.1.message.contents.0.message_content.text", "gen_ai.prompt.0.content", "gen_ai.prompt",
    "llm.invocation_parameters", "gen_ai.request.temperature", "gen_ai.tool.name", "gen_ai.tool.call.id",
    "gen_ai.tool.call.arguments", "gen_ai.tool.call.result", "error.type", "llm.cost.total", "events",
    "ai.response.toolCalls", "langfuse.observation.usage_details", "gen_ai.response.time_to_first_chunk",
    "llm.input_messages.0.message.function_call_name", "copilot_chat.time_to_first_token",
])  # fmt: skip
WORDS = st.sampled_from([
    "role", "content", "parts", "type", "text", "messages", "tool_calls", "function", "name", "arguments", "id",
    "input", "output", "choices", "message", "candidates", "contents", "kwargs", "lc", "system",
    "functionResponse", "response", "toolCallId", "toolName", "thought", "additional_kwargs", "summary", "event.name",
])  # fmt: skip
KINDS = st.sampled_from([
    "user", "assistant", "tool", "chat", "LLM", "AGENT", "TOOL", "execute_tool", "text", "tool_call", "tool_result",
    "function_call", "function_call_output", "reasoning", "gen_ai.user.message", "gen_ai.choice", "", "a\u0000b",
])  # fmt: skip
LEAVES = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | KINDS | st.text(max_size=6)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4), max_leaves=12
)
ATTRIBUTES = st.dictionaries(NAMES, VALUES | VALUES.map(json.dumps), max_size=8)


@given(first=ATTRIBUTES, second=ATTRIBUTES, told=ATTRIBUTES)
@settings(max_examples=100, deadline=None)
def test_no_value_breaks_the_request_that_brings_it(
    first: dict[str, Any], second: dict[str, Any], told: dict[str, Any]
) -> None:
    names = ("exception", "gen_ai.choice", "gen_ai.user.message")
    spans = received(
        span(1, "a", first, at=(0, 20)),
        span(2, "b", second, parent=1, at=(1, 9), events=[event(name, told) for name in names]),
    )
    with Store("memory:") as store:
        store.traces.record(spans[1:], derive)
        store.traces.record(spans, derive)
        assert len(store.traces.spans()) == 2
        assert store.usage.recount() == ()
