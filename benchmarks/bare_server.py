"""The baseline of `serving`: a FastAPI application that does by the bare driver what the sessions API does.

The same tables and durability, one key that is compared in constant time, no checks of what comes, no shared commits.
`BARE_URL` names a record that `Store` has made, `BARE_KEY` the key.
"""

import hmac
import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol  # `Any`: rows hold whatever their columns hold

import psycopg_pool
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from uuid_utils.compat import uuid7

from benchmarks.bare import ACTIVITY, DAY

CONNECTIONS = 10
MESSAGE = (
    "project_id", "id", "session_uuid", "user_uuid", "run_uuid", "sequence", "role", "content", "revision",
    "tools_used", "created_at", "updated_at",
)  # fmt: skip
RUN = (
    "project_id", "id", "run_id", "user_uuid", "session_uuid", "agent_name", "objective", "status", "created_at",
    "updated_at", "started_at",
)  # fmt: skip
TURN = (
    "project_id", "id", "session_uuid", "user_uuid", "begun_by_uuid", "run_uuid", "status", "request_hash",
    "lease_owner", "lease_expires_at", "created_at",
)  # fmt: skip
EVENT = ("project_id", "turn_uuid", "user_uuid", "sequence", "event", "data", "created_at")


class Driver(Protocol):
    """A connection within a transaction."""

    def __call__(self, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Run a statement whose marks are `?`, and return its rows."""


class Sqlite:
    """One connection that writes, as SQLite has it, and one that reads for each thread."""

    nil: Any = bytes(16)
    raw_ids = True

    def __init__(self, path: str) -> None:
        self._path = path
        self._writer = self._open()
        self._lock = threading.Lock()
        self._of_thread = threading.local()

    def _open(self) -> sqlite3.Connection:
        found = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, cached_statements=512)
        for pragma in ("busy_timeout=30000", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON",
                       "cache_size=-32000", "temp_store=MEMORY"):  # fmt: skip
            found.execute(f"PRAGMA {pragma}")
        return found

    @contextmanager
    def writing(self) -> Iterator[Driver]:
        """Give a transaction that is on the disk at its end."""
        with self._lock:
            self._writer.execute("BEGIN IMMEDIATE")
            yield lambda sql, parameters: self._writer.execute(sql, parameters).fetchall()
            self._writer.execute("COMMIT")

    @contextmanager
    def reading(self) -> Iterator[Driver]:
        """Give this thread's own connection."""
        if not hasattr(self._of_thread, "driver"):
            self._of_thread.driver = self._open()
        yield lambda sql, parameters: self._of_thread.driver.execute(sql, parameters).fetchall()

    def index(self, x: Driver, message: tuple[Any, ...]) -> None:
        """Add a message to the search index."""
        ((place,),) = x("SELECT coalesce(max(id), 0) + 1 FROM ar_search", ())
        x("INSERT INTO ar_search (id, project_id, message_uuid) VALUES (?, ?, ?)", (place, *message[:2]))
        x("INSERT INTO ar_search_index (rowid, content) VALUES (?, ?)", (place, message[7]))


class Postgres:
    """A pool of connections."""

    raw_ids = False

    def __init__(self, url: str) -> None:
        options = {"autocommit": True, "options": "-c search_path=agentrecord"}
        self._pool = psycopg_pool.ConnectionPool(url, min_size=1, max_size=CONNECTIONS, open=True, kwargs=options)
        self.nil: Any = type(uuid7())(int=0)

    @contextmanager
    def writing(self) -> Iterator[Driver]:
        """Give a transaction that is on the disk at its end."""
        with self._pool.connection() as driver, driver.transaction():
            yield self._of(driver)

    @contextmanager
    def reading(self) -> Iterator[Driver]:
        """Give a connection."""
        with self._pool.connection() as driver:
            yield self._of(driver)

    def _of(self, driver: Any) -> Driver:
        def run(sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
            cursor = driver.execute(sql.replace("?", "%s"), parameters)
            return list(cursor.fetchall()) if cursor.description else []

        return run

    def index(self, x: Driver, message: tuple[Any, ...]) -> None:
        """Add a message to the search index."""
        x("INSERT INTO ar_search (project_id, message_uuid, words) VALUES (?, ?, to_tsvector('simple', ?))",
          (*message[:2], message[7]))  # fmt: skip


def _insert(table: str, columns: Sequence[str]) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"


_ACTIVITY_KEY = ("project_id", "day", "user_uuid", "agent_uuid")
ADD_ACTIVITY = (
    f"{_insert('ar_activity_days', (*_ACTIVITY_KEY, *ACTIVITY))} ON CONFLICT ({', '.join(_ACTIVITY_KEY)})"
    f" DO UPDATE SET {', '.join(f'{name} = ar_activity_days.{name} + excluded.{name}' for name in ACTIVITY)}"
)
SESSION = "SELECT project_id, id, user_uuid, is_active FROM ar_sessions WHERE session_id = ? AND deleted_at IS NULL"
TOUCH = (
    "UPDATE ar_sessions SET message_count = message_count + ?, last_sequence = last_sequence + ?,"
    " run_count = run_count + ?, last_activity_at = ?, updated_at = ? WHERE project_id = ? AND id = ?"
    " RETURNING last_sequence, message_count"
)
LAST = (
    f"SELECT {', '.join(MESSAGE)} FROM ar_messages WHERE project_id = ? AND session_uuid = ? AND deleted_at IS NULL"
    " ORDER BY sequence DESC LIMIT 50"
)


class Said(BaseModel):
    """A message."""

    role: str
    content: str


class Asked(BaseModel):
    """What is said in a session."""

    session_id: str
    messages: list[Said]


URL = os.environ["BARE_URL"]
KEY = os.environ["BARE_KEY"].encode()
database: Sqlite | Postgres = Postgres(URL) if URL.startswith("postgresql") else Sqlite(URL)
app = FastAPI()


def _let_in(request: Request) -> None:
    given = request.headers.get("authorization", "").removeprefix("Bearer ").encode()
    if not hmac.compare_digest(given, KEY):
        raise HTTPException(401)


def _new_id() -> Any:
    made = uuid7()
    return made.bytes if database.raw_ids else made


def _session(x: Driver, name: str) -> tuple[Any, ...]:
    found = x(SESSION, (name,))
    if not found or not found[0][3]:
        raise HTTPException(404)
    return found[0][:3]


def _add(
    x: Driver, session: tuple[Any, ...], said: Said, now: int, *, run: Any = None, runs: int = 0
) -> tuple[tuple[Any, ...], int]:
    """Append a message with everything that counts it; return its row and how many there are."""
    project, row, user = session
    ((last, count),) = x(TOUCH, (1, 1, runs, now, now, project, row))
    message = (project, _new_id(), row, user, run, last, said.role, said.content, 1, "[]", now, now)
    x(_insert("ar_messages", MESSAGE), message)
    database.index(x, message)
    x(ADD_ACTIVITY, (project, now // DAY, user, database.nil, 0, 0, 1, runs, 0, 0, 0, 0, 0.0, 0))
    return message, count


def _shown(message: tuple[Any, ...]) -> dict[str, Any]:
    return {
        name: value.hex() if isinstance(value, bytes) else str(value) if name.endswith(("id", "uuid")) else value
        for name, value in zip(MESSAGE, message, strict=True)
    }


@app.post("/api/agent-sessions/conversation")
def converse(request: Request, asked: Asked) -> JSONResponse:
    """Answer as the echo does: what was said, the run and the turn in one transaction, their end in another."""
    _let_in(request)
    now, turn, run = time.time_ns() // 1000, _new_id(), _new_id()
    said = asked.messages[-1]
    with database.writing() as x:
        session = _session(x, asked.session_id)
        project, row, user = session
        name = turn.hex() if isinstance(turn, bytes) else str(turn)
        x(_insert("ar_runs", RUN), (project, run, name, user, row, "echo", said.content, "running", now, now, now))
        _add(x, session, said, now, run=run, runs=1)
        x(
            _insert("ar_turns", TURN),
            (project, turn, row, user, user, run, "running", "", "bare", now + 15_000_000, now),
        )
    reply = Said(role="assistant", content=f"This is a mock response to: {said.content}")
    now = time.time_ns() // 1000
    with database.writing() as x:
        message, count = _add(x, session, reply, now, run=run)
        answer = {"session_id": asked.session_id, "response": reply.content, "messages_count": count,
                  "run_id": name, "message_id": _shown(message)["id"]}  # fmt: skip
        text = json.dumps(answer)
        x("UPDATE ar_runs SET status = ?, final_synthesis_output = ?, updated_at = ?, finished_at = ?"
          " WHERE project_id = ? AND id = ?", ("completed", reply.content, now, now, project, run))  # fmt: skip
        x("UPDATE ar_turns SET status = ?, response = ?, last_event = ?, finished_at = ?"
          " WHERE project_id = ? AND id = ?", ("completed", text, 1, now, project, turn))  # fmt: skip
        x(_insert("ar_turn_events", EVENT), (project, turn, user, 1, "turn.completed", text, now))
    return JSONResponse(answer, 201)


@app.post("/api/agent-sessions/{name}/messages")
def append(request: Request, name: str, said: Said) -> JSONResponse:
    """Append a message."""
    _let_in(request)
    with database.writing() as x:
        message, _ = _add(x, _session(x, name), said, time.time_ns() // 1000)
    return JSONResponse(_shown(message), 201)


@app.get("/api/agent-sessions/{name}/messages")
def read(request: Request, name: str) -> JSONResponse:
    """Return the last fifty messages."""
    _let_in(request)
    with database.reading() as x:
        project, row, _ = _session(x, name)
        return JSONResponse({"items": [_shown(message) for message in x(LAST, (project, row))]})


@app.get("/healthz")
def health() -> dict[str, str]:
    """Say that the server is up."""
    return {"status": "ok"}
