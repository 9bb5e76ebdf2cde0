"""What two versions of an agent did differently: instructions, tools, errors, costs, and ends on the same input."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agentrecord.records.llm_call import NewLLMCall, PromptPart
from agentrecord.records.run import NewRun
from agentrecord.records.tokens import TokenCounts
from agentrecord.records.tool_call import NewToolCall
from faces import Facing, covers

AT = datetime(2026, 1, 1, 12, tzinfo=UTC)
DOLLAR = 10**9


def served(
    store: Facing, version: Any, objective: str, cost: int | None, *, at: int = 0, tool: str = "look",
    error: str | None = None, prompt: Any = None, user: str = "anna",
) -> Any:  # fmt: skip
    """Record a run of a version with one call and one use of a tool; return its id."""
    started = AT + timedelta(minutes=at)
    run = store.runs.start(
        NewRun(run_id=f"{version.version_number} {objective} {at}", agent_id="bot", agent_version_uuid=version.id,
               objective=objective, started_at=started), user=user,
    )  # fmt: skip
    store.llm_calls.record(
        NewLLMCall(model="m", run_uuid=run.id, timestamp=started, cost_nanos=cost, tokens=TokenCounts(input=1),
                   prompt=prompt)
    )  # fmt: skip
    made = store.tool_calls.record(NewToolCall(tool_name=tool, run_uuid=run.id, started_at=started))
    store.tool_calls.finish(made.id, result="r", finished_at=started)
    store.runs.finish(run.id) if error is None else store.runs.fail(run.id, error)
    return run.id


@pytest.fixture
def versions(store: Facing) -> tuple[Any, Any]:
    return store.agents.create_version("bot", "1"), store.agents.create_version("bot", "2")


def told(uses: Any) -> list[tuple[str, int, int]]:
    return [(one.name, one.count_a, one.count_b) for one in uses]


@covers("agents.compare")
def test_the_same_input_is_told_where_it_ended_or_cost_otherwise(store: Facing, versions: tuple[Any, Any]) -> None:
    old, new = versions
    served(store, old, "twice", 1 * DOLLAR, error="gone")
    for objective, costs, error in (
        ("alike", (DOLLAR, DOLLAR), None), ("a little dearer", (100 * DOLLAR, 109 * DOLLAR), None),
        ("dearer", (DOLLAR, 3 * DOLLAR), None), ("cheaper", (9 * DOLLAR, DOLLAR), None),
        ("fails now", (DOLLAR, DOLLAR), "broke"), ("no price", (DOLLAR, None), None), ("twice", (DOLLAR, DOLLAR), None),
    ):  # fmt: skip
        served(store, old, objective, costs[0], at=1)
        served(store, new, objective, costs[1], at=2, error=error)
    served(store, old, "only of the old one", DOLLAR)
    found = store.agents.compare("bot")
    assert found.paired == 7
    assert [pair.objective for pair in found.pairs] == ["fails now", "cheaper", "dearer"]
    failed = found.pairs[0]
    assert (failed.a.status, failed.b.status, failed.b.error_message) == ("completed", "error", "broke")
    assert [one.agent_version_uuid for one in (failed.a, failed.b)] == [old.id, new.id]
    assert told(found.errors) == [("broke", 0, 1), ("gone", 1, 0)]


@covers("agents.compare")
def test_tools_and_instructions_of_both_are_told_the_latest_ones(store: Facing, versions: tuple[Any, Any]) -> None:
    old, new = versions
    as_parts = [PromptPart(role="system", content="Be kind."), PromptPart(role="user", content="Hello")]
    served(store, old, "x", DOLLAR, at=1, prompt=as_parts)
    served(store, old, "y", DOLLAR, tool="mail", prompt=[PromptPart(role="system", content="An earlier one")])
    as_list = '[{"role":"developer","content":"Be short."},{"role":"user","content":"Hello"}]'
    served(store, new, "x", DOLLAR, prompt=as_list)
    found = store.agents.compare("bot")
    assert (found.prompt_a, found.prompt_b) == ("Be kind.", "Be short.")
    assert told(found.tools) == [("mail", 1, 0), ("look", 1, 1)]
    turned = store.agents.compare("bot", "2", "1")
    assert (turned.prompt_a, told(turned.tools)) == ("Be short.", [("mail", 0, 1), ("look", 1, 1)])


@covers("agents.compare")
def test_costs_are_spread_over_equal_buckets_and_runs_without_a_price_are_in_none(
    store: Facing, versions: tuple[Any, Any]
) -> None:
    old, new = versions
    assert store.agents.compare("bot").costs.edges_nanos == ()
    for number in range(5):
        served(store, old, f"{number}", number * DOLLAR)
    for number, cost in enumerate((10 * DOLLAR, 10 * DOLLAR + 1, None)):
        served(store, new, f"new {number}", cost)
    found = store.agents.compare("bot").costs
    assert found.edges_nanos == tuple(place * DOLLAR for place in range(12))
    assert found.counts_a == (1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0)
    assert found.counts_b == (0,) * 10 + (2, 0)


@covers("agents.compare")
def test_one_user_sees_what_versions_did_for_that_user_alone(store: Facing, versions: tuple[Any, Any]) -> None:
    old, new = versions
    for user, error in (("anna", None), ("ben", "broke")):
        for version in (old, new):
            served(store, version, f"of {user}", DOLLAR, user=user, error=error if version is new else None,
                   prompt=[PromptPart(role="system", content=f"For {user}")], tool=f"tool of {user}")  # fmt: skip
    found = store.scoped(user="anna").agents.compare("bot")
    assert (found.runs_a, found.paired, found.pairs, found.prompt_b) == (1, 1, (), "For anna")
    assert told(found.tools) == [("tool of anna", 1, 1)]
    assert found.errors == ()


@covers("agents.compare")
def test_errors_that_differ_in_numbers_and_ids_only_are_one_error_of_a_version(
    store: Facing, versions: tuple[Any, Any]
) -> None:
    old, new = versions
    for number, version in enumerate((old, new, new)):
        served(store, version, f"{number}", DOLLAR, error=f"order {number} of req_{number}x timed out after {number} s")
    assert told(store.agents.compare("bot").errors) == [("order # of # timed out after # s", 1, 2)]
