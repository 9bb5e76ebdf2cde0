"""What spans mean: conventions of three generations and their relatives, trees with holes and rings, odd values."""

import json
from typing import Any

import pytest

from agentrecord.ingest.otlp_facts import derive
from agentrecord.ingest.otlp_messages import Chat, messages_of
from agentrecord.ingest.otlp_words import SpanKind, seen
from agentrecord.records.llm_call import CallStatus
from agentrecord.records.run import RunStatus
from agentrecord.records.tokens import TokenCounts
from agentrecord.records.transcript import CallFact, ImportBatch
from otlp_requests import TRACE, chat, event, nanos, received, said, span


def batch(*spans: dict[str, Any]) -> ImportBatch:
    """Return what spans say."""
    return derive(received(*spans), "")


def only_call(*spans: dict[str, Any]) -> CallFact:
    """Return the one call that spans tell of."""
    ((_, fact),) = batch(*spans).calls
    return fact


def tokens(attributes: dict[str, Any]) -> TokenCounts:
    """Return the tokens of a span with these attributes."""
    (one,) = received(span(1, "chat", attributes))
    return seen(one).tokens


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"gen_ai.usage.prompt_tokens": 9, "gen_ai.usage.completion_tokens": 4}, (9, None, None, 4)),
        ({"gen_ai.usage.input_tokens": 9, "gen_ai.usage.output_tokens": 4}, (9, None, None, 4)),
        ({"llm.token_count.prompt": 9, "llm.token_count.completion": 4, "llm.token_count.total": 13},
         (9, None, None, 4)),
        ({"gen_ai.usage.prompt_tokens": 9, "gen_ai.usage.input_tokens": 9, "llm.token_count.prompt": 9,
          "gen_ai.usage.output_tokens": 4}, (9, None, None, 4)),
        ({"gen_ai.usage.input_tokens": 9, "gen_ai.usage.cache_read.input_tokens": 5,
          "gen_ai.usage.cache_creation.input_tokens": 1, "gen_ai.usage.output_tokens": 4}, (3, 5, 1, 4)),
        ({"gen_ai.usage.input_tokens": 9, "gen_ai.usage.cache_write.input_tokens": 2,
          "gen_ai.usage.output_tokens": 4}, (7, None, 2, 4)),
        ({"llm.token_count.prompt": 9, "llm.token_count.prompt_details.cache_read": 5,
          "llm.token_count.completion": 4}, (4, 5, None, 4)),
        # Emitters that count cached tokens apart show it: more is cached than came in, or the total says so.
        ({"gen_ai.usage.input_tokens": 3, "gen_ai.usage.cache_read.input_tokens": 50,
          "gen_ai.usage.output_tokens": 4}, (3, 50, None, 4)),
        ({"llm.token_count.prompt": 9, "llm.token_count.prompt_details.cache_read": 5,
          "llm.token_count.completion": 4, "llm.token_count.total": 18}, (9, 5, None, 4)),
        ({"gen_ai.usage.input_tokens": "9", "gen_ai.usage.output_tokens": 4.0}, (9, None, None, 4)),
        ({"gen_ai.usage.input_tokens": -1, "gen_ai.usage.output_tokens": True}, (None, None, None, None)),
        ({"gen_ai.usage.input_tokens": ["9"], "gen_ai.usage.output_tokens": 10**12}, (None, None, None, None)),
        ({"gen_ai.aggregated_usage.input_tokens": 9, "gen_ai.aggregated_usage.output_tokens": 4}, (9, None, None, 4)),
        ({"langfuse.observation.usage_details": '{"input": 9, "output": 4}'}, (9, None, None, 4)),
    ],
)  # fmt: skip
def test_tokens_are_counted_once_under_whatever_name(attributes: dict[str, Any], expected: tuple[Any, ...]) -> None:
    found = tokens(attributes)
    assert (found.input, found.cache_read, found.cache_write_5m, found.output) == expected


def test_a_total_alone_is_unclassified_and_reasoning_is_a_part_of_the_output() -> None:
    assert tokens({"llm.token_count.total": 7}) == TokenCounts(unclassified=7)
    assert tokens({"gen_ai.usage.output_tokens": 7, "gen_ai.usage.reasoning.output_tokens": 9}).reasoning == 7


@pytest.mark.parametrize(
    ("attributes", "kind"),
    [
        ({"openinference.span.kind": "LLM"}, SpanKind.LLM), ({"gen_ai.operation.name": "chat"}, SpanKind.LLM),
        ({"gen_ai.operation.name": "invoke_workflow"}, SpanKind.AGENT),
        ({"traceloop.span.kind": "tool"}, SpanKind.TOOL),
        ({"ai.operationId": "ai.generateText.doGenerate"}, SpanKind.LLM), ({"gen_ai.tool.name": "x"}, SpanKind.TOOL),
        ({"gen_ai.operation.name": "execute_hook"}, SpanKind.SPAN), ({"openinference.span.kind": 7}, SpanKind.SPAN),
        ({"gen_ai.request.model": "m", "gen_ai.usage.input_tokens": 1}, SpanKind.LLM), ({}, SpanKind.SPAN),
    ],
)  # fmt: skip
def test_a_span_is_what_its_conventions_say(attributes: dict[str, Any], kind: SpanKind) -> None:
    (one,) = received(span(1, "x", attributes))
    assert seen(one).kind is kind


def test_a_request_wrapped_in_another_is_one_call() -> None:
    wrapper = span(1, "ai.generateText", {"ai.operationId": "ai.generateText", "ai.usage.promptTokens": 9,
                                          "ai.usage.completionTokens": 4}, at=(0, 50))  # fmt: skip
    inner = chat(2, [said("user", "hi")], said("assistant", "yo"), tokens=(9, 4), parent=1, at=(1, 40))
    assert only_call(wrapper, inner).tokens == TokenCounts(input=9, output=4)
    bare = span(2, "inner", {"openinference.span.kind": "LLM"}, parent=1, at=(1, 40))
    assert only_call(wrapper, bare).tokens == TokenCounts(input=9, output=4)


def test_what_a_call_cost_is_taken_from_the_span_that_names_it() -> None:
    told = {"llm.cost.total": 0.0125}
    assert only_call(chat(1, [], said("assistant", "a"), more=told)).cost_nanos == 12_500_000
    assert only_call(chat(1, [], said("assistant", "a"), more={"llm.cost.total": "dear"})).cost_nanos is None


def test_a_failed_request_is_a_failed_call_with_one_error() -> None:
    outer = span(1, "agent", {"openinference.span.kind": "AGENT"}, error="boom", at=(0, 20),
                 events=[event("exception", {"exception.type": "E", "exception.message": "boom"})])  # fmt: skip
    inner = chat(2, [], said("assistant", ""), error="boom", parent=1,
                 events=[event("exception", {"exception.type": "E", "exception.message": "boom"})])  # fmt: skip
    found = batch(outer, inner)
    assert [fact.status for _, fact in found.calls] == [CallStatus.ERROR]
    assert [(fact.key, fact.error_message) for _, fact in found.errors] == [(f"{2:016x}:0", "boom")]
    assert found.runs[0].status is RunStatus.ERROR


def test_a_ring_of_spans_is_opened_where_it_began() -> None:
    ring = [span(1, "a", parent=3, at=(5, 9)), span(2, "b", parent=1, at=(0, 9)), span(3, "c", parent=2, at=(6, 9)),
            span(4, "tail", parent=3, at=(7, 8))]  # fmt: skip
    found = batch(*ring)
    parents = {fact.span_id: fact.parent_event_uuid for _, fact in found.events}
    assert [int(name) for name, parent in parents.items() if parent is None] == [2]
    assert [run.run_id for run in found.runs] == [TRACE]
    assert batch(*ring[::-1]) == found


def test_a_span_that_is_its_own_parent_is_a_root() -> None:
    found = batch(span(1, "a", parent=1))
    assert (found.runs[0].run_id, found.runs[0].status) == (TRACE, RunStatus.COMPLETED)


def test_a_span_below_another_process_is_the_root_here() -> None:
    assert batch(span(1, "a", parent=9)).runs[0].status is RunStatus.RUNNING
    assert batch(span(1, "a", parent=9, flags=0x300)).runs[0].status is RunStatus.COMPLETED


def test_two_roots_are_two_runs_one_below_the_trace() -> None:
    found = batch(span(1, "a", at=(0, 5)), span(2, "b", at=(1, 5)))
    assert [(run.run_id, run.parent_run_id) for run in found.runs] == [(TRACE, None), (f"{TRACE}:{2:016x}", TRACE)]


def test_the_session_is_ones_own_then_that_above_then_the_traces() -> None:
    found = batch(
        span(1, "root", at=(0, 50)),
        span(2, "a", {"session.id": "s1", "gen_ai.conversation.id": "c"}, parent=1, at=(1, 9)),
        span(3, "below", parent=2, at=(2, 3)),
        span(4, "b", {"gen_ai.conversation.id": "s2"}, parent=1, at=(10, 20)),
    )
    assert [fact.session_id for _, fact in found.events] == ["s1", "s1", "s1", "s2"]


def test_names_too_long_or_unfit_for_rows_are_made_to_fit() -> None:
    found = batch(span(1, "a", {"session.id": "x" * 300, "user.id": "a\nb\0"}))
    (session,) = found.sessions
    assert len(session.session_id) < 256
    assert found.user == "a b\ufffd"


def test_history_that_each_request_repeats_is_one_conversation() -> None:
    ask, answer, more = said("user", "a"), said("assistant", "b"), said("user", "a")
    found = batch(
        chat(1, [ask], answer, at=(0, 5)),
        chat(2, [ask, answer, more], said("assistant", "c"), at=(6, 9)),
    )
    assert [fact.content for _, fact in found.messages] == ["a", "b", "a", "c"]


GENERATIONS = [
    {"gen_ai.input.messages": [said("user", "hi")], "gen_ai.output.messages": [said("assistant", "yo")]},
    {"gen_ai.input.messages": json.dumps([said("user", "hi")]),
     "gen_ai.output.messages": json.dumps([said("assistant", "yo")])},
    {"llm.input_messages.0.message.role": "user", "llm.input_messages.0.message.content": "hi",
     "llm.output_messages.0.message.role": "assistant",
     "llm.output_messages.0.message.contents.0.message_content.text": "yo"},
    {"gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": "hi", "gen_ai.completion.0.role": "assistant",
     "gen_ai.completion.0.content": "yo"},
    {"input.value": '{"messages": [{"role": "user", "content": "hi"}]}',
     "output.value": '{"choices": [{"message": {"role": "assistant", "content": "yo"}}]}'},
    {"input.value": "hi", "output.value": "yo"},
    {"ai.prompt.messages": '[{"role": "user", "content": [{"type": "text", "text": "hi"}]}]',
     "ai.response.text": "yo"},
    {"input.value": '{"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}',
     "output.value": '{"candidates": [{"content": {"role": "model", "parts": [{"text": "yo"}]}}]}'},
    {"events": json.dumps([{"event.name": "gen_ai.user.message", "content": "hi", "role": "user"},
                           {"event.name": "gen_ai.choice", "message": {"role": "assistant", "content": "yo"}}])},
]  # fmt: skip


@pytest.mark.parametrize("attributes", GENERATIONS, ids=lambda a: next(iter(a)))
def test_every_generation_says_the_same_two_messages(attributes: dict[str, Any]) -> None:
    (one,) = received(span(1, "chat", attributes))
    inputs, outputs = messages_of(seen(one))
    assert [(c.role.value, c.text) for c in [*inputs, *outputs]] == [("user", "hi"), ("assistant", "yo")]


def test_span_events_of_the_older_conventions_say_them_too() -> None:
    told = [event("gen_ai.user.message", {"content": "hi"}), event("gen_ai.choice", {"message": {"content": "yo"}}),
            event("gen_ai.content.prompt", {"gen_ai.prompt": "more"})]  # fmt: skip
    inputs, outputs = messages_of(seen(received(span(1, "chat", events=told))[0]))
    assert [c.text for c in inputs] == ["hi", "more"]
    assert [(c.role.value, c.text) for c in outputs] == [("assistant", "yo")]


ODD = ["[[[[", "null", "7", "[]", '{"messages": 7}', '{"role": 7}', '[{"parts": [7, null]}]',
       '{"messages": [{"role": "user", "content": {"a": [1]}}]}', "[" * 500,
       '[{"role": "user", "content": ' + "[" * 900 + "]" * 900 + "}]", "[" * 900 + "]" * 900]  # fmt: skip


@pytest.mark.parametrize("value", ODD)
def test_messages_of_no_known_shape_break_nothing(value: str) -> None:
    (one,) = received(span(1, "chat", {"gen_ai.input.messages": value, "output.value": value}))
    inputs, outputs = messages_of(seen(one))
    assert all(isinstance(chat, Chat) for chat in [*inputs, *outputs])
    assert batch(span(1, "c", {"openinference.span.kind": "LLM", "input.value": value})).events


def test_escaped_characters_that_no_engine_stores_are_replaced() -> None:
    attributes = {"openinference.span.kind": "LLM", "input.value": '[{"role":"user","content":"a\\u0000b"}]'}
    found = batch(span(1, "c", attributes))
    assert [fact.content for _, fact in found.messages] == ["a\ufffdb"]


def test_a_long_time_to_the_first_token_is_told_by_an_event_or_an_attribute() -> None:
    first = span(1, "c", {"openinference.span.kind": "LLM"}, events=[event("First Token Stream Event", {}, 7)])
    assert only_call(first).time_to_first_token_ms == 7
    told = chat(1, [], said("assistant", "a"), more={"gen_ai.response.time_to_first_chunk": 0.25})
    assert only_call(told).time_to_first_token_ms == 250
    assert only_call(told).latency_ms == 10


def test_a_tools_span_that_does_not_say_which_use_it_is_is_the_one_of_its_name_and_arguments() -> None:
    uses = [{"type": "tool_call", "id": f"t{n}", "name": "w", "arguments": {"a": n}} for n in (1, 2)]
    tool = {"openinference.span.kind": "TOOL", "tool.name": "w", "tool.parameters": '{"type": "object"}'}
    found = batch(
        chat(1, [said("user", "x")], {"role": "assistant", "parts": uses}),
        span(2, "w", {**tool, "input.value": '{"a": 2}', "output.value": "two"}, at=(20, 30)),
        span(3, "w", {**tool, "input.value": '{"a": 7}', "output.value": "seven"}, at=(20, 30)),
    )
    results = {result.call_ref: result.result for _, result in found.tool_results}
    assert {call.call_ref: (call.arguments, results.get(call.call_ref)) for _, call in found.tool_calls} == {
        "t1": ('{"a":1}', None), "t2": ('{"a": 2}', "two"), f"{3:016x}": ('{"a": 7}', "seven")}  # fmt: skip


def test_tools_that_only_messages_tell_of_are_tool_calls_with_their_results() -> None:
    call = {"role": "assistant", "parts": [{"type": "tool_call", "id": "t1", "name": "w", "arguments": {"a": 1}}]}
    result = {"role": "tool", "parts": [{"type": "tool_call_response", "id": "t1", "result": {"ok": True}}]}
    found = batch(chat(1, [said("user", "q")], call, at=(0, 5)),
                  chat(2, [said("user", "q"), call, result], said("assistant", "done"), at=(10, 15)))  # fmt: skip
    ((_, told),) = found.tool_calls
    ((_, brought),) = found.tool_results
    assert (told.tool_name, told.arguments, brought.result) == ("w", '{"a":1}', '{"ok":true}')
    assert int(brought.finished_at.timestamp() * 1000) * 1_000_000 == nanos(10)
