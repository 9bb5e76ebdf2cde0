"""SQLite in memory: for tests and trials. One connection, which readers and writers take in turn."""

import sqlite3
import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar  # `Any`: maintenance statements return whatever they return

from agentrecord.engine.base import Engine, Maker, Work
from agentrecord.engine.commit import Channel, Writer
from agentrecord.engine.connection import Connection
from agentrecord.engine.errors import translated
from agentrecord.engine.sqlite import lower_everything, new_dialect
from agentrecord.engine.sqlite_channel import SqliteChannel

T = TypeVar("T")


class _LockedChannel(SqliteChannel):
    """Reads share the connection, so a lock of this process stands in for the ticket."""

    def __init__(self, driver: sqlite3.Connection, connection: Connection, lock: "threading.RLock") -> None:
        super().__init__(driver, connection, None)
        self._lock = lock

    def enter(self) -> None:
        self._lock.acquire()

    def leave(self) -> None:
        self._lock.release()


class MemoryEngine(Engine):
    """A record that ends with the process."""

    def __init__(self, maker: Maker) -> None:
        """Make an empty record."""
        super().__init__(maker)
        self.url = "memory:"
        self.dialect = new_dialect()
        self._lock = threading.RLock()
        self._driver = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False, cached_statements=512)
        self._driver.execute("PRAGMA foreign_keys=ON")
        lower_everything(self._driver)
        self._connection = Connection(self._driver, self.dialect, memo=self.memo)
        self._writer = Writer(_LockedChannel(self._driver, self._connection, self._lock), "agentrecord-memory")

    def read(self, work: Work[T]) -> T:
        """Run `work` while nobody writes; whatever it tries to write is refused."""
        with translated(), self._lock:
            self._connection.observer = self.observer
            try:
                self._driver.execute("PRAGMA query_only=ON")
                result: T = self.maker.job(work).run(self._connection)
                return result
            finally:
                self._connection.learned.clear()
                self._driver.execute("PRAGMA query_only=OFF")

    def write(self, work: Work[T]) -> T:
        """Run `work` in a transaction."""
        self._connection.observer = self.observer
        result: T = self._writer.call(self.maker.job(work))
        return result

    async def awrite(self, work: Work[T]) -> T:
        """As `write`, awaited."""
        self._connection.observer = self.observer
        result: T = await self._writer.acall(self.maker.job(work))
        return result

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
            self._writer.exclusively(run)

    def change_sign(self) -> object | None:
        """Return how many rows were ever written."""
        return self._driver.total_changes

    def maintain(self, pragma: str) -> list[tuple[Any, ...]]:
        """Run a maintenance statement and return its rows."""
        with translated(), self._lock:
            return self._connection.text(pragma)

    def describe(self) -> Mapping[str, object]:
        """Tell SQLite's version."""
        return {"engine": "memory", "version": sqlite3.sqlite_version, "synchronous": "none (in memory)"}

    def close(self) -> None:
        """Let the record go."""
        super().close()
        self._writer.close()
        self._driver.close()
