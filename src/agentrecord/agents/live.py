"""A turn while it is answered in this process: what its runner writes with, and who follows it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from agentrecord.agents.runner import Reply
from agentrecord.codec.jsonable import to_json
from agentrecord.codec.values import clean_text
from agentrecord.exceptions import AgentRecordError, NotFound, OverBudget
from agentrecord.records.event import NewEvent
from agentrecord.records.llm_call import LLMCall, NewLLMCall
from agentrecord.records.message import NewMessage
from agentrecord.records.tool_call import NewToolCall
from agentrecord.records.turn import BegunTurn, ConversationTurn, TurnEvent
from agentrecord.store import AsyncStore
from agentrecord.store.messages import Turn

DELTA_S = 0.05
"""How long a piece of an answer may wait for the next one, to be kept and sent with it."""


@dataclass(slots=True)
class LiveTurn:
    """A turn that this process answers: all that was told so far, and a signal for whoever waits for more."""

    begun: BegunTurn
    store: AsyncStore
    is_resumable: bool
    told: dict[int, TurnEvent] = field(default_factory=dict)
    followers: int = 0
    end: ConversationTurn | None = None
    error: AgentRecordError | None = None
    refused: OverBudget | None = None
    work: asyncio.Task[Reply] | None = None
    task: asyncio.Task[None] | None = None
    watching: asyncio.Task[None] | None = None
    stopped_by: tuple[str, str] | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def id(self) -> UUID:
        """The turn's id."""
        return self.begun.turn.id

    def tell(self, events: Sequence[TurnEvent]) -> None:
        """Add what is committed by now, and wake whoever waits for it."""
        self.told.update((event.sequence, event) for event in events)
        woken, self.changed = self.changed, asyncio.Event()
        woken.set()

    def stop(self, reason: str, *, error_type: str = "TurnCancelled") -> None:
        """Ask the runner to stop, and say why."""
        if self.work is not None and not self.work.done() and self.stopped_by is None:
            self.stopped_by = error_type, reason
            self.work.cancel()

    def told_in_order(self) -> int:
        """Return the number of the last event up to which all were told."""
        number = 0
        while number + 1 in self.told:
            number += 1
        return number


class LiveRecorder:
    """What the runner of a live turn writes with: every fact is durable, then told to those who follow."""

    def __init__(self, live: LiveTurn, *, lease_owner: str, lease_s: float) -> None:
        """Take the turn, and under which name this process holds it."""
        self._live = live
        self._lease_owner = lease_owner
        self._lease_s = lease_s
        self._pieces: list[str] = []
        self._writing = asyncio.Lock()
        self._flushing: asyncio.Task[None] | None = None
        self._tools: dict[str, UUID] = {}

    @property
    def store(self) -> AsyncStore:
        """The record as the turn's own user sees it."""
        return self._live.store

    @property
    def _session(self) -> UUID:
        return self._live.begun.session.id

    @property
    def _run(self) -> UUID:
        return self._live.begun.run.id

    async def delta(self, text: str) -> None:
        """Give the client a further piece of the answer; pieces that come close together are sent as one."""
        if not text:
            return
        self._pieces.append(clean_text(text))
        if self._flushing is None:
            self._flushing = asyncio.create_task(self._flush_soon())
        elif self._flushing.done():
            failed, self._flushing = self._flushing, asyncio.create_task(self._flush_soon())
            failed.result()

    async def _flush_soon(self) -> None:
        await asyncio.sleep(DELTA_S)
        await self._tell()

    async def flush(self) -> None:
        """Keep and tell what still waits."""
        waiting, self._flushing = self._flushing, None
        if waiting is not None:
            waiting.cancel()
            await asyncio.wait([waiting])
            if not waiting.cancelled():
                waiting.result()
        await self._tell()

    async def _tell(self, *events: tuple[str, object]) -> None:
        # One at a time, so that those who follow are told in the order of the numbers.
        async with self._writing:
            pieces, self._pieces = self._pieces, []
            told = [("message.delta", to_json({"text": "".join(pieces)}).decode())] if pieces else []
            told += [(name, to_json(data).decode()) for name, data in events]
            if told:
                await asyncio.shield(self._keep(told))

    async def _keep(self, told: Sequence[tuple[str, str]]) -> None:
        # Shielded: whoever cancels does not undo the write, so that what is kept must be told all the same.
        self._live.tell(
            await self.store.turns.emit(self._live.id, told, lease_owner=self._lease_owner, lease_s=self._lease_s)
        )

    async def reserve(self, *, model: str, host: str | None, input_tokens: int, max_output_tokens: int | None) -> UUID:
        """Ask for leave to make an LLM call, and return the id to record it with."""
        return await self.store.budgets.reserve(
            model=model, host=host, input_tokens=input_tokens, max_output_tokens=max_output_tokens,
            run=self._run, session=self._session,
        )  # fmt: skip

    async def release(self, call: UUID) -> None:
        """Give a reservation back: the call was not made."""
        await self.store.budgets.release(call)

    async def append(self, messages: Sequence[NewMessage], *, calls: Sequence[NewLLMCall] = ()) -> Turn:
        """Append messages to the session, and the calls that made them, in one transaction, as this run's."""
        stored = await self.store.messages.append(
            self._session,
            [replace(message, run_uuid=self._run) for message in messages],
            calls=[replace(call, run_uuid=self._run, session_uuid=self._session) for call in calls],
        )
        await self._tell(*[("llm.call", _shown(call)) for call in stored.calls])
        return stored

    async def record_call(self, call: NewLLMCall) -> None:
        """Record a call that gave no message: it failed, or was cut off."""
        stored = await self.store.llm_calls.record(replace(call, run_uuid=self._run, session_uuid=self._session))
        await self._tell(("llm.call", _shown(stored)))

    async def tool_started(self, tool_name: str, *, call_ref: str, arguments: str | None) -> None:
        """Record that a tool was called; `call_ref` is the id that the model gave the call."""
        new = NewToolCall(
            tool_name=tool_name, call_ref=call_ref, arguments=arguments, session_uuid=self._session, run_uuid=self._run
        )
        self._tools[call_ref] = (await self.store.tool_calls.record(new)).id
        await self._tell(("tool.started", {"call_ref": call_ref, "tool_name": tool_name, "arguments": arguments}))

    async def tool_finished(self, call_ref: str, *, result: str, is_error: bool = False) -> None:
        """Record what a tool gave back; raise `NotFound` for a `call_ref` that was never started."""
        call = self._tools.pop(call_ref, None)
        if call is None:
            raise NotFound("tool call", call_ref)
        done = await self.store.tool_calls.finish(call, result=result, error_message=result if is_error else None)
        shown = {"call_ref": call_ref, "tool_name": done.tool_name, "duration_ms": done.duration_ms}
        await self._tell(("tool.finished", {**shown, "status": done.status, "result": result}))

    async def event(self, event_type: str, data: str | None = None) -> None:
        """Record an event of the run; `data` is JSON text."""
        new = NewEvent(event_type=event_type, data=data, run_uuid=self._run, session_uuid=self._session)
        await self.store.events.record(new)


def _shown(call: LLMCall) -> dict[str, object]:
    return {
        "call_id": call.id,
        "model": call.model,
        "status": call.status,
        "error_message": call.error_message,
        "tokens": call.tokens,
        "cost_usd": None if call.cost_usd is None else float(call.cost_usd),
        "latency_ms": call.latency_ms,
    }
