"""PostgreSQL 15 and later: a pool for callers of their own, one group-committing connection for event loops.

Transactions run in pipeline mode, so that statements whose answer nobody needs cost no round trip. What failed for
a passing reason (serialization, deadlock, a lost connection before COMMIT) runs again; a connection lost during
COMMIT is reported as `OutcomeUnknown`, because the write may be there: writes carry their identity, so that sending
the same one again stores it once.
"""

import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import Any, TypeVar, cast  # `Any`: jobs carry whatever their operations return

import psycopg
from psycopg_pool import ConnectionPool, PoolTimeout
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from agentrecord.engine.base import Engine, Maker, Work
from agentrecord.engine.commit import Writer
from agentrecord.engine.connection import Connection
from agentrecord.engine.errors import is_connection_loss, may_retry, translated, unknown_outcome
from agentrecord.engine.job import Job
from agentrecord.engine.row_security import PostgresConnection
from agentrecord.exceptions import Conflict, OutcomeUnknown, SchemaMismatch, StoreUnavailable

T = TypeVar("T")
Driver = psycopg.Connection[tuple[Any, ...]]

SCHEMA = "agentrecord"
ATTEMPTS = 5
RETRY_S = 2.0
OLDEST_VERSION = 150_000
_LEFT_TO_THE_PARENT: list[object] = []
_ROLLBACKS = count()


def new_dialect() -> Any:
    """Return the dialect that statements are compiled for."""
    return cast(Any, PGDialect_psycopg)(paramstyle="format")


def roll_back(driver: Driver) -> None:
    """Undo what is open.

    A failure in a pipeline makes the server skip every PREPARE after it, which psycopg believes done; it forgets what
    it prepared on a ROLLBACK, but only if it has not seen the very same text lately.
    """
    driver.execute(cast(Any, f"ROLLBACK /* {next(_ROLLBACKS)} */"))


def without_password(url: str) -> str:
    """Return an address as it may be shown and logged."""
    return re.sub(r"(?<=://)([^:/@]*):[^@/]*@", r"\1@", re.sub(r"([?&]password=)[^&]*", r"\1…", url))


class PostgresChannel:
    """The writing connection that event loops share."""

    def __init__(self, engine: "PostgresEngine") -> None:
        """Take the engine that connects; the connection is made when first needed, and again when lost."""
        self._engine = engine
        self._driver: Driver | None = None
        self._pipeline: Any = None
        self._open = False
        self._writes = 0
        self._seeing = PostgresConnection(None, engine.dialect, schema=SCHEMA, memo=engine.memo)
        self.connection: Connection = self._seeing

    def enter(self) -> None:
        """See that there is a connection."""
        if self._driver is None or self._driver.closed or self._driver.broken:
            self._driver = self._engine.connect()
            self.connection.driver = self._driver
        self.connection.observer = self._engine.observer

    def leave(self) -> None:
        """Nothing to give back: PostgreSQL's own locks order the writers."""

    def begin(self) -> None:
        """Start a transaction."""
        self._seeing.begin_transaction()
        self._pipeline = self._live.pipeline()
        self._pipeline.__enter__()
        self._live.execute("BEGIN")
        self._open = True

    def commit(self) -> None:
        """Make it durable."""
        committing = False
        try:
            # Should an earlier statement have failed, the server skips this COMMIT as it does all up to the sync.
            committing = True
            self._live.execute("COMMIT")
            self._end_pipeline()
            self._open = False
        except Exception as error:
            if committing and is_connection_loss(error):
                raise unknown_outcome(error) from error
            raise

    def rollback(self) -> None:
        """Undo; a lost connection has undone by itself."""
        driver = self._live
        try:
            self._end_pipeline()
        except psycopg.Error:
            self._pipeline = None
        if not driver.broken and not driver.closed:
            roll_back(driver)
        self._open = False

    def changes(self) -> int:
        """Return a new number each time: an error inside always undoes a PostgreSQL transaction."""
        self._writes += 1
        return self._writes

    def in_transaction(self) -> bool:
        """Say whether a transaction is open."""
        return self._open

    def close(self) -> None:
        """Close the connection."""
        if self._driver is not None:
            self._driver.close()

    @property
    def _live(self) -> Driver:
        if self._driver is None:
            raise StoreUnavailable("not connected to PostgreSQL")
        return self._driver

    def _end_pipeline(self) -> None:
        if self._pipeline is not None:
            pipeline, self._pipeline = self._pipeline, None
            pipeline.__exit__(None, None, None)


class PostgresEngine(Engine):
    """A PostgreSQL database."""

    def __init__(self, url: str, maker: Maker, *, pool: tuple[int, int] = (1, 8), timeout_s: float = 10.0) -> None:
        """Open a pool to the server at `url`; raise `StoreUnavailable` if it cannot be reached."""
        super().__init__(maker)
        self.url = without_password(url)
        self.schema = SCHEMA
        self.dialect = new_dialect()
        self._conninfo = url.replace("postgresql+psycopg://", "postgresql://")
        self._timeout_s = timeout_s
        self._bounds = pool
        with translated():
            self._check_server()
        self._forking = threading.Lock()
        self._start()

    def _start(self) -> None:
        self._pid = os.getpid()
        self._pool = ConnectionPool(
            self._conninfo,
            min_size=self._bounds[0],
            max_size=self._bounds[1],
            kwargs={"autocommit": True, "connect_timeout": max(2, int(self._timeout_s))},
            open=False,
            timeout=self._timeout_s,
            check=self._check_alive,
            reconnect_timeout=RETRY_S,
        )
        self._pool.open()
        self._channel = PostgresChannel(self)
        self._writer = Writer(self._channel, "agentrecord-write")

    def _after_fork(self) -> None:
        """Leave the connections of the process that forked alone: two processes on one socket garble each other."""
        if self._pid == os.getpid():
            return
        with self._forking:
            if self._pid != os.getpid():
                # Kept, because even the garbage collector would close them.
                _LEFT_TO_THE_PARENT.append((self._pool, self._channel, self._writer))
                self._start()

    def connect(self) -> Driver:
        """Return a connection of its own."""
        with translated():
            return psycopg.connect(self._conninfo, autocommit=True, connect_timeout=max(2, int(self._timeout_s)))

    def _check_server(self) -> None:
        with psycopg.connect(self._conninfo, autocommit=True, connect_timeout=max(2, int(self._timeout_s))) as driver:
            version = driver.info.server_version
        if version < OLDEST_VERSION:
            raise SchemaMismatch(f"PostgreSQL {version // 10000} is too old: 15 or later is needed")

    @contextmanager
    def _borrowed(self) -> Iterator[Driver]:
        self._after_fork()
        driver = self._lent()
        try:
            with driver:
                yield driver
        finally:
            self._pool.putconn(cast(Any, driver))

    def _lent(self) -> Driver:
        deadline = time.monotonic() + self._timeout_s
        while True:
            try:
                # In short waits: the pool asks a server that was away again only when it is asked anew.
                return self._pool.getconn(min(RETRY_S, max(0.0, deadline - time.monotonic())))
            except PoolTimeout as error:
                if time.monotonic() >= deadline:
                    raise StoreUnavailable(f"no PostgreSQL connection within {self._timeout_s:g} s: {error}") from error

    def _check_alive(self, driver: Driver) -> None:
        try:
            ConnectionPool.check_connection(driver)
        except psycopg.Error:
            # All are replaced together: one by one, each that the server ended costs the caller a longer wait.
            self._pool.check()
            raise

    def _wrap(self, driver: Driver) -> Connection:
        connection = PostgresConnection(driver, self.dialect, schema=SCHEMA, memo=self.memo)
        connection.observer = self.observer
        return connection

    def read(self, work: Work[T]) -> T:
        """Run `work` in a read-only transaction with one snapshot; a lost connection is tried again."""
        job = self.maker.job(work)
        with translated():
            for attempt in range(ATTEMPTS):
                try:
                    return cast(T, self._read_once(job))
                except psycopg.Error as error:
                    if attempt == ATTEMPTS - 1 or not (may_retry(error) or is_connection_loss(error)):
                        raise
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _read_once(self, job: Job) -> Any:
        with self._borrowed() as driver:
            try:
                with driver.pipeline():
                    driver.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                    value = job.run(self._wrap(driver))
                    driver.execute("COMMIT")
            except BaseException:
                if not driver.broken and not driver.closed:
                    roll_back(driver)
                raise
            return value

    def write(self, work: Work[T]) -> T:
        """Run `work` in a transaction; durable on return."""
        job = self.maker.job(work)
        with translated():
            for attempt in range(ATTEMPTS):
                try:
                    return cast(T, self._write_once(job))
                except psycopg.Error as error:
                    if attempt == ATTEMPTS - 1 or not (may_retry(error) or is_connection_loss(error)):
                        raise
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _write_once(self, job: Job) -> Any:
        committing = False
        with self._borrowed() as driver:
            connection = self._wrap(driver)
            try:
                with driver.pipeline():
                    driver.execute("BEGIN")
                    value = job.run(connection)
                    connection.conclude()
                    # Should an earlier statement have failed, the server skips COMMIT as it does all up to the sync.
                    committing = True
                    driver.execute("COMMIT")
            except BaseException as error:
                if committing and is_connection_loss(error):
                    raise unknown_outcome(error) from error
                if not driver.broken and not driver.closed:
                    roll_back(driver)
                raise
            self.memo.update(connection.learned)
            return value

    async def awrite(self, work: Work[T]) -> T:
        """As `write`, awaited; whoever waits at the same time shares one transaction."""
        self._after_fork()
        job = self.maker.job(work)
        for attempt in range(ATTEMPTS):
            try:
                return cast(T, await self._writer.acall(job))
            except OutcomeUnknown:
                raise
            except (StoreUnavailable, Conflict) as error:
                cause = error.__cause__ or error
                if attempt == ATTEMPTS - 1 or not (may_retry(cause) or is_connection_loss(cause)):
                    raise
        raise AssertionError("unreachable: the last attempt returns or raises")

    def execute_script(self, statements: list[str], *, unless: Callable[[Connection], bool] | None = None) -> None:
        """Run DDL in one transaction, one migrating process at a time."""
        with translated(), self._borrowed() as driver, driver.transaction():
            driver.execute("SELECT pg_advisory_xact_lock(%s)", (0x41524543,))
            for statement in [] if unless is not None and unless(self._wrap(driver)) else statements:
                driver.execute(cast(Any, statement))

    def describe(self) -> Mapping[str, object]:
        """Tell the server's version and settings."""

        def ask(connection: Connection) -> dict[str, object]:
            rows = connection.text(
                "SELECT version(), pg_database_size(current_database()), current_setting('synchronous_commit'),"
                " current_setting('fsync'), current_setting('synchronous_standby_names'), current_user"
            )
            names = ("version", "size_bytes", "synchronous_commit", "fsync", "synchronous_standby_names", "role")
            return dict(zip(names, rows[0], strict=True))

        return {"engine": "postgresql", "schema": SCHEMA, **self.read(ask)}

    def close(self) -> None:
        """Finish what waits and close every connection."""
        super().close()
        if self._pid != os.getpid():
            return
        self._writer.close()
        self._channel.close()
        self._pool.close()
