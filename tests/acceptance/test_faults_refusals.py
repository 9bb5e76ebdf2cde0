"""F8: what is not ours to use is refused in plain words, and not a byte of it changes."""

import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from faults_processes import child
from faults_record import fingerprints

from agentrecord.exceptions import AgentRecordError, SchemaMismatch, StoreUnavailable
from agentrecord.records.session import NewSession
from agentrecord.store import Store


def _garbage(path: Path) -> None:
    path.write_bytes(b"this is a diary, not a database\n" * 400)


def _foreign(path: Path) -> None:
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA application_id=1234567")
        other.execute("CREATE TABLE diary (day, text)")
    other.close()


def _unmarked(path: Path) -> None:
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE diary (day, text)")
    other.close()


def _newer(path: Path) -> None:
    with Store(str(path)) as store:
        store.sessions.create(NewSession(session_id="s"))
    with sqlite3.connect(path) as later:
        later.execute("INSERT INTO ar_schema (version, name, applied_at) VALUES (99, 'later', 0)")
        later.execute("PRAGMA user_version=99")
    later.close()


def _truncated(path: Path) -> None:
    with Store(str(path)) as store:
        store.sessions.create(NewSession(session_id="s"))
    path.write_bytes(path.read_bytes()[:50])


@pytest.mark.parametrize("make", [_garbage, _foreign, _unmarked, _newer, _truncated])
@pytest.mark.parametrize("read_only", [False, True])
def test_a_file_of_somebody_else_is_refused_and_stays_as_it_is(
    make: Callable[[Path], None], read_only: bool, tmp_path: Path
) -> None:
    path = tmp_path / "file.db"
    make(path)
    before = fingerprints(tmp_path)
    with pytest.raises(SchemaMismatch) as refused:
        Store(str(path), read_only=read_only)
    assert str(path) in str(refused.value)
    assert any(mend in str(refused.value) for mend in ("--db", "upgrade"))
    after = fingerprints(tmp_path)
    assert {name: after.get(name) for name in before} == before


def test_a_folder_is_refused_as_a_record(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="name another file with --db"):
        Store(str(tmp_path))


def test_a_file_as_parent_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StoreUnavailable, match="name another file with --db"):
        Store(str(tmp_path / "file" / "record.db"))
    assert (tmp_path / "file").read_text() == "mine"


@pytest.fixture
def public() -> Iterator[Path]:
    """Return a folder that everybody may look into, and only this user may change."""
    if os.geteuid() != 0:
        pytest.fail("another user is needed: run as root")
    with tempfile.TemporaryDirectory(prefix="agentrecord-faults-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def _own_record(folder: Path) -> Path:
    with Store(str(folder / "record.db")) as store:
        store.sessions.create(NewSession(session_id="s"))
    return folder / "record.db"


def _readable(folder: Path) -> Path:
    path = _own_record(folder)
    for file in folder.iterdir():
        file.chmod(0o444)
    return path


def _missing_in_closed(folder: Path) -> Path:
    return folder / "new.db"


def _missing_parent(folder: Path) -> Path:
    return folder / "not" / "there" / "new.db"


@pytest.mark.parametrize("make", [_own_record, _readable, _missing_in_closed, _missing_parent])
def test_what_this_user_may_not_write_is_refused_with_a_mend(
    make: Callable[[Path], Path], public: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = public / "closed"
    folder.mkdir(mode=0o755)
    path = make(folder)
    before = fingerprints(folder)
    with child(tmp_path_factory.mktemp("log"), "opened_by_nobody", path) as nobody:
        told = nobody.answer()
    assert told["error"] == "StoreUnavailable", told
    assert str(path) in told["said"]
    assert "--db" in told["said"]
    assert fingerprints(folder) == before


def test_a_record_in_a_folder_that_is_read_only_opens_for_reading(public: Path) -> None:
    folder = public / "archive"
    folder.mkdir()
    path = _own_record(folder)
    with Store(str(path), read_only=True) as store:
        assert store.sessions.get("s").session_id == "s"
        with pytest.raises(AgentRecordError, match="read-only"):
            store.sessions.create(NewSession(session_id="t"))


@pytest.mark.parametrize("make", [_garbage, _foreign, _newer])
def test_the_command_line_says_so_and_ends_with_1(make: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "file.db"
    make(path)
    before = fingerprints(tmp_path)
    for arguments in (("sessions",), ("import", "claude-code", str(tmp_path))):
        ended = subprocess.run(
            [sys.executable, "-c", "from agentrecord.cli.main import main; main()", "--db", str(path), *arguments],
            capture_output=True, text=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )  # fmt: skip
        assert (ended.returncode, ended.stdout) == (1, ""), ended.stderr
        assert str(path) in ended.stderr
        assert "Traceback" not in ended.stderr
    assert {name: fingerprints(tmp_path).get(name) for name in before} == before
