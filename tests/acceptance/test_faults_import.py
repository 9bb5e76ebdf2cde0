"""F1 for imports: killed in between and run again, the record is the one that a single run makes."""

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from faults_processes import Child, child
from faults_record import differences, dump

from agentrecord.ingest.load import import_paths
from agentrecord.ingest.registry import SOURCES
from agentrecord.store import Store
from counts import count
from databases import Databases

START = datetime(2026, 2, 3, 9, 0, tzinfo=UTC)
FILES, TURNS = 5, 700


def _row(kind: str, session: str, place: int, message: dict[str, object]) -> str:
    at = (START + timedelta(seconds=place)).isoformat().replace("+00:00", "Z")
    row = {"type": kind, "sessionId": session, "uuid": f"{session}-{place}", "timestamp": at, "message": message}
    return json.dumps({**row, "cwd": "/home/alice/project", "version": "2.1.0"}) + "\n"


def _turn(session: str, turn: int) -> str:
    """Return a question, an answer that streams in two rows and uses a tool, and the tool's result."""
    ref, place = f"toolu_{session}_{turn}", turn * 5
    usage = {"input_tokens": 10 + turn, "cache_read_input_tokens": 1000, "output_tokens": 5}
    answer = {"role": "assistant", "id": f"msg_{session}_{turn}", "model": "claude-opus-4-5"}
    used = [{"type": "tool_use", "id": ref, "name": "Bash", "input": {"command": f"ls {turn}"}}]
    result = [{"type": "tool_result", "tool_use_id": ref, "content": f"{turn} files", "is_error": turn % 9 == 0}]
    said = [{"type": "text", "text": f"Looking at step {turn}."}]
    return "".join(
        [
            _row("user", session, place, {"role": "user", "content": f"Please do step {turn} of the plan."}),
            _row("assistant", session, place + 1, {**answer, "content": said, "usage": usage}),
            _row("assistant", session, place + 2, {**answer, "content": used, "usage": {**usage, "output_tokens": 60}}),
            _row("user", session, place + 3, {"role": "user", "content": result}),
        ]
    )


@pytest.fixture(scope="module")
def transcripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of transcripts, several transactions long."""
    folder = tmp_path_factory.mktemp("transcripts") / "projects" / "-home-alice-project"
    folder.mkdir(parents=True)
    for number in range(FILES):
        session = f"session-{number}"
        text = "".join(_turn(session, turn) for turn in range(TURNS)) + "{broken\n"
        (folder / f"{session}.jsonl").write_text(text)
    return folder.parent


def _cut_short(folder: Path, url: str, transcripts: Path, chance: random.Random) -> bool:
    """Kill an import at some moment; say whether it was still at work."""
    progress = folder / "progress"
    progress.unlink(missing_ok=True)
    with child(folder, "import_folder", url, transcripts, progress) as importer:
        reports = chance.randrange(1, FILES * 3)
        importer.until(lambda: _reports(progress) >= reports or _ended_well(importer))
        if _ended_well(importer):
            return False
        importer.kill_after(chance.uniform(0, 0.03))
        return True


def _reports(progress: Path) -> int:
    return progress.stat().st_size if progress.exists() else 0


def _ended_well(importer: Child) -> bool:
    return importer.process.poll() == 0


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_a_killed_import_run_again_makes_the_record_of_one_clean_run(
    engine: str, databases: Databases, transcripts: Path, tmp_path: Path
) -> None:
    clean = databases.create(engine)
    with Store(clean) as store:
        once = import_paths(store, SOURCES["claude-code"], [transcripts])
        assert once.counts.messages > FILES * TURNS
        wanted = dump(store)
    databases.drop(clean)
    chance, killed = random.Random(3), 0
    for _ in range(count(1, 10)):
        url = databases.create(engine)
        for _ in range(3):
            killed += _cut_short(tmp_path, url, transcripts, chance)
            with Store(url) as store:
                assert store.usage.recount() == ()
        with Store(url) as store:
            import_paths(store, SOURCES["claude-code"], [transcripts])
            assert differences(wanted, dump(store)) == []
            assert store.usage.recount() == ()
            again = import_paths(store, SOURCES["claude-code"], [transcripts])
            assert (again.files, again.counts.added) == (0, 0)
        databases.drop(url)
    print(f"{engine}: {killed} imports killed")
    assert killed > 0
