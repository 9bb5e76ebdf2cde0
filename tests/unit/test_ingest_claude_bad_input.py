"""Whatever is wrong with a transcript of Claude Code is told, and costs no more than it must."""

from datetime import timedelta
from pathlib import Path

import pytest
from claude_transcripts import LATEST, START, Transcript, only

from agentrecord.ingest.claude_code import SOURCE
from agentrecord.ingest.facts import EventFact, MessageFact, Unreadable


@pytest.fixture
def transcript(tmp_path: Path) -> Transcript:
    """An empty transcript of session s1."""
    return Transcript(tmp_path / "s1.jsonl")


def test_an_empty_file_has_no_facts(transcript: Transcript) -> None:
    assert transcript.facts() == []


def test_a_binary_file_is_told_of_and_nothing_else(transcript: Transcript) -> None:
    transcript.raw(b"\x00\x01\x02" * 100)
    [told] = transcript.facts()
    assert isinstance(told, Unreadable)
    assert "not a text file" in told.reason


def test_a_file_that_vanished_is_told_of(transcript: Transcript) -> None:
    reader = SOURCE.open(transcript.path, latest=LATEST)
    transcript.path.unlink()
    assert [type(fact) for fact in reader.read()] == [Unreadable]


def test_a_truncated_line_is_told_of_and_the_rows_around_it_kept(transcript: Transcript) -> None:
    transcript.user("Go").raw('{"type":"assistant","mess\n').assistant("Done.")
    facts = transcript.facts()
    assert [told.line for told in only(facts, Unreadable)] == [2]
    assert len(only(facts, MessageFact)) == 2


def test_an_unfinished_last_line_is_told_of_only_when_the_tool_fell_silent(transcript: Transcript) -> None:
    transcript.user("Go").raw('{"type":"assistant","mess')
    assert only(transcript.facts(latest=START + timedelta(minutes=1)), Unreadable) == []
    [told] = only(transcript.facts(), Unreadable)
    assert (told.line, "not finished" in told.reason) == (2, True)


def test_two_rows_on_one_line_both_count(transcript: Transcript) -> None:
    transcript.user("Go").assistant("Done.")
    glued = transcript.path.read_bytes().replace(b"}\n{", b"}{")
    transcript.path.write_bytes(glued)
    assert [message.line for message in only(transcript.facts(), MessageFact)] == [1, 1]


def test_a_clock_in_the_future_is_told_of_with_the_mend(transcript: Transcript) -> None:
    transcript.user("Go").user("Later", timestamp="2031-01-01T00:00:00Z")
    facts = transcript.facts()
    [told] = only(facts, Unreadable)
    assert "2031-01-01T00:00:00Z" in told.reason
    assert "clock" in told.reason
    assert [message.content for message in only(facts, MessageFact)] == ["Go"]


@pytest.mark.parametrize("time", ["yesterday", "", "2026-13-01T00:00:00Z", "0001-01-01T00:00:00+14:00"])
def test_a_time_that_is_none_is_told_of(transcript: Transcript, time: str) -> None:
    transcript.user("Go").user("When?", timestamp=time)
    facts = transcript.facts()
    assert [told.line for told in only(facts, Unreadable)] == [2]
    assert len(only(facts, MessageFact)) == 1


@pytest.mark.parametrize(
    "time",
    [
        "2026-01-01T00:00:01Z",
        "2026-01-01T02:00:01.000000+02:00",
        "2026-01-01T00:00:01",
        "2025-12-31T19:00:01.000-05:00",
    ],
)
def test_every_spelling_of_an_instant_is_understood(transcript: Transcript, time: str) -> None:
    transcript.user("Go", timestamp=time)
    assert [message.created_at for message in only(transcript.facts(), MessageFact)] == [START + timedelta(seconds=1)]


def test_the_same_id_with_other_content_comes_out_twice_for_the_loader_to_judge(transcript: Transcript) -> None:
    transcript.user("One", uuid="same").user("Two", uuid="same")
    assert [(fact.key, fact.content) for fact in only(transcript.facts(), MessageFact)] == [
        ("same", "One"),
        ("same", "Two"),
    ]


@pytest.mark.parametrize("spoiled", [b"a\\u0000b", b"a\\ud800b", b"a\xffb"])
def test_text_that_cannot_be_stored_is_mended_and_told_of(transcript: Transcript, spoiled: bytes) -> None:
    row = b'{"type":"user","sessionId":"s1","uuid":"u","timestamp":"2026-01-01T00:00:00Z","message":{"content":"%s"}}\n'
    transcript.raw(row % spoiled)
    facts = transcript.facts()
    assert [message.content for message in only(facts, MessageFact)] == ["a\ufffdb"]
    assert [(told.line, told.was_kept) for told in only(facts, Unreadable)] == [(1, True)]


def test_a_number_that_json_does_not_have_costs_the_row(transcript: Transcript) -> None:
    transcript.user("Go").raw('{"type":"system","subtype":"turn_duration","durationMs":NaN}\n').assistant("Done.")
    facts = transcript.facts()
    assert ["NaN" in told.reason for told in only(facts, Unreadable)] == [True]
    assert len(only(facts, MessageFact)) == 2


def test_an_absurd_duration_is_left_out_and_told_of(transcript: Transcript) -> None:
    transcript.user("Go").add("system", subtype="turn_duration", durationMs=2**63)
    facts = transcript.facts()
    assert [event.duration_ms for event in only(facts, EventFact)] == [None]
    assert ["durationMs" in told.reason and told.was_kept for told in only(facts, Unreadable)] == [True]


def test_a_field_of_the_wrong_type_is_named(transcript: Transcript) -> None:
    transcript.user("Go").add("user", message={"content": 5})
    [told] = only(transcript.facts(), Unreadable)
    assert "$.message.content" in told.reason


def test_a_message_of_fifty_megabytes_is_kept_whole(transcript: Transcript) -> None:
    text = "x" * (50 * 1024 * 1024)
    transcript.user(text)
    [message] = only(transcript.facts(), MessageFact)
    assert len(message.content) == len(text)
