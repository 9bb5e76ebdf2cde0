"""A transaction's view of the database: runs SQLAlchemy Core statements on the driver's own connection.

SQLAlchemy describes and compiles; it executes nothing here, because its Connection and Result cost about 60 µs
a statement, twice what SQLite itself needs. A `Prepared` statement is compiled once per dialect, of any others those
that are alike.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import Any, Protocol, TypeVar, cast  # `Any`: rows and parameters are whatever the statement says
from uuid import UUID

from sqlalchemy import Dialect, Executable

from agentrecord.engine.compiled import Compiled, Row, compile_
from agentrecord.engine.values import POSTGRESQL, SQLITE, encode, encode_at
from agentrecord.records.scope import Scope

_ALIKE = nullcontext()
_ANSWERS = re.compile(r"^\s*(SELECT|WITH|SHOW|VALUES|EXPLAIN)\b|\bRETURNING\b", re.IGNORECASE)


class Cursor(Protocol):
    """What both drivers' cursors offer."""

    rowcount: int

    def fetchall(self) -> list[Any]:
        """Return the rows that are left."""
        ...

    def fetchone(self) -> Any:
        """Return the next row."""
        ...

    @property
    def description(self) -> Any:
        """Return None if the statement gives no rows."""
        ...


class Waiting(Protocol):
    """What is gathered from many jobs and written at the end of their transaction."""

    def write(self, connection: "Connection") -> None:
        """Write it."""
        ...


W = TypeVar("W", bound=Waiting)


class Prepared:
    """A Core statement that is compiled once per dialect and kept."""

    def __init__(self, statement: Executable) -> None:
        """Keep `statement`; nothing is compiled until it first runs."""
        self.statement = statement
        self.then: Callable[[Connection, Sequence[Mapping[str, Any]]], None] | None = None
        """What follows whenever it ran, given what it ran with."""
        self._compiled: dict[tuple[str, str | None], Compiled] = {}

    def compiled(self, dialect: Dialect, schema: str | None) -> Compiled:
        """Return the statement in `dialect`'s words."""
        key = (dialect.name, schema)
        found = self._compiled.get(key)
        if found is None:
            found = self._compiled[key] = compile_(self.statement, dialect, schema, is_kept=False)
        return found


class Connection:
    """What an operation is given: a transaction to work in, its time, and its source of ids.

    `now` and the ids are the job's, not the attempt's: an operation that runs again after a lost transaction
    sees the same time and makes the same ids, so that running twice is the same as once.
    """

    def __init__(
        self, driver: Any, dialect: Dialect, *, schema: str | None = None, memo: dict[object, object] | None = None
    ) -> None:
        """Wrap a `driver` connection; `memo` is what the engine remembers between transactions."""
        self.driver = driver
        self.dialect = dialect
        self.schema = schema
        self.is_sqlite = dialect.name == "sqlite"
        self.encoders = SQLITE if self.is_sqlite else POSTGRESQL
        self.memo: dict[object, object] = {} if memo is None else memo
        self.learned: dict[object, object] = {}
        self.now: datetime = cast(datetime, None)
        self._ids: Iterator[UUID] = iter(())
        self._waiting: dict[object, Waiting] = {}
        self._last: dict[object, Waiting] = {}
        self.postponed = 0
        self.observer: Callable[[str], None] | None = None

    def begin_job(self, now: datetime, ids: Iterator[UUID]) -> None:
        """Set the time and the ids of the job that runs next."""
        self.now = now
        self._ids = ids

    def enter_scope(self, scope: Scope) -> None:
        """Let the statements of this job see what `scope` may see, and nothing else, whatever they ask for.

        Before it, and after the job, they see no row of any project. PostgreSQL holds to it; SQLite has no such
        second line behind the conditions of the statements themselves.
        """

    def across_users(self) -> AbstractContextManager[None]:
        """Let the statements inside see all users of the project that was entered.

        For what one user's rows cannot answer: whether an identity is taken, what a whole project's figures say.
        """
        return _ALIKE

    def new_id(self) -> UUID:
        """Return the job's next fresh id."""
        return next(self._ids)

    def remember(self, key: object, value: object) -> None:
        """Keep a fact for later transactions, once this one is committed."""
        self.learned[key] = value

    def recall(self, key: object) -> object | None:
        """Return what was remembered under `key`, in this transaction or an earlier one."""
        found = self.learned.get(key) if self.learned else None
        return self.memo.get(key) if found is None else found

    # -- what waits for the end of the transaction ----------------------------------------------------------------

    def at_end(self, key: object, make: Callable[[], W]) -> W:
        """Return what waits under `key` to be written at the end of the transaction, made now if nothing does.

        All jobs that share the transaction share it, so that many of them cost one statement. It is written at the
        latest before COMMIT, and before any other statement runs, so that nobody reads a record without it.
        """
        found = self._waiting.get(key)
        if found is None:
            found = self._waiting[key] = make()
        self.postponed += 1
        return cast(W, found)

    def settle(self) -> None:
        """Write whatever waits, in the order in which it began to."""
        waiting = list(self._waiting.values())
        self._waiting.clear()
        for one in waiting:
            one.write(self)

    def before_commit(self, key: object, make: Callable[[], W]) -> W:
        """Return what waits under `key` to be written once, as the last of the transaction; nothing reads it before.

        It enters the scope that it writes in by itself.
        """
        found = self._last.get(key)
        if found is None:
            found = self._last[key] = make()
        return cast(W, found)

    def conclude(self) -> None:
        """Write all that waits; COMMIT comes next."""
        self.settle()
        last, self._last = self._last, {}
        for one in last.values():
            one.write(self)

    def forget(self) -> None:
        """Drop what waits and what was learned: the transaction is undone."""
        self._waiting.clear()
        self._last.clear()
        self.learned.clear()

    def _compile(self, statement: Executable | Prepared) -> Compiled:
        if isinstance(statement, Prepared):
            return statement.compiled(self.dialect, self.schema)
        return compile_(statement, self.dialect, self.schema)

    def _run(self, compiled: Compiled, params: Mapping[str, object] | None) -> Cursor:
        given = compiled.values(compiled.defaults if params is None else params)
        values = encode_at(given, compiled.encoded, self.encoders)
        if self._waiting:
            self.settle()
        if self.observer is not None:
            self.observer(compiled.sql)
        return cast(Cursor, self.driver.execute(compiled.sql, values))

    def rows(self, statement: Executable | Prepared, params: Mapping[str, object] | None = None) -> list[Row]:
        """Run a statement and return its rows as tuples."""
        compiled = self._compile(statement)
        fetched = self._run(compiled, params).fetchall()
        return compiled.read_all(fetched)

    def maps(
        self, statement: Executable | Prepared, params: Mapping[str, object] | None = None
    ) -> list[dict[str, Any]]:
        """Run a statement and return its rows by column name."""
        compiled = self._compile(statement)
        fetched = self._run(compiled, params).fetchall()
        return [dict(zip(compiled.columns, row, strict=True)) for row in compiled.read_all(fetched)]

    def touch(self, statement: Prepared, params: Mapping[str, object]) -> Row | None:
        """As `first`, without writing what waits before: for a statement that does not depend on it."""
        waiting, self._waiting = self._waiting, {}
        try:
            return self.first(statement, params)
        finally:
            self._waiting = waiting

    def first(self, statement: Executable | Prepared, params: Mapping[str, object] | None = None) -> Row | None:
        """Run a statement and return its first row, if any."""
        found = self.rows(statement, params)
        return found[0] if found else None

    def first_map(
        self, statement: Executable | Prepared, params: Mapping[str, object] | None = None
    ) -> dict[str, Any] | None:
        """Run a statement and return its first row by column name, if any."""
        found = self.maps(statement, params)
        return found[0] if found else None

    def value(self, statement: Executable | Prepared, params: Mapping[str, object] | None = None) -> Any:
        """Run a statement and return the first column of its first row; None without rows."""
        found = self.first(statement, params)
        return None if found is None else found[0]

    def run(self, statement: Executable | Prepared, params: Mapping[str, object] | None = None) -> int:
        """Run a statement that gives no rows and return how many rows it changed.

        On PostgreSQL the statement is sent with the next one that waits for an answer (pipeline mode), so the
        count is only known after that: ask `rows` with RETURNING where it matters.
        """
        changed = self._run(self._compile(statement), params).rowcount
        if isinstance(statement, Prepared) and statement.then is not None:
            statement.then(self, (params or {},))
        return changed

    def many(self, statement: Executable | Prepared, params: Sequence[Mapping[str, object]]) -> None:
        """Run a statement once for each of `params`."""
        if not params:
            return
        compiled = self._compile(statement)
        values, places, encoders = compiled.values, compiled.encoded, self.encoders
        self.many_tuples(compiled.sql, [encode_at(values(row), places, encoders) for row in params])
        if isinstance(statement, Prepared) and statement.then is not None:
            statement.then(self, params)

    def many_rows(self, statement: Prepared, rows: Sequence[Sequence[object]]) -> None:
        """Run a statement once for each of `rows`, whose values stand in the order of its parameters."""
        if rows:
            compiled = self._compile(statement)
            places, encoders = compiled.encoded, self.encoders
            self.many_tuples(compiled.sql, [encode_at(row, places, encoders) for row in rows])

    def many_tuples(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        """Run SQL text once for each row of driver values."""
        if self._waiting:
            self.settle()
        if self.observer is not None:
            self.observer(sql)
        if self.is_sqlite:
            self.driver.executemany(sql, rows)
        else:
            with self.driver.cursor() as cursor:
                cursor.executemany(sql, list(rows))

    def text(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        """Run SQL text in this dialect's own words (`?` in SQLite, `%s` in PostgreSQL) and return its rows."""
        if self._waiting:
            self.settle()
        if self.observer is not None:
            self.observer(sql)
        cursor = cast(Cursor, self.driver.execute(sql, encode(values, self.encoders)))
        # In a pipeline PostgreSQL has not answered yet, so that the cursor cannot tell whether rows will come.
        gives_rows = cursor.description is not None if self.is_sqlite else _ANSWERS.search(sql) is not None
        return [tuple(row) for row in cursor.fetchall()] if gives_rows else []
