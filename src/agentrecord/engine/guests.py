"""Queries of somebody else's: read-only, within a time, a number of rows and of bytes, and within a scope.

SQLite has no rows that only some may see. So a query runs on a connection of its own, on which each table that may be
read is hidden behind a view of the same name that holds the scope's rows, and an authorizer refuses whatever is not
one of these views: other tables, other files, writing. PostgreSQL has row-level security; a read-only transaction and
a list of what may be called (`guest_words`) see that it stays as it was set.
"""

import secrets
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # `Any`: rows hold whatever their columns hold
from uuid import UUID

from agentrecord.engine.connection import Connection
from agentrecord.engine.errors import sqlstate
from agentrecord.engine.guest_functions import ENDLESS, bind_bounded
from agentrecord.engine.sqlite import lower_everything
from agentrecord.exceptions import InvalidValue

CANCELLED = "57014"
_CHUNK = 200
_STEPS = 200
_MAX_PATTERN = 200
_TABLE_FUNCTIONS = frozenset({"json_each", "json_tree"})
_REFUSED_FUNCTIONS = ENDLESS | {"load_extension", "fts3_tokenizer", "sqlite_compileoption_get"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How long a query may take, and how much it may give."""

    seconds: float
    rows: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What a query gave, as the driver has it; `cut_because` says which bound left rows out."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    cut_because: str | None
    duration_ms: float


def on_sqlite(conn: Connection, sql: str, views: Mapping[str, str], bounds: Bounds) -> Given:
    """Run a query that sees `views` alone, given by name as a SELECT each.

    Raises `InvalidValue` for a query that SQLite or the authorizer refuses, or that takes too long.
    """
    with closing(_own_connection(conn)) as driver:
        hidden = f"h{secrets.token_hex(12)}_"
        for name, select in views.items():
            driver.execute(f'CREATE TEMP VIEW "{hidden}{name}" AS {select}')
            driver.execute(f'CREATE TEMP VIEW "{name}" AS SELECT * FROM "{hidden}{name}"')
        for name, text in _documented(driver):
            if name not in views:
                driver.execute(text)
        _guard(driver, hidden, bounds)
        started = time.monotonic()
        deadline = started + bounds.seconds
        driver.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
        with _refusals(sql, bounds):
            cursor = driver.execute(sql)
            columns = tuple(str(column[0]) for column in cursor.description or ())
            rows, because = _within(cursor, bounds)
        return Given(columns=columns, rows=rows, cut_because=because, duration_ms=_since(started))


def _own_connection(conn: Connection) -> sqlite3.Connection:
    """Return another connection to the same file; for a record in memory, to a copy of it."""
    path = conn.driver.execute("PRAGMA database_list").fetchall()[0][2]
    if path:
        driver = sqlite3.connect(f"{Path(path).as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=1.0)
    else:
        driver = sqlite3.connect(":memory:", isolation_level=None)
        conn.driver.backup(driver)
    # What is sorted goes to a file that has no name, as soon as it is more than the cache: memory has an end.
    driver.execute("PRAGMA temp_store=FILE")
    driver.execute("PRAGMA trusted_schema=OFF")
    lower_everything(driver)
    bind_bounded(driver)
    driver.create_function("uuid", 1, lambda text: UUID(text).bytes, deterministic=True)
    return driver


def _documented(driver: sqlite3.Connection) -> list[tuple[str, str]]:
    """Return the views of the file itself, to be made anew over ours."""
    found = driver.execute("SELECT name, sql FROM main.sqlite_master WHERE type = 'view' AND name NOT LIKE 'ar_%'")
    return [(name, text.replace("CREATE VIEW", "CREATE TEMP VIEW", 1)) for name, text in found]


def _guard(driver: sqlite3.Connection, hidden: str, bounds: Bounds) -> None:
    """Refuse everything but reading our views, for good."""
    tables = {row[0].lower() for row in driver.execute("SELECT name FROM main.sqlite_master WHERE type != 'index'")}
    shown = {row[0].lower() for row in driver.execute("SELECT name FROM temp.sqlite_master")}
    driver.execute("PRAGMA query_only=ON")
    driver.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 2 * bounds.bytes)
    driver.setlimit(sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, _MAX_PATTERN)
    driver.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)

    def may_read(table: str, column: str, database: str | None, reader: str | None) -> bool:
        if table in shown and database in (None, "temp"):
            return True
        if database == "main" and table in _TABLE_FUNCTIONS:
            return True
        if database is None and not column:
            # A common table expression of the query, of which no column is read.
            return table not in tables and not table.startswith(("sqlite_", "pragma_"))
        return database == "main" and reader is not None and reader.startswith(hidden)

    def authorize(action: int, one: str | None, two: str | None, database: str | None, reader: str | None) -> int:
        if action == sqlite3.SQLITE_FUNCTION:
            is_allowed = (two or "").lower() not in _REFUSED_FUNCTIONS
        elif action == sqlite3.SQLITE_READ:
            is_allowed = may_read((one or "").lower(), two or "", database, reader)
        else:
            is_allowed = action in (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE)
        return sqlite3.SQLITE_OK if is_allowed else sqlite3.SQLITE_DENY

    driver.set_authorizer(authorize)


@contextmanager
def _refusals(sql: str, bounds: Bounds) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, sqlite3.Warning) as error:
        said = str(error)
        if said == "interrupted":
            raise _too_slow(sql, bounds) from error
        if "not authorized" in said or "prohibited" in said:
            said += "; a query reads the tables that are listed, and nothing else"
        raise InvalidValue("sql", sql, f"cannot be run: {said}") from error


def _too_slow(sql: str, bounds: Bounds) -> InvalidValue:
    return InvalidValue("sql", sql, f"took longer than {bounds.seconds:g} s; ask for less, by an indexed column")


def on_postgresql(conn: Connection, sql: str, bounds: Bounds) -> Given:
    """Run a query in the read-only transaction that is open, as who entered it.

    Raises `InvalidValue` for a query that PostgreSQL refuses, or that takes too long.
    """
    conn.text(f"SET LOCAL statement_timeout = {int(bounds.seconds * 1000)}")
    conn.text("SET LOCAL standard_conforming_strings = on")
    conn.text("SET LOCAL search_path = agentrecord, system, agent_sdk")
    started = time.monotonic()
    columns: list[str] = []

    def chunks() -> Iterator[tuple[Any, ...]]:
        conn.driver.execute(f"DECLARE guest NO SCROLL CURSOR FOR {sql}", prepare=False)
        while True:
            cursor = conn.driver.execute(f"FETCH {_CHUNK} FROM guest", prepare=False)
            rows = cursor.fetchall()
            columns[:] = [column.name for column in cursor.description or ()]
            yield from rows
            if len(rows) < _CHUNK:
                return
            if time.monotonic() - started > bounds.seconds:
                raise _too_slow(sql, bounds)

    try:
        rows, because = _within(chunks(), bounds)
    except Exception as error:
        state = sqlstate(error)
        if state == CANCELLED:
            raise _too_slow(sql, bounds) from error
        if state is not None and state.startswith(("22", "25", "42", "0A", "54")):
            raise InvalidValue("sql", sql, f"cannot be run: {str(error).splitlines()[0]}") from error
        raise
    return Given(columns=tuple(columns), rows=rows, cut_because=because, duration_ms=_since(started))


def _since(started: float) -> float:
    return round((time.monotonic() - started) * 1000, 1)


def _within(found: Iterable[Sequence[Any]], bounds: Bounds) -> tuple[list[tuple[Any, ...]], str | None]:
    """Return rows up to the bounds, and which of them was met."""
    rows: list[tuple[Any, ...]] = []
    size = 0
    for row in found:
        if len(rows) == bounds.rows:
            return rows, f"only the first {bounds.rows:,} rows are shown; add a LIMIT, or count them"
        size += sum(_size(value) for value in row)
        if size > bounds.bytes:
            return rows, f"only the first {len(rows):,} rows are shown: {bounds.bytes:,} bytes were reached"
        rows.append(tuple(row))
    return rows, None


def _size(value: object) -> int:
    return len(value) if isinstance(value, str | bytes) else 8
