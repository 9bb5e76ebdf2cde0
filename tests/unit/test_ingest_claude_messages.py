"""Sessions, messages, tools and calls in transcripts of Claude Code."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from claude_transcripts import START, USAGE, Transcript, only, tool_result, tool_use

from agentrecord.ingest.facts import (
    CallFact,
    EventFact,
    MessageFact,
    SessionFact,
    Skipped,
    ToolCallFact,
    ToolResultFact,
    Unreadable,
)
from agentrecord.records.message import PartKind


@pytest.fixture
def transcript(tmp_path: Path) -> Transcript:
    """An empty transcript of session s1."""
    return Transcript(tmp_path / "s1.jsonl")


def test_a_session_is_told_once_and_again_only_when_something_changed(transcript: Transcript) -> None:
    transcript.user("Fix the bug", cwd="/w", version="2.1.0", gitBranch="main")
    transcript.assistant("On it.", cwd="/w", version="2.1.0", gitBranch="main")
    transcript.add("summary", summary="Bug fixing", uuid=None, timestamp=None, sessionId=None, leafUuid="u2")
    transcript.assistant("Done.", cwd="/w", version="2.1.0", gitBranch="fix")
    told = only(transcript.facts(), SessionFact)
    assert [(fact.title, fact.git_branch) for fact in told] == [
        (None, "main"),
        ("Bug fixing", "main"),
        ("Bug fixing", "fix"),
    ]
    assert told[0].session_id == "s1"
    assert told[0].initial_task == "Fix the bug"
    assert told[0].agent_name == "Claude Code"
    assert (told[0].working_directory, told[0].tool_version) == ("/w", "2.1.0")
    assert told[0].created_at == START + timedelta(seconds=1)


def test_a_summary_at_the_top_is_the_title_of_what_follows(transcript: Transcript) -> None:
    transcript.add("summary", summary="Earlier", uuid=None, timestamp=None, sessionId=None)
    transcript.user("Go on")
    facts = transcript.facts()
    assert only(facts, SessionFact)[-1].title == "Earlier"
    assert [event.timestamp for event in only(facts, EventFact)] == [START + timedelta(seconds=2)]


def test_a_file_of_nothing_but_summaries_is_counted_as_skipped(transcript: Transcript) -> None:
    transcript.add("summary", summary="Elsewhere", uuid=None, timestamp=None, sessionId=None)
    assert transcript.facts() == [Skipped(reason="summaries of conversations that are not in this file")]


def test_a_title_that_a_person_gave_is_the_title(transcript: Transcript) -> None:
    transcript.user("Hello").add("custom-title", customTitle="Mine", timestamp=None)
    assert only(transcript.facts(), SessionFact)[-1].title == "Mine"


def test_a_file_may_hold_two_sessions(transcript: Transcript) -> None:
    transcript.user("One").assistant("Yes.").user("Two", sessionId="s2").assistant("No.", sessionId="s2")
    facts = transcript.facts()
    assert {fact.session_id for fact in only(facts, SessionFact)} == {"s1", "s2"}
    assert [message.session_id for message in only(facts, MessageFact)] == ["s1", "s1", "s2", "s2"]


def test_a_row_without_a_session_belongs_to_the_one_the_file_is_named_after(transcript: Transcript) -> None:
    transcript.user("Hello", sessionId=None)
    assert only(transcript.facts(), MessageFact)[0].session_id == "s1"


def test_a_message_of_several_blocks_keeps_its_text_once_flat_and_its_parts(transcript: Transcript) -> None:
    thinking = {"type": "thinking", "thinking": "Hm.", "signature": "x"}
    transcript.user("Go").assistant([thinking, {"type": "text", "text": "I look."}, tool_use("t1", command="ls")])
    message = only(transcript.facts(), MessageFact)[1]
    assert message.content == "I look."
    assert [part.kind for part in message.parts] == [PartKind.REASONING, PartKind.TEXT, PartKind.TOOL_CALL]
    assert message.parts[0].text == "Hm."
    assert (message.parts[2].call_ref, message.parts[2].name) == ("t1", "Bash")
    assert message.tools_used == ("Bash",)
    assert message.model_used == "claude-opus-4-6"


def test_plain_text_has_no_parts(transcript: Transcript) -> None:
    transcript.user("Go").assistant("Done.")
    assert [message.parts for message in only(transcript.facts(), MessageFact)] == [(), ()]


def test_an_image_is_kept_as_its_type_and_size_only(transcript: Transcript) -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QUJD" * 1000}}
    transcript.user([image, {"type": "text", "text": "What is this?"}])
    [message] = only(transcript.facts(), MessageFact)
    assert (message.parts[0].media_type, message.parts[0].size_bytes) == ("image/png", 3000)
    assert "QUJD" not in repr(message)


def test_what_a_row_is_beyond_a_message_is_in_its_metadata(transcript: Transcript) -> None:
    transcript.user("Caveat", isMeta=True).user("Plain")
    assert [message.metadata for message in only(transcript.facts(), MessageFact)] == ['{"isMeta":true}', None]


def test_a_row_without_an_id_has_the_same_key_every_time(transcript: Transcript) -> None:
    transcript.user("Hello", uuid=None).user("Hello again", uuid=None)
    keys = [message.key for message in only(transcript.facts(), MessageFact)]
    assert keys == [message.key for message in only(transcript.facts(), MessageFact)]
    assert len(set(keys)) == 2


def test_a_missing_time_is_that_of_the_row_before_or_of_the_first_that_has_one(transcript: Transcript) -> None:
    transcript.user("One", timestamp=None).user("Two", timestamp=None).user("Three").user("Four", timestamp=None)
    facts = transcript.facts()
    assert [message.content for message in only(facts, MessageFact)] == ["One", "Two", "Three", "Four"]
    assert {message.created_at for message in only(facts, MessageFact)} == {START + timedelta(seconds=3)}


def test_a_file_without_any_time_is_unreadable_row_by_row(transcript: Transcript) -> None:
    transcript.user("One", timestamp=None).user("Two", timestamp=None)
    facts = transcript.facts()
    assert [(fact.line, fact.was_kept) for fact in only(facts, Unreadable)] == [(1, False), (2, False)]
    assert only(facts, MessageFact) == []


def test_a_tool_result_is_stored_once_as_the_message_that_it_is(transcript: Transcript) -> None:
    transcript.user("Go").assistant([tool_use("t1", command="ls")]).user([tool_result("t1", "a.txt")])
    facts = transcript.facts()
    [call], [result] = only(facts, ToolCallFact), only(facts, ToolResultFact)
    message = only(facts, MessageFact)[-1]
    assert (call.tool_name, call.arguments) == ("Bash", '{"command": "ls"}')
    assert (message.role, message.content, message.tool_call_id, message.tool_name) == ("tool", "a.txt", "t1", "Bash")
    assert (result.message_key, result.result, result.is_error) == (message.key, None, False)
    assert result.duration_ms == 1000


def test_several_results_in_one_row_carry_their_own_texts(transcript: Transcript) -> None:
    transcript.user("Go").assistant([tool_use("t1"), tool_use("t2")])
    transcript.user([tool_result("t1", "one"), tool_result("t2", [{"type": "text", "text": "two"}], is_error=True)])
    results = only(transcript.facts(), ToolResultFact)
    assert [(one.result, one.is_error, one.message_key) for one in results] == [
        ("one", False, None),
        ("two", True, None),
    ]


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"durationMs": 7}, 7),
        ({"totalDurationMs": 8.4}, 8),
        ({"durationSeconds": 0.5}, 500),
        ("text", 1000),
        ({}, 1000),
    ],
)
def test_the_duration_of_a_tool_is_what_it_tells_or_else_the_time_between(
    transcript: Transcript, told: Any, expected: int
) -> None:
    transcript.user("Go").assistant([tool_use("t1")]).user([tool_result("t1")], toolUseResult=told)
    assert [result.duration_ms for result in only(transcript.facts(), ToolResultFact)] == [expected]


def test_rows_of_one_response_are_one_call_with_the_largest_counts(transcript: Transcript) -> None:
    transcript.user("Go")
    transcript.assistant("I", message={"usage": {**USAGE, "output_tokens": 1}}, requestId="r1")
    transcript.assistant([tool_use("t1")], message={"usage": {**USAGE, "output_tokens": 40}}, requestId="r1")
    transcript.user([tool_result("t1")])
    transcript.assistant([tool_use("t2")], message={"usage": {**USAGE, "output_tokens": 9}}, requestId="r1")
    [call] = only(transcript.facts(), CallFact)
    assert call.tokens.output == 40
    assert call.dedup_key == "claude:m1:r1"
    assert (call.timestamp, call.message_key) == (START + timedelta(seconds=2), "u2")
    assert json.loads(call.usage_metrics or "") == {**USAGE, "output_tokens": 40}
    assert (call.host, call.request_id, call.model) == ("Anthropic", "r1", "claude-opus-4-6")


def test_without_a_request_id_the_message_id_alone_is_the_key(transcript: Transcript) -> None:
    transcript.user("Go").assistant("Done.")
    assert [call.dedup_key for call in only(transcript.facts(), CallFact)] == ["claude:m1"]


@pytest.mark.parametrize(
    ("creation", "minutes", "hour"),
    [
        (None, 50, None),
        ({"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 30}, 20, 30),
        ({"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 30}, 20, 30),
    ],
)
def test_cache_writes_are_told_apart_by_lifetime(
    transcript: Transcript, creation: dict[str, int] | None, minutes: int, hour: int | None
) -> None:
    transcript.user("Go").assistant("Done.", message={"usage": {**USAGE, "cache_creation": creation}})
    [call] = only(transcript.facts(), CallFact)
    assert (call.tokens.cache_write_5m, call.tokens.cache_write_1h) == (minutes, hour)
    assert (call.tokens.input, call.tokens.cache_read, call.tokens.output) == (3, 100, 7)


def test_a_cost_is_kept_only_where_the_transcript_names_one(transcript: Transcript) -> None:
    transcript.user("Go").assistant("One.", costUSD=0.0123).assistant("Two.", message={"id": "m2"})
    assert [call.cost_nanos for call in only(transcript.facts(), CallFact)] == [12_300_000, None]


def test_an_unknown_model_is_kept_under_its_name(transcript: Transcript) -> None:
    transcript.user("Go").assistant("Done.", message={"model": "claude-9-dreams"})
    assert [call.model for call in only(transcript.facts(), CallFact)] == ["claude-9-dreams"]


@pytest.mark.parametrize("count", [-1, 2**63, 10**12, 10**40])
@pytest.mark.parametrize("name", ["input_tokens", "cache_read_input_tokens", "output_tokens"])
def test_an_absurd_count_costs_the_call_but_not_the_message(transcript: Transcript, name: str, count: int) -> None:
    transcript.user("Go").assistant("Done.", message={"usage": {**USAGE, name: count}})
    facts = transcript.facts()
    assert only(facts, CallFact) == []
    assert [message.content for message in only(facts, MessageFact)] == ["Go", "Done."]
    [told] = only(facts, Unreadable)
    assert told.line == 2
    assert f"usage.{name}" in told.reason
    assert str(count)[:30] in told.reason


@pytest.mark.parametrize("usage", ["many", [1], {"input_tokens": "3"}, {"input_tokens": 1.5}])
def test_a_usage_of_the_wrong_shape_costs_the_call_but_not_the_message(transcript: Transcript, usage: Any) -> None:
    transcript.user("Go").assistant("Done.", message={"usage": usage})
    facts = transcript.facts()
    assert only(facts, CallFact) == []
    assert len(only(facts, MessageFact)) == 2
    assert len(only(facts, Unreadable)) == 1
