"""Sessions of pi: costs and tokens as pi wrote them, runs as their answers ended."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest

from agentrecord.ingest.batches import Batcher
from agentrecord.ingest.facts import (
    CallFact,
    ErrorFact,
    EventFact,
    Fact,
    MessageFact,
    RunFact,
    SessionFact,
    Skipped,
    ToolCallFact,
    ToolResultFact,
    Unreadable,
)
from agentrecord.ingest.pi import SOURCE
from agentrecord.records.error import ErrorKind
from agentrecord.records.llm_call import CallStatus
from agentrecord.records.message import MessageRole, PartKind
from agentrecord.records.run import RunStatus
from agentrecord.records.tokens import TokenCounts

F = TypeVar("F")
SAMPLE = Path(__file__).parent.parent / "data" / "pi" / "session.jsonl"
LATEST = datetime(2026, 12, 1, tzinfo=UTC)
HEADER = {"type": "session", "version": 3, "id": "s1", "timestamp": "2026-03-31T10:00:00.000Z", "cwd": "/w"}
USAGE = {"input": 3, "output": 7, "cacheRead": 20, "cacheWrite": 5, "totalTokens": 35, "cost": {"total": 0.0123456789}}


def entry(second: int, **fields: Any) -> dict[str, Any]:
    return {"id": f"e{second}", "timestamp": f"2026-03-31T10:00:{second:02}.000Z", **fields}


def message(second: int, role: str, content: Any, **fields: Any) -> dict[str, Any]:
    return entry(second, type="message", message={"role": role, "content": content, **fields})


def answer(second: int, content: Any, reason: str = "stop", **fields: Any) -> dict[str, Any]:
    told = {"provider": "anthropic", "model": "claude-opus-4-5", "usage": USAGE, "stopReason": reason}
    return message(second, "assistant", content, **told, **fields)


def write(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(item) + "\n" for item in rows))
    return path


def facts_of(path: Path, latest: datetime = LATEST) -> list[Fact]:
    return list(SOURCE.open(path, latest=latest).read())


def only(kind: type[F], facts: Iterable[Fact]) -> list[F]:
    return [fact for fact in facts if isinstance(fact, kind)]


def test_both_objects_of_a_double_line_count() -> None:
    facts = facts_of(SAMPLE)
    calls = only(CallFact, facts)
    assert [call.tokens for call in calls] == [
        TokenCounts(input=3008, cache_read=0, cache_write_5m=0, output=74),
        TokenCounts(input=1, cache_read=130604, cache_write_5m=512, output=23),
    ]
    assert [call.cost_nanos for call in calls] == [16_890_000, 69_082_000]
    assert [call.latency_ms for call in calls] == [4808, 3670]
    assert {call.host for call in calls} == {"Anthropic"}
    assert [event.event_type for event in only(EventFact, facts)] == ["compaction"]
    assert not only(Unreadable, facts)
    assert only(SessionFact, facts)[-1].working_directory == "/Users/dev1/workspaces/pi-mono"


def test_an_answer_with_tools_is_told_with_its_calls_and_results(tmp_path: Path) -> None:
    blocks = [
        {"type": "thinking", "thinking": "Look."},
        {"type": "text", "text": "I look."},
        {"type": "toolCall", "id": "t1", "name": "bash", "arguments": {"command": "ls"}},
    ]
    rows = [
        HEADER,
        message(1, "user", "What is here?"),
        answer(2, blocks, "toolUse", responseId="r1"),
        message(4, "toolResult", [{"type": "text", "text": "no"}], toolCallId="t1", toolName="bash", isError=True),
        answer(5, [{"type": "text", "text": "Nothing."}]),
    ]
    facts = facts_of(write(tmp_path / "s.jsonl", rows))
    told = only(MessageFact, facts)
    assert [one.role.value for one in told] == ["user", "assistant", "tool", "assistant"]
    assert [part.kind for part in told[1].parts] == [PartKind.REASONING, PartKind.TEXT, PartKind.TOOL_CALL]
    assert (told[1].content, told[1].tools_used, told[1].message_id) == ("I look.", ("bash",), "r1")
    (used,) = only(ToolCallFact, facts)
    assert (used.call_ref, used.tool_name, used.arguments) == ("t1", "bash", '{"command":"ls"}')
    (result,) = only(ToolResultFact, facts)
    assert (result.is_error, result.duration_ms, result.message_key) == (True, 2000, told[2].key)
    run = only(RunFact, facts)[-1]
    assert (run.run_id, run.status, run.output) == ("s1:e1", RunStatus.COMPLETED, "Nothing.")
    assert {one.run_id for one in told} == {call.run_id for call in only(CallFact, facts)} == {used.run_id} == {"s1:e1"}


def test_cost_is_exact_to_the_nano_and_zero_means_unknown(tmp_path: Path) -> None:
    free = {**USAGE, "cost": {"total": 0}}
    rows = [HEADER, message(1, "user", "x"), answer(2, "a"), answer(3, "b") | {}]
    rows[-1]["message"]["usage"] = free
    calls = only(CallFact, facts_of(write(tmp_path / "s.jsonl", rows)))
    assert [call.cost_nanos for call in calls] == [12_345_679, None]


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        ("stop", RunStatus.COMPLETED),
        ("length", RunStatus.COMPLETED),
        ("aborted", RunStatus.CANCELLED),
        ("error", RunStatus.ERROR),
    ],
)
def test_a_run_ends_as_its_last_answer_did(tmp_path: Path, reason: str, status: RunStatus) -> None:
    rows = [HEADER, message(1, "user", "x"), answer(2, [], reason, errorMessage="terminated")]
    facts = facts_of(write(tmp_path / "s.jsonl", rows))
    assert only(RunFact, facts)[-1].status is status
    assert len(only(ErrorFact, facts)) == (reason == "error")


def test_an_error_that_was_retried_does_not_fail_the_run(tmp_path: Path) -> None:
    rows = [HEADER, message(1, "user", "x"), answer(2, [], "error", errorMessage="overloaded"), answer(3, "Done.")]
    facts = facts_of(write(tmp_path / "s.jsonl", rows))
    assert [run.status for run in only(RunFact, facts)] == [RunStatus.RUNNING, RunStatus.COMPLETED]
    assert [call.status for call in only(CallFact, facts)] == [CallStatus.ERROR, CallStatus.SUCCESS]
    (error,) = only(ErrorFact, facts)
    assert (error.kind, error.call_key) == (ErrorKind.LLM, only(CallFact, facts)[0].dedup_key)
    batch = Batcher(source="pi", path="s.jsonl", user=None).batch(facts)
    assert batch.errors[0][0].llm_call_uuid == batch.calls[0][0].row_id


def test_work_after_an_error_keeps_the_run_open(tmp_path: Path) -> None:
    tool = {"type": "toolCall", "id": "t1", "name": "bash", "arguments": {}}
    rows = [HEADER, message(1, "user", "x"), answer(2, [], "error"), answer(3, [tool], "toolUse")]
    path = write(tmp_path / "s.jsonl", rows)
    assert only(RunFact, facts_of(path, datetime(2026, 3, 31, 10, 30, tzinfo=UTC)))[-1].status is RunStatus.RUNNING
    assert only(RunFact, facts_of(path))[-1].error_message == "transcript ends in mid-turn"


def test_zeros_of_an_aborted_call_are_unknown_tokens(tmp_path: Path) -> None:
    aborted = answer(2, [], "aborted", errorMessage="Request was aborted.")
    aborted["message"]["usage"] = {"input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0, "cost": {"total": 0}}
    (call,) = only(CallFact, facts_of(write(tmp_path / "s.jsonl", [HEADER, message(1, "user", "x"), aborted])))
    assert (call.tokens, call.cost_nanos, call.error_message) == (TokenCounts(), None, "Request was aborted.")


def test_a_fork_holds_the_same_calls_as_its_parent(tmp_path: Path) -> None:
    rows = [message(1, "user", "x"), answer(2, "a", timestamp=1774951201000)]
    fork = HEADER | {"id": "s2", "parentSession": "/h/2026-03-31T10-00-00-000Z_s1.jsonl"}
    parent = facts_of(write(tmp_path / "a.jsonl", [HEADER, *rows]))
    child = facts_of(write(tmp_path / "b.jsonl", [fork, *({**item, "id": "new"} for item in rows)]))
    assert [one.dedup_key for one in only(CallFact, parent)] == [one.dedup_key for one in only(CallFact, child)]
    assert only(SessionFact, child)[-1].parent_session_id == "s1"


def test_commands_of_the_user_and_notes_of_extensions_open_no_run(tmp_path: Path) -> None:
    shell = entry(1, type="message", message={"role": "bashExecution", "command": "ls", "output": "a", "exitCode": 0})
    note = entry(2, type="custom_message", customType="x", content="note")
    state = entry(3, type="custom", customType="x", data={})
    named = entry(4, type="session_info", name="My session")
    changed = entry(5, type="model_change", provider="openai", modelId="gpt-5")
    facts = facts_of(write(tmp_path / "s.jsonl", [HEADER, shell, note, state, named, changed]))
    assert not only(RunFact, facts)
    roles = [(one.role, one.content) for one in only(MessageFact, facts)]
    assert roles == [(MessageRole.USER, "! ls\na"), (MessageRole.SYSTEM, "note")]
    assert only(SessionFact, facts)[-1].title == "My session"
    assert [one.reason for one in only(Skipped, facts)] == ["state of extensions"]
    assert [one.event_type for one in only(EventFact, facts)] == ["model_change"]


@pytest.mark.parametrize(
    ("usage", "reason"),
    [
        ({"input": -3, "output": 1}, "input is -3"),
        ({"input": 3, "output": 2**64}, "output is 18446744073709551616"),
        ({"input": 3, "output": 1.5}, "output is 1.5"),
        ({"input": 3, "output": 1, "cost": {"total": -1}}, "total -1 is not a cost"),
    ],
)
def test_usage_that_cannot_be_right_costs_the_call_but_not_the_message(
    tmp_path: Path, usage: dict[str, Any], reason: str
) -> None:
    bad = answer(2, "kept")
    bad["message"]["usage"] = usage
    facts = facts_of(write(tmp_path / "s.jsonl", [HEADER, message(1, "user", "x"), bad]))
    (unreadable,) = only(Unreadable, facts)
    assert reason in unreadable.reason
    assert not only(CallFact, facts)
    assert only(MessageFact, facts)[-1].content == "kept"
    assert only(RunFact, facts)[-1].status is RunStatus.COMPLETED


def test_unknown_rows_and_roles_are_reported_with_their_line(tmp_path: Path) -> None:
    rows = [HEADER, entry(1, type="telepathy"), message(2, "oracle", "x"), {"type": "message", "timestamp": [1]}]
    found = [(one.line, one.reason) for one in only(Unreadable, facts_of(write(tmp_path / "s.jsonl", rows)))]
    assert [line for line, _ in found] == [2, 3, 4]
    assert "unknown row type 'telepathy'" in found[0][1]
    assert "unknown message role 'oracle'" in found[1][1]
    assert "is not a time" in found[2][1]


def test_a_session_without_a_header_is_named_by_its_file(tmp_path: Path) -> None:
    facts = facts_of(write(tmp_path / "lost.jsonl", [message(1, "user", "x")]))
    assert only(SessionFact, facts)[0].session_id == "lost"


def test_reading_on_tells_the_end_of_a_run_once(tmp_path: Path) -> None:
    path = write(tmp_path / "s.jsonl", [HEADER, message(1, "user", "x")])
    reader = SOURCE.open(path, latest=datetime(2026, 3, 31, 10, 30, tzinfo=UTC))
    assert [run.status for run in only(RunFact, reader.read())] == [RunStatus.RUNNING]
    write(path, [HEADER, message(1, "user", "x"), answer(2, "Done.")])
    assert [run.status for run in only(RunFact, reader.read())] == [RunStatus.COMPLETED]
    assert not list(reader.read())


def test_a_session_replaced_by_a_shorter_one_is_read_anew(tmp_path: Path) -> None:
    path = write(tmp_path / "s.jsonl", [HEADER, message(1, "user", "first"), answer(2, "a")])
    reader = SOURCE.open(path, latest=LATEST)
    list(reader.read())
    write(path, [HEADER | {"id": "s2"}, message(1, "user", "other")])
    facts = list(reader.read())
    assert only(SessionFact, facts)[0].session_id == "s2"
    assert [one.content for one in only(MessageFact, facts)] == ["other"]


def test_the_roots_follow_the_environment() -> None:
    assert list(SOURCE.roots({}, Path("/h"))) == [Path("/h/.pi/agent/sessions")]
    assert list(SOURCE.roots({"PI_CODING_AGENT_DIR": "/p"}, Path("/h"))) == [Path("/p/sessions")]
