"""Runs as transcripts tell of them: each prompt opens one, and none stays open once its transcript is quiet.

`Turns` keeps the runs of one session. `RowReader` is all of a reader but the meaning of its rows: it keeps
the session, the turns and the time, and turns what cannot be right in a row into an `Unreadable`.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, cast

from agentrecord.ingest.facts import Fact, MessageFact, RunFact, SessionFact, Unreadable
from agentrecord.ingest.fields import Row, digest, excerpt, stem, time_of
from agentrecord.ingest.lines import JsonLines
from agentrecord.records.message import MessageRole
from agentrecord.records.run import RunStatus

QUIET = timedelta(hours=1)
OBJECTIVE_CHARACTERS = 2000
UNFINISHED = "transcript ends in mid-turn"
OVERTAKEN = "the next prompt came before the answer was finished"


class Turns:
    """The runs of one session, of which the last one is current.

    How a run stands is only what the rows say so far: an error may be retried, an answer may be a remark
    before more work. So a run is told as over when the next one starts, or by `settle`.
    """

    def __init__(self, session_id: str, *, agent_id: str, agent_name: str, latest: datetime) -> None:
        """Start without a run."""
        self._session_id = session_id
        self._agent = (agent_id, agent_name)
        self.latest = latest
        self._run: RunFact | None = None
        self._told: RunFact | None = None
        self._last_at = latest
        self._outcome: tuple[RunStatus, datetime, str | None] | None = None
        self._answer: str | None = None
        self._is_answered = False
        self._pending: set[str] = set()

    @property
    def run_id(self) -> str | None:
        """The current run."""
        return self._run.run_id if self._run else None

    @property
    def outcome(self) -> RunStatus | None:
        """How the current run ended, if a row said so."""
        return self._outcome[0] if self._outcome else None

    def prompt(self, key: str, at: datetime, objective: str) -> Iterator[Fact]:
        """Close the current run and open the one that this prompt asks for; a prompt told again changes nothing."""
        if self.run_id == f"{self._session_id}:{key}":
            return
        yield from self._close(OVERTAKEN)
        agent_id, agent_name = self._agent
        self._run = RunFact(
            session_id=self._session_id,
            run_id=f"{self._session_id}:{key}",
            started_at=at,
            agent_id=agent_id,
            agent_name=agent_name,
            objective=objective[:OBJECTIVE_CHARACTERS] or None,
        )
        self._last_at, self._outcome, self._answer = at, None, None
        self._is_answered = False
        self._pending.clear()
        yield self._run

    def touch(self, at: datetime) -> Iterator[Fact]:
        """Note that the agent did something; what it does before any prompt opens a run of its own."""
        if self._run is None:
            yield from self.prompt("start", at, "")
        self.note(at)

    def note(self, at: datetime) -> None:
        """Note that something happened, by whomever."""
        if self._run is None:
            return
        self._last_at = max(self._last_at, at)

    def answer(self, text: str) -> None:
        """Note an answer to the user, which no tool can still be working for."""
        self._is_answered = True
        self._pending.clear()
        self._answer = text[:OBJECTIVE_CHARACTERS] or self._answer

    def use(self, call_ref: str) -> None:
        """Note the start of a tool, which means that the run goes on."""
        self._pending.add(call_ref)
        self._is_answered = False

    def used(self, call_ref: str) -> None:
        """Note the end of a tool."""
        self._pending.discard(call_ref)

    def end(self, status: RunStatus, at: datetime, error_message: str | None = None) -> None:
        """Note that the current run is over, and how."""
        self._outcome = (status, at, error_message)

    def resume(self) -> None:
        """Note that the current run goes on after all."""
        self._outcome = None

    def settle(self) -> Iterator[Fact]:
        """Tell how the current run stands, if it is over or must be taken to be."""
        if self._outcome or self.latest - self._last_at >= QUIET:
            yield from self._close(UNFINISHED)

    def _close(self, otherwise: str) -> Iterator[Fact]:
        if self._run is None:
            return
        if self._outcome:
            status, at, error_message = self._outcome
        elif self._is_answered and not self._pending:
            status, at, error_message = RunStatus.COMPLETED, self._last_at, None
        else:
            status, at, error_message = RunStatus.CANCELLED, self._last_at, otherwise
        closed = replace(
            self._run,
            status=status,
            finished_at=max(at, self._run.started_at),
            output=self._answer,
            error_message=error_message,
        )
        # A watched transcript is settled after every reading: only news is told.
        if closed != self._told:
            self._told = closed
            yield closed


class RowReader(ABC):
    """Reads a transcript of rows into facts of one session; a source adds what its rows mean."""

    tool_name: ClassVar[str]
    agent_name: ClassVar[str]

    def __init__(self, path: Path, *, latest: datetime) -> None:
        """Prepare to read `path`, in which nothing later than `latest` is believed."""
        self._path = path
        self.latest = latest
        self._line = 0
        self._reported_rest = 0
        self._forget()

    def _forget(self) -> None:
        """Start anew, as for a transcript of which nothing was read."""
        self._at: datetime | None = None
        self._session: SessionFact | None = None
        self._turns: Turns | None = None
        self._seen: dict[str, int] = {}

    @property
    @abstractmethod
    def position(self) -> int:
        """Bytes read so far, for progress bars."""

    @abstractmethod
    def _rows(self) -> Iterator[tuple[int, Row | Unreadable]]:
        """Yield the rows that came since the last call, with their line numbers."""

    @abstractmethod
    def _row(self, row: Row) -> Iterator[Fact]:
        """Yield the facts of a row; raise `ValueError` if something in it cannot be right."""

    def _rest(self) -> Unreadable | None:
        """Tell of an end that is not finished."""
        return None

    def read(self) -> Iterator[Fact]:
        """Yield the facts that came since the last call."""
        if self._turns:
            self._turns.latest = self.latest
        for line, row in self._rows():
            if line < self._line:
                # The transcript was replaced by a shorter one: what was counted so far is not in it.
                self._forget()
            self._line = line
            if isinstance(row, Unreadable):
                yield row
                continue
            try:
                yield from self._row(row)
            except ValueError as error:
                yield Unreadable(line=line, reason=str(error), excerpt=excerpt(row))
        if self._turns:
            yield from self._turns.settle()
        yield from self._unfinished()

    def _unfinished(self) -> Iterator[Fact]:
        rest = self._rest()
        # What a tool is still writing is no fault; a transcript that has been quiet will not be finished any more.
        is_quiet = self._at is None or self.latest - self._at >= QUIET
        if rest and is_quiet and rest.line != self._reported_rest:
            self._reported_rest = rest.line
            yield rest

    def _time(self, row: Row, *names: str) -> datetime:
        """Return a row's time, or that of the row before it."""
        at = time_of(row, *names, latest=self.latest) or self._at
        if at is None:
            raise ValueError(f"no {names[0]} here nor in any row before; add one to the first row")
        self._at = at
        return at

    def _begin(self, session_id: str | None, at: datetime, *, agent_id: str | None = None) -> Iterator[Fact]:
        """Start the session unless it has started; without an id the file's name is its id."""
        if self._session:
            return
        agent_id = agent_id or self.tool_name
        self._session = SessionFact(
            session_id=session_id or stem(self._path),
            created_at=at,
            agent_id=agent_id,
            agent_name=self.agent_name,
            tool_name=self.tool_name,
        )
        self._turns = Turns(self._session.session_id, agent_id=agent_id, agent_name=self.agent_name, latest=self.latest)
        yield self._session

    def _tell(self, **changes: Any) -> Iterator[Fact]:
        """Tell what has become known of the session."""
        told = replace(self.session, **{name: value for name, value in changes.items() if value is not None})
        if told != self._session:
            self._session = told
            yield told

    @property
    def session(self) -> SessionFact:
        """The session, which has begun."""
        if self._session is None:
            raise ValueError("a row that belongs to no session; the first row must start one")
        return self._session

    @property
    def turns(self) -> Turns:
        """The turns of the session, which has begun."""
        if self._turns is None:
            raise ValueError("a row that belongs to no session; the first row must start one")
        return self._turns

    def _key(self, *parts: object) -> str:
        """Return a key for a row without an id: equal in any copy of the transcript, wherever the row stands."""
        key = digest(*parts)
        count = self._seen[key] = self._seen.get(key, 0) + 1
        return key if count == 1 else f"{key}-{count}"

    def _opening(self, message: MessageFact) -> Iterator[Fact]:
        """Tell a prompt and open the run that it asks for."""
        if not self.session.initial_task:
            yield from self._tell(initial_task=message.content[:OBJECTIVE_CHARACTERS])
        yield from self.turns.prompt(message.key, message.created_at, message.content)
        yield replace(message, run_id=self.turns.run_id)

    def _following(self, message: MessageFact) -> Iterator[Fact]:
        """Tell a message of the current run."""
        if message.role in (MessageRole.ASSISTANT, MessageRole.TOOL):
            yield from self.turns.touch(message.created_at)
        self.turns.note(message.created_at)
        if message.role is MessageRole.ASSISTANT and message.content:
            self.turns.answer(message.content)
        yield replace(message, run_id=self.turns.run_id)


class LineReader(RowReader):
    """Reads a transcript of JSON lines."""

    def __init__(self, path: Path, *, latest: datetime) -> None:
        """Prepare to read `path`, in which nothing later than `latest` is believed."""
        super().__init__(path, latest=latest)
        # Rows of one tool differ from version to version: their fields are read one by one.
        self._lines: JsonLines[Any] = JsonLines(path, cast(Any, Any))

    @property
    def position(self) -> int:
        """Bytes read so far."""
        return self._lines.position

    def _rows(self) -> Iterator[tuple[int, Row | Unreadable]]:
        return self._lines.read()

    def _rest(self) -> Unreadable | None:
        return self._lines.rest()
