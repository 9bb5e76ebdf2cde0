"""Transcripts into the record: the same figures as counted by hand, whatever is imported again, cut off or changed."""

import gzip
import json
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from agentrecord import Store
from agentrecord.exceptions import NotFound
from agentrecord.ingest.load import import_paths, watch
from agentrecord.ingest.recount import recount
from agentrecord.ingest.registry import SOURCES
from agentrecord.records.message import MessageRole
from agentrecord.records.run import RunFilter, RunStatus
from agentrecord.records.session import SessionFilter
from agentrecord.records.usage import UsageBy

SAMPLES = Path(str(files("agentrecord") / "samples"))
CLAUDE = SAMPLES / "claude-code"
TABLES = (
    "ar_sessions", "ar_coding_sessions", "ar_messages", "ar_runs", "ar_llm_calls", "ar_tool_calls", "ar_events",
    "ar_errors", "ar_error_groups", "ar_usage_hours", "ar_usage_days", "ar_activity_days", "ar_tool_days",
)  # fmt: skip
VOLATILE = {"user_uuid", "created_at", "updated_at"}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(str(tmp_path / "record.db")) as opened:
        yield opened


def row(session: str, at: datetime, **more: Any) -> dict[str, Any]:
    return {
        "sessionId": session, "timestamp": at.isoformat().replace("+00:00", "Z"), "cwd": "/w", "version": "2.1.0",
        "gitBranch": "main", "isSidechain": False, "parentUuid": None, **more,
    }  # fmt: skip


def prompt(session: str, key: str, text: str, at: datetime) -> dict[str, Any]:
    return row(session, at, type="user", uuid=key, message={"role": "user", "content": text})


def answer(session: str, key: str, text: str, at: datetime, **usage: int) -> dict[str, Any]:
    message = {
        "id": f"msg_{key}", "model": "claude-opus-4-5-20251101", "role": "assistant", "stop_reason": "end_turn",
        "content": [{"type": "text", "text": text}], "usage": {"input_tokens": 10, "output_tokens": 5, **usage},
    }  # fmt: skip
    return row(session, at, type="assistant", uuid=key, requestId=f"req_{key}", message=message)


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return path


def figures(path: Path) -> list[tuple[Any, ...]]:
    """Every row of every table that an import fills, in order, without what differs between two records."""
    connection = sqlite3.connect(path)
    found: list[tuple[Any, ...]] = []
    for table in TABLES:
        names = [r[1] for r in connection.execute(f"pragma table_info({table})") if r[1] not in VOLATILE]
        rows = connection.execute(f"select {', '.join(names)} from {table}").fetchall()
        found.extend((table, *r) for r in sorted(rows, key=repr))
    connection.close()
    return found


def one_session(store: Store) -> Any:
    (session,) = store.sessions.list(SessionFilter(include_children=True)).items
    return session


def test_the_sample_has_the_figures_that_a_plain_recount_gives(store: Store) -> None:
    import_paths(store, SOURCES["claude-code"], [CLAUDE])
    counted = recount(CLAUDE)
    assert counted
    assert len(counted) >= 10
    total = store.usage.report(UsageBy.TOTAL).total
    top = store.usage.report(UsageBy.TOTAL, include_subagents=False).total
    for name, with_sub, without in (
        ("input", total.input_tokens, top.input_tokens),
        ("cache_read", total.cache_read_tokens, top.cache_read_tokens),
        ("output", total.output_tokens, top.output_tokens),
    ):
        rows = list(counted.values())
        in_progress = sum(int(r[f"sub_{name}"]) for r in rows)
        assert with_sub == sum(int(r[name]) for r in rows) + in_progress, name
        assert without <= with_sub
    assert store.usage.recount() == ()


def test_a_second_import_changes_nothing(store: Store, tmp_path: Path) -> None:
    import_paths(store, SOURCES["claude-code"], [CLAUDE])
    before = figures(tmp_path / "record.db")
    again = import_paths(store, SOURCES["claude-code"], [CLAUDE])
    assert again.files == 0
    assert again.files_unchanged > 0
    copied = tmp_path / "elsewhere"
    shutil.copytree(CLAUDE, copied)
    elsewhere = import_paths(store, SOURCES["claude-code"], [copied])
    assert elsewhere.files > 0
    assert elsewhere.counts.added == 0
    assert figures(tmp_path / "record.db") == before


def test_a_grown_file_adds_only_what_is_new(store: Store, tmp_path: Path) -> None:
    now = datetime.now(UTC) - timedelta(days=3)
    path = tmp_path / "a.jsonl"
    write(path, prompt("s", "u1", "hello", now), answer("s", "a1", "hi", now))
    import_paths(store, SOURCES["claude-code"], [path])
    with path.open("a") as file:
        file.write(json.dumps(prompt("s", "u2", "more", now + timedelta(minutes=1))) + "\n")
    grown = import_paths(store, SOURCES["claude-code"], [path])
    assert (grown.counts.messages, grown.counts.calls, grown.counts.sessions) == (1, 0, 0)
    session = one_session(store)
    assert [m.sequence for m in store.messages.list(session.id)] == [1, 2, 3]
    assert store.usage.recount() == ()


def test_a_later_shorter_file_deletes_nothing(store: Store, tmp_path: Path) -> None:
    now = datetime.now(UTC) - timedelta(days=3)
    path = tmp_path / "a.jsonl"
    rows = [prompt("s", "u1", "hello", now), answer("s", "a1", "hi", now), prompt("s", "u2", "more", now)]
    write(path, *rows)
    import_paths(store, SOURCES["claude-code"], [path])
    write(path, *rows[:1])
    shrunk = import_paths(store, SOURCES["claude-code"], [path])
    assert shrunk.counts.added == 0
    assert one_session(store).message_count == 3


def test_a_rewound_transcript_keeps_both_ends(store: Store, tmp_path: Path) -> None:
    now = datetime.now(UTC) - timedelta(days=3)
    path = tmp_path / "a.jsonl"
    first = prompt("s", "u1", "hello", now)
    write(path, first, answer("s", "a1", "old answer", now))
    import_paths(store, SOURCES["claude-code"], [path])
    write(path, first, answer("s", "a2", "new answer", now + timedelta(minutes=5)))
    import_paths(store, SOURCES["claude-code"], [path])
    session = one_session(store)
    assert [m.content for m in store.messages.list(session.id)] == ["hello", "old answer", "new answer"]
    assert session.usage.calls == 2


def test_one_response_in_two_sessions_is_one_call(store: Store, tmp_path: Path) -> None:
    now = datetime.now(UTC) - timedelta(days=3)
    shared = answer("one", "a1", "hi", now)
    write(tmp_path / "1.jsonl", prompt("one", "u1", "hello", now), shared)
    write(tmp_path / "2.jsonl", prompt("two", "u1", "hello", now), {**shared, "sessionId": "two", "uuid": "x"})
    summary = import_paths(store, SOURCES["claude-code"], [tmp_path])
    assert summary.counts.calls == 1
    assert store.usage.report(UsageBy.TOTAL).total.calls == 1
    assert summary.counts.messages == 4


def test_the_largest_report_of_a_response_counts_even_if_it_comes_later(store: Store, tmp_path: Path) -> None:
    now = datetime.now(UTC) - timedelta(days=3)
    path = write(tmp_path / "a.jsonl", prompt("s", "u1", "hello", now), answer("s", "a1", "h", now, output_tokens=1))
    import_paths(store, SOURCES["claude-code"], [path])
    longer = answer("s", "a1b", "hi there", now, output_tokens=400)
    longer["message"]["id"], longer["requestId"] = "msg_a1", "req_a1"
    with path.open("a") as file:
        file.write(json.dumps(longer) + "\n")
    import_paths(store, SOURCES["claude-code"], [path])
    total = store.usage.report(UsageBy.TOTAL).total
    assert (total.calls, total.output_tokens, total.input_tokens) == (1, 400, 10)
    assert store.usage.recount() == ()


def test_the_same_id_with_other_content_is_told_and_the_first_stays(store: Store, tmp_path: Path) -> None:
    now = datetime.now(UTC) - timedelta(days=3)
    path = write(tmp_path / "a.jsonl", prompt("s", "u1", "hello", now))
    import_paths(store, SOURCES["claude-code"], [path])
    write(path, prompt("s", "u1", "something else", now), prompt("s", "u2", "next", now))
    summary = import_paths(store, SOURCES["claude-code"], [path])
    assert summary.counts.conflicts == 1
    (line,) = store.imports.unreadable(path=str(path)).items
    assert line.line == 1
    assert "other content" in line.reason
    contents = [m.content for m in store.messages.list(one_session(store).id)]
    assert contents == ["hello", "next"]


def test_sub_agents_are_runs_below_the_turn_that_started_them(store: Store) -> None:
    import_paths(store, SOURCES["claude-code"], [CLAUDE])
    children = [s for s in _all_sessions(store) if s.parent_uuid is not None]
    assert children
    linked = 0
    for child in children:
        assert child.id in {s.id for s in store.sessions.children(child.parent_uuid)}
        for run in store.runs.list(RunFilter(session_uuid=child.id)):
            assert run.agent_id is None or run.agent_id.startswith("claude-code/")
            linked += run.parent_uuid is not None
    assert linked
    parent = store.sessions.get(children[0].parent_uuid, with_subtree=True)
    assert parent.subtree is not None
    assert parent.subtree.calls >= parent.usage.calls


def _all_sessions(store: Store) -> list[Any]:
    found, cursor = [], None
    while True:
        page = store.sessions.list(SessionFilter(include_children=True), limit=200, cursor=cursor)
        found.extend(page.items)
        cursor = page.next_cursor
        if cursor is None:
            return found


def test_no_imported_run_of_the_past_is_left_running(store: Store) -> None:
    for source in SOURCES.values():
        if (SAMPLES / source.name).exists():
            import_paths(store, source, [SAMPLES / source.name])
    assert store.runs.list(RunFilter(status=RunStatus.RUNNING)).items == []
    assert store.runs.list().total


def test_a_run_that_is_going_on_is_read_again_until_it_ends(store: Store, tmp_path: Path) -> None:
    now = datetime.now(UTC) - timedelta(minutes=1)
    path = write(tmp_path / "a.jsonl", prompt("s", "u1", "hello", now))
    import_paths(store, SOURCES["claude-code"], [path])
    assert [r.status for r in store.runs.list()] == [RunStatus.RUNNING]
    with path.open("a") as file:
        file.write(json.dumps(answer("s", "a1", "done", now + timedelta(seconds=5))) + "\n")
    import_paths(store, SOURCES["claude-code"], [path])
    assert [r.status for r in store.runs.list()] == [RunStatus.COMPLETED]


def test_a_dry_run_tells_what_would_come_in_and_stores_nothing(store: Store) -> None:
    told = import_paths(store, SOURCES["claude-code"], [CLAUDE], dry_run=True)
    assert store.sessions.list().total == 0
    done = import_paths(store, SOURCES["claude-code"], [CLAUDE])
    names = ("sessions", "runs", "messages", "calls", "tool_calls", "events", "errors")
    assert {n: getattr(told.counts, n) for n in names} == {n: getattr(done.counts, n) for n in names}
    again = import_paths(store, SOURCES["claude-code"], [CLAUDE], dry_run=True)
    assert again.counts.added == 0


def test_a_missing_path_is_named(store: Store, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        import_paths(store, SOURCES["claude-code"], [tmp_path / "nowhere"])


def test_a_line_that_cannot_be_read_is_kept_with_its_place_and_the_rest_comes_in(store: Store, tmp_path: Path) -> None:
    now = datetime.now(UTC) - timedelta(days=3)
    path = tmp_path / "a.jsonl"
    lines = [
        json.dumps(prompt("s", "u1", "hello", now)),
        '{"type": "user", "mess',
        json.dumps(answer("s", "a1", "hi", now)),
    ]
    path.write_text("\n".join(lines) + "\n")
    summary = import_paths(store, SOURCES["claude-code"], [path])
    assert (summary.counts.messages, summary.counts.unreadable) == (2, 1)
    (kept,) = store.imports.unreadable().items
    assert (kept.path, kept.line) == (str(path), 2)
    assert kept.reason
    assert kept.excerpt.startswith('{"type"')


def test_a_fact_that_no_engine_may_store_is_told_and_its_neighbours_come_in(store: Store, tmp_path: Path) -> None:
    now = datetime.now(UTC) - timedelta(days=3)
    endless = "x" * 300
    path = write(tmp_path / "a.jsonl", prompt("s", "u1", "hello", now), prompt(endless, "u2", "no", now))
    summary = import_paths(store, SOURCES["claude-code"], [path])
    assert summary.counts.messages == 1
    reasons = [line.reason for line in store.imports.unreadable()]
    assert any("session_id" in reason for reason in reasons)


def test_watching_brings_in_what_is_added(store: Store, tmp_path: Path) -> None:
    now = datetime.now(UTC) - timedelta(days=3)
    path = write(tmp_path / "a.jsonl", prompt("s", "u1", "hello", now))
    stop = threading.Event()
    seen = []
    for summary in watch(store, SOURCES["claude-code"], [tmp_path], stop=stop, poll_s=0.01):
        seen.append(summary.counts.messages)
        if len(seen) == 1:
            with path.open("a") as file:
                file.write(json.dumps(answer("s", "a1", "hi", now)) + "\n")
        else:
            stop.set()
    assert seen == [1, 1]
    assert one_session(store).message_count == 2


def test_an_import_killed_midway_and_run_again_is_as_one_clean_run(tmp_path: Path) -> None:
    program = """
import os, sys
from pathlib import Path
from agentrecord import Store
from agentrecord.ingest import load
from agentrecord.ingest.registry import SOURCES
store, killed = Store(sys.argv[1]), int(sys.argv[3])
plain, done = load.Importer._load, [0]
def counted(self, batcher, facts):
    done[0] += 1
    if done[0] == killed:
        os.kill(os.getpid(), 9)
    return plain(self, batcher, facts)
load.Importer._load = counted
load.import_paths(store, SOURCES["claude-code"], [Path(sys.argv[2])])
"""
    clean = tmp_path / "clean.db"
    with Store(str(clean)) as store:
        import_paths(store, SOURCES["claude-code"], [CLAUDE])
    batches = len(list(CLAUDE.rglob("*.jsonl.gz")))
    for killed in (2, batches // 2, batches):
        path = tmp_path / f"killed{killed}.db"
        ended = subprocess.run([sys.executable, "-c", program, str(path), str(CLAUDE), str(killed)], check=False)
        assert ended.returncode == -9
        with Store(str(path)) as store:
            assert store.usage.recount() == ()
            import_paths(store, SOURCES["claude-code"], [CLAUDE])
            assert store.usage.recount() == ()
        assert figures(path) == figures(clean)


def test_every_source_in_the_sample_gives_its_expected_tokens() -> None:
    expected = json.loads((SAMPLES / "expected.json").read_text())
    assert expected
    with Store("memory:") as store:
        for name, source in SOURCES.items():
            if (SAMPLES / name).exists():
                import_paths(store, source, [SAMPLES / name])
        roles = {m.role for s in _all_sessions(store) for m in store.messages.list(s.id, limit=5)}
        assert {MessageRole.USER, MessageRole.ASSISTANT} <= roles
        assert store.usage.recount() == ()


def test_compressed_transcripts_are_read_as_they_are(store: Store, tmp_path: Path) -> None:
    now = datetime.now(UTC) - timedelta(days=3)
    path = tmp_path / "a.jsonl.gz"
    with gzip.open(path, "wt") as file:
        file.write(json.dumps(prompt("s", "u1", "hello", now)) + "\n")
    assert import_paths(store, SOURCES["claude-code"], [path]).counts.messages == 1


def test_what_was_deleted_here_does_not_come_back_but_its_later_calls_count(store: Store, tmp_path: Path) -> None:
    now = datetime.now(UTC) - timedelta(days=3)
    path = write(tmp_path / "a.jsonl", prompt("s", "u1", "a secret", now), answer("s", "a1", "hi", now))
    import_paths(store, SOURCES["claude-code"], [path])
    assert store.sessions.delete("s") == 2
    with path.open("a") as file:
        file.write(json.dumps(answer("s", "a2", "more of the secret", now + timedelta(minutes=1))) + "\n")
    summary = import_paths(store, SOURCES["claude-code"], [path])
    assert (summary.counts.calls, summary.counts.messages, summary.counts.unreadable) == (1, 0, 0)
    assert summary.skipped["facts of sessions that were deleted here"] == 3
    assert store.sessions.find("s") is None
    assert store.messages.search("secret").items == []
    assert store.usage.report(UsageBy.TOTAL).total.calls == 2
    assert store.usage.recount() == ()


def test_deleting_a_session_deletes_what_its_sub_agents_said(store: Store) -> None:
    import_paths(store, SOURCES["claude-code"], [CLAUDE])
    child = next(s for s in _all_sessions(store) if s.parent_uuid is not None and s.message_count)
    before = store.usage.report(UsageBy.TOTAL).total
    store.sessions.delete(child.parent_uuid)
    assert store.sessions.find(child.id) is None
    assert store.messages.search("the", session=child.id).items == []
    assert store.usage.report(UsageBy.TOTAL).total == before
    assert store.usage.recount() == ()


def test_two_users_may_import_the_same_transcript(store: Store, tmp_path: Path) -> None:
    now = datetime.now(UTC) - timedelta(days=3)
    path = write(tmp_path / "a.jsonl", prompt("s", "u1", "hello", now), answer("s", "a1", "hi", now))
    for user in ("alice", "bob"):
        summary = import_paths(store, SOURCES["claude-code"], [path], user=user)
        assert (summary.counts.sessions, summary.counts.messages, summary.counts.runs) == (1, 2, 1), user
        assert summary.counts.unreadable == 0
        assert import_paths(store, SOURCES["claude-code"], [path], user=user).files == 0
    assert store.usage.report(UsageBy.TOTAL).total.calls == 1
    seen = store.scoped(user="bob")
    assert [run.session_id for run in seen.runs.list()] == ["s"]
    copy = shutil.copy(path, tmp_path / "b.jsonl")
    assert import_paths(seen, SOURCES["claude-code"], [Path(copy)]).counts.added == 0


def test_an_empty_file_is_told(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.touch()
    import_paths(store, SOURCES["claude-code"], [path])
    (line,) = store.imports.unreadable().items
    assert line.path == str(path)
    assert "empty" in line.reason


def test_a_line_cut_short_is_told_sooner_or_later(store: Store, tmp_path: Path) -> None:
    now = datetime.now(UTC) - timedelta(seconds=30)
    path = write(tmp_path / "a.jsonl", prompt("s", "u1", "hello", now), answer("s", "a1", "hi", now))
    with path.open("a") as file:
        file.write('{"type": "user", "uu')
    import_paths(store, SOURCES["claude-code"], [path])
    assert import_paths(store, SOURCES["claude-code"], [path]).files_unchanged == 0
