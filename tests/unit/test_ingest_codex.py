"""Codex rollouts: what is told twice counts once, and what cannot be right is reported."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest

from agentrecord.ingest.codex import SOURCE
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
from agentrecord.records.error import ErrorKind
from agentrecord.records.message import MessageRole, PartKind
from agentrecord.records.run import RunStatus
from agentrecord.records.tokens import TokenCounts

F = TypeVar("F")
DATA = Path(__file__).parent.parent / "data" / "codex"
LATEST = datetime(2026, 12, 1, tzinfo=UTC)
META = {"id": "s1", "cwd": "/w", "cli_version": "0.99.0", "model_provider": "openai", "git": {"branch": "main"}}
CONTEXT = ("turn_context", {"model": "gpt-5.2-codex", "turn_id": "019fc8be-0000-7000-8000-000000000001"})


def row(kind: str, payload: dict[str, Any], second: int = 0) -> dict[str, Any]:
    return {"timestamp": f"2026-02-11T05:53:{second:02}.000Z", "type": kind, "payload": payload}


def said(role: str, text: str, second: int = 0) -> dict[str, Any]:
    kind = "output_text" if role == "assistant" else "input_text"
    return row("response_item", {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}, second)


def event(kind: str, second: int = 0, **payload: Any) -> dict[str, Any]:
    return row("event_msg", {"type": kind, **payload}, second)


def usage(given: int, cached: int, output: int, **more: int) -> dict[str, int]:
    return {"input_tokens": given, "cached_input_tokens": cached, "output_tokens": output, **more}


def counted(total: dict[str, int], last: dict[str, int] | None, second: int = 0) -> dict[str, Any]:
    info: dict[str, Any] = {"total_token_usage": total}
    return event("token_count", second, info=info | ({"last_token_usage": last} if last else {}))


def write(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(item) + "\n" for item in rows))
    return path


def facts_of(path: Path, latest: datetime = LATEST) -> list[Fact]:
    return list(SOURCE.open(path, latest=latest).read())


def only(kind: type[F], facts: Iterable[Fact]) -> list[F]:
    return [fact for fact in facts if isinstance(fact, kind)]


def last_run(facts: Iterable[Fact]) -> RunFact:
    return only(RunFact, facts)[-1]


def test_a_real_rollout_is_read_whole() -> None:
    facts = facts_of(DATA / "rollout.jsonl")
    (call,) = only(CallFact, facts)
    assert call.tokens == TokenCounts(input=1211, cache_read=10880, output=182, reasoning=128)
    assert (call.model, call.host) == ("gpt-5.2", "OpenAI")
    assert {run.run_id for run in only(RunFact, facts) if run.status is RunStatus.COMPLETED} == {
        run.run_id for run in only(RunFact, facts)
    }
    assert len({run.run_id for run in only(RunFact, facts)}) == 6
    assert not only(Unreadable, facts)


def test_the_session_tells_where_and_with_what_it_ran(tmp_path: Path) -> None:
    facts = facts_of(
        write(tmp_path / "r.jsonl", [row("session_meta", META), event("thread_name_updated", 1, thread_name="Fix")])
    )
    session = only(SessionFact, facts)[-1]
    assert (session.session_id, session.working_directory, session.git_branch) == ("s1", "/w", "main")
    assert (session.tool_name, session.tool_version, session.host, session.title) == (
        "codex",
        "0.99.0",
        "OpenAI",
        "Fix",
    )


def test_a_total_that_repeats_is_no_second_call(tmp_path: Path) -> None:
    first, second = usage(100, 40, 10), usage(300, 140, 25)
    rows = [
        row("session_meta", META),
        row(*CONTEXT),
        said("user", "go"),
        counted(first, first, 1),
        counted(first, first, 2),
        counted(second, usage(200, 100, 15), 3),
        event("token_count", 4, info=None),
    ]
    facts = facts_of(write(tmp_path / "r.jsonl", rows))
    calls = only(CallFact, facts)
    assert [call.tokens.input for call in calls] == [60, 100]
    assert [call.tokens.cache_read for call in calls] == [40, 100]
    assert "token counts that repeat" in [skipped.reason for skipped in only(Skipped, facts)]


def test_without_the_last_usage_the_difference_of_totals_counts(tmp_path: Path) -> None:
    totals = [usage(100, 40, 10), usage(300, 140, 25), usage(50, 0, 5)]
    rows = [row("session_meta", META), said("user", "go"), *(counted(total, None, n) for n, total in enumerate(totals))]
    calls = only(CallFact, facts_of(write(tmp_path / "r.jsonl", rows)))
    assert [(call.tokens.input, call.tokens.output) for call in calls] == [(60, 10), (100, 15), (50, 5)]


def test_a_fork_repeats_the_calls_of_its_parent_under_the_same_keys(tmp_path: Path) -> None:
    history = [row(*CONTEXT), said("user", "go"), counted(usage(9, 3, 1), usage(9, 3, 1), 1)]
    replayed = [{**item, "timestamp": "2026-02-12T00:00:00Z"} for item in [row("session_meta", META), *history]]
    own = counted(usage(29, 6, 2), usage(20, 3, 1), 2)
    fork = row("session_meta", META | {"id": "s2", "forked_from_id": "s1"})
    before = only(CallFact, facts_of(write(tmp_path / "a.jsonl", [row("session_meta", META), *history])))
    facts = facts_of(write(tmp_path / "b.jsonl", [fork, *replayed, own]))
    after = only(CallFact, facts)
    assert [call.dedup_key for call in before] == [call.dedup_key for call in after[:1]]
    assert len({call.dedup_key for call in after}) == 2
    assert only(SessionFact, facts)[-1].session_id == "s2"
    assert only(SessionFact, facts)[-1].parent_session_id == "s1"


def test_a_fork_without_its_parents_metadata_is_known_by_the_ids_of_its_turns(tmp_path: Path) -> None:
    history = [row(*CONTEXT), said("user", "go"), counted(usage(9, 3, 1), usage(9, 3, 1), 1)]
    fork = row("session_meta", META | {"id": "s2"})
    (before,) = only(CallFact, facts_of(write(tmp_path / "a.jsonl", [row("session_meta", META), *history])))
    (after,) = only(CallFact, facts_of(write(tmp_path / "b.jsonl", [fork, *history])))
    assert before.dedup_key == after.dedup_key


def test_an_answer_completes_a_run_although_a_tools_result_was_not_recorded(tmp_path: Path) -> None:
    call = row("response_item", {"type": "function_call", "name": "shell", "arguments": "{}", "call_id": "a"}, 1)
    rows = [row("session_meta", META), said("user", "go"), call]
    assert last_run(facts_of(write(tmp_path / "a.jsonl", rows))).status is RunStatus.CANCELLED
    assert last_run(facts_of(write(tmp_path / "b.jsonl", [*rows, said("assistant", "Done.", 2)]))).output == "Done."
    assert last_run(facts_of(tmp_path / "b.jsonl")).status is RunStatus.COMPLETED


def test_a_spawned_thread_is_a_sub_agent_of_its_parent(tmp_path: Path) -> None:
    spawn = {"subagent": {"thread_spawn": {"parent_thread_id": "s1", "agent_role": "explorer"}}}
    rows = [row("session_meta", META | {"id": "s2", "source": spawn}), counted(usage(9, 0, 1), None)]
    facts = facts_of(write(tmp_path / "r.jsonl", rows))
    session = only(SessionFact, facts)[-1]
    assert (session.parent_session_id, session.agent_id) == ("s1", "codex/explorer")
    assert only(CallFact, facts)[0].is_subagent


@pytest.mark.parametrize("event_first", [True, False])
def test_the_two_copies_of_a_message_are_one_message_and_one_run(tmp_path: Path, event_first: bool) -> None:
    prompt = [event("user_message", 1, message="List the files"), said("user", "List the files", 1)]
    answer = [event("agent_message", 2, message="Two."), said("assistant", "Two.", 2)]
    copies = prompt + answer if event_first else prompt[::-1] + answer[::-1]
    again = [event("user_message", 3, message="List the files"), said("user", "List the files", 3)]
    facts = facts_of(write(tmp_path / "r.jsonl", [row("session_meta", META), *copies, *again]))
    assert [message.content for message in only(MessageFact, facts)] == ["List the files", "Two.", "List the files"]
    assert len({run.run_id for run in only(RunFact, facts)}) == 2


def test_what_codex_says_in_the_users_name_is_no_prompt(tmp_path: Path) -> None:
    rows = [row("session_meta", META), said("user", "<environment_context><cwd>/w</cwd></environment_context>")]
    facts = facts_of(write(tmp_path / "r.jsonl", [*rows, said("developer", "Be brief.")]))
    assert not only(RunFact, facts)
    roles = [(message.role, message.metadata) for message in only(MessageFact, facts)]
    assert roles == [(MessageRole.USER, '{"isMeta":true}'), (MessageRole.SYSTEM, None)]


def test_a_tool_that_exits_with_an_error_has_failed(tmp_path: Path) -> None:
    def used(ref: str, output: Any) -> list[dict[str, Any]]:
        call = {"type": "function_call", "name": "shell", "arguments": '{"command":["ls"]}', "call_id": ref}
        return [
            row("response_item", call, 1),
            row("response_item", {"type": "function_call_output", "call_id": ref, "output": output}, 3),
        ]

    rows = [
        row("session_meta", META),
        said("user", "go"),
        *used("a", json.dumps({"output": "no such file", "metadata": {"exit_code": 2, "duration_seconds": 0.5}})),
        *used("b", json.dumps({"output": "ok", "metadata": {"exit_code": 0}})),
        *used("c", "Exit code: 1\nWall time: 2 seconds\nOutput:\nno"),
        event("exec_command_end", 2, call_id="d", exit_code=3, duration={"secs": 1, "nanos": 500_000_000}),
        *used("d", "plain"),
        *used("e", [{"type": "input_text", "text": "Exit code: 0"}]),
    ]
    facts = facts_of(write(tmp_path / "r.jsonl", rows))
    results = {result.call_ref: result for result in only(ToolResultFact, facts)}
    assert {ref: result.is_error for ref, result in results.items()} == {
        "a": True, "b": False, "c": True, "d": True, "e": False,
    }  # fmt: skip
    assert [results[ref].duration_ms for ref in "abd"] == [500, 2000, 1500]
    told = {message.tool_call_id: message for message in only(MessageFact, facts) if message.role is MessageRole.TOOL}
    assert told["a"].content == "no such file"
    assert told["a"].key == results["a"].message_key
    assert {call.tool_name for call in only(ToolCallFact, facts)} == {"shell"}


def test_reasoning_is_a_part_and_encrypted_reasoning_is_skipped(tmp_path: Path) -> None:
    summary = [{"type": "summary_text", "text": "Look first."}]
    rows = [
        row("session_meta", META),
        row("response_item", {"type": "reasoning", "summary": summary, "encrypted_content": "gA=="}),
        row("response_item", {"type": "reasoning", "summary": [], "encrypted_content": "gA=="}, 1),
    ]
    facts = facts_of(write(tmp_path / "r.jsonl", rows))
    (message,) = only(MessageFact, facts)
    assert message.content == ""
    assert [(part.kind, part.text) for part in message.parts] == [(PartKind.REASONING, "Look first.")]
    assert [skipped.reason for skipped in only(Skipped, facts)] == ["encrypted reasoning"]


def test_a_turn_ends_as_its_last_event_says(tmp_path: Path) -> None:
    start = [row("session_meta", META), said("user", "go")]
    done = facts_of(
        write(tmp_path / "1", [*start, event("task_complete", 2, last_agent_message="Done.", duration_ms=9)])
    )
    assert (last_run(done).status, last_run(done).output) == (RunStatus.COMPLETED, "Done.")
    assert only(EventFact, done)[-1].duration_ms == 9
    stopped = facts_of(write(tmp_path / "2", [*start, event("turn_aborted", 2, reason="interrupted")]))
    assert (last_run(stopped).status, last_run(stopped).error_message) == (
        RunStatus.CANCELLED,
        "turn aborted: interrupted",
    )
    limited = event("error", 2, error={"kind": "rate_limit", "message": "Rate limit exceeded"})
    failed = facts_of(write(tmp_path / "3", [*start, limited, event("task_complete", 3, last_agent_message=None)]))
    assert (last_run(failed).status, last_run(failed).error_message) == (RunStatus.ERROR, "Rate limit exceeded")
    assert only(ErrorFact, failed)[0].error_code == "rate_limit"


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (None, ErrorKind.LLM),
        ("usage_limit_exceeded", ErrorKind.LLM),
        ({"http_connection_failed": {"http_status_code": 502}}, ErrorKind.LLM),
        ("sandbox_error", ErrorKind.AGENT),
        ("thread_rollback_failed", ErrorKind.AGENT),
    ],
)
def test_an_error_is_of_a_request_to_the_model_unless_its_code_says_otherwise(
    tmp_path: Path, code: object, kind: ErrorKind
) -> None:
    rows = [row("session_meta", META), said("user", "go"), event("error", 2, message="no", codex_error_info=code)]
    assert [error.kind for error in only(ErrorFact, facts_of(write(tmp_path / "1", rows)))] == [kind]


def test_a_run_is_not_left_running_by_a_transcript_that_went_quiet(tmp_path: Path) -> None:
    path = write(tmp_path / "r.jsonl", [row("session_meta", META), said("user", "go")])
    soon, later = datetime(2026, 2, 11, 6, 0, tzinfo=UTC), datetime(2026, 2, 11, 6, 54, tzinfo=UTC)
    assert last_run(facts_of(path, soon)).status is RunStatus.RUNNING
    quiet = last_run(facts_of(path, later))
    assert (quiet.status, quiet.error_message) == (RunStatus.CANCELLED, "transcript ends in mid-turn")


def test_the_first_versions_without_wrappers_are_read(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"id": "old", "timestamp": "2025-07-01T10:00:00.000Z", "instructions": None, "git": {"branch": "main"}},
        {"record_type": "state"},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]},
        {"type": "function_call", "function": {"name": "ls"}, "arguments": {"path": "."}},
        {"type": "function_result", "name": "ls", "result": "a.txt"},
        {"created_at": "2025-07-01T10:00:02Z", "role": "assistant", "content": "One file."},
    ]
    facts = facts_of(write(tmp_path / "r.jsonl", rows))
    assert only(SessionFact, facts)[-1].session_id == "old"
    contents = [(message.role.value, message.content) for message in only(MessageFact, facts)]
    assert contents == [("user", "hi"), ("assistant", ""), ("tool", "a.txt"), ("assistant", "One file.")]
    assert only(ToolCallFact, facts)[0].call_ref == only(ToolResultFact, facts)[0].call_ref
    assert not only(Unreadable, facts)
    assert last_run(facts).status is RunStatus.COMPLETED


def test_a_missing_model_stays_unknown(tmp_path: Path) -> None:
    rows = [row("session_meta", META), counted(usage(5, 0, 1), usage(5, 0, 1))]
    assert only(CallFact, facts_of(write(tmp_path / "r.jsonl", rows)))[0].model is None


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (counted(usage(-1, 0, 1), usage(-1, 0, 1)), "input_tokens is -1"),
        (counted(usage(2**63, 0, 1), usage(2**63, 0, 1)), "input_tokens is 9223372036854775808"),
        (counted(usage(5, 9, 1), usage(5, 9, 1)), "of 5 input tokens 9 are said to be cached"),
        (event("token_count", info={"prompt": 1}), "without total_token_usage or last_token_usage"),
        (event("no_such_event"), "unknown event type 'no_such_event'"),
        (row("response_item", {"type": "no_such_item"}), "unknown item type 'no_such_item'"),
        (row("no_such_row", {}), "unknown row type 'no_such_row'"),
        ({**said("user", "x"), "timestamp": "2999-01-01T00:00:00Z"}, "2999-01-01T00:00:00Z lies in the future"),
        ({**said("user", "x"), "timestamp": "yesterday"}, "'yesterday' is not a time"),
        (row("response_item", {"type": "function_call_output", "output": "x"}), "a tool that was not called"),
    ],
)
def test_what_cannot_be_right_is_reported_and_the_rest_is_kept(
    tmp_path: Path, bad: dict[str, Any], reason: str
) -> None:
    rows = [row("session_meta", META), said("user", "before"), bad, said("assistant", "after", 1)]
    facts = facts_of(write(tmp_path / "r.jsonl", rows))
    (unreadable,) = only(Unreadable, facts)
    assert reason in unreadable.reason
    assert unreadable.line == 3
    assert [message.content for message in only(MessageFact, facts)] == ["before", "after"]
    assert not only(CallFact, facts)


def test_a_growing_rollout_tells_only_what_is_new_and_ends_up_the_same(tmp_path: Path) -> None:
    text = (DATA / "rollout.jsonl").read_text()
    whole = facts_of(DATA / "rollout.jsonl")
    path = tmp_path / "rollout.jsonl"
    path.touch()
    reader = SOURCE.open(path, latest=datetime(2025, 12, 18, 10, 1, tzinfo=UTC))
    told: list[Fact] = []
    for end in range(0, len(text) + 700, 700):
        path.write_text(text[:end])
        told.extend(reader.read())
    assert reader.position == len(text)
    assert not list(reader.read())
    for kind in (MessageFact, CallFact, ToolCallFact, ToolResultFact):
        assert only(kind, told) == only(kind, whole)


def test_a_truncated_last_line_is_reported_once_the_tool_is_quiet(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(json.dumps(row("session_meta", META)) + '\n{"timestamp":"2026-02-11T05:5')
    assert "not finished" in only(Unreadable, facts_of(path))[0].reason
    assert not only(Unreadable, facts_of(path, datetime(2026, 2, 11, 6, 0, tzinfo=UTC)))


def test_a_compressed_rollout_says_how_to_unpack_it(tmp_path: Path) -> None:
    path = tmp_path / "rollout.jsonl.zst"
    path.write_bytes(b"\x28\xb5\x2f\xfd")
    assert list(SOURCE.files(tmp_path)) == [path]
    reader = SOURCE.open(path, latest=LATEST)
    assert "zstd -d" in only(Unreadable, reader.read())[0].reason
    assert not list(reader.read())


def test_the_roots_follow_the_environment() -> None:
    home = Path("/home/u")
    assert list(SOURCE.roots({}, home)) == [home / ".codex/sessions", home / ".codex/archived_sessions"]
    assert next(iter(SOURCE.roots({"CODEX_HOME": "/c"}, home))) == Path("/c/sessions")
