"""LLM calls: recorded once, the larger of two reports kept, prompts kept once, costs that are known or not."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from agentrecord.exceptions import Conflict, NotFound
from agentrecord.ids import new_id
from agentrecord.records.llm_call import CallStatus, CostSource, NewLLMCall, PromptPart
from agentrecord.records.message import MessageRole, NewMessage
from agentrecord.records.session import NewSession
from agentrecord.records.tokens import TokenCounts
from agentrecord.records.usage import UsageBy, UsageTotals
from agentrecord.store import llm_calls
from counts import count
from faces import Facing, covers

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
OPUS = "claude-opus-4-5"


@covers("llm_calls.record", "llm_calls.get")
def test_a_call_is_read_back_as_it_was_recorded(store: Facing) -> None:
    tokens = TokenCounts(
        input=1, cache_read=2, cache_write_5m=3, cache_write_1h=4, output=5, reasoning=2, unclassified=6
    )
    new = NewLLMCall(
        model="m 🙂", host="h", tokens=tokens, id=new_id(), timestamp=AT, dedup_key="k", request_id="q", agent_id="bot",
        is_subagent=True, input_params='{"t":0.10}', response_content="r\n", response_length=2, usage_metrics="{}",
        status=CallStatus.ERROR, error_message="e", latency_ms=3, time_to_first_token_ms=1, cost_nanos=2**40,
    )  # fmt: skip
    call = store.llm_calls.record(new, user="anna")
    assert call == store.llm_calls.get(call.id)
    for name in ("id", "model", "host", "tokens", "timestamp", "dedup_key", "request_id", "is_subagent", "input_params",
                 "response_content", "response_length", "usage_metrics", "status", "error_message", "latency_ms",
                 "time_to_first_token_ms", "cost_nanos"):  # fmt: skip
        assert getattr(call, name) == getattr(new, name), name
    assert call.cost_source is CostSource.PROVIDER
    with pytest.raises(NotFound):
        store.llm_calls.get(new_id())


def test_the_same_call_again_is_one_call_and_another_is_a_conflict(store: Facing) -> None:
    new = NewLLMCall(model="m", id=new_id(), tokens=TokenCounts(input=5, output=5), timestamp=AT)
    assert store.llm_calls.record(new) == store.llm_calls.record(new)
    with pytest.raises(Conflict):
        store.llm_calls.record(NewLLMCall(model="m", id=new.id, tokens=TokenCounts(input=6, output=5), timestamp=AT))
    twins = [store.llm_calls.record(NewLLMCall(model="m", timestamp=AT)) for _ in range(2)]
    assert twins[0].id != twins[1].id
    assert store.usage.report(UsageBy.TOTAL).total.calls == 3


def test_of_two_reports_under_one_key_the_larger_counts_exactly_once(store: Facing) -> None:
    session = store.sessions.create(NewSession(session_id="s")).id

    def report(output: int, **more: Any) -> Any:
        return store.llm_calls.record(
            NewLLMCall(model=OPUS, host="Anthropic", tokens=TokenCounts(input=100, output=output), dedup_key="k",
                       session_uuid=session, timestamp=AT, **more))  # fmt: skip

    first = report(10, latency_ms=40)
    grown = report(30, latency_ms=90, status=CallStatus.ERROR)
    assert grown.id == first.id
    assert report(20) == grown == report(30)
    assert grown.cost_nanos > first.cost_nanos
    expected = UsageTotals(calls=1, failed_calls=1, input_tokens=100, output_tokens=30, cost_nanos=grown.cost_nanos,
                           latency_ms_sum=90, latency_count=1)  # fmt: skip
    assert store.usage.report(UsageBy.DAY).total == expected == store.sessions.get("s").usage
    assert store.usage.report(UsageBy.HOUR).total == expected
    (day,) = [d for d in store.usage.performance() if d.totals.calls]
    assert day.latency_p50_ms == pytest.approx(90, rel=0.1)


def test_two_reports_of_one_call_in_one_turn_are_one_call(store: Facing) -> None:
    session = store.sessions.create(NewSession(session_id="s")).id
    calls = [
        NewLLMCall(model="m", dedup_key="k", tokens=TokenCounts(input=1, output=n), cost_nanos=n) for n in (1, 9, 5)
    ]
    turn = store.messages.append(session, [NewMessage(role=MessageRole.ASSISTANT, content="a")], calls=calls)
    assert [call.tokens.output for call in turn.calls] == [9]
    assert turn.messages[0].usage.cost_nanos == 9
    assert store.llm_calls.list().total == 1


@covers("llm_calls.price")
def test_a_call_without_a_price_has_an_unknown_cost_and_not_none(store: Facing) -> None:
    tokens = TokenCounts(input=1_000_000, output=0)
    unknown = store.llm_calls.record(NewLLMCall(model="no-such-model", tokens=tokens))
    nameless = store.llm_calls.record(NewLLMCall(tokens=tokens))
    free = store.llm_calls.record(NewLLMCall(model="no-such-model", tokens=tokens, cost_nanos=0))
    known = store.llm_calls.record(NewLLMCall(model=OPUS, host="Anthropic", tokens=tokens, timestamp=AT))
    assert (unknown.cost_usd, nameless.cost_usd, free.cost_usd, known.cost_usd) == (None, None, Decimal(0), Decimal(5))
    assert nameless.model is None
    assert store.llm_calls.price(unknown.id) is None
    price = store.llm_calls.price(known.id)
    assert (price.model, price.rates.input) == (OPUS, 5 * 10**9)
    total = store.usage.report(UsageBy.TOTAL)
    assert (total.total.unpriced_calls, total.total.cost_nanos) == (2, 5 * 10**9)
    assert set(total.unpriced_models) == {"no-such-model", "unknown"}


@covers("llm_calls.list")
def test_calls_are_filtered_and_sorted(store: Facing) -> None:
    session = store.sessions.create(NewSession(session_id="s")).id
    for hour, (model, cost) in enumerate((("a", 3), ("b", None), ("a", 1))):
        store.llm_calls.record(NewLLMCall(model=model, cost_nanos=cost, timestamp=AT.replace(hour=hour),
                                          latency_ms=hour,
                                          session_uuid=session if hour else None))  # fmt: skip

    def hours(**wanted: Any) -> list[int]:
        return [c.timestamp.hour for c in store.llm_calls.list(**wanted)]

    assert hours() == [2, 1, 0]
    assert hours(model="a", sort="timestamp") == [0, 2]
    assert hours(session=session) == [2, 1]
    assert hours(only_unpriced=True) == [1]
    assert hours(since=AT.replace(hour=1), until=AT.replace(hour=2)) == [1]
    assert hours(sort="cost") == [1, 2, 0]
    assert hours(sort="-latency_ms", run=None) == [2, 1, 0]


@covers("llm_calls.prompt")
def test_a_prompt_comes_back_byte_for_byte(store: Facing) -> None:
    text = "line\r\n\ttab \u2028 🙂 e\u0301 \ufeff"
    call = store.llm_calls.record(NewLLMCall(model="m", prompt=text))
    assert store.llm_calls.prompt(call.id) == text
    assert call.prompt_length == len(text)
    assert store.llm_calls.prompt(store.llm_calls.record(NewLLMCall(model="m")).id) is None


def test_a_prompt_names_the_revision_of_a_message_that_it_repeats(store: Facing) -> None:
    session = store.sessions.create(NewSession(session_id="s")).id
    message = store.messages.append(session, [NewMessage(role=MessageRole.USER, content="one")]).messages[0].id
    part = PromptPart(role=MessageRole.USER, message_uuid=message)
    call = store.llm_calls.record(NewLLMCall(model="m", prompt=(part,)))
    store.messages.edit(message, "two")
    later = store.llm_calls.record(NewLLMCall(model="m", prompt=(part,)))
    assert store.llm_calls.prompt(call.id) == '[{"role": "user", "content": "one"}]'
    assert store.llm_calls.prompt(later.id) == '[{"role": "user", "content": "two"}]'
    with pytest.raises(NotFound):
        store.llm_calls.record(NewLLMCall(model="m", prompt=(PromptPart(message_uuid=new_id()),)))


def test_the_whole_prompt_of_every_turn_costs_one_part_a_turn(store: Facing) -> None:
    turns = count(30, 200)
    parts: list[PromptPart] = []
    calls = []
    for turn in range(turns):
        parts.append(PromptPart(role=MessageRole.USER if turn % 2 else MessageRole.ASSISTANT, content=f"turn {turn} ✓"))
        calls.append(store.llm_calls.record(NewLLMCall(model="m", prompt=tuple(parts))).id)
    assert store.rows_in("ar_prompts") == turns
    assert store.rows_in("ar_contents") == turns
    again = store.llm_calls.record(NewLLMCall(model="m", prompt=tuple(parts)))
    assert store.rows_in("ar_prompts") == turns
    assert store.llm_calls.prompt(again.id) == store.llm_calls.prompt(calls[-1])
    assert store.llm_calls.prompt(calls[-1]).count("turn") == turns


def test_a_prompt_that_goes_on_from_a_long_one_reads_nothing_of_it_again(store: Facing) -> None:
    session = store.sessions.create(NewSession(session_id="s")).id
    texts = [f"turn {n}" for n in range(60)]
    told = store.messages.append(session, [NewMessage(role=MessageRole.USER, content=text) for text in texts])
    parts = [PromptPart(role=MessageRole.SYSTEM, content="be brief")]
    parts += [PromptPart(role=m.role, message_uuid=m.id, revision=m.revision) for m in told.messages]
    lengths = [sum(len(text) for text in ["be brief", *texts][:n]) for n in (60, 61)]
    store.llm_calls.record(NewLLMCall(model="m", prompt=tuple(parts[:-1]), prompt_length=lengths[0]))
    sent: list[str] = []

    def watched(conn: Any, scope: Any) -> Any:
        conn.observer, before = sent.append, conn.observer
        try:
            return llm_calls.record(conn, scope, NewLLMCall(model="m", prompt=tuple(parts), prompt_length=lengths[1]))
        finally:
            conn.observer = before

    call = store.run(watched)
    assert len([sql for sql in sent if "ar_prompts" in sql or "ar_messages" in sql]) == 3
    assert store.rows_in("ar_prompts") == len(parts)
    assert call.prompt_length == lengths[1]
    shown = json.loads(store.llm_calls.prompt(call.id))
    assert [part["content"] for part in shown] == ["be brief", *texts]
    whole = store.llm_calls.record(NewLLMCall(model="m", prompt=tuple(parts)))
    assert (whole.prompt_uuid, whole.prompt_length) == (call.prompt_uuid, lengths[1])
    gone = PromptPart(message_uuid=new_id(), revision=1)
    with pytest.raises(NotFound):
        store.llm_calls.record(NewLLMCall(model="m", prompt=(*parts, gone), prompt_length=1))
