"""The recorder of a store, blocking or awaited."""

import asyncio
import functools
import inspect
import time
from collections.abc import Awaitable, Callable, Iterator
from enum import StrEnum
from typing import Any, Generic, ParamSpec, TypeVar, cast  # `Any`: runs of either face, functions of any kind
from uuid import UUID

from agentrecord.codec import values
from agentrecord.engine import Connection, Engine
from agentrecord.exceptions import Forbidden, InvalidValue
from agentrecord.recorder.buffer import Buffer
from agentrecord.recorder.runs import CURRENT, Done, Output, RunWriter, said
from agentrecord.records.event import EventType, NewEvent
from agentrecord.records.run import NewRun
from agentrecord.records.scope import Role, Scope

P = ParamSpec("P")
R = TypeVar("R")


class Writes(StrEnum):
    """When a write is done with: once it is durable, or once it waits in the buffer."""

    ACKNOWLEDGED = "acknowledged"
    BUFFERED = "buffered"


class _Recorder(Generic[Done]):
    """What both faces share."""

    def __init__(self, engine: Engine, scope: Scope) -> None:
        """Take where to write."""
        self.engine = engine
        self.scope = scope
        self.buffer = Buffer(engine, scope)

    @property
    def ready(self) -> Done:
        """What a write that waits gives back."""
        raise NotImplementedError

    def send(self, work: Callable[[Connection], None]) -> Done:
        """Run `work` in a transaction."""
        raise NotImplementedError

    def flush(self) -> Done:
        """Write whatever waits."""
        raise NotImplementedError

    def _output(self, writes: str) -> Output[Done]:
        self._check_role()
        try:
            chosen = Writes(writes)
        except ValueError as error:
            raise InvalidValue("writes", writes, f"must be one of {', '.join(Writes)}") from error
        return Output(self, buffered=chosen is Writes.BUFFERED)

    def _check_role(self) -> None:
        if not self.scope.role.may_write:
            raise Forbidden(f"recording needs the role {Role.WRITE}, this is {self.scope.role}")

    @property
    def failures(self) -> int:
        """How many buffered writes could not be stored; the first was logged."""
        return self.buffer.failures

    @property
    def current(self) -> RunWriter[Done] | None:
        """The run of this record that is going on here; None if none is."""
        found = CURRENT.get()
        if found is None or (found.to.face.engine, found.to.face.scope) != (self.engine, self.scope):
            return None
        return cast("RunWriter[Done]", found)

    def run(
        self,
        *,
        agent_id: str | None = None,
        objective: str | None = None,
        run_id: str | None = None,
        agent_name: str | None = None,
        session: UUID | None = None,
        additional_context: str | None = None,
        metadata: str | None = None,
        writes: str | None = None,
    ) -> RunWriter[Done]:
        """Enter a run: it is completed at the end of the block, failed by an exception, cancelled by a cancellation.

        Inside another run it is a part of that one, and writes as that one does unless `writes` says otherwise:
        `acknowledged` (the default) returns once a write is durable; `buffered` at once, and what waited up to 0.2 s
        is lost if the process is killed. The start and the end of a run are always durable when they return.
        """
        parent = self.current
        inherited = Writes.BUFFERED if parent is not None and parent.to.buffered else Writes.ACKNOWLEDGED
        to = self._output(writes or inherited)
        new = NewRun(
            run_id=run_id or to.new_id().hex,
            agent_id=agent_id,
            agent_name=agent_name,
            objective=objective,
            session_uuid=session or (None if parent is None else parent.session_uuid),
            parent_uuid=None if parent is None else parent.id,
            additional_context=additional_context,
            metadata=metadata,
        )
        return RunWriter(to, new, parent)

    def traced(self, function: Callable[P, R]) -> Callable[P, R]:
        """Record every call of `function` as an event of the run that is going on: its name, duration and error.

        Its events are always buffered, so that it can be left on.
        """
        self._check_role()
        name = getattr(function, "__qualname__", repr(function))
        note = self._note
        if inspect.iscoroutinefunction(function):

            async def awaited(*args: P.args, **kwargs: P.kwargs) -> Any:
                began = time.perf_counter()
                try:
                    result = await function(*args, **kwargs)
                except BaseException as error:
                    note(name, began, error)
                    raise
                note(name, began, None)
                return result

            return cast("Callable[P, R]", functools.wraps(function)(awaited))

        @functools.wraps(function)
        def blocking(*args: P.args, **kwargs: P.kwargs) -> R:
            began = time.perf_counter()
            try:
                result = function(*args, **kwargs)
            except BaseException as error:
                note(name, began, error)
                raise
            note(name, began, None)
            return result

        return blocking

    def _note(self, name: str, began: float, error: BaseException | None) -> None:
        run = self.current
        data: dict[str, values.JsonValue] = {"function": name}
        if error is not None:
            data["error"] = said(error)
        self.buffer.put(
            NewEvent(
                event_type=EventType.CUSTOM,
                id=self.engine.maker.new_id(),
                timestamp=self.engine.maker.clock.now(),
                data=values.json_value("data", data),
                duration_ms=round((time.perf_counter() - began) * 1000),
                run_uuid=None if run is None else run.id,
                session_uuid=None if run is None else run.session_uuid,
            )
        )

    def close(self) -> None:
        """Write whatever waits and stop; the store does it when it is closed."""
        self.buffer.close()


class Recorder(_Recorder[None]):
    """Writes that block: `with store.recorder.run(…) as run: run.event("custom")`."""

    @property
    def ready(self) -> None:
        """Nothing: what waits is done with."""

    def send(self, work: Callable[[Connection], None]) -> None:
        """Run `work` in a transaction."""
        self.engine.write(work)

    def flush(self) -> None:
        """Write whatever waits."""
        self.buffer.flush()


class AsyncRecorder(_Recorder[Awaitable[None]]):
    """Writes that are awaited: `async with store.recorder.run(…) as run: await run.event("custom")`."""

    @property
    def ready(self) -> Awaitable[None]:
        """Something that need not be awaited: what waits is done with."""
        return _READY

    def send(self, work: Callable[[Connection], None]) -> Awaitable[None]:
        """Run `work` in a transaction, with all that wait."""
        return self.engine.awrite(work)

    def flush(self) -> Awaitable[None]:
        """Write whatever waits, on a thread of its own."""
        return asyncio.to_thread(self.buffer.flush)


class _Ready:
    """An awaitable that is done."""

    def __await__(self) -> Iterator[None]:
        return iter(())


_READY = cast("Awaitable[None]", _Ready())
