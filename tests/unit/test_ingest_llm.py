"""Databases of the `llm` tool: both generations of tables, read without writing, and read on from where it stopped."""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest

from agentrecord.ingest.facts import (
    CallFact,
    Fact,
    MessageFact,
    RunFact,
    SessionFact,
    ToolCallFact,
    ToolResultFact,
    Unreadable,
)
from agentrecord.ingest.llm import SOURCE
from agentrecord.records.message import MessageRole, PartKind
from agentrecord.records.run import RunStatus
from agentrecord.records.tokens import TokenCounts

F = TypeVar("F")
LATEST = datetime(2026, 12, 1, tzinfo=UTC)
# The columns that matter, as the tool declares them; a database of an early version has fewer tables.
OLDER = """
create table conversations (id text primary key, name text, model text);
create table responses (
    id text primary key, model text, prompt text, system text, options_json text, response text,
    conversation_id text, duration_ms integer, datetime_utc text, input_tokens integer, output_tokens integer,
    token_details text, resolved_model text, reasoning text
);
"""
COMPANIONS = """
create table attachments (id text primary key, type text, path text, url text, content blob);
create table prompt_attachments (response_id text, attachment_id text, "order" integer);
create table fragments (id integer primary key, hash text, content text);
create table prompt_fragments (response_id text, fragment_id integer, "order" integer);
create table tool_calls (id integer primary key, response_id text, name text, arguments text, tool_call_id text);
create table tool_results (
    id integer primary key, response_id text, name text, output text, tool_call_id text, exception text
);
"""
NEWER = """
create table messages (hash text primary key, parent_hash text, role text, provider_metadata text);
create table parts (
    id integer primary key, message_hash text, position integer, type text, tool_name text, text text, payload text
);
create table threads (id text primary key, name text, tip_message_hash text, forked_from text, datetime_utc text);
create table turns (
    id text primary key, thread_id text, parent_message_hash text, tip_message_hash text, model text,
    resolved_model text, options_json text, input_tokens integer, output_tokens integer, token_details text,
    duration_ms integer, datetime_utc text
);
"""


def insert(path: Path, table: str, **values: Any) -> None:
    marks = ", ".join("?" * len(values))
    names = ", ".join(f'"{name}"' for name in values)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"insert into {table} ({names}) values ({marks})", tuple(values.values()))


def create(path: Path, *schemas: str) -> Path:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript("".join(schemas))
    return path


def respond(path: Path, number: int, **values: Any) -> None:
    plain = {
        "id": f"r{number}",
        "model": "gpt-4o-mini",
        "prompt": f"prompt {number}",
        "system": "Be brief.",
        "response": f"response {number}",
        "conversation_id": "c1",
        "duration_ms": 1500,
        "datetime_utc": f"2026-01-01T00:00:{number:02}",
        "input_tokens": 100,
        "output_tokens": 5,
    }
    insert(path, "responses", **(plain | values))


def say(path: Path, key: str, parent: str | None, role: str, *parts: dict[str, Any]) -> None:
    insert(path, "messages", hash=key, parent_hash=parent, role=role)
    for position, part in enumerate(parts):
        insert(path, "parts", message_hash=key, position=position, **part)


def facts_of(path: Path, latest: datetime = LATEST) -> list[Fact]:
    return list(SOURCE.open(path, latest=latest).read())


def only(kind: type[F], facts: Iterable[Fact]) -> list[F]:
    return [fact for fact in facts if isinstance(fact, kind)]


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    return create(tmp_path / "logs.db", OLDER, COMPANIONS, NEWER)


def test_each_response_is_a_run_with_one_call(logs: Path) -> None:
    insert(logs, "conversations", id="c1", name="Talk", model="gpt-4o-mini")
    respond(logs, 1)
    respond(logs, 2)
    facts = facts_of(logs)
    (session,) = only(SessionFact, facts)
    assert (session.session_id, session.title, session.initial_task) == ("c1", "Talk", "prompt 1")
    runs = [run for run in only(RunFact, facts) if run.status is RunStatus.COMPLETED]
    assert [(run.run_id, run.objective, run.output) for run in runs] == [
        ("c1:r1", "prompt 1", "response 1"),
        ("c1:r2", "prompt 2", "response 2"),
    ]
    assert runs[0].finished_at == datetime(2026, 1, 1, 0, 0, 2, 500_000, tzinfo=UTC)
    calls = only(CallFact, facts)
    assert [(call.dedup_key, call.model, call.host, call.latency_ms) for call in calls] == [
        ("llm:r1", "gpt-4o-mini", "OpenAI", 1500),
        ("llm:r2", "gpt-4o-mini", "OpenAI", 1500),
    ]
    contents = [(one.role.value, one.content) for one in only(MessageFact, facts)]
    assert contents == [
        ("system", "Be brief."),
        ("user", "prompt 1"),
        ("assistant", "response 1"),
        ("user", "prompt 2"),
        ("assistant", "response 2"),
    ]


def test_reading_on_yields_only_newer_responses(logs: Path) -> None:
    respond(logs, 1)
    reader = SOURCE.open(logs, latest=LATEST)
    assert len(only(CallFact, reader.read())) == 1
    assert not list(reader.read())
    respond(logs, 2)
    facts = list(reader.read())
    assert [call.dedup_key for call in only(CallFact, facts)] == ["llm:r2"]
    assert [one.content for one in only(MessageFact, facts)] == ["prompt 2", "response 2"]
    assert reader.position == logs.stat().st_size


@pytest.mark.parametrize(
    ("details", "tokens"),
    [
        (None, TokenCounts(input=100, output=5)),
        (
            '{"prompt_tokens_details": {"cached_tokens": 40}, "completion_tokens_details": {"reasoning_tokens": 3}}',
            TokenCounts(input=60, cache_read=40, output=5, reasoning=3),
        ),
        (
            '{"cache_creation_input_tokens": 7, "cache_read_input_tokens": 900}',
            TokenCounts(input=100, cache_read=900, cache_write_5m=7, output=5),
        ),
        (
            '{"cachedContentTokenCount": 10, "thoughtsTokenCount": 2}',
            TokenCounts(input=90, cache_read=10, output=5, reasoning=2),
        ),
    ],
)
def test_cached_tokens_are_read_as_their_provider_means_them(
    logs: Path, details: str | None, tokens: TokenCounts
) -> None:
    respond(logs, 1, token_details=details)
    (call,) = only(CallFact, facts_of(logs))
    assert call.tokens == tokens
    assert call.usage_metrics == details


def test_unknown_tokens_stay_unknown(logs: Path) -> None:
    respond(logs, 1, input_tokens=None, output_tokens=None, model="mystery")
    (call,) = only(CallFact, facts_of(logs))
    assert (call.tokens, call.host) == (TokenCounts(), None)


def test_tools_fragments_images_and_reasoning_of_older_responses_are_told(logs: Path) -> None:
    respond(logs, 1, response="", reasoning="Add them.")
    insert(logs, "tool_calls", response_id="r1", name="add", arguments='{"a": 1}', tool_call_id="t1")
    respond(logs, 2, prompt="", system=None)
    insert(
        logs,
        "tool_results",
        response_id="r2",
        name="add",
        output="boom",
        tool_call_id="t1",
        exception="ValueError: boom",
    )
    respond(logs, 3, system=None)
    insert(logs, "fragments", id=1, hash="h", content="a fragment")
    insert(logs, "prompt_fragments", response_id="r3", fragment_id=1, order=0)
    insert(logs, "attachments", id="a", type="image/png", content=b"12345")
    insert(logs, "prompt_attachments", response_id="r3", attachment_id="a", order=0)
    facts = facts_of(logs)
    messages = {one.key: one for one in only(MessageFact, facts)}
    assert [part.kind for part in messages["r1:response"].parts] == [PartKind.REASONING, PartKind.TOOL_CALL]
    (used,), (result,) = only(ToolCallFact, facts), only(ToolResultFact, facts)
    assert (used.call_ref, used.tool_name, used.arguments) == ("t1", "add", '{"a": 1}')
    assert (result.call_ref, result.is_error, result.message_key) == ("t1", True, "r2:t1")
    assert messages["r2:t1"].content == "boom"
    assert "r2:prompt" not in messages
    assert messages["r3:prompt"].content == "a fragment\nprompt 3"
    assert [(part.kind, part.size_bytes) for part in messages["r3:prompt"].parts][1] == (PartKind.IMAGE, 5)


def test_turns_tell_only_what_was_new_in_their_input(logs: Path) -> None:
    respond(logs, 1, system=None)
    insert(logs, "threads", id="c1", name="Renamed")
    say(logs, "h1", None, "user", {"type": "text", "text": "prompt 1"})
    say(logs, "h2", "h1", "assistant", {"type": "text", "text": "response 1"})
    say(logs, "h3", "h2", "user", {"type": "text", "text": "And now?"})
    call = {"type": "tool_call", "payload": '{"name": "add", "arguments": {"a": 1}, "tool_call_id": "t1"}'}
    say(logs, "h4", "h3", "assistant", {"type": "reasoning", "text": "Hm."}, call)
    output = '{"name": "add", "output": "2", "tool_call_id": "t1", "exception": null}'
    say(logs, "h5", "h4", "tool", {"type": "tool_result", "payload": output})
    say(logs, "h6", "h5", "assistant", {"type": "text", "text": "Two."})
    turn = {"thread_id": "c1", "model": "claude-x", "input_tokens": 9, "output_tokens": 1, "duration_ms": 10}
    for name, parent, tip, second in (("t1", "h3", "h4", 10), ("t2", "h5", "h6", 11)):
        at = f"2026-01-01T00:00:{second}+00:00"
        insert(logs, "turns", id=name, parent_message_hash=parent, tip_message_hash=tip, datetime_utc=at, **turn)
    facts = facts_of(logs)
    told = [(one.role, one.content, one.run_id) for one in only(MessageFact, facts)]
    assert told == [
        (MessageRole.USER, "prompt 1", "c1:r1"),
        (MessageRole.ASSISTANT, "response 1", "c1:r1"),
        (MessageRole.USER, "And now?", "c1:t1"),
        (MessageRole.ASSISTANT, "", "c1:t1"),
        (MessageRole.TOOL, "2", "c1:t2"),
        (MessageRole.ASSISTANT, "Two.", "c1:t2"),
    ]
    assert [call.dedup_key for call in only(CallFact, facts)] == ["llm:r1", "llm:t1", "llm:t2"]
    assert (only(ToolCallFact, facts)[0].arguments, only(ToolResultFact, facts)[0].call_ref) == ('{"a":1}', "t1")
    assert only(SessionFact, facts)[-1].title == "Renamed"


def test_text_that_borrows_from_fragments_is_put_together(logs: Path) -> None:
    insert(logs, "fragments", id=7, hash="h", content="the fragment")
    payload = '{"text_ref": [{"literal": "See "}, {"fragment": 7}, {"literal": "!"}]}'
    say(logs, "h1", None, "user", {"type": "text", "payload": payload})
    say(logs, "h2", "h1", "assistant", {"type": "text", "text": "Seen."})
    at = "2026-01-01T00:00:00Z"
    insert(logs, "turns", id="t", thread_id="c", parent_message_hash="h1", tip_message_hash="h2", datetime_utc=at)
    assert [one.content for one in only(MessageFact, facts_of(logs))] == ["See the fragment!", "Seen."]


def test_an_early_database_without_companion_tables_is_read(tmp_path: Path) -> None:
    path = create(tmp_path / "logs.db", OLDER)
    respond(path, 1, conversation_id=None)
    facts = facts_of(path)
    assert len(only(MessageFact, facts)) == 3
    assert only(SessionFact, facts)[0].session_id == "r1"
    assert not only(Unreadable, facts)


@pytest.mark.parametrize(
    ("values", "reason", "messages"),
    [
        ({"input_tokens": -1}, "input_tokens is -1", 3),
        ({"datetime_utc": "2999-01-01T00:00:00"}, "lies in the future", 0),
        ({"datetime_utc": None}, "no datetime_utc", 0),
        ({"token_details": '{"prompt_tokens_details": {"cached_tokens": 101}}'}, "101 are said to be cached", 3),
    ],
)
def test_what_cannot_be_right_is_reported_and_the_rest_is_kept(
    logs: Path, values: dict[str, Any], reason: str, messages: int
) -> None:
    respond(logs, 1, **values)
    respond(logs, 2, conversation_id="c2")
    facts = facts_of(logs)
    (unreadable,) = only(Unreadable, facts)
    assert reason in unreadable.reason
    assert "row 1 of responses" in unreadable.reason
    assert [call.dedup_key for call in only(CallFact, facts)] == ["llm:r2"]
    assert len([one for one in only(MessageFact, facts) if one.session_id == "c1"]) == messages


def test_characters_that_cannot_be_stored_are_replaced_and_told(logs: Path) -> None:
    respond(logs, 1, response="a\0b", system=None)
    facts = facts_of(logs)
    assert only(MessageFact, facts)[-1].content == "a\ufffdb"
    assert [one.was_kept for one in only(Unreadable, facts)] == [True]


def test_other_files_are_reported_and_not_fatal(tmp_path: Path) -> None:
    text, other, empty = tmp_path / "a.db", tmp_path / "b.db", tmp_path / "c.db"
    text.write_text("not a database, though it is called one" * 50)
    create(other, "create table cats (name text);")
    empty.touch()
    assert "file is not a database" in only(Unreadable, facts_of(text))[0].reason
    assert "no `responses` or `turns`" in only(Unreadable, facts_of(other))[0].reason
    assert "no `responses` or `turns`" in only(Unreadable, facts_of(empty))[0].reason
    assert "No such file" in only(Unreadable, facts_of(tmp_path / "missing.db"))[0].reason


def test_the_database_is_not_written_to(logs: Path) -> None:
    respond(logs, 1)
    before = logs.read_bytes()
    facts_of(logs)
    assert logs.read_bytes() == before
    assert [path.name for path in logs.parent.iterdir()] == ["logs.db"]


def test_the_roots_follow_the_environment() -> None:
    home = Path("/h")
    assert list(SOURCE.roots({"LLM_USER_PATH": "/l"}, home)) == [Path("/l/logs.db")]
    assert next(iter(SOURCE.roots({}, home))) == home / ".config/io.datasette.llm/logs.db"
