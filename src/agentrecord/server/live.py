"""Live changes for many clients: one poller in a server process, one reading of the feed for each watched scope.

Polling is the truth: every server process reads the same feed, so that several of them on one record agree, and each
client's place is its own. A client that reads too slowly is let go, with nothing lost: it comes back with the id of
the last event that reached it, and gets what it missed from the record. So many may follow at once, and so many as one
account or key: whoever comes then is refused, and asks from time to time instead.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from dataclasses import replace

from agentrecord.exceptions import AgentRecordError, TooBusy, TooManyRequests
from agentrecord.records.change import Changes
from agentrecord.records.scope import Role, Scope
from agentrecord.store import AsyncStore

logger = logging.getLogger("agentrecord.server")

POLL_S = 0.25
MOST_WAITING = 64
"""How many stretches wait for one client before it is let go: sixteen seconds of steady change."""

STRETCH = 200
MOST_FOLLOWING = 500
"""How many streams a process serves: each holds a connection, and is woken by every change in its scope."""

MOST_OF_ONE = 50
"""How many of them one account, key or link has: one whose program loses its streams shuts nobody else out."""

RETRY_S = 30


class Watcher:
    """One client's stretches of the feed, until it is let go."""

    def __init__(self, who: str = "") -> None:
        """Start with nothing waiting for `who`."""
        self.who = who
        self._waiting: deque[Changes] = deque()
        self._ready = asyncio.Event()
        self.is_over = False

    def tell(self, changes: Changes) -> None:
        """Add a stretch; with too many waiting the client is let go, and what waits is still handed out."""
        if self.is_over:
            return
        if len(self._waiting) >= MOST_WAITING:
            self.is_over = True
        else:
            self._waiting.append(changes)
        self._ready.set()

    def end(self) -> None:
        """Let the client go."""
        self.is_over = True
        self._ready.set()

    async def next(self, timeout_s: float) -> Changes | None:
        """Return the next stretch; None if none came in time, or the client is let go and nothing waits."""
        if not self._waiting and not self.is_over:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._ready.wait()
        self._ready.clear()
        return self._waiting.popleft() if self._waiting else None


class Topic:
    """What one scope sees of the feed, read once for all who watch it."""

    def __init__(self, store: AsyncStore) -> None:
        """Take the record as the scope sees it."""
        self._store = store
        self._reading = asyncio.Lock()
        self._place: str | None = None
        self.members: set[Watcher] = set()
        """Who watches, and who is about to."""
        self.watchers: set[Watcher] = set()

    async def poll(self) -> str:
        """Tell the watchers what came since the last time; return the place that everything up to it is told."""
        async with self._reading:
            if self._place is None:
                self._place = await self._store.feed.place()
            more = True
            while more:
                found = await self._store.feed.changes(self._place, limit=STRETCH)
                self._place, more = found.place, found.more
                if found.items or found.missed:
                    for watcher in list(self.watchers):
                        watcher.tell(found)
            return self._place

    async def join(self, watcher: Watcher) -> str:
        """Let a watcher be told all that comes after the place that is returned."""
        place = await self.poll()
        # Nothing is awaited between the reading's end and here, so that nothing is told twice or to nobody.
        self.watchers.add(watcher)
        return place


class Hub:
    """Who watches what in this process, and the task that looks for changes while anybody does."""

    def __init__(self, store: AsyncStore, *, poll_s: float = POLL_S) -> None:
        """Take the record; nothing is read until somebody watches."""
        self._engine = store.engine
        self._poll_s = poll_s
        self._topics: dict[Scope, Topic] = {}
        self._task: asyncio.Task[None] | None = None
        self._sign: object | None = None
        self._is_closed = False

    @property
    def watchers(self) -> int:
        """How many clients watch."""
        return sum(len(topic.watchers) for topic in self._topics.values())

    @property
    def is_idle(self) -> bool:
        """Whether nothing is kept for anybody, and nothing is read."""
        return not self._topics and self._task is None

    def admit(self, who: str) -> None:
        """Raise `TooBusy` if nobody more may follow in this process, `TooManyRequests` if not as `who`."""
        following = [member.who for topic in self._topics.values() for member in topic.members]
        if len(following) >= MOST_FOLLOWING:
            raise TooBusy(f"{MOST_FOLLOWING} streams are open already: try again in {RETRY_S} s")
        if following.count(who) >= MOST_OF_ONE:
            raise TooManyRequests(RETRY_S, f"{MOST_OF_ONE} streams of yours are open already")

    async def follow(
        self, store: AsyncStore, cursor: str | None, *, keep_alive_s: float, most_s: float, who: str = ""
    ) -> AsyncGenerator[Changes | None, None]:
        """Yield what arrives in the caller's scope after `cursor`, or from now on; None after each quiet stretch.

        It ends after `most_s`, or when the caller is let go; every stretch has the place to go on from. Raises
        `InvalidFilter` for a cursor that is no place, and as `admit` does for `who`.
        """
        self.admit(who)
        ends = asyncio.get_running_loop().time() + most_s
        # Whatever the caller's role, what it sees is its scope's.
        scope = replace(store.scope, role=Role.READ)
        watcher = Watcher(who)
        topic = self._topics.setdefault(scope, Topic(AsyncStore(engine=self._engine, scope=scope)))
        topic.members.add(watcher)
        try:
            until = await topic.join(watcher)
            if self._is_closed:
                watcher.end()
            self._start()
            async for found in _caught_up(store, cursor, until):
                yield found
            while asyncio.get_running_loop().time() < ends:
                stretch = await watcher.next(min(keep_alive_s, ends - asyncio.get_running_loop().time()))
                if stretch is None and watcher.is_over:
                    return
                yield stretch
        finally:
            topic.watchers.discard(watcher)
            topic.members.discard(watcher)
            if not topic.members:
                del self._topics[scope]

    def _start(self) -> None:
        if self._task is None and not self._is_closed:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        try:
            while self._topics:
                await asyncio.sleep(self._poll_s)
                await self._look()
        finally:
            self._task = None
            # Whatever ended it: who still watches would hear nothing more, and comes back with the last event's id.
            for topic in self._topics.values():
                for watcher in topic.members:
                    watcher.end()

    async def _look(self) -> None:
        """Read what is new in every scope that is watched, if anything changed at all."""
        try:
            sign = self._engine.change_sign()
            if sign is not None and sign == self._sign:
                return
            await asyncio.gather(*(topic.poll() for topic in list(self._topics.values())))
            self._sign = sign
        except AgentRecordError:
            # The places stay where they are: nothing is lost, it is told once the record answers again.
            logger.exception("changes cannot be looked for now")

    async def close(self) -> None:
        """Let every client go and end the task."""
        self._is_closed = True
        for topic in self._topics.values():
            for watcher in topic.members:
                watcher.end()
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task


async def _caught_up(store: AsyncStore, cursor: str | None, until: str) -> AsyncIterator[Changes]:
    """Yield what came between a client's place and the present, and at the end the present place."""
    more = cursor is not None
    while more and cursor is not None:
        found = await store.feed.changes(cursor, until=until, limit=STRETCH)
        if found.missed:
            # What is kept may be days of it: the client looks at the present instead.
            yield Changes(items=(), place=until, missed=True)
            return
        if found.items:
            yield found
        cursor, more = found.place, found.more
    yield Changes(items=(), place=until)
