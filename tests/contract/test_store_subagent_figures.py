"""What sub-agents called is known apart for each session, so that it can be left out without reading a call."""

from datetime import UTC, datetime, timedelta
from typing import Any

from agentrecord.records.llm_call import NewLLMCall
from agentrecord.records.message import MessageRole, NewMessage
from agentrecord.records.price import NewPrice, Rates
from agentrecord.records.session import CodingDetails, NewSession
from agentrecord.records.tokens import TokenCounts
from agentrecord.records.usage import UsageBy
from faces import Facing, covers

AT = datetime(2026, 3, 2, 22, 30, tzinfo=UTC)
BEFORE_ALL = {"since": AT - timedelta(days=1)}
"""A range that holds all calls: its rows are added up from them, not from what sessions hold."""


def call(cost: int | None, **more: Any) -> NewLLMCall:
    return NewLLMCall(model="m", cost_nanos=cost, tokens=TokenCounts(input=1, output=1), timestamp=AT, **more)


def told(store: Facing, by: UsageBy, **more: Any) -> dict[str, Any]:
    """Return the sums of a report without sub-agents, which a recount does not contradict."""
    assert store.usage.recount() == ()
    return {row.key: row.totals for row in store.usage.report(by, include_subagents=False, **more).rows}


@covers("messages.append", "llm_calls.record", "prices.reprice", "usage.sessions")
def test_what_sessions_hold_apart_is_what_sub_agents_called_through_every_door(store: Facing) -> None:
    coding = CodingDetails(tool_name="t", working_directory="/w")
    top = store.sessions.create(NewSession(session_id="top", coding=coding)).id
    low = store.sessions.create(NewSession(session_id="low", parent_uuid=top)).id
    only = store.sessions.create(NewSession(session_id="only")).id
    said = [NewMessage(role=MessageRole.ASSISTANT, content="x")]
    store.messages.append(top, said, calls=[call(1), call(10, is_subagent=True)])
    store.messages.append(top, said, calls=[call(100, is_subagent=True, dedup_key="k"), call(1000, dedup_key="own")])
    store.llm_calls.record(call(10**4, session_uuid=low))
    store.llm_calls.record(call(10**5, session_uuid=low, is_subagent=True))
    store.llm_calls.record(call(10**6, session_uuid=only, is_subagent=True))
    store.llm_calls.record(call(10**7, is_subagent=True))
    store.llm_calls.record(call(10**8))
    for sums in (told(store, UsageBy.SESSION), told(store, UsageBy.SESSION, **BEFORE_ALL)):
        assert {key: one.cost_nanos for key, one in sums.items()} == {"top": 11001, "no session": 10**8}
        assert sums["top"].calls == 3
    for key, sub in (("k", True), ("own", False)):
        grown = TokenCounts(input=9, output=9)
        store.llm_calls.record(
            NewLLMCall(model="m", tokens=grown, timestamp=AT, dedup_key=key, is_subagent=sub, session_uuid=top)
        )
    assert told(store, UsageBy.SESSION)["top"].cost_nanos == 10001
    store.prices.set(NewPrice(model="m", rates=Rates(input=10**9, output=0)))
    store.prices.reprice(apply=True)
    sums = told(store, UsageBy.SESSION)
    assert sums["top"].cost_nanos == 19001
    assert sums == told(store, UsageBy.SESSION, **BEFORE_ALL)
    assert told(store, UsageBy.DIRECTORY) == told(store, UsageBy.DIRECTORY, **BEFORE_ALL)
    for edges in ({}, BEFORE_ALL):
        first = store.usage.sessions(limit=1, include_subagents=False, **edges)
        assert [(row.key, row.totals.cost_nanos) for row in first.rows] == [("no session", 10**8)]
        assert first.count == 2
    both = store.usage.report(UsageBy.SESSION).rows
    assert {row.key for row in both} == {"top", "only", "no session"}


def test_sessions_of_one_user_are_told_without_what_sub_agents_called(store: Facing) -> None:
    for user in ("ana", "ben"):
        session = store.sessions.create(NewSession(session_id=user), user=user).id
        store.llm_calls.record(call(3, session_uuid=session))
        store.llm_calls.record(call(4, session_uuid=session, is_subagent=True))
    ben = store.scoped(user="ben")
    assert {key: one.cost_nanos for key, one in told(ben, UsageBy.SESSION).items()} == {"ben": 3}
    assert ben.usage.sessions(include_subagents=False).count == 1
