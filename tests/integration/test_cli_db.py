"""`agentrecord db`: checks that can fail, backups that can be restored."""

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agentrecord.cli.main import program
from agentrecord.records.llm_call import NewLLMCall
from agentrecord.records.message import MessageRole, NewMessage
from agentrecord.records.session import NewSession
from agentrecord.records.tokens import TokenCounts
from agentrecord.store import Store


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "record.db"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AGENTRECORD_URL", str(path))
    with Store(str(path)) as store:
        session = store.sessions.create(NewSession(session_id="one"))
        store.messages.append(session.id, [NewMessage(role=MessageRole.USER, content="hello")])
        store.llm_calls.record(NewLLMCall(model="m", session_uuid=session.id, tokens=TokenCounts(input=5, output=2)))
        store.audit.record("create", "session", "one")
    return path


def run(*words: object) -> Result:
    return CliRunner().invoke(program, ["db", *map(str, words)])


def levels(done: Result) -> dict[str, str]:
    return {item["check"]: item["level"] for item in json.loads(done.stdout)["items"]}


def spoil(path: Path, statement: str) -> None:
    driver = sqlite3.connect(path)
    driver.execute("PRAGMA foreign_keys=OFF")
    driver.execute(statement)
    driver.commit()
    driver.close()


def session_ids(path: Path) -> list[str]:
    with Store(str(path), read_only=True) as store:
        return [session.session_id for session in store.sessions.list()]


def test_info_tells_the_rows_of_each_table(record: Path) -> None:
    told = json.loads(run("info", "--json").stdout)
    assert told["engine"] == "sqlite"
    assert (told["rows"]["ar_sessions"], told["rows"]["ar_llm_calls"], told["rows"]["ar_runs"]) == (1, 1, 0)


def test_migrating_twice_does_nothing_the_second_time(tmp_path: Path, record: Path) -> None:
    told = run("migrate")
    assert (told.exit_code, told.stdout) == (0, "")


def test_a_record_in_order_passes_every_check(record: Path) -> None:
    for command in ("check", "verify", "doctor"):
        done = run(command, "--json")
        assert done.exit_code == 0, done.stdout
        assert "failed" not in levels(done).values()
    assert set(levels(run("verify", "--json"))) == {"file", "figures", "references", "audit", "search"}


@pytest.mark.parametrize(
    ("statement", "check"),
    [
        ("UPDATE ar_sessions SET input_tokens = input_tokens + 1", "figures"),
        ("UPDATE ar_usage_days SET cost_nanos = cost_nanos + 1", "figures"),
        ("UPDATE ar_audit_entries SET action = 'delete'", "audit"),
        ("DELETE FROM ar_sessions", "references"),
        ("DELETE FROM ar_search_index_data WHERE id > 10", "search"),
    ],
)
def test_a_record_that_somebody_changed_fails_the_check_that_sees_it(record: Path, statement: str, check: str) -> None:
    spoil(record, statement)
    done = run("verify", "--json")
    assert done.exit_code == 1
    failed = {item["check"] for item in json.loads(done.stdout)["items"] if item["level"] == "failed"}
    assert check in failed


def test_a_backup_holds_what_was_there_and_comes_back(record: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    assert run("backup", copy).exit_code == 0
    assert session_ids(copy) == ["one"]
    with Store(str(record)) as store:
        store.sessions.create(NewSession(session_id="two"))
    refused = run("restore", copy)
    assert (refused.exit_code, "--force" in refused.stderr) == (1, True)
    assert session_ids(record) == ["two", "one"]
    assert run("restore", copy, "--force").exit_code == 0
    assert session_ids(record) == ["one"]
    assert session_ids(record.with_name("record.db.before-restore")) == ["two", "one"]
    assert run("verify").exit_code == 0


def test_a_backup_does_not_replace_a_file_unless_told_to(record: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    copy.write_text("mine")
    assert run("backup", copy).exit_code == 1
    assert copy.read_text() == "mine"
    assert run("backup", copy, "--force").exit_code == 0
    assert session_ids(copy) == ["one"]


def test_a_backup_is_made_while_somebody_writes(record: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    with Store(str(record)) as store:
        store.sessions.create(NewSession(session_id="two"))
        assert run("backup", copy).exit_code == 0
        store.sessions.create(NewSession(session_id="three"))
    assert session_ids(copy) == ["two", "one"]


def test_what_is_no_backup_is_not_restored(record: Path, tmp_path: Path) -> None:
    torn = tmp_path / "torn.db"
    run("backup", torn)
    torn.write_bytes(torn.read_bytes()[:-8192])
    foreign = tmp_path / "foreign.db"
    driver = sqlite3.connect(foreign)
    driver.execute("CREATE TABLE t (x)")
    driver.close()
    for source in (torn, foreign, tmp_path / "missing.db"):
        done = run("restore", source, "--force")
        assert (done.exit_code, "no whole backup" in done.stderr) == (1, True)
    assert session_ids(record) == ["one"]


def test_a_record_that_another_process_has_open_is_not_replaced(record: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    run("backup", copy)
    code = (
        "import sys\nfrom agentrecord.store import Store\n"
        "with Store(sys.argv[1]) as store:\n print(store.sessions.list().total, flush=True)\n sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(record)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"1\n"
        done = run("restore", copy, "--force")
        other.communicate()
    assert (done.exit_code, "another process has" in done.stderr) == (1, True)
    assert session_ids(record) == ["one"]
    assert not record.with_name("record.db.partial").exists()


def test_a_record_is_restored_to_a_new_place(record: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "copy.db"
    run("backup", copy)
    fresh = tmp_path / "new" / "record.db"
    monkeypatch.setenv("AGENTRECORD_URL", str(fresh))
    assert run("restore", copy).exit_code == 0
    assert session_ids(fresh) == ["one"]


def test_vacuum_gives_space_back(record: Path) -> None:
    with Store(str(record)) as store:
        session = store.sessions.create(NewSession(session_id="big"))
        store.messages.append(session.id, [NewMessage(role=MessageRole.USER, content="x" * 3_000_000)])
        store.sessions.delete("big")
    before = record.stat().st_size
    assert run("vacuum").exit_code == 0
    assert record.stat().st_size < before
    assert run("verify").exit_code == 0


def test_doctor_warns_of_a_file_that_others_can_read(record: Path) -> None:
    record.chmod(0o644)
    assert levels(run("doctor", "--json"))["permissions"] == "warning"
