"""`agentrecord import otlp` and `agentrecord export`, as people use them."""

import gzip
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agentrecord.cli.main import program
from agentrecord.store import Store
from otlp_requests import conversation, request, span

DATA = Path(__file__).parents[1] / "data" / "otlp"


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "record.db"
    monkeypatch.setenv("AGENTRECORD_URL", str(path))
    return path


def run(*words: object) -> Result:
    return CliRunner().invoke(program, [str(word) for word in words])


def test_dumps_come_in_once_however_often_they_are_imported(record: Path) -> None:
    first = json.loads(run("import", "otlp", DATA / "pydantic-ai.jsonl", "--json").stdout)["imports"][0]
    assert (first["files"], first["spans"], first["traces"], first["unchanged"]) == (1, 11, 4, 0)
    again = run("import", "otlp", DATA / "pydantic-ai.jsonl", "--plain")
    assert (again.exit_code, "0 spans" in again.stdout, "11 known before" in again.stdout) == (0, True, True)
    with Store(str(record)) as store:
        assert store.llm_calls.list().total == 5


def test_a_folder_holds_dumps_of_several_shapes(record: Path, tmp_path: Path) -> None:
    folder = tmp_path / "dumps"
    folder.mkdir()
    spans = conversation()
    (folder / "pretty.json").write_text(json.dumps(request(*spans[:2]), indent=2))
    (folder / "lines.jsonl").write_text("\n".join(json.dumps(request(one)) for one in spans[2:4]))
    (folder / "packed.jsonl.gz").write_bytes(gzip.compress(json.dumps(request(*spans[4:])).encode()))
    assert run("import", "otlp", folder).exit_code == 0
    with Store(str(record)) as store:
        assert store.sessions.get("talk").message_count == 9


def test_lines_and_spans_that_cannot_be_read_are_told_and_the_rest_is_stored(record: Path, tmp_path: Path) -> None:
    path = tmp_path / "broken.jsonl"
    bad = {**span(2, "bad"), "startTimeUnixNano": "7"}
    path.write_text(f'{json.dumps(request(span(1, "a")))}\n{{"resourceSpans": 7}}\n{json.dumps(request(bad))}\n')
    done = run("import", "otlp", path)
    assert done.exit_code == 0
    assert f"{path}:2: resourceSpans must be a list" in done.stderr
    assert "1 span refused: startTimeUnixNano 7 is before the year 2000" in done.stderr
    assert "resourceSpans must be a list" in run("unreadable").stdout
    path.write_text("no json at all")
    assert run("import", "otlp", path).exit_code == 1


def test_json_that_is_no_otlp_is_told_of(record: Path, tmp_path: Path) -> None:
    path = DATA / "vercel-aisdk-2025-11-17.trace.json"
    done = run("import", "otlp", path)
    assert done.exit_code == 1
    assert f"{path}:1: is no OTLP: it holds no resourceSpans and no resourceLogs" in done.stderr
    assert "is no OTLP" in run("unreadable").stdout
    (tmp_path / "metrics.json").write_text('{"resourceMetrics": []}')
    assert run("import", "otlp", tmp_path / "metrics.json").exit_code == 0


def test_a_dry_run_stores_nothing(record: Path) -> None:
    done = run("import", "otlp", DATA / "pydantic-ai.jsonl", "--dry-run")
    assert "would read 11 spans" in done.stdout
    with Store(str(record)) as store:
        assert store.traces.spans() == ()


def test_the_user_that_is_named_owns_what_comes_in(record: Path) -> None:
    assert run("--user", "zoe", "import", "otlp", DATA / "pydantic-ai.jsonl").exit_code == 0
    with Store(str(record)) as store:
        assert {session.user for session in store.sessions.list()} == {"zoe"}


def test_what_is_exported_is_imported_elsewhere(record: Path, tmp_path: Path) -> None:
    run("import", "otlp", DATA / "pydantic-ai.jsonl")
    out = run("export", "--as", "jsonl")
    assert (out.exit_code, "11 spans" in out.stderr) == (0, True)
    (tmp_path / "out.jsonl").write_text(out.stdout)
    other = tmp_path / "other.db"
    assert run("--db", other, "import", "otlp", tmp_path / "out.jsonl").exit_code == 0
    with Store(str(record)) as one, Store(str(other)) as two:
        assert one.traces.spans() == two.traces.spans()
    csv_rows = run("export", "--as", "csv", "--since", "all").stdout.splitlines()
    assert (len(csv_rows), csv_rows[0].split(",")[:3]) == (12, ["trace_id", "span_id", "parent_span_id"])


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("import", "otlp"), 1, "name the files"), (("import", "otlp", "/no/such"), 1, "/no/such"),
        (("import", "otlp", "x", "--watch"), 2, "--watch"), (("export", "--session", "nobody"), 1, "nobody"),
        (("export", "--as", "xml"), 2, "xml"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said(record: Path, words: tuple[str, ...], code: int, told: str) -> None:
    with Store(str(record)):
        pass
    done = run(*words)
    assert (done.exit_code, told in done.output + str(done.exception)) == (code, True)
