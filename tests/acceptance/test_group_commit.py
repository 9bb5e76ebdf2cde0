"""Group commit: many callers share a transaction, each gets its own answer, and a bad one fails alone."""

import asyncio
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from agentrecord.exceptions import Conflict, InvalidValue, NotFound
from agentrecord.ids import new_id
from agentrecord.records.event import NewEvent
from agentrecord.records.llm_call import NewLLMCall
from agentrecord.records.message import MessageRole, NewMessage
from agentrecord.records.session import NewSession
from agentrecord.store import AsyncStore, Store
from counts import count
from databases import ENGINES, Databases


@pytest.fixture(params=ENGINES)
def store(databases: Databases, request: pytest.FixtureRequest) -> Iterator[Store]:
    """Return a store on every engine; the tests await through its engine."""
    url = databases.create(request.param)
    with Store(url) as found:
        yield found
    databases.drop(url)


def message(content: str, row: UUID | None = None) -> list[NewMessage]:
    """Return a message to append."""
    return [NewMessage(role=MessageRole.USER, content=content, id=row)]


def late_conflict(store: Store) -> UUID:
    """Return the id of an event that the operation itself cannot see: only the insert fails."""
    other = store.scoped(user="somebody else")
    row: UUID = other.events.record(NewEvent(event_type="theirs", id=new_id())).id
    return row


def test_bad_operations_among_many_fail_alone(store: Store) -> None:
    session = store.sessions.create(NewSession(session_id="s"), user="anna").id
    theirs = late_conflict(store)
    mine = AsyncStore(engine=store.engine, scope=store.scoped(user="anna").scope)
    good = count(20, 200)

    async def all_at_once() -> list[Any]:
        works: list[Any] = [
            mine.messages.append(session, message(str(n)), calls=[NewLLMCall(model="m")]) for n in range(good)
        ]
        works.insert(3, mine.messages.append(new_id(), message("no such session")))
        works.insert(7, mine.events.record(NewEvent(event_type="mine", id=theirs)))
        works.insert(11, mine.messages.append(session, message("a\0b")))
        works.insert(15, mine.events.record(NewEvent(event_type="mine", session_uuid=session, id=theirs)))
        works.append(mine.events.record(NewEvent(event_type="mine", id=theirs)))
        return await asyncio.gather(*works, return_exceptions=True)

    answers = asyncio.run(all_at_once())
    kinds = {place: type(a) for place, a in enumerate(answers) if isinstance(a, BaseException)}
    assert kinds == {3: NotFound, 7: Conflict, 11: InvalidValue, 15: Conflict, len(answers) - 1: Conflict}
    contents = [a.messages[0].content for a in answers if not isinstance(a, BaseException)]
    assert contents == [str(n) for n in range(good)]
    assert store.sessions.get(session).message_count == good
    assert sorted(m.sequence for m in store.messages.list(session, limit=200)) == list(range(1, good + 1))
    assert store.events.list(session=session).total == 0
    assert store.usage.recount() == ()


def test_the_same_write_many_times_at_once_is_stored_once(store: Store) -> None:
    session = store.sessions.create(NewSession(session_id="s")).id
    asynchronous = AsyncStore(engine=store.engine)
    row = new_id()

    async def all_at_once() -> list[Any]:
        return await asyncio.gather(
            *[asynchronous.messages.append(session, message("same", row)) for _ in range(10)],
            *[asynchronous.sessions.create(NewSession(session_id="t", id=row)) for _ in range(10)],
            *[asynchronous.llm_calls.record(NewLLMCall(model="m", dedup_key="k", cost_nanos=1)) for _ in range(10)],
        )

    answers = asyncio.run(all_at_once())
    assert {a.messages[0].sequence for a in answers[:10]} == {1}
    assert len({a.id for a in answers[20:]}) == 1
    assert store.sessions.list().total == 2
    assert store.sessions.get("s").message_count == 1
    assert store.llm_calls.list().total == 1


def test_a_cancelled_caller_does_not_undo_its_write(store: Store) -> None:
    session = store.sessions.create(NewSession(session_id="s")).id
    asynchronous = AsyncStore(engine=store.engine)

    async def cancelled() -> None:
        works = [asyncio.ensure_future(asynchronous.messages.append(session, message(str(n)))) for n in range(6)]
        await asyncio.sleep(0)
        for work in works[::2]:
            work.cancel()
        answers = await asyncio.gather(*works, return_exceptions=True)
        assert [isinstance(a, asyncio.CancelledError) for a in answers] == [True, False] * 3
        await asynchronous.messages.append(session, message("last"))

    asyncio.run(cancelled())
    assert store.sessions.get("s").message_count == 7
    assert store.usage.recount() == ()


def test_an_operation_of_ones_own_is_all_or_nothing(store: Store) -> None:
    session = store.sessions.create(NewSession(session_id="s")).id

    def write_and_fail(conn: Any, scope: Any) -> None:
        from agentrecord.store import messages

        messages.append(conn, scope, session, message("a"))
        raise LookupError("changed my mind")

    with pytest.raises(LookupError):
        store.run(write_and_fail)
    with pytest.raises(LookupError):
        asyncio.run(AsyncStore(engine=store.engine).run(write_and_fail))
    assert store.sessions.get("s").message_count == 0
    assert len(store.messages.search("a")) == 0
