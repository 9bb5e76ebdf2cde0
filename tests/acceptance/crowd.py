"""What the processes of the concurrency tests do; each is a fresh interpreter."""

import asyncio
import threading
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from agentrecord.ids import derived_id
from agentrecord.records.event import NewEvent
from agentrecord.records.llm_call import NewLLMCall
from agentrecord.records.message import MessageRole, NewMessage
from agentrecord.records.tokens import TokenCounts
from agentrecord.store import AsyncStore, Store

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
