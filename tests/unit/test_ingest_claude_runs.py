"""Runs, errors, events and sub-agents in transcripts of Claude Code."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from claude_transcripts import START, Transcript, inner_row, only, runs, tool_result, tool_use

from agentrecord.ingest.facts import (
    CallFact,
    ErrorFact,
    EventFact,
    MessageFact,
    RunFact,
    SessionFact,
    Skipped,
    Unreadable,
)
from agentrecord.records.error import ErrorKind
from agentrecord.records.run import RunStatus


@pytest.fixture
def transcript(tmp_path: Path) -> Transcript:
    """An empty transcript of session s1."""
    return Transcript(tmp_path / "s1.jsonl")


def test_each_prompt_opens_a_run_that_ends_with_its_answer(transcript: Transcript) -> None:
    transcript.user("First").assistant("One.", message={"stop_reason": "end_turn"})
    transcript.user("Second").assistant([tool_use("t1")]).user([tool_result("t1")])
    transcript.assistant("Two.", message={"id": "m2"})
    facts = transcript.facts()
    first, second = runs(facts).values()
    assert (first.run_id, first.objective, first.output) == ("s1:u1", "First", "One.")
    assert (second.run_id, second.objective, second.output) == ("s1:u3", "Second", "Two.")
    assert first.status is second.status is RunStatus.COMPLETED
    assert (first.started_at, first.finished_at) == (START + timedelta(seconds=1), START + timedelta(seconds=2))
    assert [message.run_id for message in only(facts, MessageFact)] == ["s1:u1"] * 2 + ["s1:u3"] * 4
    assert [call.run_id for call in only(facts, CallFact)] == ["s1:u1", "s1:u3"]


def test_a_run_is_told_at_its_start_and_at_its_end(transcript: Transcript) -> None:
    transcript.user("Go").assistant("Done.")
    assert [run.status for run in only(transcript.facts(), RunFact)] == [RunStatus.RUNNING, RunStatus.COMPLETED]


@pytest.mark.parametrize(
    "fields",
    [
        {"isMeta": True},
        {"isCompactSummary": True},
        {"isVisibleInTranscriptOnly": True},
    ],
)
def test_what_no_person_said_opens_no_run(transcript: Transcript, fields: dict[str, Any]) -> None:
    transcript.user("Real").assistant("Yes.").user("Not a person", **fields)
    assert list(runs(transcript.facts())) == ["s1:u1"]


def test_a_command_that_the_tool_answers_itself_is_no_run(transcript: Transcript) -> None:
    transcript.user("<command-name>/cost</command-name>")
    transcript.user("<local-command-stdout>$1</local-command-stdout>").user("<bash-input>ls</bash-input>")
    facts = transcript.facts()
    assert runs(facts) == {}
    assert len(only(facts, MessageFact)) == 3


def test_a_command_that_reaches_the_model_is_a_run(transcript: Transcript) -> None:
    transcript.user("Hello").assistant("Hi.")
    transcript.user("<command-name>/review</command-name>").user("Review it", isMeta=True)
    transcript.assistant("Fine.", message={"id": "m2"})
    transcript.user("<command-message>p</command-message><command-name>p</command-name><command-args>5</command-args>")
    last = runs(transcript.facts())
    assert (last["s1:u3"].objective, last["s1:u3"].output) == ("/review", "Fine.")
    assert last["s1:u6"].objective == "/p 5"


def test_rows_before_any_prompt_have_a_run_of_their_own(transcript: Transcript) -> None:
    transcript.assistant("Resumed.").user("Go")
    assert list(runs(transcript.facts())) == ["s1:start", "s1:u2"]


def test_an_interrupted_run_is_cancelled(transcript: Transcript) -> None:
    transcript.user("Go").assistant([tool_use("t1")])
    transcript.user([{"type": "text", "text": "[Request interrupted by user for tool use]"}])
    transcript.user("Again").assistant("Done.", message={"id": "m2"})
    first, second = runs(transcript.facts()).values()
    assert (first.status, first.error_message) == (RunStatus.CANCELLED, "interrupted by the user")
    assert first.finished_at == START + timedelta(seconds=3)
    assert second.status is RunStatus.COMPLETED


def test_a_note_of_the_turns_duration_ends_the_run(transcript: Transcript) -> None:
    transcript.user("Go").assistant([tool_use("t1")]).add("system", subtype="turn_duration", durationMs=1500)
    facts = transcript.facts()
    [event] = only(facts, EventFact)
    assert (event.event_type, event.duration_ms, event.run_id) == ("turn_duration", 1500, "s1:u1")
    assert runs(facts)["s1:u1"].status is RunStatus.COMPLETED
    assert runs(facts)["s1:u1"].finished_at == event.timestamp


def test_a_run_in_mid_turn_is_running_while_young_and_cancelled_when_old(transcript: Transcript) -> None:
    transcript.user("Go").assistant([tool_use("t1")])
    young = runs(transcript.facts(latest=START + timedelta(minutes=59)))["s1:u1"]
    old = runs(transcript.facts(latest=START + timedelta(minutes=61)))["s1:u1"]
    assert (young.status, young.finished_at) == (RunStatus.RUNNING, None)
    assert (old.status, old.error_message) == (RunStatus.CANCELLED, "transcript ends in mid-turn")


@pytest.mark.parametrize("ending", ["text beside a pending tool", "a tool's result"])
def test_a_turn_is_not_over_while_the_model_has_something_to_say(transcript: Transcript, ending: str) -> None:
    transcript.user("Go").assistant([tool_use("t1")])
    if ending == "a tool's result":
        transcript.assistant("Looking.").user([tool_result("t1")])
    else:
        transcript.assistant("Looking.")
    assert runs(transcript.facts())["s1:u1"].status is RunStatus.CANCELLED


def test_an_answer_to_the_next_prompt_without_one_is_not_taken_for_one(transcript: Transcript) -> None:
    transcript.user("First").user("Second").assistant("Done.")
    assert runs(transcript.facts())["s1:u1"].status is RunStatus.CANCELLED


def test_an_error_message_of_the_api_is_an_error_and_fails_the_run(transcript: Transcript) -> None:
    synthetic = {"model": "<synthetic>", "usage": {"input_tokens": 0, "output_tokens": 0}}
    transcript.user("Go").assistant("API Error: 529 overloaded", message=synthetic, isApiErrorMessage=True)
    facts = transcript.facts()
    [error] = only(facts, ErrorFact)
    assert (error.error_type, error.error_code, error.run_id) == ("api_error", "529", "s1:u1")
    assert error.kind is ErrorKind.LLM
    assert runs(facts)["s1:u1"].status is RunStatus.ERROR
    assert runs(facts)["s1:u1"].error_message == "API Error: 529 overloaded"
    assert only(facts, CallFact) == []
    assert only(facts, MessageFact)[1].metadata == '{"isApiErrorMessage":true}'


def test_a_filler_after_a_resume_is_a_message_and_nothing_else(transcript: Transcript) -> None:
    transcript.assistant("No response requested.", message={"model": "<synthetic>"}, isApiErrorMessage=False)
    facts = transcript.facts()
    assert [message.model_used for message in only(facts, MessageFact)] == [None]
    assert [*only(facts, ErrorFact), *only(facts, CallFact), *only(facts, RunFact)] == []


def test_a_retried_error_is_recorded_and_does_not_fail_the_run(transcript: Transcript) -> None:
    error = {"status": 529, "error": {"error": {"message": "Overloaded"}}}
    transcript.user("Go").add("system", subtype="api_error", error=error, retryAttempt=1, maxRetries=10)
    transcript.assistant("Done.")
    facts = transcript.facts()
    [found] = only(facts, ErrorFact)
    assert (found.error_message, found.error_code) == ("Overloaded (attempt 1 of 10)", "529")
    assert runs(facts)["s1:u1"].status is RunStatus.COMPLETED


def test_hook_summaries_are_events_only_if_something_was_wrong(transcript: Transcript) -> None:
    transcript.user("Go").add("system", subtype="stop_hook_summary", hookErrors=[], preventedContinuation=False)
    transcript.add("system", subtype="stop_hook_summary", hookErrors=["exit 1"], preventedContinuation=False)
    facts = transcript.facts()
    assert [json.loads(event.data or "")["hookErrors"] for event in only(facts, EventFact)] == [["exit 1"]]
    assert only(facts, Skipped) == [Skipped(reason="hook summaries without errors")]


def test_a_hook_that_stopped_the_agent_is_an_event(transcript: Transcript) -> None:
    transcript.user("Go").add("system", subtype="stop_hook_summary", hookErrors=[], preventedContinuation=True)
    assert [event.event_type for event in only(transcript.facts(), EventFact)] == ["hook"]


def test_a_pull_request_is_an_event_with_its_address(transcript: Transcript) -> None:
    transcript.user("Go").add("pr-link", uuid=None, prNumber=5, prUrl="https://example.com/5", prRepository="a/b")
    [event] = only(transcript.facts(), EventFact)
    assert event.event_type == "pull_request"
    assert json.loads(event.data or "")["url"] == "https://example.com/5"


def test_known_bookkeeping_is_counted_as_skipped(transcript: Transcript) -> None:
    transcript.user("Go").add("file-history-snapshot").add("queue-operation").add("queue-operation")
    transcript.add("progress", data={"type": "bash_progress", "output": ""})
    assert {fact.reason: fact.count for fact in only(transcript.facts(), Skipped)} == {
        "file history snapshots": 1,
        "queue operations": 2,
        "progress updates": 1,
    }


@pytest.mark.parametrize(
    ("fields", "shown"),
    [({"type_": "hologram"}, "'hologram'"), ({"type_": "system", "subtype": "aura"}, "'system/aura'")],
)
def test_an_unknown_row_type_is_unreadable_and_named(
    transcript: Transcript, fields: dict[str, str], shown: str
) -> None:
    transcript.user("Go").add(**fields).assistant("Done.")
    facts = transcript.facts()
    [told] = only(facts, Unreadable)
    assert told.line == 2
    assert f"unknown row type {shown}" in told.reason
    assert len(only(facts, MessageFact)) == 2


def test_a_sub_agent_in_progress_rows_is_a_child_of_the_run_that_started_it(transcript: Transcript) -> None:
    transcript.user("Go").assistant([tool_use("t1", "Task", subagent_type="Explore", prompt="Look")])
    for uuid, type_, text in (("c1", "user", "Look"), ("c2", "assistant", "Found.")):
        data = {"type": "agent_progress", "agentId": "a1", "message": inner_row(type_, text, uuid=uuid, requestId="r9")}
        transcript.add("progress", data=data, parentToolUseID="t1")
    transcript.user([tool_result("t1", "Report")], toolUseResult={"agentId": "a1", "status": "completed"})
    facts = transcript.facts()
    child = next(fact for fact in only(facts, SessionFact) if fact.parent_session_id)
    assert (child.session_id, child.parent_session_id, child.agent_id) == ("s1/a1", "s1", "claude-code/Explore")
    assert child.metadata == '{"form":"progress"}'
    run = runs(facts)["s1/a1"]
    assert (run.parent_run_id, run.objective, run.output) == ("s1:u1", "Look", "Found.")
    assert run.status is RunStatus.COMPLETED
    [call] = [call for call in only(facts, CallFact) if call.is_subagent]
    assert (call.session_id, call.run_id, call.dedup_key) == ("s1/a1", "s1/a1", "claude:c1:r9")
    assert runs(facts)["s1:u1"].objective == "Go"


def test_a_sub_agent_in_the_background_is_not_over_when_its_launch_is_confirmed(transcript: Transcript) -> None:
    transcript.user("Go").assistant([tool_use("t1", "Task", prompt="Look")])
    transcript.user([tool_result("t1", "Launched")], toolUseResult={"agentId": "a1", "status": "async_launched"})
    data = {"type": "agent_progress", "agentId": "a1", "message": inner_row("user", "Look", uuid="c1")}
    transcript.add("progress", data=data, parentToolUseID="t1")
    run = runs(transcript.facts(latest=START + timedelta(minutes=2)))["s1/a1"]
    assert (run.status, run.parent_run_id) == (RunStatus.RUNNING, "s1:u1")


def test_a_run_lives_as_long_as_its_sub_agent_shows_progress(transcript: Transcript) -> None:
    transcript.user("Go").assistant([tool_use("t1", "Task", prompt="Look")])
    data = {"type": "agent_progress", "agentId": "a1", "message": inner_row("user", "Look", uuid="c1")}
    transcript.add("progress", data=data, parentToolUseID="t1", timestamp="2026-01-01T02:00:00Z")
    assert runs(transcript.facts(latest=START + timedelta(hours=2)))["s1:u1"].status is RunStatus.RUNNING


def test_a_sub_agent_whose_tool_use_failed_ended_in_error(transcript: Transcript) -> None:
    transcript.user("Go").assistant([tool_use("t1", "Agent", prompt="Look")])
    transcript.user([tool_result("t1", "No such agent", is_error=True)], toolUseResult={"agentId": "a1"})
    run = runs(transcript.facts())["s1/a1"]
    assert (run.status, run.error_message, run.agent_id) == (RunStatus.ERROR, "No such agent", "claude-code/subagent")


def test_sidechains_hang_together_by_their_parents(transcript: Transcript) -> None:
    uses = [
        tool_use("t1", "Task", subagent_type="x", prompt="A"),
        tool_use("t2", "Task", subagent_type="y", prompt="B"),
    ]
    transcript.user("Go").assistant(uses)
    transcript.user("A", isSidechain=True, uuid="a1").user("B", isSidechain=True, uuid="b1")
    transcript.assistant("B done.", isSidechain=True, uuid="b2", parentUuid="b1", message={"id": "mb"})
    transcript.assistant("A done.", isSidechain=True, uuid="a2", parentUuid="a1", message={"id": "ma"})
    facts = transcript.facts()
    first, second = runs(facts)["s1/sidechain-a1"], runs(facts)["s1/sidechain-b1"]
    assert (first.agent_id, first.output, first.parent_run_id) == ("claude-code/x", "A done.", "s1:u1")
    assert (second.agent_id, second.output, second.parent_run_id) == ("claude-code/y", "B done.", "s1:u1")
    assert [call.is_subagent for call in only(facts, CallFact)] == [False, True, True]


@pytest.mark.parametrize("folder", ["s1/subagents", "."])
def test_a_sub_agents_own_file_is_a_child_of_its_session(tmp_path: Path, folder: str) -> None:
    path = tmp_path / folder / "agent-a7.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    own = Transcript(path).user("Look", isSidechain=True, agentId="a7")
    own.assistant("Found.", isSidechain=True, agentId="a7")
    facts = own.facts()
    parent, child = only(facts, SessionFact)[:2]
    assert (parent.session_id, parent.parent_session_id) == ("s1", None)
    assert (child.session_id, child.parent_session_id, child.metadata) == ("s1/a7", "s1", '{"form":"file"}')
    assert {message.session_id for message in only(facts, MessageFact)} == {"s1/a7"}
    assert (runs(facts)["s1/a7"].objective, runs(facts)["s1/a7"].output) == ("Look", "Found.")


def test_the_note_beside_a_sub_agents_file_names_its_type(tmp_path: Path) -> None:
    own = Transcript(tmp_path / "agent-a7.jsonl").user("Look", isSidechain=True)
    (tmp_path / "agent-a7.meta.json").write_text('{"agentType":"Explore"}')
    assert runs(own.facts())["s1/a7"].agent_id == "claude-code/Explore"
