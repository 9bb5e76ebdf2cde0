"""What the processes of the concurrency tests do; each is a fresh interpreter."""

import asyncio
import threading
import time
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from agentrecord.engine import Connection
from agentrecord.exceptions import OverBudget
from agentrecord.ids import derived_id
from agentrecord.records.change import ChangeKind
from agentrecord.records.error import NewError
from agentrecord.records.event import NewEvent
from agentrecord.records.llm_call import NewLLMCall
from agentrecord.records.message import MessageRole, NewMessage
from agentrecord.records.scope import Scope
from agentrecord.records.tokens import TokenCounts
from agentrecord.store import AsyncStore, Store, errors

AT = datetime(2026, 1, 1, 12, tzinfo=UTC)


def call(number: int, key: str | None = None) -> NewLLMCall:
    """Return a call whose figures are easy to add up."""
    tokens = TokenCounts(input=1, output=number)
    return NewLLMCall(model="m", tokens=tokens, cost_nanos=number, dedup_key=key, timestamp=AT, latency_ms=1)


def append(url: str, session: UUID, member: int, turns: int, barrier: Any, results: Any) -> None:
    """Append turns of one's own, and messages, calls and events whose identity all processes share."""
    try:
        with Store(url) as store:
            barrier.wait()
            for turn in range(turns):
                own = [NewMessage(role=MessageRole.USER, content=f"{member} {turn}"),
                       NewMessage(role=MessageRole.ASSISTANT, content="a")]  # fmt: skip
                store.messages.append(session, own, calls=[call(1)])
                same = NewMessage(role=MessageRole.USER, content=f"same {turn}", id=derived_id(AT, "same", turn))
                store.messages.append(session, [same])
                store.events.record(NewEvent(event_type="e", session_uuid=session, id=derived_id(AT, "event", turn)))
                store.llm_calls.record(call(10 + member, f"shared {turn}"))
        results.put("")
    except Exception as error:  # noqa: BLE001  (whatever it is, the test that waits is told)
        results.put(f"{member}: {error!r}")


def mix(url: str, session: UUID, count: int) -> None:
    """Write from threads and from an event loop of one process, through two faces of one engine."""
    with Store(url) as store:
        asynchronous = AsyncStore(engine=store.engine)

        def threaded() -> None:
            for _ in range(count):
                store.messages.append(session, [NewMessage(role=MessageRole.USER, content="t")], calls=[call(1)])

        async def awaited() -> None:
            one = [NewMessage(role=MessageRole.USER, content="a")]
            await asyncio.gather(*[asynchronous.messages.append(session, one, calls=[call(1)]) for _ in range(count)])

        threads = [threading.Thread(target=threaded) for _ in range(3)]
        for thread in threads:
            thread.start()
        asyncio.run(awaited())
        for thread in threads:
            thread.join()


class Spender:
    """Reserves and records calls of ten tokens, and notes what came of each."""

    def __init__(self, store: Store, session: UUID) -> None:
        """Spend through both faces of `store`."""
        self._store = store
        self._asynchronous = AsyncStore(engine=store.engine)
        self._session = session
        self.said: list[str] = []

    def threaded(self) -> None:
        """Spend once by the blocking face."""
        try:
            self._store.llm_calls.record(self._call(self._store.budgets.reserve(**_TEN)))
            self.said.append("made")
        except Exception as error:  # noqa: BLE001  (whatever it is, the test that waits is told)
            self.said.append("refused" if isinstance(error, OverBudget) else repr(error))

    async def awaited(self, number: int) -> None:
        """Spend once by the awaited face, or, of every five times, give back once."""
        try:
            found = await self._asynchronous.budgets.reserve(**_TEN)
            if number % 5 == 0:
                await self._asynchronous.budgets.release(found)
                return
            said = [NewMessage(role=MessageRole.ASSISTANT, content="x")]
            await self._asynchronous.messages.append(self._session, said, calls=[self._call(found)])
            self.said.append("made")
        except Exception as error:  # noqa: BLE001  (whatever it is, the test that waits is told)
            self.said.append("refused" if isinstance(error, OverBudget) else repr(error))

    @staticmethod
    def _call(found: UUID) -> NewLLMCall:
        return NewLLMCall(model="priced", id=found, tokens=TokenCounts(input=10, output=0))

    async def all_at_once(self, count: int) -> None:
        """Spend as many times at once."""
        await asyncio.gather(*[self.awaited(number) for number in range(count)])


_TEN: dict[str, Any] = {"model": "priced", "input_tokens": 10, "max_output_tokens": 0}


def spend(url: str, session: UUID, each: int, rounds: int, barrier: Any, results: Any) -> None:
    """Spend by as many threads and as many tasks at once, several times each, and tell what came of it."""
    with Store(url) as store:
        spender = Spender(store, session)

        def threaded() -> None:
            for _ in range(rounds):
                spender.threaded()

        threads = [threading.Thread(target=threaded) for _ in range(each)]
        barrier.wait()
        for thread in threads:
            thread.start()
        for _ in range(rounds):
            asyncio.run(spender.all_at_once(each))
        for thread in threads:
            thread.join()
        results.put(spender.said)


def tell(url: str, member: int, facts: int, barrier: Any, results: Any) -> None:
    """Record errors, some of them in transactions that stay open while others commit; say which were committed."""
    try:
        with Store(url) as store:
            barrier.wait(60)
            for number in range(facts):
                if number % 3:
                    store.errors.record(NewError(error_type="E", error_message=f"{member} {number}"))
                else:
                    store.run(_slowly, [f"{member} {number}", f"{member} {number}+"])
        results.put("")
    except Exception as error:  # noqa: BLE001  (whatever it is, the test that waits is told)
        results.put(repr(error))


def _slowly(conn: Connection, scope: Scope, lines: list[str]) -> None:
    for line in lines:
        # The row's id is taken now, and seen by others only once the whole transaction is committed.
        errors.record(conn, scope, NewError(error_type="E", error_message=line))
        conn.text("SELECT 1")
        time.sleep(0.01)


def read_feed(url: str, place: str, expected: int, results: Any) -> None:
    """Follow the feed with a connection of its own until `expected` errors came; hand over their lines."""
    found: list[str] = []
    try:
        with Store(url) as store:
            deadline = time.monotonic() + 90
            while len(found) < expected and time.monotonic() < deadline:
                stretch = store.feed.changes(place, kinds=[ChangeKind.ERROR], limit=7)
                found += [change.line for change in stretch.items]
                place = stretch.place
            # What came twice would come now.
            found += [change.line for change in store.feed.changes(place, kinds=[ChangeKind.ERROR]).items]
        results.put(found)
    except Exception as error:  # noqa: BLE001  (whatever it is, the test that waits is told)
        results.put([repr(error)])
