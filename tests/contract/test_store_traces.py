"""Traces: spans are kept whole, and what they say is one record, in whatever order and pieces they come."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from agentrecord.engine import Connection
from agentrecord.exceptions import InvalidValue
from agentrecord.ingest.otlp_facts import derive
from agentrecord.records.message import MessageRole
from agentrecord.records.run import RunStatus
from agentrecord.records.scope import Scope
from agentrecord.records.session import SessionChanges, SessionFilter
from agentrecord.records.span import Span
from agentrecord.records.tool_call import ToolCallStatus
from agentrecord.store import Store, traces
from databases import ENGINES
from faces import Facing, covers
from otlp_requests import AT, SECOND_TRACE, TRACE, chat, conversation, received, said, span

ROWS = {
    "ar_sessions": "s.session_id, s.title, s.message_count, s.last_sequence, s.run_count, s.tool_call_count,"
                   " s.error_count, s.calls, s.input_tokens, s.output_tokens, s.created_at, s.last_activity_at",
    "ar_runs": "s.id, s.run_id, s.parent_uuid, s.session_uuid, s.status, s.objective, s.agent_uuid, s.started_at,"
               " s.finished_at, s.final_synthesis_output, s.child_count, s.calls, s.output_tokens, s.tool_call_count",
    "ar_messages": "s.id, s.session_uuid, s.sequence, s.role, s.content, s.parts, s.run_uuid, s.created_at,"
                   " s.model_used, s.tools_used",
    "ar_llm_calls": "s.id, s.session_uuid, s.run_uuid, s.message_uuid, s.agent_uuid, s.model_uuid, s.input_tokens,"
                    " s.output_tokens, s.cost_nanos, s.timestamp, s.is_subagent, s.status",
    "ar_tool_calls": "s.id, s.session_uuid, s.run_uuid, s.agent_uuid, s.call_ref, s.tool_name, s.status, s.arguments,"
                     " s.result, s.started_at, s.finished_at, s.duration_ms",
    "ar_events": "s.id, s.session_uuid, s.run_uuid, s.agent_uuid, s.parent_event_uuid, s.span_id, s.event_type,"
                 " s.piece_uuid, s.detached_from, s.data, s.timestamp, s.duration_ms",
    "ar_errors": "s.id, s.session_uuid, s.run_uuid, s.agent_uuid, s.error_type, s.error_message, s.stack_trace,"
                 " s.created_at",
    "ar_usage_days": "s.bucket, s.agent_uuid, s.model_uuid, s.calls, s.input_tokens, s.output_tokens, s.cost_nanos",
    "ar_activity_days": "s.day, s.agent_uuid, s.session_count, s.message_count, s.run_count, s.failed_runs,"
                        " s.tool_calls, s.tool_errors, s.error_count",
    "ar_tool_days": "s.day, s.tool_name, s.calls, s.errors, s.duration_ms_sum, s.duration_count",
}  # fmt: skip


def everything(store: Facing) -> dict[str, list[str]]:
    """Return all that the record says, each row with the name of its user; figures that are zero left out."""
    found = {}
    for table, columns in ROWS.items():
        rows = store.sql(f"SELECT u.external_id, {columns} FROM {table} s JOIN ar_users u ON u.id = s.user_uuid")
        if table.endswith("_days"):
            rows = [row for row in rows if any(isinstance(value, int) and value for value in row[3:])]
        found[table] = sorted(map(repr, rows))
    return found


def record(store: Facing, spans: list[Span]) -> Any:
    """Store spans."""
    return store.traces.record(spans, derive)


@covers("traces.record")
def test_a_trace_becomes_a_session_with_its_messages_runs_calls_and_tools(store: Facing) -> None:
    counts = record(store, received(*conversation()))
    assert (counts.spans, counts.unchanged, counts.traces) == (7, 0, 2)
    session = store.sessions.get("talk")
    assert (session.user, session.source, session.created_at) == ("ana", "otlp", AT)
    assert session.title == "Is it sunny?"
    shown = [(m.sequence, m.role, m.content) for m in store.messages.list(session.id)]
    assert shown == [
        (1, MessageRole.SYSTEM, "Be brief."),
        (2, MessageRole.USER, "Is it sunny?"),
        (3, MessageRole.ASSISTANT, ""),
        (4, MessageRole.USER, "Look outside"),
        (5, MessageRole.ASSISTANT, "sunny"),
        (6, MessageRole.TOOL, "sunny"),
        (7, MessageRole.ASSISTANT, "It is."),
        (8, MessageRole.USER, "Is it sunny?"),
        (9, MessageRole.ASSISTANT, "Still."),
    ]
    calls = store.llm_calls.list(session=session.id, sort="timestamp").items
    assert [(c.tokens.input, c.tokens.output) for c in calls] == [(10, 5), (5, 1), (15, 6), (20, 2)]
    assert [c.is_subagent for c in calls] == [False, True, False, False]
    assert calls[0].cost_nanos == 10 * 2500 + 5 * 10_000
    assert store.messages.list(session.id).items[6].usage.output_tokens == 6
    (tool,) = store.tool_calls.list(session=session.id).items
    assert (tool.tool_name, tool.arguments, tool.result, tool.status, tool.duration_ms) == (
        "weather", '{"c":1}', "sunny", ToolCallStatus.SUCCESS, 39,
    )  # fmt: skip


@covers("traces.record")
def test_a_trace_is_a_tree_of_runs_and_every_span_an_event(store: Facing) -> None:
    record(store, received(*conversation()))
    top = store.runs.get(TRACE, with_subtree=True)
    assert (top.agent_id, top.status, top.objective) == ("guide", RunStatus.COMPLETED, "invoke_agent guide")
    assert (top.usage.calls, top.subtree.calls, top.child_count, top.tool_call_count) == (2, 3, 1, 1)
    below = store.runs.tree(top.id)[1]
    assert (below.run_id, below.agent_id, below.parent_uuid) == (f"{TRACE}:{4:016x}", "helper", top.id)
    events = {e.span_id: e for e in store.events.list(session=store.session_uuid("talk"))}
    assert {int(name): e.event_type for name, e in events.items()} == {
        1: "agent", 2: "llm", 3: "tool", 4: "agent", 5: "llm", 6: "llm", 7: "llm",
    }  # fmt: skip
    assert events[f"{5:016x}"].parent_event_uuid == events[f"{4:016x}"].id
    assert (events[f"{3:016x}"].duration_ms, events[f"{3:016x}"].run_uuid) == (39, top.id)
    (error,) = store.errors.list().items
    assert (error.error_type, error.error_message, error.stack_trace) == ("TimeoutError", "slow", "at line 1")
    assert error.run_uuid == below.id


@pytest.mark.parametrize(("engine", "face"), [*((engine, "sync") for engine in ENGINES), ("sqlite", "async")])
def test_any_order_and_any_pieces_give_the_same_record(
    open_store: Callable[[str, str], Facing], engine: str, face: str
) -> None:
    spans = received(*conversation())
    store = open_store(engine, face)
    record(store, spans)
    whole = everything(store)
    for seed in (None, 1, 2, 3):
        chance = random.Random(seed)
        left = spans[::-1] if seed is None else chance.sample(spans, len(spans))
        other = open_store(engine, face)
        while left:
            size = chance.randint(1, 3)
            # One more comes twice, as from a client whose request seemed lost.
            record(other, [*left[:size], chance.choice(spans)])
            left = left[size:]
        found = everything(other)
        assert {table: found[table] for table in whole} == whole
        assert other.usage.recount() == ()


@covers("traces.record")
def test_a_span_that_comes_twice_changes_nothing(store: Facing) -> None:
    spans = received(*conversation())
    record(store, spans)
    before = everything(store)
    counts = record(store, [*spans, *spans])
    assert (counts.spans, counts.unchanged) == (0, 7)
    assert everything(store) == before


@covers("traces.record")
def test_the_usage_of_an_agent_is_its_own_until_a_request_below_tells_of_it(store: Facing) -> None:
    agent, request = received(*conversation()[:2])
    record(store, [agent])
    assert [(c.tokens.input, c.tokens.output) for c in store.llm_calls.list().items] == [(30, 12)]
    record(store, [request])
    assert [(c.tokens.input, c.tokens.output) for c in store.llm_calls.list().items] == [(10, 5)]
    assert store.runs.get(TRACE).usage.input_tokens == 10


@covers("traces.record")
def test_a_trace_whose_root_has_not_come_is_a_running_run(store: Facing) -> None:
    root, *rest = received(*conversation()[:3])
    record(store, rest)
    assert store.runs.get(TRACE).status is RunStatus.RUNNING
    assert store.sessions.get(TRACE).message_count == 3
    record(store, [root])
    assert store.runs.get(TRACE).status is RunStatus.COMPLETED
    # The session that stood for the trace is gone: what it held is the conversation's.
    assert [s.session_id for s in store.sessions.list(SessionFilter(include_children=True))] == ["talk"]
    assert store.sessions.get("talk").message_count == 3


@covers("traces.record", "sessions.update")
def test_a_session_that_somebody_named_keeps_its_name(store: Facing) -> None:
    spans = received(*conversation())
    record(store, spans[:6])
    store.sessions.update("talk", SessionChanges(title="Weather"))
    record(store, spans[6:])
    assert store.sessions.get("talk").title == "Weather"


@covers("traces.record", "sessions.delete")
def test_what_was_deleted_does_not_come_back_but_the_ledger_goes_on(store: Facing) -> None:
    first, second = received(*conversation())[:6], received(*conversation())[6:]
    record(store, first)
    store.sessions.delete("talk")
    assert record(store, first).spans == 0
    counts = record(store, second)
    assert store.sessions.find("talk") is None
    assert len(store.messages.search("Still")) == 0
    assert (counts.spans, store.llm_calls.list(limit=10).total) == (1, 4)


@covers("traces.record")
def test_two_users_who_send_one_trace_have_a_trace_each(store: Facing) -> None:
    spans = received(*conversation())
    for user in ("ana", "ben"):
        record(store.scoped(user=user), spans)
    for user in ("ana", "ben"):
        seen = store.scoped(user=user)
        assert seen.sessions.get("talk").user == user
        assert (seen.sessions.get("talk").message_count, seen.llm_calls.list(limit=10).total) == (9, 4)
        assert len(seen.traces.spans(limit=10)) == 7


@covers("traces.record")
def test_a_trace_that_turns_out_to_be_anothers_moves_with_all_it_counted(store: Facing) -> None:
    late = span(9, "root", {"user.id": "zoe"}, at=(0, 50))
    record(store, received(chat(2, [said("user", "hi")], said("assistant", "yo"), parent=9, at=(1, 9))))
    assert [row.user for row in store.sessions.list()] == ["unassigned"]
    record(store, received(late))
    (session,) = store.sessions.list()
    assert (session.user, session.message_count, session.usage.calls) == ("zoe", 2, 1)
    assert store.runs.get(TRACE).user == "zoe"


@covers("traces.spans")
def test_spans_are_read_back_as_they_were_sent(store: Facing) -> None:
    spans = received(*conversation())
    record(store, spans)
    found = store.traces.spans()
    assert sorted(found, key=lambda s: s.span_id) == sorted(spans, key=lambda s: s.span_id)
    session, run = store.session_uuid("talk"), store.runs.get(SECOND_TRACE).id
    assert len(store.traces.spans(session=session)) == 7
    assert [s.span_id for s in store.traces.spans(run=run)] == [f"{7:016x}"]
    assert len(store.traces.spans(since=AT, until=AT + timedelta(milliseconds=60))) == 5
    pages = [store.traces.spans(limit=3)]
    while len(pages[-1]) == 3:
        pages.append(store.traces.spans(limit=3, after=pages[-1][-1]))
    assert [s for page in pages for s in page] == list(found)
    with pytest.raises(InvalidValue):
        store.traces.spans(limit=0)


def test_a_page_of_spans_is_read_from_an_index_and_sorts_no_whole_project() -> None:
    with Store("memory:") as store:
        store.traces.record([*received(*conversation())], derive)
        first = store.traces.spans(limit=3)

        def plan(conn: Connection, scope: Scope) -> list[str]:
            asked: list[str] = []
            conn.observer = asked.append
            traces.spans(conn, scope, after=first[-1], limit=3)
            conn.observer = None
            (sql,) = asked
            return [row[3] for row in conn.text(f"EXPLAIN QUERY PLAN {sql}", [0] * sql.count("?"))]

        steps = store.run(plan)
    assert steps[0] == "SEARCH ar_events USING INDEX ix_ar_events_spans (project_id=? AND timestamp>?)"
    assert "USE TEMP B-TREE FOR ORDER BY" not in steps


@pytest.mark.parametrize("engine", ENGINES)
def test_writers_that_part_one_trace_between_them_leave_one_record(
    open_store: Callable[[str, str], Facing], engine: str
) -> None:
    spans = received(*conversation())
    store = open_store(engine, "sync")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda one: record(store, [one]), [*spans, *spans[::-1]]))
    whole = open_store(engine, "sync")
    record(whole, spans)
    assert everything(store) == everything(whole)
    assert store.usage.recount() == ()
