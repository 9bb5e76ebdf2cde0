"""`agentrecord import`, `unreadable`, `check-samples` and `serve`, as people use them."""

import gzip
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from importlib.resources import files
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agentrecord.cli.main import program
from agentrecord.cli.serve import add_sample, bound_socket, checked_host, loaded
from agentrecord.exceptions import AgentRecordError, InvalidValue
from agentrecord.records.session import NewSession
from agentrecord.records.usage import UsageBy
from agentrecord.store import Store

SAMPLE = Path(str(files("agentrecord") / "samples"))
FILE = SAMPLE / "claude-code/projects/-Users-dev1-workspace-cli/0c97beba-bfcb-4f84-9950-e0354bfc808b.jsonl.gz"


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for name in ("CLAUDE_CONFIG_DIR", "CODEX_HOME", "XDG_CONFIG_HOME", "LLM_USER_PATH"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "record.db"
    monkeypatch.setenv("AGENTRECORD_URL", str(path))
    return path


def run(*words: object) -> Result:
    return CliRunner().invoke(program, [str(word) for word in words])


def imported(*words: object) -> dict[str, object]:
    done = run("import", *words, "--json")
    assert done.exit_code == 0, done.stderr
    (found,) = json.loads(done.stdout)["imports"]
    return dict(found)


def test_an_import_tells_what_came_in_and_a_second_one_adds_nothing(record: Path) -> None:
    first = imported("claude-code", FILE)
    assert (first["sessions"], first["calls"], first["total_tokens"]) == (1, 14, 928321)
    second = imported("claude-code", FILE)
    assert (second["files"], second["files_unchanged"], second["calls"]) == (0, 1, 0)


def test_a_dry_run_counts_and_stores_nothing(record: Path) -> None:
    assert imported("claude-code", FILE, "--dry-run")["calls"] == 14
    with Store(str(record)) as store:
        assert store.sessions.list().total == 0


def test_what_is_imported_for_a_user_in_a_project_is_theirs(record: Path) -> None:
    imported("claude-code", FILE, "--user", "bob", "--project", "shop")
    told = json.loads(run("--project", "shop", "usage", "--by", "user", "--json").stdout)
    assert [row["user"] for row in told["rows"]] == ["bob"]
    assert json.loads(run("usage", "--json").stdout)["rows"] == []


def test_each_user_has_the_transcript_and_each_call_counts_once(record: Path) -> None:
    imported("claude-code", FILE, "--user", "bob")
    again = imported("claude-code", FILE, "--user", "bob")
    other = imported("claude-code", FILE, "--user", "al")
    assert (again["files"], again["files_unchanged"]) == (0, 1)
    assert (other["files"], other["files_unchanged"]) == (1, 0)
    assert [row["user"] for row in json.loads(run("usage", "--by", "user", "--json").stdout)["rows"]] == ["bob"]


def test_a_summary_for_people_tells_tokens_dollars_and_what_was_left_out(record: Path) -> None:
    told = run("import", "claude-code", FILE).stdout
    assert told.startswith("claude-code: added 1 session, ")
    assert "928,321 tokens, $1.08" in told
    assert "left out on purpose" in told


def test_what_has_no_price_is_told_to_have_none_when_it_comes_in(record: Path, tmp_path: Path) -> None:
    path = tmp_path / "unpriced.jsonl"
    path.write_bytes(gzip.decompress(FILE.read_bytes()).replace(b'"claude-', b'"acme-'))
    assert imported("claude-code", path)["cost_usd"] is None
    with Store(str(record)) as store:
        assert store.usage.report(UsageBy.TOTAL).total.cost_usd is None


def test_without_a_path_the_places_of_the_tools_are_read(record: Path) -> None:
    place = Path(os.environ["HOME"]) / ".claude" / "projects" / "one"
    place.mkdir(parents=True)
    shutil.copy(FILE, place)
    assert imported()["calls"] == 14


def test_with_nothing_to_find_the_places_looked_at_are_named(record: Path) -> None:
    done = run("import")
    assert done.exit_code == 1
    assert f"{os.environ['HOME']}/.claude/projects" in done.stderr


def test_a_path_that_is_not_there_is_named_with_the_default_places(record: Path) -> None:
    done = run("import", "codex", "/no/such/place")
    assert done.exit_code == 1
    assert "/no/such/place" in done.stderr
    assert ".codex/sessions" in done.stderr


def test_a_line_that_cannot_be_read_is_counted_shown_and_listed(record: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"type": "user", oops\n')
    done = run("import", "claude-code", broken)
    assert f"{broken}:1:" in done.stderr
    listed = json.loads(run("unreadable", "--json").stdout)["items"]
    assert [(item["path"], item["line"]) for item in listed] == [(str(broken), 1)]


def test_messages_left_out_of_the_index_are_not_found(record: Path) -> None:
    imported("claude-code", FILE, "--no-index")
    assert json.loads(run("search", "tests", "--json").stdout)["items"] == []


def test_a_watching_import_takes_up_what_is_added_and_ends_on_a_signal(record: Path, tmp_path: Path) -> None:
    place = tmp_path / "watched"
    place.mkdir()
    command = [sys.executable, "-m", "agentrecord.cli.main", "import", "claude-code", str(place), "--watch", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert "watching" in running.stderr.readline()
        shutil.copy(FILE, place)
        assert json.loads(running.stdout.readline())["calls"] == 14
        running.send_signal(signal.SIGINT)
        assert running.wait(30) == 0
        assert "stopped" in running.stderr.read()


def test_the_packaged_sample_agrees_with_its_expected_figures(record: Path) -> None:
    done = run("check-samples", "--json")
    assert done.exit_code == 0
    rows = json.loads(done.stdout)["items"]
    assert all(row["expected"] == row["got"] for row in rows)
    assert {row["figure"] for row in rows} >= {"calls", "input", "output", "cache_read"}


def test_a_figure_that_differs_is_shown_and_exits_1(record: Path, tmp_path: Path) -> None:
    table = tmp_path / "expected.tsv"
    table.write_text(f"file\tapi_calls\toutput\n{FILE.name}\t14\t135\n")
    done = run("check-samples", FILE.parent, "--expected", table, "--json")
    assert done.exit_code == 1
    first = json.loads(done.stdout)["items"][0]
    assert (first["figure"], first["expected"], first["got"]) == ("output", 135, 134)


def test_a_file_that_is_expected_and_missing_is_a_difference(record: Path, tmp_path: Path) -> None:
    table = tmp_path / "expected.tsv"
    table.write_text("file\tapi_calls\nmissing.jsonl\t1\n")
    assert run("check-samples", tmp_path, "--expected", table).exit_code == 1


@pytest.mark.parametrize("host", ["example.com", "", "1", "0.0.0.0:80"])
def test_what_is_no_address_is_refused(host: str) -> None:
    with pytest.raises(InvalidValue):
        checked_host(host)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_a_host_of_this_computer_is_taken(host: str) -> None:
    assert checked_host(host) == host


def test_a_port_that_is_taken_gives_way_to_the_next_unless_it_was_named() -> None:
    with bound_socket("127.0.0.1", 0, exactly=True) as taken:
        port = taken.getsockname()[1]
        with bound_socket("127.0.0.1", port, exactly=False) as other:
            assert other.getsockname()[1] > port
        with pytest.raises(AgentRecordError, match="is taken"):
            bound_socket("127.0.0.1", port, exactly=True)


def test_a_server_that_is_not_installed_is_named_with_the_command_that_installs_it() -> None:
    with pytest.raises(AgentRecordError, match=r"pip install 'agentrecord\[server\]'"):
        loaded("no_such_web_framework")


def test_the_sample_fills_an_empty_record_only() -> None:
    with Store("memory:") as store:
        assert add_sample(store)
        assert not add_sample(store)
    with Store("memory:") as store:
        store.sessions.create(NewSession(session_id="mine"))
        assert not add_sample(store)
        assert store.sessions.list().total == 1


def test_the_server_prints_a_link_that_signs_in_and_stops_cleanly(record: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "agentrecord.cli.main", "serve", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        line = running.stdout.readline()
        link = line.split()[-1]
        assert link.startswith(f"http://127.0.0.1:{port}/sign-in?token=")
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        with opener.open(link, timeout=30) as page:
            assert page.status == 200
        running.send_signal(signal.SIGINT)
        assert running.wait(30) == 0
        assert "stopped" in running.stderr.read()
