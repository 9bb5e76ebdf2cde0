"""Conversations: each request becomes one turn, answered by the runner, told to whoever follows, ended truthfully.

A turn runs as a task of its own, so that a client that is cut off can come back to it. If nobody follows it for a
while, or it is asked to stop, or its time is up, it is cancelled; what was said, done and paid until then stays.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any  # `Any`: tasks of different answers, waited for together
from uuid import UUID

from agentrecord.agents.endings import answer_of, cancelled, completed, ended, last_event
from agentrecord.agents.lines import Line, in_line
from agentrecord.agents.live import LiveRecorder, LiveTurn
from agentrecord.agents.processes import own_name
from agentrecord.agents.runner import AgentRunner, AgentTurn, Closing, Reply
from agentrecord.agents.upkeep import Upkeep
from agentrecord.exceptions import (
    AgentRecordError,
    Conflict,
    OverBudget,
    SessionBusy,
    StoreUnavailable,
    TurnInterrupted,
    TurnOverBudget,
    TurnTimedOut,
)
from agentrecord.records.scope import Scope
from agentrecord.records.turn import BegunTurn, ConversationTurn, NewTurn, TurnEnd, TurnEvent, TurnStatus
from agentrecord.store import AsyncStore
from agentrecord.store.turns import INTERRUPTED

logger = logging.getLogger("agentrecord.agents")

POLL_S, MOST_POLL_S = 0.1, 0.5
UNWATCHED_S = 2.0
"""How long a turn that cannot be resumed goes on while nobody follows it."""

SHUTTING_DOWN = "the server is shutting down"
LAST_TRIES_S = (0.1, 0.5, 2.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long things may take, in seconds, and whether a second request for a session `waits` or is refused."""

    turn_s: float = 300.0
    lease_s: float = 30.0
    grace_s: float = 15.0
    wait_s: float = 300.0
    waits: bool = True


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request for a turn."""

    store: AsyncStore
    new: NewTurn
    user: str | None
    is_resumable: bool


class Conversations:
    """What answers the conversation endpoint in one process."""

    def __init__(self, store: AsyncStore, runner: AgentRunner, limits: Limits | None = None) -> None:
        """Take the whole record, for looking after turns that crashed, and the runner."""
        self._runner = runner
        self.limits = limits or Limits()
        self._owner = own_name()
        self._live: dict[UUID, LiveTurn] = {}
        self._upkeep = Upkeep(store, self._live, owner=self._owner, lease_s=self.limits.lease_s)
        self._lines: dict[object, Line] = {}
        self._dismissing: set[asyncio.Future[ConversationTurn]] = set()
        self._keeper: asyncio.Task[None] | None = None
        self._is_closing = False

    @property
    def runner_name(self) -> str:
        """What the runner is called."""
        return self._runner.name

    async def start(self) -> None:
        """Close what a crash left running, and begin to look after the turns of this process."""
        await self._upkeep.sweep()
        self._keeper = asyncio.create_task(self._upkeep.run())

    async def close(self) -> None:
        """Stop every turn, recorded as cancelled, whatever looks after them, and the runner; begin no more."""
        self._is_closing = True
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

        Raises `SessionBusy` if that takes longer than the limit, or at once if requests for a busy session are refused,
        and `TurnInterrupted` once the server is shutting down.
        """
        new = replace(new, lease_owner=self._owner, lease_s=self.limits.lease_s, runner=self._runner.name)
        asked = _Asked(store, new, user, is_resumable)
        if new.idempotency_key is not None and await store.turns.find(new.idempotency_key, user=user) is not None:
            return await store.turns.begin(new, user=user)
        begun = await (self._in_turn(asked) if self.limits.waits else self._try_to_begin(asked))
        if begun.is_new:
            self._answer_soon(store, begun, is_resumable=is_resumable)
        return begun

    async def _in_turn(self, asked: "_Asked") -> BegunTurn:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.limits.wait_s
        scope = asked.store.scope
        # Each user's sessions have names of their own.
        async with in_line(self._lines, (scope.project, scope.user or asked.user, asked.new.session_id)):
            while True:
                try:
                    return await self._try_to_begin(asked)
                except SessionBusy as busy:
                    if loop.time() > deadline:
                        raise
                    await self._until_over(asked.store, UUID(str(busy.turn)), deadline)

    async def _try_to_begin(self, asked: "_Asked") -> BegunTurn:
        try:
            return await self._begin(asked)
        except SessionBusy:
            raise
        except Conflict:
            # Another process made the session, or the turn of this key, in the same instant: now it is there to see.
            return await self._begin(asked)

    async def _begin(self, asked: "_Asked") -> BegunTurn:
        if self._is_closing:
            raise TurnInterrupted(SHUTTING_DOWN)
        beginning = asyncio.ensure_future(asked.store.turns.begin(asked.new, user=asked.user))
        try:
            return await asyncio.shield(beginning)
        except asyncio.CancelledError:
            # The client left, and the turn may begin all the same.
            beginning.add_done_callback(lambda begun: self._begun_for_nobody(asked, begun))
            raise

    def _begun_for_nobody(self, asked: "_Asked", beginning: "asyncio.Future[BegunTurn]") -> None:
        if beginning.cancelled() or beginning.exception() is not None or not beginning.result().is_new:
            return
        begun = beginning.result()
        if asked.is_resumable and not self._is_closing:
            # Whoever asked may come back for the answer, for as long as the grace lasts.
            self._answer_soon(asked.store, begun, is_resumable=True)
            return
        task = asyncio.ensure_future(
            asked.store.turns.finish(begun.turn.id, cancelled("the client left"), lease_owner=self._owner)
        )
        self._dismissing.add(task)
        task.add_done_callback(self._dismissed)

    def _dismissed(self, task: "asyncio.Future[ConversationTurn]") -> None:
        self._dismissing.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.warning("a turn that nobody waits for could not be closed", exc_info=task.exception())

    async def _until_over(self, store: AsyncStore, turn: UUID, deadline: float) -> None:
        """Wait until a turn is over, or its process seems dead, or the time is up."""
        loop, live = asyncio.get_running_loop(), self._live.get(turn)
        if live is not None and live.task is not None:
            await asyncio.wait([live.task], timeout=max(0.0, deadline - loop.time()))
            return
        wait_s = POLL_S
        while loop.time() < deadline:
            row = await store.turns.get(turn)
            if row.status.is_final or row.lease_expires_at <= store.engine.maker.clock.now():
                return
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 1.5, MOST_POLL_S)

    async def follow(self, store: AsyncStore, turn: UUID, *, after: int = 0) -> AsyncIterator[TurnEvent]:
        """Yield what the client of a turn is told beyond the event `after`, to the turn's last event.

        Works for turns of other processes and of the past, too. Raises `NotFound` if the caller's scope has no such
        turn.
        """
        live = self._live.get(turn)
        if live is not None:
            # Counted before anything is awaited, so that nobody takes the turn for left alone meanwhile.
            live.followers += 1
        try:
            await store.turns.get(turn)
            if live is not None:
                async for event in self._follow_live(live, after):
                    after = event.sequence
                    yield event
                if live.end is not None and after >= live.end.last_event:
                    return
            async for event in self._follow_stored(store, turn, after):
                yield event
        finally:
            if live is not None:
                live.followers -= 1
                self._look_back(live)

    async def _follow_live(self, live: LiveTurn, after: int) -> AsyncIterator[TurnEvent]:
        """Yield what is told here, until the turn is over: what is missing then, the record has."""
        while True:
            while (event := live.told.get(after + 1)) is not None:
                after = event.sequence
                yield event
            if live.error is not None:
                raise live.error
            if live.end is not None:
                return
            await live.changed.wait()

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
                    yield last_event(current)
                return
            if not events:
                if rounds % round(1 / POLL_S) == 0 and store.scope.role.may_write:
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

    def _look_back(self, live: LiveTurn) -> None:
        """See later whether anybody follows a turn that nobody follows now."""
        if not live.followers and live.end is None:
            wait_s = self.limits.grace_s if live.is_resumable else UNWATCHED_S
            asyncio.get_running_loop().call_later(wait_s, self._left_alone, live)

    def _left_alone(self, live: LiveTurn) -> None:
        if not live.followers and live.end is None and live.watching is None:
            live.watching = asyncio.create_task(self._stop_unless_watched(live))

    async def _stop_unless_watched(self, live: LiveTurn) -> None:
        try:
            # Somebody may follow it from another process.
            row = await live.store.turns.get(live.id)
            recent = live.store.engine.maker.clock.now() - timedelta(seconds=max(self.limits.grace_s, 2.0))
            is_watched = live.is_resumable and row.watched_at is not None and row.watched_at > recent
        except AgentRecordError as error:
            logger.warning("whether turn %s is followed elsewhere is not known: %s", live.id, error)
            is_watched = True
        live.watching = None
        if is_watched:
            self._look_back(live)
        elif not live.followers:
            live.stop("the client left")

    # -- the answer -----------------------------------------------------------------------------------------------

    def _answer_soon(self, store: AsyncStore, begun: BegunTurn, *, is_resumable: bool) -> None:
        own = Scope(project=store.scope.project, user=begun.session.user_uuid, role=store.scope.role)
        live = LiveTurn(begun, AsyncStore(engine=store.engine, scope=own), is_resumable)
        recorder = LiveRecorder(live, lease_owner=self._owner, lease_s=self.limits.lease_s)
        limit = asyncio.timeout(self.limits.turn_s)
        self._live[live.id] = live
        # Two tasks: stopping a turn cancels the runner's, and never the one that closes the turn.
        live.work = asyncio.create_task(self._run(live, recorder, limit))
        live.task = asyncio.create_task(self._answer(live, recorder, limit))
        # Whoever asked follows at once; a client that is gone by now never does.
        self._look_back(live)

    async def _run(self, live: LiveTurn, recorder: LiveRecorder, limit: asyncio.Timeout) -> Reply:
        async with limit:
            reply: object = await self._runner.run(await self._turn_of(live), recorder)
            if not isinstance(reply, Reply):
                raise TypeError(f"the runner {self._runner.name!r} returned {type(reply).__name__}, not a Reply")
            await recorder.flush()
            return reply

    async def _answer(self, live: LiveTurn, recorder: LiveRecorder, limit: asyncio.Timeout) -> None:
        told: Sequence[TurnEvent] = ()
        try:
            live.end = await self._finish(live, await self._outcome(live, recorder, limit))
            told = await live.store.turns.events(live.id, after=live.told_in_order())
        except Exception as error:
            if live.end is None:
                # The turn stays open in the record until its lease runs out, and is closed then.
                logger.exception("turn %s could not be closed", live.id)
                live.error = error if isinstance(error, AgentRecordError) else StoreUnavailable(str(error))
        finally:
            self._live.pop(live.id, None)
            # In any case: whoever follows must hear that it is over.
            live.tell(told)

    async def _outcome(self, live: LiveTurn, recorder: LiveRecorder, limit: asyncio.Timeout) -> TurnEnd:
        work = live.work
        if work is None:
            raise AssertionError("a live turn has its work")
        await asyncio.wait([work])
        error = None if work.cancelled() else work.exception()
        if not work.cancelled() and error is None:
            return completed(work.result())
        await self._flush(recorder)
        if error is None:
            error_type, reason = live.stopped_by or (INTERRUPTED, SHUTTING_DOWN)
            return ended(TurnStatus.CANCELLED, error_type, reason)
        if isinstance(error, OverBudget):
            live.refused = error
            return ended(TurnStatus.ERROR, TurnOverBudget.__name__, str(error))
        if isinstance(error, TimeoutError) and limit.expired():
            return ended(TurnStatus.ERROR, TurnTimedOut.__name__, f"no answer within {self.limits.turn_s:g} s")
        logger.warning("turn %s failed", live.id, exc_info=error)
        return ended(TurnStatus.ERROR, type(error).__name__, str(error) or type(error).__name__)

    async def _flush(self, recorder: LiveRecorder) -> None:
        try:
            await recorder.flush()
        except AgentRecordError as error:
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
        waits = iter(LAST_TRIES_S)
        while True:
            try:
                return await live.store.turns.finish(live.id, end, lease_owner=self._owner)
            except StoreUnavailable as error:
                wait_s = next(waits, None)
                if wait_s is None:
                    raise
                logger.warning("turn %s cannot be closed yet: %s", live.id, error)
                await asyncio.sleep(wait_s)
            except AgentRecordError as error:
                row = await live.store.turns.get(live.id)
                if row.status.is_final:
                    # Another process took this one for dead and closed the turn; what it closed it with is the truth.
                    return row
                if end.status is not TurnStatus.COMPLETED:
                    raise
                # The reply cannot be stored, and so the turn did not succeed.
                end = ended(TurnStatus.ERROR, type(error).__name__, str(error))
