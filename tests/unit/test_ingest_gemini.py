"""Chats of Gemini CLI: documents that are written anew, lines that say the same thing again."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest

from agentrecord.ingest.facts import (
    CallFact,
    ErrorFact,
    EventFact,
    Fact,
    MessageFact,
    RunFact,
    SessionFact,
    ToolCallFact,
    ToolResultFact,
    Unreadable,
)
from agentrecord.ingest.gemini import SOURCE
from agentrecord.records.error import ErrorKind
from agentrecord.records.message import PartKind
from agentrecord.records.run import RunStatus
from agentrecord.records.tokens import TokenCounts

F = TypeVar("F")
DATA = Path(__file__).parent.parent / "data" / "gemini"
LATEST = datetime(2026, 12, 1, tzinfo=UTC)
HEADER = {"sessionId": "s1", "projectHash": "h", "startTime": "2026-01-16T18:34:00.000Z", "summary": "Greeting"}
TOKENS = {"input": 100, "output": 10, "cached": 30, "thoughts": 5, "tool": 2, "total": 117}


def message(second: int, kind: str, content: Any, **fields: Any) -> dict[str, Any]:
    return {
        "id": f"m{second}",
        "timestamp": f"2026-01-16T18:34:{second:02}.000Z",
        "type": kind,
        "content": content,
    } | fields


def tool(status: str, output: str, **fields: Any) -> dict[str, Any]:
    response = [{"functionResponse": {"response": {"output": output}}}]
    call = {"id": "t1", "name": "run_shell_command", "args": {"command": "ls"}, "status": status, "result": response}
    return call | {"timestamp": "2026-01-16T18:34:05.500Z"} | fields


def document(path: Path, *messages: dict[str, Any], **fields: Any) -> Path:
    path.write_text(json.dumps(HEADER | {"messages": messages} | fields, indent=2))
    return path


def lines(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def facts_of(path: Path, latest: datetime = LATEST) -> list[Fact]:
    return list(SOURCE.open(path, latest=latest).read())


def only(kind: type[F], facts: Iterable[Fact]) -> list[F]:
    return [fact for fact in facts if isinstance(fact, kind)]


def test_a_real_document_is_read_whole() -> None:
    facts = facts_of(DATA / "session-document.json")
    tokens = [call.tokens for call in only(CallFact, facts)]
    assert tokens == [
        TokenCounts(input=12059, cache_read=0, output=92, reasoning=75),
        TokenCounts(input=282, cache_read=11835, output=61, reasoning=45),
    ]
    assert {(call.model, call.host) for call in only(CallFact, facts)} == {("gemini-2.5-flash", "Google")}
    assert not only(Unreadable, facts)
    # The second message of the user is the tool's own: it continues the run.
    assert len({run.run_id for run in only(RunFact, facts)}) == 1
    assert only(RunFact, facts)[-1].status is RunStatus.COMPLETED


def test_real_lines_are_read_whole() -> None:
    facts = facts_of(DATA / "session-lines.jsonl")
    tokens = [(call.tokens.input, call.tokens.cache_read, call.tokens.output) for call in only(CallFact, facts)]
    assert tokens == [(11855, 0, 81), (567, 11502, 147)]
    (result,) = only(ToolResultFact, facts)
    assert (result.is_error, result.duration_ms) == (False, 239)
    assert result.result is not None
    assert "README.md" in result.result
    assert only(RunFact, facts)[-1].output == "Hello! I listed the files."


def test_cached_thought_and_tool_tokens_are_each_counted_once(tmp_path: Path) -> None:
    path = document(tmp_path / "c.json", message(1, "user", "x"), message(2, "gemini", "y", tokens=TOKENS, model="g"))
    (call,) = only(CallFact, facts_of(path))
    assert call.tokens == TokenCounts(input=72, cache_read=30, output=15, reasoning=5)
    assert call.tokens.total == TOKENS["total"]


def test_the_document_and_the_lines_of_a_chat_tell_the_same(tmp_path: Path) -> None:
    rows = [message(1, "user", "x"), message(2, "gemini", "y", tokens=TOKENS, toolCalls=[tool("success", "ok")])]
    of_document = facts_of(document(tmp_path / "c.json", *rows))
    of_lines = facts_of(lines(tmp_path / "c.jsonl", HEADER, *rows))
    for kind in (SessionFact, RunFact, CallFact, ToolCallFact, ToolResultFact):
        assert only(kind, of_document) == only(kind, of_lines)
    assert only(SessionFact, of_lines)[-1].title == "Greeting"


def test_a_document_that_grew_tells_only_what_is_new(tmp_path: Path) -> None:
    first, second = message(1, "user", "x"), message(2, "gemini", "", toolCalls=[tool("executing", "")])
    path = document(tmp_path / "c.json", first, second)
    reader = SOURCE.open(path, latest=datetime(2026, 1, 16, 18, 40, tzinfo=UTC))
    assert not only(ToolResultFact, reader.read())
    assert not list(reader.read())
    grown = second | {"toolCalls": [tool("success", "ok")]}
    document(path, first, grown, message(6, "gemini", "Done."))
    facts = list(reader.read())
    assert [one.key for one in only(MessageFact, facts)] == ["m2", "m6"]
    assert [one.result for one in only(ToolResultFact, facts)] == ["ok"]
    assert [run.status for run in only(RunFact, facts)] == [RunStatus.COMPLETED]
    assert {one.run_id for one in only(MessageFact, facts)} == {"s1:m1"}


@pytest.mark.parametrize(
    ("status", "output", "is_error"),
    [
        ("success", "Exit Code: 0\n", False),
        ("success", "Output: x\nExit Code: 1", True),
        ("error", "", True),
        ("cancelled", "", True),
    ],
)
def test_a_tool_has_failed_if_its_status_or_its_exit_code_says_so(
    tmp_path: Path, status: str, output: str, is_error: bool
) -> None:
    path = document(
        tmp_path / "c.json", message(1, "user", "x"), message(4, "gemini", "", toolCalls=[tool(status, output)])
    )
    (result,) = only(ToolResultFact, facts_of(path))
    assert (result.is_error, result.duration_ms) == (is_error, 1500)


def test_thoughts_images_and_tools_are_parts(tmp_path: Path) -> None:
    thought = {"subject": "Plan", "description": "Look first."}
    image = {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}
    rows = [
        message(1, "user", [{"text": "See:"}, image]),
        message(2, "gemini", "I look.", thoughts=[thought], toolCalls=[{"name": "read_file", "status": "success"}]),
    ]
    asked, answered = only(MessageFact, facts_of(document(tmp_path / "c.json", *rows)))
    assert [(part.kind, part.size_bytes) for part in asked.parts] == [(PartKind.TEXT, None), (PartKind.IMAGE, 3)]
    assert [part.kind for part in answered.parts] == [PartKind.REASONING, PartKind.TEXT, PartKind.TOOL_CALL]
    assert answered.parts[0].text == "Plan\nLook first."


def test_notices_cancel_errors_fail_and_other_notices_are_events(tmp_path: Path) -> None:
    cancelled = facts_of(
        document(tmp_path / "1.json", message(1, "user", "x"), message(2, "info", "Request cancelled."))
    )
    assert only(RunFact, cancelled)[-1].status is RunStatus.CANCELLED
    assert [event.event_type for event in only(EventFact, cancelled)] == ["info"]
    failed = facts_of(document(tmp_path / "2.json", message(1, "user", "x"), message(2, "error", "quota")))
    assert (only(RunFact, failed)[-1].status, only(ErrorFact, failed)[0].error_message) == (RunStatus.ERROR, "quota")
    assert only(ErrorFact, failed)[0].kind is ErrorKind.AGENT
    refused = facts_of(
        document(tmp_path / "3.json", message(1, "user", "x"), message(2, "error", "[API Error: quota]"))
    )
    assert only(ErrorFact, refused)[0].kind is ErrorKind.LLM


def test_the_oldest_form_with_a_history_is_read(tmp_path: Path) -> None:
    history = [
        {"role": "user", "parts": [{"text": "Hi"}], "ts": 1695000000},
        {"role": "gemini", "parts": [{"text": "Hello"}], "ts": 1695000005},
    ]
    path = tmp_path / "old.json"
    path.write_text(json.dumps({"history": history, "start_time": "2023-09-18T01:19:00Z"}))
    facts = facts_of(path)
    assert [one.content for one in only(MessageFact, facts)] == ["Hi", "Hello"]
    assert only(MessageFact, facts)[0].created_at == datetime(2023, 9, 18, 1, 20, tzinfo=UTC)
    assert only(SessionFact, facts)[0].session_id == "old"


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (message(3, "gemini", "kept", tokens={"input": -1, "output": 1}), "input is -1"),
        (message(3, "gemini", "kept", tokens={"input": 5, "cached": 9}), "of 5 input tokens 9 are said to be cached"),
        (message(3, "oracle", "x"), "unknown message type 'oracle'"),
        (message(3, "user", "x", timestamp="2999-01-01T00:00:00Z"), "lies in the future"),
    ],
)
@pytest.mark.parametrize("suffix", ["json", "jsonl"])
def test_what_cannot_be_right_is_reported_and_the_rest_is_kept(
    tmp_path: Path, suffix: str, bad: dict[str, Any], reason: str
) -> None:
    rows = [message(1, "user", "x"), bad, message(5, "gemini", "after")]
    path = tmp_path / f"c.{suffix}"
    facts = facts_of(document(path, *rows) if suffix == "json" else lines(path, HEADER, *rows))
    (unreadable,) = only(Unreadable, facts)
    assert reason in unreadable.reason
    assert unreadable.line == (2 if suffix == "json" else 3)
    contents = [one.content for one in only(MessageFact, facts)]
    assert contents == (["x", "kept", "after"] if bad["content"] == "kept" else ["x", "after"])
    assert not only(CallFact, facts)


def test_a_truncated_document_is_reported_and_read_when_it_is_whole(tmp_path: Path) -> None:
    path = document(tmp_path / "c.json", message(1, "user", "x"))
    whole = path.read_text()
    path.write_text(whole[:-20])
    reader = SOURCE.open(path, latest=LATEST)
    assert "not a whole JSON document" in only(Unreadable, reader.read())[0].reason
    path.write_text(whole)
    assert [one.content for one in only(MessageFact, reader.read())] == ["x"]


def test_another_document_is_not_taken_for_a_chat(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text('{"version": 1}')
    assert "no `messages`" in only(Unreadable, facts_of(path))[0].reason


def test_characters_that_cannot_be_stored_are_replaced_and_told(tmp_path: Path) -> None:
    path = document(tmp_path / "c.json", message(1, "user", "a\0b\ud800c"))
    facts = facts_of(path)
    assert only(MessageFact, facts)[0].content == "a\ufffdb\ufffdc"
    assert [one.was_kept for one in only(Unreadable, facts)] == [True]


def test_only_chats_are_taken_from_the_tools_own_folder(tmp_path: Path) -> None:
    chats = tmp_path / "h" / "chats"
    chats.mkdir(parents=True)
    chat = document(chats / "session-1.json", message(1, "user", "x"))
    (tmp_path / "h" / "logs.json").write_text("[]")
    assert list(SOURCE.files(tmp_path)) == [chat]
    assert list(SOURCE.files(chat)) == [chat]
    assert list(SOURCE.files(chats)) == [chat]
    assert list(SOURCE.roots({}, Path("/u"))) == [Path("/u/.gemini/tmp")]
