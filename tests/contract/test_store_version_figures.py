"""A call is of the version that its run is of, through whatever door and in whatever order the two of them came."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agentrecord.exceptions import NotFound
from agentrecord.ids import derived_id, new_id
from agentrecord.records.exchange import FactKind
from agentrecord.records.llm_call import NewLLMCall
from agentrecord.records.message import MessageRole, NewMessage
from agentrecord.records.price import NewPrice, Rates
from agentrecord.records.run import NewRun
from agentrecord.records.session import NewSession
from agentrecord.records.tokens import TokenCounts
from agentrecord.records.transcript import CallFact, Identified, ImportBatch, SessionFact
from agentrecord.records.usage import UsageBy
from agentrecord.store.usage_sums import NAMES, TIME
from faces import Facing, covers
from rich_record import leaving, told

AT = datetime(2026, 3, 2, 22, 30, tzinfo=UTC)
OLD, NEW, NONE = "agent:bot version:1", "agent:bot version:2", "no version"


def costs(store: Facing, **more: Any) -> dict[str, int]:
    """Return what each version cost, no figure being other than a recount's."""
    assert store.usage.recount() == ()
    return {row.key: row.totals.cost_nanos for row in store.usage.report(UsageBy.VERSION, **more).rows}


def call(cost: int | None, **more: Any) -> NewLLMCall:
    return NewLLMCall(model="m", cost_nanos=cost, tokens=TokenCounts(input=1, output=1), timestamp=AT, **more)


@pytest.fixture
def versions(store: Facing) -> tuple[Any, Any]:
    """Return the ids of two versions of an agent."""
    return store.agents.create_version("bot", "1").id, store.agents.create_version("bot", "2").id


def start(store: Facing, run_id: str, version: Any, **more: Any) -> Any:
    return store.runs.start(NewRun(run_id=run_id, agent_id="bot", agent_version_uuid=version, **more), user="ana").id


@covers("llm_calls.record", "llm_calls.record_numbered", "messages.append")
def test_a_call_takes_its_runs_version_through_every_door(store: Facing, versions: tuple[Any, Any]) -> None:
    session = store.sessions.create(NewSession(session_id="s", agent_id="other"), user="ana").id
    one, two, bare = (
        start(store, str(place), version, session_uuid=session) for place, version in enumerate((*versions, None))
    )
    store.llm_calls.record(call(1, run_uuid=one))
    store.llm_calls.record(call(10, run_ref="1"))
    store.llm_calls.record_numbered([call(100, run_uuid=one), call(1000, run_uuid=two), call(10**4)])
    said = [NewMessage(role=MessageRole.USER, content="x")]
    store.messages.append(session, said, calls=[call(10**5, run_uuid=two), call(10**6), call(10**7, run_uuid=bare)])
    store.messages.append(session, said, calls=[call(10**8, run_uuid=one, dedup_key="k"), call(10**9, run_uuid=two)])
    assert costs(store) == {OLD: 10**8 + 101, NEW: 10**9 + 10**5 + 1010, NONE: 11 * 10**6 + 10**4}
    store.llm_calls.record(NewLLMCall(model="m", cost_nanos=5, tokens=TokenCounts(input=2, output=2), dedup_key="k"))
    assert costs(store)[OLD] == 106


@covers("runs.start", "runs.delete")
def test_calls_that_came_before_their_run_are_of_its_version_until_it_is_deleted(
    store: Facing, versions: tuple[Any, Any]
) -> None:
    anna = store.scoped(user="ana")
    anna.llm_calls.record(call(1, run_ref="late"))
    anna.llm_calls.record_numbered([call(10, run_ref="late"), call(100, run_ref="never")])
    assert costs(store) == {NONE: 111}
    start(store, "late", versions[0])
    store.llm_calls.record(call(1000, run_ref="late"))
    assert costs(store) == {OLD: 1011, NONE: 100}
    assert store.runs.delete("late")
    assert costs(store) == {NONE: 1111}
    start(store, "late", versions[1])
    assert costs(store) == {NEW: 1011, NONE: 100}
    assert costs(store, since=AT + timedelta(hours=1)) == {}


@covers("prices.reprice")
def test_what_calls_cost_anew_counts_for_their_version(store: Facing, versions: tuple[Any, Any]) -> None:
    run = start(store, "r", versions[0])
    store.llm_calls.record(call(None, run_uuid=run))
    store.llm_calls.record(call(None))
    store.prices.set(NewPrice(model="m", rates=Rates(input=10**9, output=0)))
    store.prices.reprice(apply=True)
    assert costs(store) == {OLD: 1000, NONE: 1000}


@covers("imports.load")
def test_an_imported_call_of_a_run_that_is_here_takes_its_version(store: Facing, versions: tuple[Any, Any]) -> None:
    run = start(store, "r", versions[1])
    fact = CallFact(session_id="s", run_id="r", dedup_key="k", timestamp=AT, model="m", host="h", cost_nanos=7,
                    tokens=TokenCounts(input=1))  # fmt: skip
    batch = ImportBatch(
        source="t", path="/t.jsonl", user="ana", sessions=(SessionFact(session_id="s", created_at=AT, tool_name="t"),),
        calls=((Identified(row_id=derived_id(AT, "call", "k")), fact),),
    )  # fmt: skip
    store.imports.load(batch)
    assert store.runs.get(run).usage.cost_nanos == 7
    assert costs(store) == {NEW: 7}


@covers("exchange.restore")
def test_a_restored_call_takes_the_version_that_its_run_has_here(store: Facing, versions: tuple[Any, Any]) -> None:
    run = store.runs.start(NewRun(run_id="r", agent_id="bot", agent_version_uuid=versions[0])).id
    store.llm_calls.record(call(5, run_uuid=run))
    sent = leaving(store)
    other = store.scoped(project="other")
    there = other.agents.create_version("bot", "9").id
    other.runs.start(NewRun(run_id="r", id=run, agent_id="bot", agent_version_uuid=there))
    other.exchange.restore(told(sent, FactKind.LLM_CALL))
    assert costs(other) == {"agent:bot version:9": 5}
    third = store.scoped(project="third")
    third.exchange.restore(sent)
    assert costs(third) == {NONE: 5}


@pytest.fixture
def crossed(store: Facing) -> list[tuple[dict[UsageBy, str], int]]:
    """Return what tells each of some calls apart, and its cost; the store has them."""
    made = [(agent, number) for agent in ("bot", "scout the 2nd") for number in ("1", "2 beta", None)]
    found = []
    for place, (agent, number) in enumerate(made):
        for power, (user, model, host) in enumerate((("ana", "m1", "h1"), ("ben", "m1", "h2"), ("ben", "m2", "h1"))):
            version = None if number is None else store.agents.create_version(agent, number).id
            run = store.runs.start(
                NewRun(run_id=f"{place} {power}", agent_id=agent, agent_version_uuid=version), user=user
            ).id
            at, cost = AT + timedelta(hours=30 * power), 10 ** (3 * power) * 7**place
            store.llm_calls.record(NewLLMCall(model=model, host=host, run_uuid=run, timestamp=at, cost_nanos=cost))
            words = [f'"{word}"' if " " in word else word for word in (agent, number or "")]
            found.append((
                {UsageBy.USER: user, UsageBy.MODEL: model, UsageBy.HOST: host, UsageBy.AGENT: agent,
                 UsageBy.TOOL: "no tool", UsageBy.PROJECT: "default",
                 UsageBy.DAY: at.strftime("%Y-%m-%d"), UsageBy.MONTH: "2026-03",
                 UsageBy.HOUR: at.strftime("%Y-%m-%d %H:00"), UsageBy.WEEK: "2026-03-02",
                 UsageBy.VERSION: NONE if number is None else "agent:{} version:{}".format(*words)},
                cost,
            ))  # fmt: skip
    return found


def summed(crossed: Any, *names: UsageBy) -> dict[tuple[str, ...], int]:
    sums: dict[tuple[str, ...], int] = {}
    for told_apart, cost in crossed:
        key = tuple(told_apart[name] for name in names)
        sums[key] = sums.get(key, 0) + cost
    return sums


@covers("usage.report", "usage.series", "usage.names")
def test_versions_are_crossed_with_time_and_with_every_name_in_both_directions(store: Facing, crossed: Any) -> None:
    ways = [(by, UsageBy.VERSION) for by in (*TIME, *NAMES) if by is not UsageBy.VERSION]
    ways += [(UsageBy.VERSION, by) for by in NAMES if by is not UsageBy.VERSION]
    for by, split in ways:
        report = store.usage.report(by, split=split)
        found = {(row.key, row.split): row.totals.cost_nanos for row in report.rows}
        assert found == summed(crossed, by, split), (by, split)
        assert report.total == store.usage.total()
        assert {(row.key, row.split): row.totals for row in store.usage.series(split, by=by)} == {
            (row.key, row.split): row.totals for row in report.rows
        }
        assert {row.split: row.split_label for row in report.rows if split is UsageBy.VERSION} in ({}, LABELS)
    assert set(store.usage.names(UsageBy.VERSION)) == LABELS.keys() - {NONE}
    assert {row.key: row.label for row in store.usage.report(UsageBy.VERSION).rows} == LABELS
    assert store.scoped(project="other").usage.names(UsageBy.VERSION) == ()


LABELS = {
    OLD: "bot 1", 'agent:bot version:"2 beta"': "bot 2 beta", NONE: NONE,
    'agent:"scout the 2nd" version:1': "scout the 2nd 1",
    'agent:"scout the 2nd" version:"2 beta"': "scout the 2nd 2 beta",
}  # fmt: skip


@pytest.mark.parametrize("apart", [[OLD], [OLD, NONE], [NONE, "never"], ["never"], [*map(str, range(40)), OLD]])
def test_versions_that_are_not_told_apart_are_one_row(store: Facing, crossed: Any, apart: list[str]) -> None:
    expected: dict[tuple[str, str | None], int] = {}
    for (day, version), cost in summed(crossed, UsageBy.DAY, UsageBy.VERSION).items():
        place = day, version if version in apart else None
        expected[place] = expected.get(place, 0) + cost
    found = store.usage.series(UsageBy.VERSION, by=UsageBy.DAY, apart=apart)
    assert {(row.key, row.split): row.totals.cost_nanos for row in found} == expected
    assert {row.split_label for row in found} == {LABELS.get(row.split) for row in found}


def test_one_users_calls_are_told_apart_by_version_alone(store: Facing, crossed: Any) -> None:
    mine = [one for one in crossed if one[0][UsageBy.USER] == "ana"]
    found = store.scoped(user="ana").usage.report(UsageBy.VERSION, split=UsageBy.MODEL)
    assert {(row.key, row.split): row.totals.cost_nanos for row in found.rows} == summed(
        mine, UsageBy.VERSION, UsageBy.MODEL
    )


def test_a_run_of_a_version_that_was_never_stored_is_refused(store: Facing, versions: tuple[Any, Any]) -> None:
    for where in (store, store.scoped(project="other")):
        wrong = versions[0] if where is not store else new_id()
        with pytest.raises(NotFound, match="agent version"):
            where.runs.start(NewRun(run_id="r", agent_id="bot", agent_version_uuid=wrong))
        assert where.runs.find("r") is None
