"""The baseline: one turn's rows written by the bare driver, with the tables, indexes and durability of the record.

It takes the schema from a record that `Store` has made, and writes what `messages.append` writes: the session's
counters, two messages, a call, the hour's, the day's, the user's and the latency's figures, and the search index.
It checks nothing, prices nothing and returns nothing.
"""

import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # `Any`: rows hold whatever their columns hold

import psycopg
from uuid_utils.compat import uuid7

COUNTERS = [
    "calls",
    "failed_calls",
    "unpriced_calls",
    "uncounted_calls",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "reasoning_tokens",
    "unclassified_tokens",
    "cost_nanos",
    "latency_ms_sum",
    "latency_count",
]
SESSION = (
    *("message_count", "last_sequence", "last_event_sequence", "run_count", "tool_call_count", "tool_error_count"),
    *("error_count", "child_count"),
    *COUNTERS,
)
ACTIVITY = [
    "session_count",
    "failed_sessions",
    "message_count",
    "run_count",
    "failed_runs",
    "tool_calls",
    "tool_errors",
    "error_count",
    "satisfaction_sum",
    "satisfaction_count",
]
MESSAGE = (
    "project_id, id, session_uuid, user_uuid, sequence, role, content, revision, tools_used, created_at, updated_at"
)
CALL = (
    "project_id, id, user_uuid, session_uuid, message_uuid, model_uuid, is_subagent, input_tokens, cache_read_tokens,"
    " output_tokens, status, latency_ms, cost_nanos, cost_source, price_uuid, origin, timestamp, created_at"
)
USAGE_KEY = "project_id, bucket, user_uuid, agent_uuid, agent_version_uuid, model_uuid, is_subagent"
HOUR, DAY = 3_600_000_000, 86_400_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnInput:
    """What both sides are given."""

    question: str
    answer: str
    input_tokens: int = 1200
    cache_read_tokens: int = 5000
    output_tokens: int = 350
    latency_ms: int = 1800


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The ids of rows that are there before a turn is written, as the driver takes them."""

    project: Any
    user: Any
    model: Any
    price: Any
    cost_nanos: int
    nil: Any
    sessions: tuple[Any, ...]


class Statements:
    """The SQL of one turn in one driver's words."""

    def __init__(self, mark: str, prefix: str) -> None:
        self._mark, self._prefix = mark, prefix
        added = ", ".join(f"{name} = {name} + {mark}" for name in SESSION)
        later = "CASE WHEN {0} < {1} THEN {1} ELSE {0} END"
        touched = ", ".join(f"{c} = {later.format(c, mark)}" for c in ("last_activity_at", "updated_at"))
        self.session = (
            f"UPDATE {prefix}ar_sessions SET {added}, {touched} WHERE project_id = {mark} AND id = {mark}"
            " AND deleted_at IS NULL RETURNING last_sequence, user_uuid"
        )
        self.message = self._insert("ar_messages", MESSAGE)
        self.call = self._insert("ar_llm_calls", CALL)
        self.hours = self._upsert("ar_usage_hours", USAGE_KEY, COUNTERS, span=True)
        self.days = self._upsert("ar_usage_days", USAGE_KEY, COUNTERS, span=True)
        self.activity = self._upsert("ar_activity_days", "project_id, day, user_uuid, agent_uuid", ACTIVITY)
        self.latency = self._upsert("ar_latency_days", "project_id, day, agent_uuid, model_uuid, bucket", ["calls"])

    def _insert(self, table: str, columns: str) -> str:
        marks = ", ".join([self._mark] * len(columns.split(", ")))
        return f"INSERT INTO {self._prefix}{table} ({columns}) VALUES ({marks})"

    def _upsert(self, table: str, key: str, counters: Sequence[str], *, span: bool = False) -> str:
        columns = ", ".join([key, *counters, *(("first_at", "last_at") if span else ())])
        changes = [f"{name} = {table}.{name} + excluded.{name}" for name in counters]
        if span:
            changes += [
                f"{name} = CASE WHEN {table}.{name} {sign} excluded.{name} THEN excluded.{name} ELSE {table}.{name} END"
                for name, sign in (("first_at", ">"), ("last_at", "<"))
            ]
        return f"{self._insert(table, columns)} ON CONFLICT ({key}) DO UPDATE SET {', '.join(changes)}"


def figures(turn: TurnInput, cost_nanos: int, turns: int = 1) -> tuple[int, ...]:
    """Return what `turns` equal turns add to the usage counters."""
    one = (1, 0, 0, 0, turn.input_tokens, turn.cache_read_tokens, 0, 0, turn.output_tokens, 0, 0, cost_nanos,
           turn.latency_ms, 1)  # fmt: skip
    return one if turns == 1 else tuple(value * turns for value in one)


class Rows:
    """One turn's rows as tuples."""

    def __init__(self, known: Known, *, raw_ids: bool) -> None:
        self.known = known
        self.raw_ids = raw_ids
        self.flag: object = 0 if raw_ids else False

    def new_id(self) -> Any:
        made = uuid7()
        return made.bytes if self.raw_ids else made

    def session(self, session: Any, turn: TurnInput, now: int, turns: int = 1) -> tuple[Any, ...]:
        counters = (2 * turns, 2 * turns, 0, 0, 0, 0, 0, 0, *figures(turn, self.known.cost_nanos, turns))
        return (*counters, now, now, now, now, self.known.project, session)

    def messages(self, session: Any, turn: TurnInput, last: int, now: int) -> list[tuple[Any, ...]]:
        project, user = self.known.project, self.known.user
        return [
            (project, self.new_id(), session, user, last - 1, "user", turn.question, 1, "[]", now, now),
            (project, self.new_id(), session, user, last, "assistant", turn.answer, 1, "[]", now, now),
        ]

    def call(self, session: Any, message: Any, turn: TurnInput, now: int) -> tuple[Any, ...]:
        k = self.known
        return (k.project, self.new_id(), k.user, session, message, k.model, self.flag, turn.input_tokens,
                turn.cache_read_tokens, turn.output_tokens, "success", turn.latency_ms, k.cost_nanos, "price",
                k.price, "call", now, now)  # fmt: skip

    def usage(self, size: int, turn: TurnInput, now: int, turns: int = 1) -> tuple[Any, ...]:
        k = self.known
        key = (k.project, now // size, k.user, k.nil, k.nil, k.model, self.flag)
        return (*key, *figures(turn, k.cost_nanos, turns), now, now)

    def activity(self, now: int, turns: int = 1) -> tuple[Any, ...]:
        k = self.known
        return (k.project, now // DAY, k.user, k.nil, 0, 0, 2 * turns, 0, 0, 0, 0, 0, 0.0, 0)

    def latency(self, now: int, bucket: int, turns: int = 1) -> tuple[Any, ...]:
        k = self.known
        return (k.project, now // DAY, k.nil, k.model, bucket, turns)


LATENCY_BUCKET = 43
"""Of 1,800 ms: 4 × log2(1800), rounded."""


class BareSqlite:
    """One connection to a SQLite file, set up as the record's own."""

    def __init__(self, path: Path, *, indexed: bool) -> None:
        self.indexed = indexed
        self.driver = sqlite3.connect(path, isolation_level=None, cached_statements=512)
        for pragma in ("busy_timeout=30000", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON",
                       "trusted_schema=OFF", "cell_size_check=ON", "mmap_size=0", "journal_size_limit=67108864",
                       "secure_delete=ON", "cache_size=-32000", "temp_store=MEMORY"):  # fmt: skip
            self.driver.execute(f"PRAGMA {pragma}")
        self.sql = Statements("?", "")
        self.rows = Rows(self._known(), raw_ids=True)

    def _known(self) -> Known:
        x = self.driver.execute
        sessions = x("SELECT id FROM ar_sessions ORDER BY id").fetchall()
        project, user, model, price, cost = x(
            "SELECT project_id, user_uuid, model_uuid, price_uuid, cost_nanos FROM ar_llm_calls LIMIT 1"
        ).fetchone()
        ids = tuple(row[0] for row in sessions)
        return Known(project=project, user=user, model=model, price=price, cost_nanos=cost, nil=bytes(16), sessions=ids)

    def append(self, place: int, turn: TurnInput) -> None:
        """Write one turn of the session at `place`, durably."""
        x, sql, rows = self.driver.execute, self.sql, self.rows
        session = rows.known.sessions[place]
        now = time.time_ns() // 1000
        x("BEGIN IMMEDIATE")
        last, _ = x(sql.session, rows.session(session, turn, now)).fetchone()
        messages = rows.messages(session, turn, last, now)
        for message in messages:
            x(sql.message, message)
        x(sql.call, rows.call(session, messages[1][1], turn, now))
        if self.indexed:
            self.index(messages)
        x(sql.hours, rows.usage(HOUR, turn, now))
        x(sql.days, rows.usage(DAY, turn, now))
        x(sql.activity, rows.activity(now))
        x(sql.latency, rows.latency(now, LATENCY_BUCKET))
        x("COMMIT")

    def index(self, messages: Sequence[tuple[Any, ...]]) -> None:
        """Add messages to the search index."""
        x = self.driver.execute
        (first,) = x("SELECT coalesce(max(id), 0) + 1 FROM ar_search").fetchone()
        self.driver.executemany(
            "INSERT INTO ar_search (id, project_id, message_uuid) VALUES (?, ?, ?)",
            [(first + place, message[0], message[1]) for place, message in enumerate(messages)],
        )
        self.driver.executemany(
            "INSERT INTO ar_search_index (rowid, content) VALUES (?, ?)",
            [(first + place, message[6]) for place, message in enumerate(messages)],
        )

    def append_many(self, place: int, turns: Sequence[TurnInput]) -> None:
        """Write many turns of one session in one transaction, one statement a table."""
        x, many, sql, rows = self.driver.execute, self.driver.executemany, self.sql, self.rows
        session, count = rows.known.sessions[place], len(turns)
        now = time.time_ns() // 1000
        x("BEGIN IMMEDIATE")
        last, _ = x(sql.session, rows.session(session, turns[0], now, count)).fetchone()
        messages, calls = _many_rows(rows, session, turns, last - 2 * count, now)
        many(sql.message, messages)
        many(sql.call, calls)
        if self.indexed:
            self.index(messages)
        x(sql.hours, rows.usage(HOUR, turns[0], now, count))
        x(sql.days, rows.usage(DAY, turns[0], now, count))
        x(sql.activity, rows.activity(now, count))
        x(sql.latency, rows.latency(now, LATENCY_BUCKET, count))
        x("COMMIT")

    def close(self) -> None:
        """Close the connection."""
        self.driver.close()


def _many_rows(
    rows: Rows, session: Any, turns: Sequence[TurnInput], before: int, now: int
) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    messages: list[tuple[Any, ...]] = []
    calls: list[tuple[Any, ...]] = []
    for number, turn in enumerate(turns, start=1):
        pair = rows.messages(session, turn, before + 2 * number, now)
        messages += pair
        calls.append(rows.call(session, pair[1][1], turn, now))
    return messages, calls


class BarePostgres:
    """One connection to PostgreSQL, without pipeline mode, statements prepared as psycopg does by itself."""

    def __init__(self, url: str, *, indexed: bool) -> None:
        self.indexed = indexed
        self.driver = psycopg.connect(url, autocommit=True)
        self.sql = Statements("%s", "agentrecord.")
        self.rows = Rows(self._known(), raw_ids=False)

    def _known(self) -> Known:
        x = self.driver.execute
        sessions = x("SELECT id FROM agentrecord.ar_sessions ORDER BY id").fetchall()
        found = x(
            "SELECT project_id, user_uuid, model_uuid, price_uuid, cost_nanos FROM agentrecord.ar_llm_calls LIMIT 1"
        ).fetchone()
        assert found is not None
        project, user, model, price, cost = found
        ids = tuple(row[0] for row in sessions)
        nil = type(project)(int=0)
        return Known(project=project, user=user, model=model, price=price, cost_nanos=cost, nil=nil, sessions=ids)

    def append(self, place: int, turn: TurnInput) -> None:
        """Write one turn of the session at `place`, durably."""
        x, sql, rows = self.driver.execute, self.sql, self.rows
        session = rows.known.sessions[place]
        now = time.time_ns() // 1000
        with self.driver.transaction():
            found = x(sql.session, rows.session(session, turn, now)).fetchone()
            assert found is not None
            messages = rows.messages(session, turn, found[0], now)
            for message in messages:
                x(sql.message, message)
            x(sql.call, rows.call(session, messages[1][1], turn, now))
            if self.indexed:
                for message in messages:
                    x(INDEX_POSTGRESQL, (message[0], message[1], message[6]))
            x(sql.hours, rows.usage(HOUR, turn, now))
            x(sql.days, rows.usage(DAY, turn, now))
            x(sql.activity, rows.activity(now))
            x(sql.latency, rows.latency(now, LATENCY_BUCKET))

    def append_many(self, place: int, turns: Sequence[TurnInput]) -> None:
        """Write many turns of one session in one transaction, messages and calls by COPY."""
        x, sql, rows = self.driver.execute, self.sql, self.rows
        session, count = rows.known.sessions[place], len(turns)
        now = time.time_ns() // 1000
        with self.driver.transaction(), self.driver.cursor() as cursor:
            found = x(sql.session, rows.session(session, turns[0], now, count)).fetchone()
            assert found is not None
            messages, calls = _many_rows(rows, session, turns, found[0] - 2 * count, now)
            for table, columns, made in (("ar_messages", MESSAGE, messages), ("ar_llm_calls", CALL, calls)):
                with cursor.copy(f"COPY agentrecord.{table} ({columns}) FROM STDIN") as copy:
                    for row in made:
                        copy.write_row(row)
            if self.indexed:
                cursor.executemany(INDEX_POSTGRESQL, [(m[0], m[1], m[6]) for m in messages])
            x(sql.hours, rows.usage(HOUR, turns[0], now, count))
            x(sql.days, rows.usage(DAY, turns[0], now, count))
            x(sql.activity, rows.activity(now, count))
            x(sql.latency, rows.latency(now, LATENCY_BUCKET, count))

    def close(self) -> None:
        """Close the connection."""
        self.driver.close()


INDEX_POSTGRESQL = (
    "INSERT INTO agentrecord.ar_search (project_id, message_uuid, words) VALUES (%s, %s, to_tsvector('simple', %s))"
)
