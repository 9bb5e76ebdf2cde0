"""The logs of the `llm` tool: a SQLite database, in its older tables (`responses`) and its newer (`turns`) alike.

A conversation is a session; each response is a run with one call. The database is only ever read.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import quote

from agentrecord.ingest.facts import (
    CallFact,
    Fact,
    MessageFact,
    RunFact,
    SessionFact,
    ToolCallFact,
    ToolResultFact,
    Unreadable,
)
from agentrecord.ingest.fields import Row, cleaned, excerpt, json_object, text_of, time_of, whole_of
from agentrecord.ingest.llm_tables import NEWER, OLDER, Exchange, Said, has_table, newer_exchange, older_exchange
from agentrecord.ingest.llm_usage import host_of_model, tokens_of_usage
from agentrecord.ingest.source import Reader, walk
from agentrecord.records.message import MessageRole
from agentrecord.records.run import RunStatus

OBJECTIVE_CHARACTERS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """An exchange with its place: where it is recorded and when it was."""

    exchange: Exchange
    session_id: str
    run_id: str
    started_at: datetime
    finished_at: datetime
    number: int


class LlmReader:
    """Reads one database of the `llm` tool, from the last response seen."""

    def __init__(self, path: Path, *, latest: datetime) -> None:
        """Prepare to read `path`, in which nothing later than `latest` is believed."""
        self._path = path
        self.latest = latest
        self._last = {OLDER: 0, NEWER: 0}
        self._sessions: dict[str, SessionFact] = {}
        self._systems: dict[str, str] = {}
        self._told: set[tuple[str, str]] = set()
        self._position = 0

    @property
    def position(self) -> int:
        """The size of the database when it was last read."""
        return self._position

    def read(self) -> Iterator[Fact]:
        """Yield the facts of the responses that came since the last call."""
        try:
            self._position = self._path.stat().st_size
            with closing(_connect(self._path)) as connection:
                # One snapshot: a response must not be read without its tool calls.
                connection.execute("begin")
                yield from self._tables(connection)
        except (sqlite3.Error, OSError) as error:
            reason = f"cannot be read as a database of llm: {error}; check the file, or import it again when it is free"
            yield Unreadable(line=1, reason=reason)

    def _tables(self, connection: sqlite3.Connection) -> Iterator[Fact]:
        found = [table for table in (OLDER, NEWER) if has_table(connection, table)]
        if not found:
            yield Unreadable(line=1, reason="a SQLite database, but not one of llm: it has no `responses` or `turns`")
        for table in found:
            newest = connection.execute(f"select max(rowid) from {table}").fetchone()[0] or 0
            # Rows were deleted and the rest may have been numbered anew: what was seen already does no harm.
            self._last[table] = 0 if newest < self._last[table] else self._last[table]
            rows = connection.execute(
                f"select rowid as row_number, * from {table} where rowid > ? order by rowid", (self._last[table],)
            )
            for found_row in rows:
                yield from self._response(connection, table, dict(found_row))
                self._last[table] = found_row["row_number"]

    def _response(self, connection: sqlite3.Connection, table: str, found: Row) -> Iterator[Fact]:
        number = found["row_number"]
        row, was_altered = cleaned(found)
        if was_altered:
            reason = f"row {number} of {table}: characters that cannot be stored were replaced by U+FFFD"
            yield Unreadable(line=number, reason=reason, was_kept=True)
        try:
            exchange = (older_exchange if table == OLDER else newer_exchange)(connection, row)
            yield from self._exchange(exchange, number)
        except ValueError as error:
            reason = f"row {number} of {table}: {error}"
            yield Unreadable(line=number, reason=reason, excerpt=excerpt({"id": row.get("id")}))

    def _exchange(self, exchange: Exchange, number: int) -> Iterator[Fact]:
        row = exchange.row
        started_at = time_of(row, "datetime_utc", latest=self.latest)
        if started_at is None:
            raise ValueError("no datetime_utc; the response was left out")
        duration_ms = max(0, min(whole_of(row, "duration_ms") or 0, 7 * 86_400_000))
        session_id = exchange.thread_id or exchange.response_id
        place = Timed(
            exchange=exchange,
            session_id=session_id,
            run_id=f"{session_id}:{exchange.response_id}",
            started_at=started_at,
            finished_at=started_at + timedelta(milliseconds=duration_ms),
            number=number,
        )
        yield from self._session(place)
        yield from self._run(place)
        yield self._call(place)

    def _session(self, place: Timed) -> Iterator[Fact]:
        exchange = place.exchange
        known = self._sessions.get(place.session_id)
        told = SessionFact(
            session_id=place.session_id,
            created_at=known.created_at if known else place.started_at,
            parent_session_id=exchange.forked_from,
            agent_id="llm",
            agent_name="llm",
            title=exchange.title,
            tool_name="llm",
            initial_task=known.initial_task if known else _objective(exchange),
        )
        if told != known:
            self._sessions[place.session_id] = told
            yield told

    def _run(self, place: Timed) -> Iterator[Fact]:
        exchange = place.exchange
        run = RunFact(
            session_id=place.session_id,
            run_id=place.run_id,
            started_at=place.started_at,
            agent_id="llm",
            agent_name="llm",
            objective=_objective(exchange),
        )
        yield run
        for said in exchange.said:
            yield from self._message(place, said)
        answers = [said.content for said in exchange.said if said.role is MessageRole.ASSISTANT and said.content]
        output = answers[-1][:OBJECTIVE_CHARACTERS] if answers else None
        yield replace(run, status=RunStatus.COMPLETED, finished_at=place.finished_at, output=output)

    def _message(self, place: Timed, said: Said) -> Iterator[Fact]:
        if said.role is MessageRole.SYSTEM:
            if self._systems.get(place.session_id) == said.content:
                return
            self._systems[place.session_id] = said.content
        if (place.session_id, said.key) in self._told:
            return
        self._told.add((place.session_id, said.key))
        is_answer = said.role is MessageRole.ASSISTANT
        at = place.finished_at if is_answer else place.started_at
        yield MessageFact(
            session_id=place.session_id,
            key=said.key,
            role=said.role,
            content=said.content,
            created_at=at,
            run_id=place.run_id,
            parts=said.parts,
            tool_call_id=said.results[0].call_ref if said.results else None,
            tool_name=said.results[0].name if said.results else None,
            tools_used=tuple(dict.fromkeys(use.name for use in said.uses)),
            model_used=place.exchange.model if is_answer else None,
            line=place.number,
        )
        yield from _tools(place, said, at)

    def _call(self, place: Timed) -> Fact:
        exchange = place.exchange
        answers = [said.key for said in exchange.said if said.role is MessageRole.ASSISTANT]
        host = host_of_model(exchange.model)
        usage = text_of(exchange.row, "token_details")
        return CallFact(
            session_id=place.session_id,
            run_id=place.run_id,
            dedup_key=f"llm:{exchange.response_id}",
            # A call's instant is that of its answer.
            timestamp=place.finished_at,
            model=exchange.model,
            host=host,
            tokens=tokens_of_usage(exchange.row, json_object(usage or "")),
            message_key=answers[-1] if answers else None,
            usage_metrics=usage,
            latency_ms=whole_of(exchange.row, "duration_ms"),
            input_params=text_of(exchange.row, "options_json"),
        )


def _tools(place: Timed, said: Said, at: datetime) -> Iterator[Fact]:
    for use in said.uses:
        yield ToolCallFact(
            session_id=place.session_id,
            run_id=place.run_id,
            call_ref=use.call_ref,
            tool_name=use.name,
            started_at=at,
            arguments=use.arguments,
            message_key=said.key,
        )
    is_one = len(said.results) == 1
    for result in said.results:
        yield ToolResultFact(
            session_id=place.session_id,
            call_ref=result.call_ref,
            finished_at=at,
            is_error=result.is_error,
            result=None if is_one else result.output,
            message_key=said.key if is_one else None,
        )


def _objective(exchange: Exchange) -> str | None:
    prompts = [said.content for said in exchange.said if said.role is MessageRole.USER]
    return (prompts[-1][:OBJECTIVE_CHARACTERS] or None) if prompts else None


def _connect(path: Path) -> sqlite3.Connection:
    """Open a database without ever writing to it, beside its log if it may be used, else as it stands."""
    address = f"file:{quote(str(path.absolute()))}"
    connection = sqlite3.connect(f"{address}?mode=ro", uri=True, isolation_level=None)
    try:
        connection.execute("select count(*) from sqlite_master").fetchone()
    except sqlite3.OperationalError:
        # In a folder that may not be written to, SQLite cannot open a database in WAL mode unless told that it rests.
        connection.close()
        connection = sqlite3.connect(f"{address}?mode=ro&immutable=1", uri=True, isolation_level=None)
    # Not all that was ever logged is valid UTF-8.
    connection.text_factory = lambda data: data.decode("utf-8", "replace")
    connection.row_factory = sqlite3.Row
    return connection


class Llm:
    """Simon Willison's `llm` tool."""

    name = "llm"
    title = "llm"

    def roots(self, environment: Mapping[str, str], home: Path) -> Iterable[Path]:
        """Name the database of logs."""
        folder = environment.get("LLM_USER_PATH")
        if folder:
            yield Path(folder).expanduser() / "logs.db"
            return
        yield home / ".config" / "io.datasette.llm" / "logs.db"
        yield home / "Library" / "Application Support" / "io.datasette.llm" / "logs.db"

    def files(self, path: Path) -> Iterator[Path]:
        """Yield the databases at or below `path`."""
        return walk(path, (".db",))

    def open(self, path: Path, *, latest: datetime) -> Reader:
        """Start reading one database."""
        return LlmReader(path, latest=latest)


SOURCE = Llm()
