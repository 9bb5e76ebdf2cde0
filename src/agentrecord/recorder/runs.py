"""A run while it goes: its events, iterations, phases, calls and tools, and how it ends."""

import inspect
import traceback
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import replace
from datetime import datetime
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar, cast  # `Any`: what a tool is given and gives is its own
from uuid import UUID

from agentrecord.codec import values
from agentrecord.codec.values import JsonValue
from agentrecord.engine import Connection, Engine
from agentrecord.exceptions import AgentRecordError
from agentrecord.recorder.buffer import ALIVE_S, Buffer, Write, write_all
from agentrecord.records.error import NewError
from agentrecord.records.event import EventType, NewEvent
from agentrecord.records.llm_call import NewLLMCall
from agentrecord.records.run import NewRun
from agentrecord.records.scope import Scope
from agentrecord.records.tool_call import NewToolCall
from agentrecord.store import errors, llm_calls, runs, tool_calls
from agentrecord.store._charging import load_table
from agentrecord.store._faces import work_in

Done = TypeVar("Done")
"""What a write gives back: None where it blocks, something to await where it is awaited."""

Done_co = TypeVar("Done_co", covariant=True)
PHASES = ("planning", "critique", "synthesis")


class Output(Generic[Done]):
    """Where the writes of one run go: straight to the record, or into the buffer."""

    def __init__(self, face: "Face[Done]", *, buffered: bool) -> None:
        """Take the recorder that writes, blocking or awaited."""
        self.face = face
        self.buffered = buffered

    def now(self) -> datetime:
        """Return the present instant."""
        return self.face.engine.maker.clock.now()

    def new_id(self) -> UUID:
        """Return a fresh id."""
        return self.face.engine.maker.new_id()

    def put(self, *writes: Write) -> Done:
        """Write, or let it wait where writes are buffered."""
        if not self.buffered:
            return self.direct(*writes)
        for write in writes:
            self.face.buffer.put(write)
        return self.face.ready

    def direct(self, *writes: Write) -> Done:
        """Write, acknowledged, whatever the choice."""
        return self.face.send(work_in(self.face.scope, write_all, writes))

    def last(self, *writes: Write) -> Done:
        """Write, and before it whatever waits."""
        if not self.buffered:
            return self.direct(*writes)
        for write in writes:
            self.face.buffer.put(write)
        return self.face.flush()


class Face(Protocol[Done_co]):
    """What a recorder of either face offers its runs."""

    engine: Engine
    scope: Scope
    buffer: Buffer

    @property
    def ready(self) -> Done_co:
        """What a write that waits gives back."""
        ...

    def send(self, work: Callable[[Connection], None]) -> Done_co:
        """Run `work` in a transaction."""
        ...

    def flush(self) -> Done_co:
        """Write whatever waits."""
        ...


class Span(Generic[Done]):
    """Something with a beginning and an end, entered by `with`, or by `async with` where writes are awaited."""

    to: Output[Done]

    def begin(self) -> Done:
        """Write that it began."""
        raise NotImplementedError

    def end(self, error: BaseException | None) -> Done:
        """Write how it ended."""
        raise NotImplementedError

    def entered(self) -> None:
        """Note that it goes on."""

    def left(self) -> None:
        """Note that it is over."""

    def _failed(self, error: BaseException | None, failure: AgentRecordError) -> None:
        """Count what could not be written while another error is on its way, which must not be hidden by it."""
        if error is None:
            raise failure
        self.to.face.buffer.failed(failure)

    def __enter__(self) -> Self:
        """Begin."""
        if inspect.isawaitable(self.to.face.ready):
            raise TypeError("this store is awaited: enter it with `async with`")
        self.begin()
        self.entered()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""
        self.left()
        try:
            self.end(error)
        except AgentRecordError as failure:
            self._failed(error, failure)

    async def __aenter__(self) -> Self:
        """Begin."""
        began = self.begin()
        if began is not None:
            await cast("Awaitable[None]", began)
        self.entered()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""
        self.left()
        try:
            ended = self.end(error)
            if ended is not None:
                await cast("Awaitable[None]", ended)
        except AgentRecordError as failure:
            self._failed(error, failure)


class RunWriter(Span[Done]):
    """A run of an agent, while it goes; `output` is what it comes to."""

    def __init__(self, to: Output[Done], new: NewRun, parent: "RunWriter[Done] | None") -> None:
        """Take where to write and what the run is."""
        self.id = to.new_id()
        self.run_id = new.run_id
        self.output: str | None = None
        self.iterations = 0
        self.to = to
        self.parent = parent
        self.session_uuid = new.session_uuid
        self._new = replace(new, id=self.id, started_at=to.now())
        self._before: RunWriter[Any] | None = None

    def begin(self) -> Done:
        """Start the run; this is written at once, so that whatever follows has a run to belong to.

        The first one of a recorder closes the runs whose processes died.
        """
        new, run, buffer = self._new, self.id, self.to.face.buffer
        is_first, buffer.is_first = buffer.is_first, False

        def start(conn: Connection, scope: Scope) -> None:
            if is_first:
                runs.close_abandoned(conn, scope)
            runs.start(conn, scope, new)
            runs.heartbeat(conn, scope, run, alive_s=ALIVE_S)

        told = [self.event_of(EventType.RUN_STARTED)]
        if self.parent is not None:
            told.append(self.parent.event_of(EventType.SUBAGENT_RUN_STARTED, {"run_id": self.run_id}))
        return self.to.direct(start, *told)

    def entered(self) -> None:
        """Be the run that goes on here, and give signs of life."""
        self._before = CURRENT.get()
        CURRENT.set(self)
        self.to.face.buffer.is_alive(self.id)

    def left(self) -> None:
        """Let the run around this one go on."""
        CURRENT.set(self._before)
        self.to.face.buffer.is_over(self.id)

    def end(self, error: BaseException | None) -> Done:
        """End the run as it ended, after all that waits of it."""
        kind = EventType.RUN_COMPLETED if error is None else EventType.RUN_ERROR
        data: dict[str, JsonValue] = {"iterations": self.iterations}
        if error is not None:
            data["error"] = said(error)
        told: list[Write] = [self.event_of(kind, data)]
        if self.parent is not None:
            told.append(self.parent.event_of(EventType.SUBAGENT_RUN_COMPLETED, {"run_id": self.run_id}))
        return self.to.last(*told, self._ending(error))

    def _ending(self, error: BaseException | None) -> Write:
        run, output, iterations, session = self.id, self.output, self.iterations, self._new.session_uuid
        trace = None if error is None else values.clean_text("".join(traceback.format_exception(error)))

        def finish(conn: Connection, scope: Scope) -> None:
            if error is None:
                runs.finish(conn, scope, run, output=output, total_iterations=iterations)
            elif isinstance(error, Exception):
                message = said(error)
                new = NewError(error_type=type(error).__name__, error_message=message, stack_trace=trace,
                               session_uuid=session, run_uuid=run)  # fmt: skip
                errors.record(conn, scope, new)
                runs.fail(conn, scope, run, message)
            else:
                runs.cancel(conn, scope, run, reason=said(error))

        return finish

    def event_of(
        self, kind: str, data: JsonValue = None, *, at: datetime | None = None, duration_ms: int | None = None
    ) -> NewEvent:
        """Return an event of this run."""
        return NewEvent(
            event_type=kind,
            id=self.to.new_id(),
            timestamp=at or self.to.now(),
            data=None if data is None else values.json_value("data", data),
            duration_ms=duration_ms,
            agent_name=self._new.agent_name,
            run_uuid=self.id,
            session_uuid=self._new.session_uuid,
        )

    def event(self, event_type: str, data: JsonValue = None, *, duration_ms: int | None = None) -> Done:
        """Record that something happened."""
        values.name("event_type", event_type)
        return self.to.put(self.event_of(event_type, data, duration_ms=duration_ms))

    def llm_call(self, call: NewLLMCall) -> Done:
        """Record a call to a model, as one of this run."""
        load_table()
        new = replace(
            call,
            id=call.id or self.to.new_id(),
            timestamp=call.timestamp or self.to.now(),
            run_uuid=self.id,
            session_uuid=call.session_uuid or self._new.session_uuid,
        )
        return self.to.put(lambda conn, scope: llm_calls.record(conn, scope, new))

    def iteration(self) -> "Phase[Done]":
        """Enter the next iteration."""
        self.iterations += 1
        data: JsonValue = {"iteration": self.iterations}
        return Phase(self, EventType.ITERATION_STARTED, EventType.ITERATION_COMPLETED, data)

    def phase(self, name: str) -> "Phase[Done]":
        """Enter a phase: planning, critique, synthesis, or one of your own."""
        values.name("phase", name)
        if name in PHASES:
            return Phase(self, f"{name}_started", f"{name}_completed", None)
        return Phase(self, None, EventType.CUSTOM, {"phase": name})

    def tool(self, name: str, arguments: JsonValue = None) -> "ToolUse[Done]":
        """Enter a use of a tool."""
        return ToolUse(self, values.name("tool_name", name), arguments)


class Phase(Span[Done]):
    """A part of a run that begins and ends with an event."""

    def __init__(self, run: RunWriter[Done], began: str | None, ended: str, data: JsonValue) -> None:
        """Take the events that tell of it."""
        self.to = run.to
        self._run = run
        self._began = began
        self._ended = ended
        self._data: dict[str, JsonValue] = dict(cast("dict[str, JsonValue]", data or {}))
        self._at: datetime | None = None

    def begin(self) -> Done:
        """Write that it began."""
        self._at = self.to.now()
        return self.to.put(
            *([] if self._began is None else [self._run.event_of(self._began, self._data or None, at=self._at)])
        )

    def end(self, error: BaseException | None) -> Done:
        """Write that it ended, how long it took, and by which error."""
        now = self.to.now()
        data = {**self._data, "error": said(error)} if error is not None else self._data
        took = None if self._at is None else round((now - self._at).total_seconds() * 1000)
        return self.to.put(self._run.event_of(self._ended, data or None, at=now, duration_ms=took))


class ToolUse(Span[Done]):
    """A use of a tool; set its `result` to what came back."""

    def __init__(self, run: RunWriter[Done], name: str, arguments: JsonValue) -> None:
        """Take which tool is used, and how."""
        self.result: object = None
        self.to = run.to
        self._run = run
        self._new = NewToolCall(
            tool_name=name,
            id=run.to.new_id(),
            arguments=None if arguments is None else values.json_value("arguments", arguments),
            run_uuid=run.id,
            session_uuid=run.session_uuid,
        )

    def begin(self) -> Done:
        """Write that the tool was called."""
        self._new = replace(self._new, started_at=self.to.now())
        new = self._new
        return self.to.put(lambda conn, scope: tool_calls.record(conn, scope, new))

    def end(self, error: BaseException | None) -> Done:
        """Write what it gave back, or its error."""
        call, at = cast(UUID, self._new.id), self.to.now()
        result = None if self.result is None else values.clean_text(str(self.result))
        message = None if error is None else said(error)
        return self.to.put(
            lambda conn, scope: tool_calls.finish(
                conn, scope, call, result=result, error_message=message, finished_at=at
            )
        )


CURRENT: ContextVar[RunWriter[Any] | None] = ContextVar("agentrecord run", default=None)
"""The run that is going on here: a new one becomes a part of it."""


def said(error: BaseException) -> str:
    """Return an error as a line."""
    return values.clean_text(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
