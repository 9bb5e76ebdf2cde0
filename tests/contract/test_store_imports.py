"""Imports: a batch twice is one batch, a grown one adds what is new, and what contradicts itself is told."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agentrecord.ids import derived_id
from agentrecord.records.llm_call import CostSource
from agentrecord.records.message import MessageRole
from agentrecord.records.run import RunStatus
from agentrecord.records.tokens import TokenCounts
from agentrecord.records.tool_call import ToolCallStatus
from agentrecord.records.transcript import (
    CallFact,
    ErrorFact,
    EventFact,
    Identified,
    ImportBatch,
    MessageFact,
    RunFact,
    SessionFact,
    ToolCallFact,
    ToolResultFact,
    Unreadable,
)
from agentrecord.records.usage import UsageBy, UsageTotals
from faces import Facing, covers

AT = datetime(2026, 2, 1, 8, tzinfo=UTC)


def identified(kind: str, key: str, message: str | None = None) -> Identified:
    """Return the identity of a fact."""
    return Identified(
        row_id=derived_id(AT, kind, key), message_uuid=None if message is None else derived_id(AT, "message", message)
    )


def message(key: str, content: str, *, session: str = "s", role: MessageRole = MessageRole.USER) -> Any:
    """Return a message's fact."""
    fact = MessageFact(session_id=session, key=key, role=role, content=content, created_at=AT, run_id="r", line=7)
    return identified("message", key), fact


def call(key: str | None, output: int, row: str = "c", **more: Any) -> Any:
    """Return a call's fact."""
    fact = CallFact(session_id="s", run_id="r", dedup_key=key, timestamp=AT, model="claude-opus-4-5", host="Anthropic",
                    tokens=TokenCounts(input=10, output=output), message_key="m2", **more)  # fmt: skip
    return identified("call", row, "m2"), fact


SESSION = SessionFact(
    session_id="s", created_at=AT, tool_name="claude-code", working_directory="/w", initial_task="do it"
)
RUN = RunFact(session_id="s", run_id="r", started_at=AT, agent_id="bot")
WHOLE = ImportBatch(
    source="claude-code", path="/t.jsonl", sessions=(SESSION,), runs=(RUN,),
    messages=(message("m1", "ask"), message("m2", "answer", role=MessageRole.ASSISTANT)),
    calls=(call("k", 5), call("k", 9), call("k", 7), call(None, 1, "c2")),
    tool_calls=((identified("tool", "t1"), ToolCallFact(session_id="s", run_id="r", call_ref="t1", tool_name="bash",
                                                        started_at=AT, arguments="{}")),
                (identified("tool", "t2"), ToolCallFact(session_id="s", run_id="r", call_ref="t2", tool_name="bash",
                                                        started_at=AT))),
    tool_results=((identified("result", "t1", "m1"), ToolResultFact(session_id="s", call_ref="t1",
                                                                    finished_at=AT + timedelta(seconds=2))),
                  (identified("result", "t9"), ToolResultFact(session_id="s", call_ref="t9", finished_at=AT))),
    events=((identified("event", "e1"), EventFact(session_id="s", key="e1", event_type="hook", timestamp=AT)),),
    errors=((identified("error", "x1"), ErrorFact(session_id="s", key="x1", error_type="E", error_message="m",
                                                  created_at=AT)),),
    unreadable=(Unreadable(line=3, reason="no JSON", excerpt="{\0\ud800"),),
)  # fmt: skip


@covers("imports.load")
def test_a_batch_is_stored_whole_and_twice_is_once(store: Facing) -> None:
    counts = store.imports.load(WHOLE)
    assert (counts.sessions, counts.runs, counts.messages, counts.calls, counts.tool_calls) == (1, 1, 2, 2, 2)
    assert (counts.tool_results, counts.events, counts.errors, counts.orphan_results, counts.unreadable) == (
        1,
        1,
        1,
        1,
        1,
    )
    before = (
        store.sessions.get("s"),
        store.usage.report(UsageBy.DAY),
        store.messages.list(store.session_uuid("s")).items,
    )
    again = store.imports.load(WHOLE)
    assert (again.added, again.tool_results, again.conflicts) == (0, 0, 0)
    assert again.unchanged >= 8
    after = store.sessions.get("s"), store.usage.report(UsageBy.DAY), store.messages.list(store.session_uuid("s")).items
    assert after == before
    assert store.usage.recount() == ()


def test_what_was_imported_is_what_the_facts_said(store: Facing) -> None:
    store.imports.load(WHOLE)
    session = store.sessions.get("s")
    assert (session.coding.working_directory, session.source, session.created_at) == ("/w", "claude-code", AT)
    assert (session.message_count, session.tool_call_count, session.error_count) == (2, 2, 1)
    assert (session.usage.calls, session.usage.output_tokens, session.usage.input_tokens) == (2, 10, 20)
    assert store.messages.list(session.id).items[1].usage.output_tokens == 10
    tool = next(t for t in store.tool_calls.list(session=session.id) if t.call_ref == "t1")
    assert (tool.status, tool.result, tool.duration_ms) == (ToolCallStatus.SUCCESS, "ask", 2000)
    assert len(store.messages.search("answer")) == 1
    assert store.runs.get("r").usage == session.usage
    assert store.events.list(session=session.id).items[0].session_sequence == 1


def test_a_grown_file_adds_only_what_is_new(store: Facing) -> None:
    store.imports.load(replace(WHOLE, messages=WHOLE.messages[:1], calls=(call("k", 5),), tool_results=()))
    first = store.sessions.get("s")
    counts = store.imports.load(WHOLE)
    assert (counts.sessions, counts.messages, counts.calls, counts.tool_calls, counts.tool_results) == (0, 1, 1, 0, 1)
    grown = store.sessions.get("s")
    assert (first.usage.output_tokens, grown.usage.output_tokens, grown.usage.calls) == (5, 10, 2)
    assert [m.sequence for m in store.messages.list(grown.id)] == [1, 2]
    assert store.sql("SELECT count(*) FROM ar_tool_calls WHERE status = ?", "pending") == [(1,)]


def test_a_message_that_says_something_else_is_told_and_the_first_stays(store: Facing) -> None:
    store.imports.load(WHOLE)
    counts = store.imports.load(replace(WHOLE, messages=(message("m1", "other"),), unreadable=()))
    assert counts.conflicts == 1
    assert store.messages.list(store.session_uuid("s")).items[0].content == "ask"
    (told,) = store.imports.unreadable(path="/t.jsonl").items[:1]
    assert (told.line, told.was_kept) == (7, True)


def test_what_was_edited_or_deleted_here_is_not_imported_back(store: Facing) -> None:
    store.imports.load(WHOLE)
    one, two = store.messages.list(store.session_uuid("s"))
    store.messages.edit(one.id, "edited")
    store.messages.delete(two.id)
    counts = store.imports.load(WHOLE)
    assert (counts.messages, counts.conflicts) == (0, 0)
    assert [m.content for m in store.messages.list(store.session_uuid("s"))] == ["edited"]


def test_later_facts_complete_a_session_and_a_run(store: Facing) -> None:
    store.imports.load(WHOLE)
    later = replace(SESSION, created_at=AT - timedelta(hours=1), title="T", git_branch="main", working_directory=None)
    ended = replace(RUN, status=RunStatus.ERROR, finished_at=AT + timedelta(minutes=1), error_message="x", output="o")
    store.imports.load(replace(WHOLE, sessions=(later,), runs=(ended, RUN)))
    session, run = store.sessions.get("s"), store.runs.get("r")
    assert (session.title, session.coding.git_branch, session.coding.working_directory) == ("T", "main", "/w")
    assert (session.created_at, run.status, run.error_message, run.final_synthesis_output) == (
        AT - timedelta(hours=1), RunStatus.ERROR, "x", "o")  # fmt: skip
    assert sum(d.session_count for d in store.usage.daily()) == 1


def test_a_child_may_come_before_its_parent(store: Facing) -> None:
    child = replace(SESSION, session_id="child", parent_session_id="s")
    store.imports.load(ImportBatch(source="x", path="/c", sessions=(child,)))
    store.imports.load(WHOLE)
    parent = store.sessions.get("s")
    assert [s.session_id for s in store.sessions.children(parent.id)] == ["child"]
    assert (parent.child_count, parent.title, parent.message_count) == (1, None, 2)
    assert store.usage.report(UsageBy.SESSION).rows[0].key == "s"


def test_a_cost_that_the_transcript_names_is_kept(store: Facing) -> None:
    store.imports.load(replace(WHOLE, calls=(call("k", 5, cost_nanos=123),)))
    (stored,) = store.llm_calls.list()
    assert (stored.cost_nanos, stored.cost_source) == (123, CostSource.PROVIDER)


def test_two_users_may_import_the_same_names(store: Facing) -> None:
    store.imports.load(replace(WHOLE, user="anna"))
    other = replace(
        WHOLE, user="ben", calls=(), tool_calls=(), tool_results=(), events=(), errors=(),
        messages=(message("b1", "mine"),), runs=(),
    )  # fmt: skip
    store.imports.load(other)
    assert store.scoped(user="ben").sessions.get("s").message_count == 1
    assert store.scoped(user="anna").sessions.get("s").usage != UsageTotals()


@covers("imports.finish_file", "imports.files", "imports.unreadable")
def test_a_file_that_was_read_is_remembered_and_its_bad_lines_are_listed(store: Facing) -> None:
    store.imports.load(WHOLE)
    for size in (10, 20):
        store.imports.finish_file("claude-code", "/t.jsonl", size_bytes=size, modified_ns=2**60, fingerprint="f",
                                  facts=5, unreadable=1)  # fmt: skip
    (file,) = store.imports.files("claude-code")
    assert (file.size_bytes, file.modified_ns, file.fingerprint) == (20, 2**60, "f")
    assert store.imports.files("codex") == ()
    (line,) = store.imports.unreadable(source="claude-code", since=AT)
    assert (line.line, line.reason, line.excerpt, line.was_kept) == (3, "no JSON", "{\ufffd\ufffd", False)
    assert store.imports.unreadable(source="codex").total == 0


def test_a_batch_that_fails_stores_nothing(store: Facing) -> None:
    with pytest.raises(Exception, match="NUL"):
        store.imports.load(replace(WHOLE, messages=(*WHOLE.messages, message("m3", "a\0b"))))
    assert store.sessions.list().total == 0
    assert store.rows_in("ar_messages") == 0


@covers("imports.preview")
def test_a_preview_counts_what_a_load_would_add(store: Facing) -> None:
    expected = store.imports.preview(WHOLE, set())
    assert store.sessions.list().total == 0
    loaded = store.imports.load(WHOLE)
    for name in ("sessions", "runs", "messages", "calls", "tool_calls", "events", "errors"):
        assert getattr(expected, name) == getattr(loaded, name), name
    assert store.imports.preview(WHOLE, set()).added == 0
