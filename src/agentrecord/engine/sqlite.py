"""SQLite in a file: one writer per process, a ticket between processes, readers that never wait.

WAL with synchronous=FULL: an acknowledged write survives power loss. Python's default isolation is switched off,
because its deferred BEGIN loses updates between processes without an error.
"""

import asyncio
import os
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar  # `Any`: jobs carry whatever their operations return

from sqlalchemy.dialects.sqlite import dialect as sqlite_dialect

from agentrecord.engine.ballast import Ballast
from agentrecord.engine.base import Engine, Maker, Work
from agentrecord.engine.commit import Channel, Writer
from agentrecord.engine.connection import Connection
from agentrecord.engine.errors import translate, translated
from agentrecord.engine.forks import at_work
from agentrecord.engine.sqlite_channel import SqliteChannel
from agentrecord.engine.sqlite_checks import (
    APPLICATION_ID,
    refuse_foreign_file,
    refuse_network_file_system,
    wal_reset_bug,
)
from agentrecord.engine.ticket import Ticket
from agentrecord.exceptions import SchemaMismatch, StorageFull, StoreUnavailable

T = TypeVar("T")

_LEFT_TO_THE_PARENT: list[object] = []
_SHRINK = "PRAGMA incremental_vacuum"


def lower_everything(driver: sqlite3.Connection) -> None:
    """Make `lower()` fold every letter, as PostgreSQL does; the one that SQLite has knows ASCII only."""
    driver.create_function("lower", 1, lambda text: text.lower() if isinstance(text, str) else text, deterministic=True)


def new_dialect() -> Any:
    """Return the dialect that statements are compiled for."""
    return sqlite_dialect(paramstyle="qmark")


class SqliteEngine(Engine):
    """A SQLite file."""

    def __init__(self, path: Path, maker: Maker, *, read_only: bool = False) -> None:
        """Open or make the file at `path`; raise `SchemaMismatch` if it is somebody else's."""
        super().__init__(maker)
        self.path = path
        self.url = f"sqlite:///{path}"
        self.dialect = new_dialect()
        self.read_only = read_only
        self._lock_path = path.with_name(path.name + ".lock")
        self._ballast = Ballast(path.with_name(path.name + ".ballast"))
        # Not a queue: Ctrl-C while one takes its lock leaves it locked for ever; a deque takes none.
        self._free: deque[Connection] = deque()
        self._closed = False
        self._opening = threading.Lock()
        self._pid = os.getpid()
        self._writer: Writer | None = None
        self._write_driver: sqlite3.Connection | None = None
        self._ticket: Ticket | None = None
        self._watching: tuple[int, sqlite3.Connection] | None = None
        try:
            self._prepare()
        except (OSError, sqlite3.Error) as error:
            raise self._refusal(error) from error

    # -- opening -------------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        if self.read_only and not self.path.exists():
            raise StoreUnavailable(f"no such file: {self.path}")
        refuse_network_file_system(self.path)
        if not self.read_only:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._writer_now()
        else:
            self._give_back(self._open_reader())

    def _refusal(self, error: OSError | sqlite3.Error) -> Exception:
        """Return the error that names the file, and how to mend it, where opening it failed."""
        ours = translate(error)
        if ours is not error and type(ours) is not StoreUnavailable:
            return ours
        return StoreUnavailable(
            f"cannot open {self.path}: {error}; see that the folder is there and yours to"
            f" {'read' if self.read_only else 'write'}, or name another file with --db"
        )

    def _connect(self, *, read_only: bool) -> sqlite3.Connection:
        mode = "ro" if read_only else "rwc"
        location = self.path.absolute().as_uri()
        try:
            driver = sqlite3.connect(
                f"{location}?mode={mode}",
                uri=True,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=512,
                timeout=30.0,
            )
            driver.execute("PRAGMA busy_timeout=30000")
            lower_everything(driver)
            return driver
        except sqlite3.OperationalError as error:
            raise self._refusal(error) from error

    def _open_writer(self) -> sqlite3.Connection:
        fresh = not self.path.exists() or self.path.stat().st_size == 0
        driver = self._connect(read_only=False)
        try:
            refuse_foreign_file(driver, self.path)
            if fresh:
                # In this order: once the file has a first page, its way of vacuuming stays as it is.
                driver.execute("PRAGMA auto_vacuum=INCREMENTAL")
                driver.execute(f"PRAGMA application_id={APPLICATION_ID}")
                self.path.chmod(0o600)
            driver.execute("PRAGMA journal_mode=WAL")
        except (sqlite3.Error, SchemaMismatch):
            driver.close()
            raise
        for pragma in (
            "synchronous=FULL", "foreign_keys=ON", "trusted_schema=OFF", "cell_size_check=ON", "mmap_size=0",
            "journal_size_limit=67108864", "secure_delete=ON", "cache_size=-32000", "temp_store=MEMORY",
        ):  # fmt: skip
            driver.execute(f"PRAGMA {pragma}")
        return driver

    def _open_reader(self) -> Connection:
        driver = self._connect(read_only=True)
        if self.read_only:
            refuse_foreign_file(driver, self.path)
        for pragma in ("query_only=ON", "trusted_schema=OFF", "cell_size_check=ON", "mmap_size=0", "cache_size=-8000"):
            driver.execute(f"PRAGMA {pragma}")
        return Connection(driver, self.dialect, memo=self.memo)

    def _writer_now(self) -> Writer:
        if self._closed:
            raise StoreUnavailable("the store is closed")
        if self._writer is not None and self._pid == os.getpid():
            return self._writer
        with at_work, self._opening:
            self._after_fork()
            if self._writer is None:
                if self.read_only:
                    raise StoreUnavailable(f"{self.path} is open read-only")
                self._ticket = Ticket(self._lock_path)
                self._ticket.enter()
                try:
                    self._write_driver = self._open_writer()
                finally:
                    self._ticket.leave()
                connection = Connection(self._write_driver, self.dialect, memo=self.memo)
                connection.observer = self.observer
                self._writer = Writer(SqliteChannel(self._write_driver, connection, self._ticket), "agentrecord-write")
            return self._writer

    def _after_fork(self) -> None:
        """Leave the connections of the process that forked alone: used or closed here they corrupt the file."""
        if self._pid != os.getpid():
            # Kept, because even the garbage collector would close them.
            _LEFT_TO_THE_PARENT.append((self._writer, self._write_driver, self._ticket, self._free))
            self._pid, self._writer, self._free = os.getpid(), None, deque()
            self._write_driver, self._ticket = None, None

    # -- reading and writing -------------------------------------------------------------------------------------

    @contextmanager
    def _reader(self) -> Iterator[Connection]:
        if self._closed:
            raise StoreUnavailable("the store is closed")
        if self._pid != os.getpid():
            self._after_fork()
        with at_work:
            try:
                connection = self._free.pop()
            except IndexError:
                connection = self._open_reader()
            connection.observer = self.observer
            try:
                yield connection
            finally:
                self._give_back(connection)

    def _give_back(self, connection: Connection) -> None:
        if connection.driver.in_transaction:
            connection.driver.close()  # Ctrl-C came between BEGIN and what would have ended it.
        else:
            self._free.append(connection)

    def read(self, work: Work[T]) -> T:
        """Run `work` on a read-only connection, in one snapshot; never waits for a writer."""
        with translated(), self._reader() as connection:
            job = self.maker.job(work)
            connection.driver.execute("BEGIN")
            try:
                result: T = job.run(connection)
                return result
            finally:
                connection.learned.clear()
                connection.driver.execute("COMMIT")

    def write(self, work: Work[T]) -> T:
        """Run `work` in a transaction, together with whoever else waits; durable on return."""
        result: T = self._writer_now().call(self.maker.job(work))
        return result

    async def awrite(self, work: Work[T]) -> T:
        """As `write`, awaited."""
        result: T = await self._writer_now().acall(self.maker.job(work))
        return result

    def change_sign(self) -> object | None:
        """Return a number that differs whenever anybody committed since, asked on a connection of its own."""
        if self._closed:
            raise StoreUnavailable("the store is closed")
        if self._watching is None or self._watching[0] != os.getpid():
            if self._watching is not None:
                _LEFT_TO_THE_PARENT.append(self._watching)
            self._watching = os.getpid(), self._connect(read_only=True)
        with translated():
            return int(self._watching[1].execute("PRAGMA data_version").fetchone()[0])

    def execute_script(self, statements: list[str], *, unless: Callable[[Connection], bool] | None = None) -> None:
        """Run DDL in one transaction."""

        def run(channel: Channel) -> None:
            channel.begin()
            try:
                for statement in [] if unless is not None and unless(channel.connection) else statements:
                    channel.connection.text(statement)
                channel.commit()
            except BaseException:
                channel.rollback()
                raise

        with translated():
            self._writer_now().exclusively(run)

    # -- upkeep --------------------------------------------------------------------------------------------------

    def keep_ballast(self) -> None:
        """Lay by the ballast file, if there is room for it."""
        self._ballast.lay()

    def write_freeing_space(self, work: Work[T]) -> T:
        """As `write`, for work that makes room: on a full disk the ballast is freed for it, then laid by again."""
        try:
            return self.write(work)
        except StorageFull:
            if not self._ballast.free():
                raise
        try:
            return self.write(work)
        finally:
            self._give_room_back()

    async def awrite_freeing_space(self, work: Work[T]) -> T:
        """As `write_freeing_space`, awaited."""
        try:
            return await self.awrite(work)
        except StorageFull:
            if not self._ballast.free():
                raise
        try:
            return await self.awrite(work)
        finally:
            await asyncio.to_thread(self._give_room_back)

    def _give_room_back(self) -> None:
        # The write itself has its answer by now: what cannot be given back today is tried after the next one.
        with suppress(StoreUnavailable):
            self.checkpoint()
            self.shrink()
            self.checkpoint()
        self._ballast.lay_again()

    def shrink(self) -> None:
        """Give the file's free pages back to the disk, under the ticket."""
        with translated():
            # Not `text`: this pragma frees one page a step, and the driver takes only the first step.
            self._writer_now().exclusively(lambda channel: channel.connection.driver.executescript(_SHRINK))

    def checkpoint(self) -> None:
        """Move the write-ahead log into the file and cut it to nothing, under the ticket."""
        with translated():
            self._writer_now().exclusively(lambda channel: channel.connection.text("PRAGMA wal_checkpoint(TRUNCATE)"))

    def maintain(self, pragma: str) -> list[tuple[Any, ...]]:
        """Run a maintenance statement (VACUUM, PRAGMA …) alone, under the ticket, and return its rows."""
        with translated():
            rows: list[tuple[Any, ...]] = self._writer_now().exclusively(
                lambda channel: channel.connection.text(pragma)
            )
            return rows

    def backup(self, target: Path) -> None:
        """Write a consistent copy to `target` while others go on reading and writing."""
        with translated(), self._reader() as connection:
            copy = sqlite3.connect(target)
            try:
                connection.driver.backup(copy, pages=2048)
            finally:
                copy.close()
        target.chmod(0o600)

    def describe(self) -> Mapping[str, object]:
        """Tell SQLite's version, settings and sizes."""
        wal = self.path.with_name(self.path.name + "-wal")

        def ask(connection: Connection) -> dict[str, object]:
            return {
                name: connection.text(f"PRAGMA {name}")[0][0]
                for name in ("journal_mode", "page_count", "freelist_count", "page_size", "application_id")
            }

        return {
            "engine": "sqlite",
            "version": sqlite3.sqlite_version,
            "file": str(self.path),
            "size_bytes": self.path.stat().st_size,
            "wal_bytes": wal.stat().st_size if wal.exists() else 0,
            "synchronous": "FULL",
            "wal_reset_bug": wal_reset_bug(sqlite3.sqlite_version_info),
            "longest_ticket_wait_ms": self._ticket.longest_wait_ms if self._ticket else 0.0,
            **self.read(ask),
        }

    def close(self) -> None:
        """Finish what waits and close; the last connection's closing checkpoint runs under the ticket."""
        super().close()
        self._closed = True
        if self._pid != os.getpid():
            return
        while self._free:
            self._free.pop().driver.close()
        if self._watching is not None:
            self._watching[1].close()
        if self._writer is None or self._write_driver is None or self._ticket is None:
            return
        self._writer.close()
        self._ticket.enter()
        try:
            self._write_driver.close()
        finally:
            self._ticket.leave()
            self._ticket.close()
        self._writer = None
