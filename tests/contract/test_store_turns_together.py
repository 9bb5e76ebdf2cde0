"""Turns that share a transaction: written together, read as if each had been written alone."""

import asyncio
from typing import Any

import pytest

from agentrecord.engine import Connection
from agentrecord.exceptions import Conflict, NotFound
from agentrecord.ids import new_id
from agentrecord.records.llm_call import NewLLMCall
from agentrecord.records.message import MessageRole, NewMessage
from agentrecord.records.scope import Scope
from agentrecord.records.session import NewSession
from agentrecord.records.tokens import TokenCounts
from agentrecord.store import AsyncStore, messages, sessions
from faces import Facing

CALL = NewLLMCall(model="m", host="h", tokens=TokenCounts(input=3, output=5), latency_ms=40, cost_nanos=7)


def said(text: str, **more: Any) -> NewMessage:
    return NewMessage(role=MessageRole.ASSISTANT, content=text, **more)


def together(store: Facing, turns: list[tuple[Any, ...]]) -> list[Any]:
    """Append all turns at once through the awaited face, on the engine of `store`."""
    shared = AsyncStore(engine=store.engine, scope=store.scope)

    async def run() -> list[Any]:
        waiting = [shared.messages.append(session, given, calls=calls) for session, given, calls in turns]
        return await asyncio.gather(*waiting, return_exceptions=True)

    found: list[Any] = store.loop.run(run())
    return found


def test_turns_of_many_callers_at_once_are_all_counted(store: Facing) -> None:
    ids = [store.sessions.create(NewSession(session_id=f"s{n}")).id for n in range(8)]
    answers = together(store, [(ids[n % 8], [said(f"word{n}"), said("again")], [CALL]) for n in range(40)])
    assert sorted(m.sequence for a in answers for m in a.messages) == sorted([*range(1, 11)] * 8)
    for one in ids:
        found = store.sessions.get(one)
        assert (found.message_count, found.usage.calls, found.usage.cost_nanos) == (10, 5, 35)
    report = store.usage.report()
    assert (report.total.calls, report.total.input_tokens, report.total.latency_ms_sum) == (40, 120, 1600)
    assert [hit.session_uuid for hit in store.messages.search("word13")] == [ids[5]]
    assert not store.usage.recount()


def test_a_turn_that_fails_among_others_fails_alone(store: Facing) -> None:
    one = store.sessions.create(NewSession(session_id="s")).id
    twice = new_id()
    turns: list[tuple[Any, ...]] = [(one, [said(f"fine{n}")], [CALL]) for n in range(10)]
    turns[3:3] = [(one, [said("first", id=twice)], [CALL]), (new_id(), [said("lost")], [])]
    turns += [(one, [said("second", id=twice)], [CALL])]
    answers = together(store, turns)
    assert [type(a) for a in answers if isinstance(a, Exception)] == [NotFound, Conflict]
    shown = store.messages.list(one).items
    assert sorted(m.content for m in shown) == sorted(["first", *(f"fine{n}" for n in range(10))])
    assert [m.sequence for m in shown] == list(range(1, 12))
    assert store.sessions.get(one).usage.calls == 11


def test_what_was_appended_is_there_for_the_next_step_of_the_same_transaction(store: Facing) -> None:
    one = store.sessions.create(NewSession(session_id="s")).id

    def two_steps(conn: Connection, scope: Scope) -> tuple[int, int, int]:
        messages.append(conn, scope, one, [said("first")], calls=[CALL])
        shown = len(messages.recent(conn, scope, one))
        messages.append(conn, scope, one, [said("second")])
        return shown, len(messages.recent(conn, scope, one)), sessions.get(conn, scope, one).usage.calls

    assert store.run(two_steps) == (1, 2, 1)


def test_an_error_after_an_append_takes_the_turn_back(store: Facing) -> None:
    one = store.sessions.create(NewSession(session_id="s")).id

    def fails(conn: Connection, scope: Scope) -> None:
        messages.append(conn, scope, one, [said("never")], calls=[CALL])
        raise NotFound("thing", "x")

    with pytest.raises(NotFound):
        store.run(fails)
    store.messages.append(one, [said("after")])
    assert [m.content for m in store.messages.list(one).items] == ["after"]
    assert store.usage.report().total.calls == 0


def test_messages_that_are_not_indexed_are_stored_but_not_found(store: Facing) -> None:
    one = store.sessions.create(NewSession(session_id="s")).id
    store.messages.append(one, [said("hidden")], indexed=False)
    store.messages.append(one, [said("shown")])
    assert [m.content for m in store.messages.list(one).items] == ["hidden", "shown"]
    assert not list(store.messages.search("hidden"))
    assert len(list(store.messages.search("shown"))) == 1
