"""Which call asked for which tools, however late its neighbours come, and what that makes of every figure by tool."""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from agentrecord.ids import derived_id
from agentrecord.records.event import NewEvent
from agentrecord.records.llm_call import NewLLMCall
from agentrecord.records.message import MessageRole, NewMessage
from agentrecord.records.price import NewPrice, Rates
from agentrecord.records.run import NewRun
from agentrecord.records.session import NewSession
from agentrecord.records.tokens import TokenCounts
from agentrecord.records.tool_call import NewToolCall
from agentrecord.records.usage import UsageBy, UsageTotals
from agentrecord.store.usage_sums import NAMES, TIME
from faces import Facing, covers

AT = datetime(2026, 3, 3, 21, tzinfo=UTC)
USERS, MODELS, TOOLS = ("ana", "ben"), ("m1", "m2"), ("Bash", "Read", "Write")
OTHERS = [by for by in NAMES if by is not UsageBy.TOOL]
MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class Fact:
    """A call (without a tool) or a use of a tool: where and when it was, and what it cost."""

    place: tuple[str, str]
    at: datetime
    tool: str | None
    model: str = "m1"
    cost: int | None = None
    is_subagent: bool = False
    number: int = 0

    @property
    def user(self) -> str:
        return self.place[0]

    @property
    def id(self) -> UUID:
        return derived_id(AT, "fact", self.number)


def asked(facts: Sequence[Fact]) -> dict[Fact, set[str]]:
    """Return what each call asked for: the last one at a place before a tool was used there."""
    found: dict[Fact, set[str]] = {fact: set() for fact in facts if fact.tool is None}
    for use in facts:
        before = [call for call in found if call.place == use.place and call.at <= use.at]
        if use.tool is not None and before:
            found[max(before, key=lambda call: (call.at, call.id))].add(use.tool)
    return found


def divided(facts: Sequence[Fact], told_apart: Any = lambda call: None) -> dict[tuple[Any, str], int]:
    """Return what each tool cost, told apart by something of the call: only what is not 0."""
    found: dict[tuple[Any, str], int] = {}
    for call, tools in asked(facts).items():
        names = sorted(tools) or ["no tool"]
        each, rest = divmod(call.cost or 0, len(names))
        for place, name in enumerate(names):
            key = told_apart(call), name
            found[key] = found.get(key, 0) + each + (place < rest)
    return {key: cost for key, cost in found.items() if cost}


def costs(store: Facing, by: UsageBy = UsageBy.TOOL, **wanted: Any) -> dict[Any, int]:
    rows = store.usage.report(by, **wanted).rows
    split = wanted.get("split")
    return {(row.key if split is None else (row.key, row.split)): row.totals.cost_nanos for row in rows
            if row.totals.cost_nanos}  # fmt: skip


def tell(store: Facing, facts: Sequence[Fact]) -> None:
    """Record facts in this order; the sessions and runs that they are in are there."""
    for fact in facts:
        user, name = fact.place
        session = store.scoped(user=user).sessions.get(f"{user}-s").id
        run = None if name == "outside" else store.runs.get(f"{user}-{name}").id
        if fact.tool is None:
            store.llm_calls.record(
                NewLLMCall(id=fact.id, model=fact.model, host="h", cost_nanos=fact.cost, timestamp=fact.at,
                           tokens=TokenCounts(input=7, output=fact.number), session_uuid=session, run_uuid=run,
                           is_subagent=fact.is_subagent)
            )  # fmt: skip
        else:
            store.tool_calls.record(
                NewToolCall(id=fact.id, tool_name=fact.tool, started_at=fact.at, session_uuid=session, run_uuid=run)
            )


def places(store: Facing) -> None:
    for user in USERS:
        session = store.sessions.create(NewSession(session_id=f"{user}-s", agent_id="bot"), user=user).id
        version = store.agents.create_version("scout", user).id
        for name, agent, of in (("r1", "bot", None), ("r2", "scout", version)):
            store.runs.start(
                NewRun(run_id=f"{user}-{name}", agent_id=agent, session_uuid=session, agent_version_uuid=of), user=user
            )


def drawn(seed: int, count: int) -> list[Fact]:
    """Return calls and uses at a few places, some at one instant, over four days."""
    chance = random.Random(seed)
    found = []
    for number in range(1, count + 1):
        place = (chance.choice(USERS), chance.choice(("r1", "r2", "outside")))
        at = AT + chance.randrange(4 * 24 * 4) * 15 * MINUTE
        if chance.random() < 0.45:
            cost, model = chance.choice((None, 1000, 10**number % 999_983)), chance.choice(MODELS)
            found.append(Fact(place, at, None, model, cost, chance.random() < 0.3, number))
        else:
            found.append(Fact(place, at, chance.choice(TOOLS), number=number))
    return found


@pytest.mark.parametrize("seed", range(2))
@covers("usage.report")
def test_in_whatever_order_calls_and_uses_come_the_figures_are_the_same(store: Facing, seed: int) -> None:
    facts = drawn(seed, 18)
    expected = {name: cost for (_, name), cost in divided(facts).items()}
    for order in ("backwards", "calls last"):
        other = store.scoped(project=order)
        places(other)
        tell(other, facts[::-1] if order == "backwards" else sorted(facts, key=lambda fact: fact.tool is None))
        assert costs(other) == expected, order
        assert other.usage.recount() == ()


@pytest.fixture
def told(store: Facing) -> list[Fact]:
    """Return facts that the store has, sent in no order."""
    facts = drawn(7, 50)
    places(store)
    tell(store, facts)
    return facts


TOLD_APART: dict[UsageBy, Any] = {
    UsageBy.HOUR: lambda call: call.at.strftime("%Y-%m-%d %H:00"),
    UsageBy.DAY: lambda call: call.at.strftime("%Y-%m-%d"),
    UsageBy.WEEK: lambda call: (call.at - timedelta(days=call.at.weekday())).strftime("%Y-%m-%d"),
    UsageBy.MONTH: lambda call: call.at.strftime("%Y-%m"),
    UsageBy.MODEL: lambda call: call.model,
    UsageBy.HOST: lambda call: "h",
    UsageBy.PROJECT: lambda call: "default",
    UsageBy.USER: lambda call: call.user,
    UsageBy.AGENT: lambda call: "scout" if call.place[1] == "r2" else "bot",
    UsageBy.VERSION: lambda call: f"agent:scout version:{call.user}" if call.place[1] == "r2" else "no version",
}
RANGES = [
    {},
    {"since": AT + timedelta(hours=8), "until": AT + timedelta(hours=76)},
    {"since": AT + timedelta(hours=2), "until": AT + timedelta(hours=9), "include_subagents": False},
]


def within(call: Fact, since: datetime = AT - timedelta(days=1), until: datetime = AT + timedelta(days=9),
           include_subagents: bool = True) -> bool:  # fmt: skip
    return since <= call.at < until and (include_subagents or not call.is_subagent)


@covers("usage.report", "usage.names")
def test_tools_are_crossed_with_time_and_with_every_name_over_any_range_for_all_and_for_one_user(
    store: Facing, told: list[Fact]
) -> None:
    for user, wanted in [(None, one) for one in RANGES] + [("ana", RANGES[1])]:
        mine, view = [f for f in told if user in (None, f.user)], store if user is None else store.scoped(user=user)
        for by in (*TIME, *OTHERS):
            expected: dict[tuple[str, str], int] = {}
            for ((apart, is_in), tool), cost in divided(
                mine, lambda call, by=by, wanted=wanted: (TOLD_APART[by](call), within(call, **wanted))
            ).items():
                if is_in:
                    expected[apart, tool] = cost
            assert costs(view, by, split=UsageBy.TOOL, **wanted) == expected, (by, wanted)
            if by in OTHERS and wanted is RANGES[1]:
                turned = {(tool, apart): cost for (apart, tool), cost in expected.items()}
                assert costs(view, UsageBy.TOOL, split=by, **wanted) == turned, (by, wanted)
        plain: dict[str, int] = {}
        for (_, tool), cost in expected.items():
            plain[tool] = plain.get(tool, 0) + cost
        assert costs(view, **wanted) == plain
    assert set(store.usage.names(UsageBy.TOOL)) <= set(TOOLS)


@covers("usage.series")
def test_calls_of_several_tools_are_whole_in_each_and_rows_without_a_tool_are_what_is_left(
    store: Facing, told: list[Fact]
) -> None:
    names = {call.id: sorted(tools) or ["no tool"] for call, tools in asked(told).items()}
    for by in (UsageBy.USER, UsageBy.DAY):
        report = store.usage.report(by, split=UsageBy.TOOL)
        counted: dict[tuple[str, str], int] = {}
        for call in (fact for fact in told if fact.tool is None):
            for name in names[call.id]:
                place = TOLD_APART[by](call), name
                counted[place] = counted.get(place, 0) + 1
        assert {(row.key, row.split): row.totals.calls for row in report.rows} == counted
        assert report.total == store.usage.total()
        series = store.usage.series(UsageBy.TOOL, by=by, apart=["Bash"])
        bash, rest = [sum((row.totals for row in series if (row.split == "Bash") is is_bash), start=UsageTotals())
                      for is_bash in (True, False)]  # fmt: skip
        assert {row.split for row in series} == {"Bash", None}
        assert bash.cost_nanos + rest.cost_nanos == report.total.cost_nanos


def test_days_of_another_time_zone_are_told_by_tool(store: Facing, told: list[Fact]) -> None:
    for hours in (5, -8):
        moved = divided(told, lambda call, hours=hours: (call.at + timedelta(hours=hours)).strftime("%Y-%m-%d"))
        assert costs(store, UsageBy.DAY, split=UsageBy.TOOL, utc_offset_minutes=60 * hours) == moved


def test_a_run_that_comes_after_what_was_done_in_it_takes_what_calls_asked_for_with_it(store: Facing) -> None:
    session = store.sessions.create(NewSession(session_id="s"), user="ana").id
    for minute, cost in ((0, 1), (2, 10), (4, 100)):
        placed: dict[str, Any] = {"run_ref": "late"} if minute == 2 else {}
        store.llm_calls.record(
            NewLLMCall(model="m", cost_nanos=cost, timestamp=AT + minute * MINUTE, session_uuid=session, **placed)
        )
    store.tool_calls.record(NewToolCall(tool_name="Bash", session_uuid=session, started_at=AT + 3 * MINUTE))
    assert costs(store) == {"Bash": 10, "no tool": 101}
    told = {"tool_name": "Read", "latency_ms": 1000}
    store.events.record_numbered(
        [NewEvent(event_type="tool_call", run_ref="late", timestamp=AT + 5 * MINUTE, data=json.dumps(told),
                  session_uuid=session)]
    )  # fmt: skip
    assert costs(store) == {"Bash": 10, "Read": 100, "no tool": 1}
    store.runs.start(NewRun(run_id="late"), user="ana")
    assert costs(store) == {"Bash": 1, "Read": 10, "no tool": 100}
    assert store.runs.delete("late")
    assert costs(store) == {"Bash": 10, "no tool": 101}


def test_calls_that_are_charged_anew_are_charged_anew_by_tool(store: Facing) -> None:
    session = store.sessions.create(NewSession(session_id="s")).id
    tokens = TokenCounts(input=10, output=1)
    for minute in range(3):
        at = AT + minute * MINUTE
        store.llm_calls.record(NewLLMCall(model="mine", tokens=tokens, timestamp=at, session_uuid=session))
        for name in TOOLS[:minute]:
            store.tool_calls.record(NewToolCall(tool_name=name, session_uuid=session, started_at=at))
    unpriced = {row.key: row.totals.unpriced_calls for row in store.usage.report(UsageBy.TOOL).rows}
    assert unpriced == {"Bash": 2, "Read": 1, "no tool": 1}
    store.prices.set(NewPrice(model="mine", rates=Rates(input=10**9, output=10**9)))
    store.prices.reprice(apply=True)
    assert costs(store) == {"Bash": 16500, "Read": 5500, "no tool": 11000}
    report = store.usage.report(UsageBy.TOOL)
    assert sum(row.totals.unpriced_calls for row in report.rows) == 0


def test_of_two_reports_of_a_call_the_larger_is_charged_to_its_tools(store: Facing) -> None:
    session = store.sessions.create(NewSession(session_id="s")).id
    call = NewLLMCall(model="m", dedup_key="k", tokens=TokenCounts(output=1), cost_nanos=2, timestamp=AT,
                      session_uuid=session)  # fmt: skip
    store.llm_calls.record(call)
    for name in ("Bash", "Read"):
        store.tool_calls.record(NewToolCall(tool_name=name, session_uuid=session, started_at=AT + MINUTE))
    store.llm_calls.record(replace(call, tokens=TokenCounts(output=5), cost_nanos=11))
    assert costs(store) == {"Bash": 6, "Read": 5}
    store.sessions.delete("s")
    assert costs(store) == {"Bash": 6, "Read": 5}


def test_turns_that_are_appended_between_uses_of_tools_ask_for_those_after_them(store: Facing) -> None:
    session = store.sessions.create(NewSession(session_id="s")).id
    run = store.runs.start(NewRun(run_id="r", session_uuid=session)).id

    def turn(minute: int, cost: int, **placed: Any) -> None:
        call = NewLLMCall(model="m", cost_nanos=cost, timestamp=AT + minute * MINUTE, **placed)
        store.messages.append(session, [NewMessage(role=MessageRole.ASSISTANT, content="ok")], calls=[call])

    turn(0, 1)
    turn(1, 10, run_uuid=run)
    for minute, name in ((2, "Bash"), (6, "Read")):
        for placed in ({"session_uuid": session}, {"session_uuid": session, "run_uuid": run}):
            store.tool_calls.record(NewToolCall(tool_name=name, started_at=AT + minute * MINUTE, **placed))
    assert costs(store) == {"Bash": 6, "Read": 5}
    turn(4, 100)
    turn(5, 1000, run_uuid=run)
    assert costs(store) == {"Bash": 11, "Read": 1100}
