"""Claude Code's transcripts: the shipped samples to the last token, reading on, and where files are."""

import gzip
import json
import shutil
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from claude_transcripts import LATEST, START, USAGE, Transcript, figures_of, largest, only, runs

from agentrecord.exceptions import InvalidValue
from agentrecord.ingest import recount, source
from agentrecord.ingest.claude_code import SOURCE
from agentrecord.ingest.facts import (
    CallFact,
    EventFact,
    MessageFact,
    RunFact,
    SessionFact,
    Skipped,
    ToolResultFact,
    Unreadable,
)
from agentrecord.records.run import RunStatus

SAMPLES = Path(source.__file__).parents[1] / "samples"
EXPECTED: dict[str, dict[str, dict[str, int]]] = json.loads((SAMPLES / "expected.json").read_bytes())


@pytest.fixture
def transcript(tmp_path: Path) -> Transcript:
    """An empty transcript of session s1."""
    return Transcript(tmp_path / "s1.jsonl")


@pytest.mark.parametrize(
    ("folder", "name"),
    [(folder, name) for folder in EXPECTED if folder.startswith("claude") for name in EXPECTED[folder]],
)
def test_every_sample_gives_the_expected_figures(folder: str, name: str) -> None:
    facts = list(SOURCE.open(SAMPLES / folder / name, latest=LATEST).read())
    figures = figures_of(facts)
    assert figures == {column: EXPECTED[folder][name][column] for column in figures}
    assert only(facts, Unreadable) == []


def test_the_independent_recount_agrees_with_the_expected_figures() -> None:
    for folder in ("claude-code", "claude-code-snapshots"):
        assert recount.compare(EXPECTED[folder], recount.recount(SAMPLES / folder)) == []


def test_a_difference_from_the_recount_is_told_by_file_and_figure() -> None:
    got = {"a": {"input": 2}, "b": {"input": 1}}
    told = recount.compare({"a": {"input": 1}, "c": {"input": 1}}, got)
    assert told == [
        "b: only one of the two counts knows it",
        "c: only one of the two counts knows it",
        "a: input is 2, expected 1",
    ]


def test_whatever_a_fact_names_came_before_it() -> None:
    sessions: set[str] = set()
    seen: set[str] = set()
    for path in SOURCE.files(SAMPLES / "claude-code"):
        for fact in SOURCE.open(path, latest=LATEST).read():
            if isinstance(fact, SessionFact):
                assert fact.parent_session_id is None or fact.parent_session_id in sessions
                sessions.add(fact.session_id)
            elif not isinstance(fact, Unreadable | Skipped):
                assert fact.session_id in sessions
                if isinstance(fact, RunFact):
                    assert fact.parent_run_id is None or fact.parent_run_id in seen
                    seen.add(fact.run_id)
                elif not isinstance(fact, ToolResultFact):
                    assert fact.run_id is None or fact.run_id in seen
    assert len(sessions) > 20


def test_no_run_of_an_old_transcript_is_left_running() -> None:
    for path in SOURCE.files(SAMPLES / "claude-code"):
        last = runs(SOURCE.open(path, latest=LATEST).read())
        assert all(run.status.is_final and run.finished_at is not None for run in last.values())


def test_all_three_forms_of_sub_agents_become_child_sessions_with_one_run() -> None:
    forms: Counter[str | None] = Counter()
    for path in SOURCE.files(SAMPLES / "claude-code"):
        facts = list(SOURCE.open(path, latest=LATEST).read())
        for child in {fact.session_id: fact for fact in only(facts, SessionFact) if fact.parent_session_id}.values():
            own = [run for run in runs(facts).values() if run.session_id == child.session_id]
            assert [run.run_id for run in own] == [child.session_id]
            assert all(call.is_subagent for call in only(facts, CallFact) if call.session_id == child.session_id)
            forms[json.loads(child.metadata or '{"form": null}')["form"]] += 1
    # One sub-agent is known by its result alone: the file that held its rows is not among the samples.
    assert forms == {"progress": 1, "sidechain": 7, "file": 3, None: 1}


def test_a_transcript_that_was_rewound_takes_nothing_away_and_adds_no_call_twice() -> None:
    [shorter] = (SAMPLES / "claude-code-snapshots").rglob("04.jsonl.gz")
    [longer] = (SAMPLES / "claude-code").rglob("70d782f7*")
    before = largest(only(SOURCE.open(longer, latest=LATEST).read(), CallFact))
    after = largest(only(SOURCE.open(shorter, latest=LATEST).read(), CallFact))
    assert (len(before), len(after)) == (71, 15)
    assert after.keys() < before.keys()
    assert all(before[key].tokens == call.tokens for key, call in after.items())


def test_a_compaction_in_a_sample_is_an_event_and_opens_no_run() -> None:
    [path] = (SAMPLES / "claude-code").rglob("70d782f7*")
    facts = list(SOURCE.open(path, latest=LATEST).read())
    compactions = [json.loads(event.data or "") for event in only(facts, EventFact) if event.event_type == "compaction"]
    assert {data["trigger"] for data in compactions} == {"auto"}
    assert any("tokensSaved" in data for data in compactions)
    assert any("tokensSaved" not in data for data in compactions)
    assert not any((run.objective or "").startswith("This session is being continued") for run in runs(facts).values())


def test_a_grown_file_adds_only_what_is_new(transcript: Transcript) -> None:
    transcript.user("Go").assistant("Wait", message={"usage": {**USAGE, "output_tokens": 1}})
    reader = SOURCE.open(transcript.path, latest=START + timedelta(minutes=1))
    first = list(reader.read())
    assert list(reader.read()) == []
    transcript.assistant("for it.", message={"stop_reason": "end_turn"})
    second = list(reader.read())
    assert [call.tokens.output for call in only(first + second, CallFact)] == [1, 7]
    assert [message.content for message in only(second, MessageFact)] == ["for it."]
    assert runs(second)["s1:u1"].status is RunStatus.COMPLETED
    assert only(second, SessionFact) == []
    assert reader.position == transcript.path.stat().st_size


def test_reading_in_steps_gives_the_same_figures_as_reading_at_once(tmp_path: Path) -> None:
    name = "projects/sample-project/5c0375b4-57a5-4f26-b12d-d022ee4e51b7.jsonl.gz"
    lines = list(sample_lines(SAMPLES / "claude-code" / name))
    path = tmp_path / "5c0375b4-57a5-4f26-b12d-d022ee4e51b7.jsonl"
    path.write_bytes(b"")
    reader = SOURCE.open(path, latest=LATEST)
    facts: list[Any] = []
    for line in lines:
        with path.open("ab") as file:
            file.write(line)
        facts += reader.read()
    figures = figures_of(facts)
    assert figures == {column: EXPECTED["claude-code"][name][column] for column in figures}


def sample_lines(path: Path) -> list[bytes]:
    return gzip.decompress(path.read_bytes()).splitlines(keepends=True)


def test_roots_follow_the_environment_and_else_the_home(tmp_path: Path) -> None:
    assert list(SOURCE.roots({"CLAUDE_CONFIG_DIR": "/a, /b"}, tmp_path)) == [Path("/a/projects"), Path("/b/projects")]
    assert list(SOURCE.roots({}, tmp_path)) == [tmp_path / ".config/claude/projects", tmp_path / ".claude/projects"]


def test_main_files_come_before_those_of_their_sub_agents(tmp_path: Path) -> None:
    names = ["p/agent-1.jsonl", "p/b.jsonl", "p/b/subagents/agent-2.jsonl", "p/c.jsonl.gz", "p/notes.txt", "q/a.jsonl"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = [path.relative_to(tmp_path).as_posix() for path in SOURCE.files(tmp_path)]
    assert found == ["p/b.jsonl", "p/c.jsonl.gz", "q/a.jsonl", "p/agent-1.jsonl", "p/b/subagents/agent-2.jsonl"]
    assert list(SOURCE.files(tmp_path / "p/b.jsonl")) == [tmp_path / "p/b.jsonl"]


def test_a_path_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match=r"no such file or folder.*nowhere"):
        list(SOURCE.files(tmp_path / "nowhere"))


def test_a_compressed_copy_gives_the_same_facts(transcript: Transcript) -> None:
    transcript.user("Go").assistant("Done.")
    copy = transcript.path.with_name("s1.jsonl.gz")
    copy.write_bytes(gzip.compress(transcript.path.read_bytes()))
    assert list(SOURCE.open(copy, latest=LATEST).read()) == transcript.facts()


def test_two_copies_of_a_transcript_give_equal_facts(tmp_path: Path) -> None:
    [path] = (SAMPLES / "claude-code").rglob("acdd84ab*")
    copy = tmp_path / path.name
    shutil.copyfile(path, copy)
    assert list(SOURCE.open(path, latest=LATEST).read()) == list(SOURCE.open(copy, latest=LATEST).read())
