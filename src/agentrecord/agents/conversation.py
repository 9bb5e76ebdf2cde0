"""Conversations: each request becomes one turn, answered by the runner, told to whoever follows, ended truthfully.

A turn runs as a task of its own, so that a client that is cut off can come back to it. If nobody follows it for a
while, or it is asked to stop, or its time is up, it is cancelled; what was said, done and paid until then stays.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any  # `Any`: tasks of different answers, waited for together
from uuid import UUID

from agentrecord.agents.live import LiveRecorder, LiveTurn
from agentrecord.agents.processes import own_name
from agentrecord.agents.runner import AgentRunner, AgentTurn, Closing, Reply
from agentrecord.agents.upkeep import Upkeep
from agentrecord.codec.jsonable import to_json
from agentrecord.exceptions import (
    AgentRecordError,
    Conflict,
    InvalidTransition,
    OverBudget,
    SessionBusy,
    StoreUnavailable,
    TurnCancelled,
    TurnFailed,
    TurnInterrupted,
    TurnOverBudget,
    TurnTimedOut,
)
from agentrecord.ids import ProjectId
from agentrecord.records.message import MessageRole, NewMessage
from agentrecord.records.scope import Scope
from agentrecord.records.turn import BegunTurn, ConversationTurn, NewTurn, TurnEnd, TurnEvent, TurnStatus
from agentrecord.store import AsyncStore

logger = logging.getLogger("agentrecord.agents")

POLL_S = 0.1
INTERRUPTED = TurnInterrupted.__name__
SHUTTING_DOWN = "the server is shutting down"
LAST_TRIES_S = (0.1, 0.5, 2.0)
FINAL_EVENTS = {
    TurnStatus.COMPLETED: "turn.completed",
    TurnStatus.ERROR: "turn.failed",
    TurnStatus.CANCELLED: "turn.cancelled",
}
_ERRORS: dict[str, type[AgentRecordError]] = {
    kind.__name__: kind for kind in (TurnTimedOut, TurnCancelled, TurnInterrupted, TurnOverBudget)
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long things may take, in seconds, and whether a second request for a session `waits` or is refused."""

    turn_s: float = 300.0
    lease_s: float = 30.0
    grace_s: float = 15.0
    wait_s: float = 300.0
    waits: bool = True


class Conversations:
    """What answers the conversation endpoint in one process."""

    def __init__(self, store: AsyncStore, runner: AgentRunner, limits: Limits | None = None) -> None:
        """Take the whole record, for looking after turns that crashed, and the runner."""
        self._runner = runner
        self.limits = limits or Limits()
        self._owner = own_name()
        self._live: dict[UUID, LiveTurn] = {}
        self._upkeep = Upkeep(store, self._live, owner=self._owner, lease_s=self.limits.lease_s)
        self._queues: dict[tuple[ProjectId, str], asyncio.Lock] = {}
        self._dismissing: set[asyncio.Future[ConversationTurn]] = set()
        self._keeper: asyncio.Task[None] | None = None

    @property
    def runner_name(self) -> str:
        """What the runner is called."""
        return self._runner.name

    async def start(self) -> None:
        """Close what a crash left running, and begin to look after the turns of this process."""
        await self._upkeep.sweep()
        self._keeper = asyncio.create_task(self._upkeep.run())

    async def close(self) -> None:
        """Stop every turn, recorded as cancelled, whatever looks after them, and the runner."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        for live in list(self._live.values()):
            live.stop(SHUTTING_DOWN, error_type=INTERRUPTED)
        tasks: list[asyncio.Future[Any]] = [
            *self._dismissing,
            *(live.task for live in self._live.values() if live.task is not None),
        ]
        if tasks:
            await asyncio.wait(tasks)
        if isinstance(self._runner, Closing):
            await self._runner.close()

    # -- one request ----------------------------------------------------------------------------------------------

    async def begin(
        self, store: AsyncStore, new: NewTurn, *, user: str | None = None, is_resumable: bool = False
    ) -> BegunTurn:
        """Begin a turn, when the session's turn before it is over, and let the runner answer it.

        Raises `SessionBusy` if that takes longer than the limit, or at once if requests for a busy session are refused.
        """
        new = replace(new, lease_owner=self._owner, lease_s=self.limits.lease_s, runner=self._runner.name)
        if new.idempotency_key is not None and await store.turns.find(new.idempotency_key, user=user) is not None:
            return await store.turns.begin(new, user=user)
        key = (store.scope.project, new.session_id)
        queue = self._queues.setdefault(key, asyncio.Lock())
        if queue.locked() and not self.limits.waits:
            # The store knows which turn is in the way.
            begun = await self._try_to_begin(store, new, user)
        else:
            begun = await self._in_turn(store, new, user, queue)
            if not queue.locked():
                self._queues.pop(key, None)
        if begun.is_new:
            self._answer_soon(store, begun, is_resumable=is_resumable)
        return begun

    async def _in_turn(self, store: AsyncStore, new: NewTurn, user: str | None, queue: asyncio.Lock) -> BegunTurn:
        deadline = asyncio.get_running_loop().time() + self.limits.wait_s
        async with queue:
            while True:
                try:
                    return await self._try_to_begin(store, new, user)
                except SessionBusy as busy:
                    if not self.limits.waits or asyncio.get_running_loop().time() > deadline:
                        raise
                    await self._until_over(UUID(str(busy.turn)))

    async def _try_to_begin(self, store: AsyncStore, new: NewTurn, user: str | None) -> BegunTurn:
        try:
            return await self._begin(store, new, user)
        except SessionBusy:
            raise
        except Conflict:
            # Another process made the session, or the turn of this key, in the same instant: now it is there to see.
            return await self._begin(store, new, user)

    async def _begin(self, store: AsyncStore, new: NewTurn, user: str | None) -> BegunTurn:
        beginning = asyncio.ensure_future(store.turns.begin(new, user=user))
        try:
            return await asyncio.shield(beginning)
        except asyncio.CancelledError:
            # The client left, and the turn may begin all the same: then nobody waits for its answer.
            beginning.add_done_callback(lambda begun: self._dismiss_soon(store, begun))
            raise

    def _dismiss_soon(self, store: AsyncStore, beginning: "asyncio.Future[BegunTurn]") -> None:
        if beginning.cancelled() or beginning.exception() is not None or not beginning.result().is_new:
            return
        task = asyncio.ensure_future(
            store.turns.finish(
                beginning.result().turn.id,
                _ended(TurnStatus.CANCELLED, "TurnCancelled", "the client left"),
                lease_owner=self._owner,
            )
        )
        self._dismissing.add(task)
        task.add_done_callback(self._dismissing.discard)

    async def _until_over(self, turn: UUID) -> None:
        live = self._live.get(turn)
        if live is None or live.end is not None:
            await asyncio.sleep(POLL_S)
            return
        with_time = asyncio.create_task(live.changed.wait())
        await asyncio.wait([with_time], timeout=1.0)
        with_time.cancel()

    async def follow(self, store: AsyncStore, turn: UUID, *, after: int = 0) -> AsyncIterator[TurnEvent]:
        """Yield what the client of a turn is told beyond the event `after`, to the turn's last event.

        Works for turns of other processes and of the past, too. Raises `NotFound` if the caller's scope has no such
        turn.
        """
        await store.turns.get(turn)
        live = self._live.get(turn)
        told = self._follow_stored(store, turn, after) if live is None else self._follow_live(live, after)
        async for event in told:
            yield event

    async def _follow_live(self, live: LiveTurn, after: int) -> AsyncIterator[TurnEvent]:
        live.followers += 1
        try:
            while True:
                while (event := live.told.get(after + 1)) is not None:
                    after = event.sequence
                    yield event
                if live.error is not None:
                    raise live.error
                if live.end is not None and after >= live.end.last_event:
                    return
                await live.changed.wait()
        finally:
            live.followers -= 1
            if not live.followers and live.end is None:
                wait_s = self.limits.grace_s if live.is_resumable else 0
                asyncio.get_running_loop().call_later(wait_s, self._left_alone, live)

    async def _follow_stored(self, store: AsyncStore, turn: UUID, after: int) -> AsyncIterator[TurnEvent]:
        rounds = 0
        while True:
            current = await store.turns.get(turn)
            events = await store.turns.events(turn, after=after)
            for event in events:
                after = event.sequence
                yield event
            if current.status.is_final and not events:
                if after < current.last_event:
                    yield _last_event(current)
                return
            if not events:
                if rounds % round(1 / POLL_S) == 0:
                    await store.turns.watch(turn)
                rounds += 1
                await asyncio.sleep(POLL_S)

    async def result(self, store: AsyncStore, turn: UUID) -> str:
        """Wait for a turn's end and return its answer as JSON text; raise what ended it otherwise."""
        live = self._live.get(turn)
        async for _ in self.follow(store, turn, after=0):
            pass
        ended = await store.turns.get(turn)
        if live is not None and live.refused is not None:
            # With all that it tells of the budget, which the turn's row does not keep.
            raise live.refused
        return answer_of(ended)

    async def cancel(self, store: AsyncStore, turn: UUID) -> ConversationTurn:
        """Ask for a turn to be stopped, whichever process answers it, and return it as it is."""
        asked = await store.turns.request_cancel(turn)
        live = self._live.get(turn)
        if live is not None:
            live.stop("the client asked for it")
        return asked

    def _left_alone(self, live: LiveTurn) -> None:
        if not live.followers and live.end is None:
            live.watching = asyncio.create_task(self._stop_unless_watched(live))

    async def _stop_unless_watched(self, live: LiveTurn) -> None:
        # Somebody may follow it from another process.
        row = await live.store.turns.get(live.id)
        recent = live.store.engine.maker.clock.now() - timedelta(seconds=max(self.limits.grace_s, 2.0))
        if live.is_resumable and row.watched_at is not None and row.watched_at > recent:
            asyncio.get_running_loop().call_later(self.limits.grace_s, self._left_alone, live)
        elif not live.followers:
            live.stop("the client left")

    # -- the answer -----------------------------------------------------------------------------------------------

    def _answer_soon(self, store: AsyncStore, begun: BegunTurn, *, is_resumable: bool) -> None:
        own = Scope(project=store.scope.project, user=begun.session.user_uuid, role=store.scope.role)
        live = LiveTurn(begun, AsyncStore(engine=store.engine, scope=own), is_resumable)
        self._live[live.id] = live
        live.task = asyncio.create_task(self._answer(live))

    async def _answer(self, live: LiveTurn) -> None:
        recorder = LiveRecorder(live, lease_owner=self._owner, lease_s=self.limits.lease_s)
        try:
            end = await self._outcome(live, recorder)
            live.end = await self._finish(live, end)
        except InvalidTransition:
            # Another process took this one for dead and closed the turn; what it closed it with is the truth.
            live.end = await live.store.turns.get(live.id)
        except AgentRecordError as error:
            # The record cannot be reached: the turn stays open there until its lease runs out, and is closed then.
            logger.exception("turn %s could not be closed", live.id)
            live.error = error
        finally:
            self._live.pop(live.id, None)
        live.tell(() if live.end is None else await live.store.turns.events(live.id, after=live.told_in_order()))

    async def _outcome(self, live: LiveTurn, recorder: LiveRecorder) -> TurnEnd:
        limit = asyncio.timeout(self.limits.turn_s)
        try:
            async with limit:
                reply = await self._runner.run(await self._turn_of(live), recorder)
                await recorder.flush()
            return _completed(reply)
        except asyncio.CancelledError:
            await self._flush(recorder)
            return _ended(TurnStatus.CANCELLED, *(live.stopped_by or (INTERRUPTED, SHUTTING_DOWN)))
        except TimeoutError as error:
            await self._flush(recorder)
            if limit.expired():
                return _ended(TurnStatus.ERROR, "TurnTimedOut", f"no answer within {self.limits.turn_s:g} s")
            return _ended(TurnStatus.ERROR, type(error).__name__, str(error) or "timed out")
        except InvalidTransition:
            raise
        except OverBudget as error:
            await self._flush(recorder)
            live.refused = error
            return _ended(TurnStatus.ERROR, TurnOverBudget.__name__, str(error))
        except Exception as error:
            logger.warning("turn %s failed", live.id, exc_info=error)
            await self._flush(recorder)
            return _ended(TurnStatus.ERROR, type(error).__name__, str(error) or type(error).__name__)

    async def _flush(self, recorder: LiveRecorder) -> None:
        try:
            await recorder.flush()
        except StoreUnavailable as error:
            logger.warning("the last piece of an answer could not be kept: %s", error)

    async def _turn_of(self, live: LiveTurn) -> AgentTurn:
        begun, store = live.begun, live.store
        agent_id = begun.run.agent_id
        version = await store.agents.find_active(agent_id) if agent_id is not None else None
        told = json.loads(version.changes) if version is not None and version.changes else {}
        agent = await store.agents.get(agent_id) if agent_id is not None else None
        instructions = [
            begun.instructions,
            begun.session.agent_instructions,
            told.get("instructions") if isinstance(told, dict) else None,
            agent.instructions if agent is not None else None,
        ]
        return AgentTurn(
            session=begun.session,
            run=begun.run,
            messages=begun.messages,
            instructions=next((one for one in instructions if isinstance(one, str)), None),
            agent_name=begun.run.agent_name,
            agent_version=version,
        )

    async def _finish(self, live: LiveTurn, end: TurnEnd) -> ConversationTurn:
        for wait_s in LAST_TRIES_S:
            try:
                return await live.store.turns.finish(live.id, end, lease_owner=self._owner)
            except StoreUnavailable as error:
                logger.warning("turn %s cannot be closed yet: %s", live.id, error)
                await asyncio.sleep(wait_s)
        return await live.store.turns.finish(live.id, end, lease_owner=self._owner)


def _completed(reply: Reply) -> TurnEnd:
    if reply.message is not None:
        return TurnEnd(status=TurnStatus.COMPLETED, reply_uuid=reply.message, model=reply.model)
    message = NewMessage(role=MessageRole.ASSISTANT, content=reply.content, model_used=reply.model)
    return TurnEnd(status=TurnStatus.COMPLETED, reply=message, model=reply.model)


def _ended(status: TurnStatus, error_type: str, message: str) -> TurnEnd:
    return TurnEnd(status=status, error_type=error_type, error_message=message)


def _last_event(turn: ConversationTurn) -> TurnEvent:
    said = {"type": turn.error_type, "detail": turn.error_message}
    data = turn.response or to_json(said).decode()
    return TurnEvent(sequence=turn.last_event, event=FINAL_EVENTS[turn.status], data=data)


def answer_of(turn: ConversationTurn) -> str:
    """Return the answer of a turn that is over, as JSON text; raise what ended it otherwise."""
    if turn.response is not None:
        return turn.response
    said = f"{turn.error_type}: {turn.error_message}" if turn.error_type not in _ERRORS else turn.error_message
    if turn.status is TurnStatus.COMPLETED:
        raise Conflict("turn", turn.id, "was answered, and its words were deleted since")
    raise _ERRORS.get(turn.error_type or "", TurnFailed)(said or "the agent did not answer")
