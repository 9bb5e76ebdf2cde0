"""Opening: what is not ours is refused in plain words and left untouched; a closed store says so."""

import os
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from agentrecord.exceptions import AgentRecordError, InvalidValue, SchemaMismatch, StoreUnavailable
from agentrecord.records.session import NewSession
from agentrecord.store import Store
from forking import ended, fork


def foreign(path: Path) -> None:
    """Make a database of another program."""
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA application_id = 12345")
        connection.execute("CREATE TABLE theirs (a)")
    connection.close()


def nameless(path: Path) -> None:
    """Make a database of a program that does not name itself."""
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE theirs (a)")
    connection.close()


def garbage(path: Path) -> None:
    """Make a file that is no database."""
    path.write_bytes(b"no database at all\n" * 1000)


@pytest.mark.parametrize("make", [foreign, nameless, garbage])
@pytest.mark.parametrize("read_only", [False, True])
def test_a_file_that_is_not_ours_is_refused_and_not_touched(
    tmp_path: Path, make: Callable[[Path], None], read_only: bool
) -> None:
    path = tmp_path / "theirs.db"
    make(path)
    before = path.read_bytes()
    with pytest.raises(SchemaMismatch, match="another file"):
        Store(str(path), read_only=read_only)
    assert path.read_bytes() == before
    assert not list(tmp_path.glob("*-wal"))


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        Store(str(tmp_path))


def test_a_missing_file_is_made_for_writing_and_refused_for_reading(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "record.db"
    with pytest.raises(StoreUnavailable, match="no such file"):
        Store(str(path), read_only=True)
    Store(str(path)).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_read_only_store_reads_and_does_not_write(tmp_path: Path) -> None:
    path = tmp_path / "record.db"
    with Store(str(path)) as store:
        store.sessions.create(NewSession(session_id="s"))
    with Store(str(path), read_only=True) as reader:
        assert reader.sessions.get("s").session_id == "s"
        with pytest.raises(StoreUnavailable, match="read-only"):
            reader.sessions.create(NewSession(session_id="t"))


def _as_nobody(work: Callable[[], None]) -> int:
    """Run `work` in a child that is not root, and return its exit code."""

    def as_nobody() -> None:
        if os.getuid() == 0:
            os.setgid(65534)
            os.setuid(65534)
        work()

    return ended(fork(as_nobody))


def test_a_file_that_may_not_be_written_is_refused_with_a_clear_message(tmp_path: Path) -> None:
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(folder.stat().st_mode | 0o055)
    path = tmp_path / "record.db"
    Store(str(path)).close()
    path.chmod(0o444)
    before = path.read_bytes()

    def work() -> None:
        with pytest.raises(StoreUnavailable, match=r"record\.db"):
            Store(str(path))

    assert _as_nobody(work) == 0
    assert path.read_bytes() == before


def test_an_address_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(InvalidValue) as refused:
        Store("mysql://localhost/x")
    assert refused.value.field == "url"
    with pytest.raises(StoreUnavailable):
        Store("postgresql://localhost:1/x?connect_timeout=2")


@pytest.mark.parametrize("engine", ["memory", "sqlite", "postgresql"])
def test_a_closed_store_says_so(databases: "object", engine: str) -> None:
    url = databases.create(engine)  # type: ignore[attr-defined]
    store = Store(url)
    store.sessions.create(NewSession(session_id="s"))
    store.close()
    store.close()
    for use in (lambda: store.sessions.create(NewSession(session_id="t")), lambda: store.sessions.get("s")):
        with pytest.raises(StoreUnavailable):
            use()
    databases.drop(url)  # type: ignore[attr-defined]


def test_an_error_of_ours_is_one_of_ours() -> None:
    for error in (SchemaMismatch, StoreUnavailable, InvalidValue):
        assert issubclass(error, AgentRecordError)
        assert error.title()
