"""A run as a tree: its phases hold what went on in them, runs below it roll up, nothing is dropped or told twice."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from agentrecord.exceptions import NotFound
from agentrecord.ids import new_id
from agentrecord.records.event import EventType, NewEvent
from agentrecord.records.llm_call import CallStatus, NewLLMCall, PromptPart
from agentrecord.records.message import MessageRole
from agentrecord.records.price import NewPrice, Rates
from agentrecord.records.run import NewRun
from agentrecord.records.run_comparison import compared
from agentrecord.records.run_tree import RunTree
from agentrecord.records.tokens import TokenCounts
from agentrecord.records.tool_call import NewToolCall
from agentrecord.schema import runs as run_rows
from faces import Facing, covers

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def event(store: Facing, run: Any, kind: str, seconds: float, **more: Any) -> None:
    store.events.record(NewEvent(event_type=kind, run_uuid=run, timestamp=at(seconds), **more))


def call(store: Facing, run: Any, seconds: float, **more: Any) -> Any:
    given = {"model": "m", "latency_ms": 1000, "tokens": TokenCounts(input=10, output=5), "cost_nanos": 7, **more}
    return store.llm_calls.record(NewLLMCall(run_uuid=run, timestamp=at(seconds), **given))


def tool(store: Facing, run: Any, name: str, seconds: float, error: str | None = None) -> Any:
    made = store.tool_calls.record(NewToolCall(tool_name=name, run_uuid=run, started_at=at(seconds), arguments="{}"))
    return store.tool_calls.finish(made.id, result="r", error_message=error, finished_at=at(seconds + 1))


def shape(tree: RunTree) -> list[tuple[int, str, str]]:
    return [(span.depth, str(span.kind), span.name) for span in tree.spans]


@covers("pages.run_tree")
def test_phases_hold_what_went_on_in_them_and_sum_it_up(store: Facing) -> None:
    run = store.runs.start(NewRun(run_id="r", agent_id="bot", started_at=START)).id
    event(store, run, EventType.ITERATION_STARTED, 1)
    event(store, run, EventType.PLANNING_STARTED, 1)
    call(store, run, 3)
    event(store, run, EventType.PLANNING_COMPLETED, 4)
    event(store, run, EventType.ACTION_EXECUTION_STARTED, 4)
    tool(store, run, "Bash", 5)
    below = store.runs.start(NewRun(run_id="sub", agent_id="helper", parent_uuid=run, started_at=at(6))).id
    call(store, below, 8, cost_nanos=None, model="own")
    event(store, run, EventType.ACTION_EXECUTION_COMPLETED, 9)
    event(store, run, EventType.ITERATION_COMPLETED, 9)
    event(store, run, EventType.CUSTOM, 12, data='{"phase":"tidy up","error":"it is stuck"}', duration_ms=2000)
    call(store, run, 20)
    tree = store.pages.run_tree(run)
    assert shape(tree) == [
        (0, "run", "bot"), (1, "phase", "iteration 1"), (2, "phase", "plan"), (3, "llm", "m"), (2, "phase", "act"),
        (3, "tool", "Bash"), (3, "run", "helper"), (4, "llm", "own"), (1, "phase", "tidy up"), (1, "llm", "m"),
    ]  # fmt: skip
    by_name = {span.name: span for span in tree.spans[:-1]}
    whole, turn, act, tidy = by_name["bot"], by_name["iteration 1"], by_name["act"], by_name["tidy up"]
    assert (whole.calls, whole.unpriced_calls, whole.tokens, whole.cost_nanos) == (3, 1, 45, 14)
    assert (turn.calls, turn.unpriced_calls, turn.tokens, turn.cost_nanos) == (2, 1, 30, 7)
    assert (act.calls, act.cost_nanos, act.duration_ms) == (1, None, 5000)
    assert (tidy.started_at, tidy.duration_ms, tidy.is_failed, tidy.error_message) == (
        at(10), 2000, True, "it is stuck",
    )  # fmt: skip
    ids = [span.id for span in tree.spans]
    assert all(span.parent in ids[:place] for place, span in enumerate(tree.spans) if place)


@covers("pages.run_tree")
def test_a_phase_without_an_end_goes_on_as_long_as_its_run_and_is_cut_off_with_it(store: Facing) -> None:
    run = store.runs.start(NewRun(run_id="r", started_at=START)).id
    event(store, run, EventType.CRITIQUE_STARTED, 1)
    call(store, run, 5)
    _, phase, said = store.pages.run_tree(run).spans
    assert (phase.name, phase.is_running, phase.duration_ms, said.depth) == ("critique", True, None, 2)
    store.runs.fail(run, "gone")
    whole, phase, _ = store.pages.run_tree(run).spans
    assert (phase.is_running, phase.status, phase.ended_at) == (False, "cut off", whole.ended_at)


@covers("pages.run_tree")
def test_a_tool_whose_result_is_never_told_goes_on_no_longer_than_its_run(store: Facing) -> None:
    run = store.runs.start(NewRun(run_id="r", started_at=START)).id
    store.tool_calls.record(NewToolCall(tool_name="Bash", run_uuid=run, started_at=at(1)))
    _, used = store.pages.run_tree(run).spans
    assert (used.is_running, used.status) == (True, "pending")
    store.runs.finish(run)
    _, used = store.pages.run_tree(run).spans
    assert (used.is_running, used.status, used.duration_ms) == (False, "pending", None)


@covers("pages.run_tree")
def test_the_first_failure_has_its_message_cut_to_what_a_page_shows(store: Facing) -> None:
    run = store.runs.start(NewRun(run_id="r", started_at=START)).id
    call(store, run, 9, status=CallStatus.ERROR, error_message="late")
    tool(store, run, "Bash", 2, error="x" * 1000)
    failure = store.pages.run_tree(run).first_failure
    assert failure is not None
    assert (failure.name, failure.error_message) == ("Bash", "x" * 500)


@covers("pages.run_tree")
def test_runs_whose_parents_lead_in_a_circle_are_shown_once_each(store: Facing) -> None:
    one = store.runs.start(NewRun(run_id="one", started_at=START)).id
    two = store.runs.start(NewRun(run_id="two", parent_uuid=one, started_at=at(1))).id
    three = store.runs.start(NewRun(run_id="three", parent_uuid=two, started_at=at(2))).id
    call(store, three, 3)
    _lead(store, one, three)
    tree = store.pages.run_tree(one)
    assert shape(tree) == [(0, "run", "one"), (1, "run", "two"), (2, "run", "three"), (3, "llm", "m")]
    assert [span.cost_nanos for span in tree.spans] == [7, 7, 7, 7]


@covers("pages.run_tree")
def test_runs_are_nested_as_deep_as_they_are(store: Facing) -> None:
    above = None
    for number in range(60):
        above = store.runs.start(NewRun(run_id=f"r{number}", parent_uuid=above, started_at=at(number))).id
    tree = store.pages.run_tree(store.runs.get("r0").id)
    assert [span.depth for span in tree.spans] == list(range(60))


@covers("pages.run_tree")
def test_no_tree_is_given_for_a_run_that_is_not_there(store: Facing) -> None:
    with pytest.raises(NotFound):
        store.pages.run_tree(new_id())


@covers("runs.alike")
def test_runs_alike_are_those_of_the_agent_with_the_same_input_first(store: Facing) -> None:
    def start(name: str, agent: str, objective: str) -> Any:
        return store.runs.start(NewRun(run_id=name, agent_id=agent, objective=objective)).id

    this = start("this", "bot", "tidy")
    start("same", "bot", "tidy")
    start("other", "bot", "sweep")
    start("last", "bot", "mop")
    start("stranger", "else", "tidy")
    assert [run.run_id for run in store.runs.alike(this)] == ["same", "last", "other"]
    assert [run.run_id for run in store.runs.alike(this, limit=1)] == ["same"]
    with pytest.raises(NotFound):
        store.runs.alike(new_id())


def test_tokens_that_no_source_told_are_unknown_in_a_tree_and_told_ones_are_added_up(store: Facing) -> None:
    run = store.runs.start(NewRun(run_id="r", agent_id="bot", started_at=START)).id
    call(store, run, 1, tokens=TokenCounts())
    (whole, first) = store.pages.run_tree(run).spans
    assert (whole.calls, whole.tokens, first.tokens) == (1, None, None)
    call(store, run, 2, tokens=TokenCounts(input=0, output=0))
    call(store, run, 3, tokens=TokenCounts(input=7))
    assert [span.tokens for span in store.pages.run_tree(run).spans] == [7, None, 0, 7]


@covers("llm_calls.detail")
def test_a_calls_detail_has_its_prompt_as_messages_and_what_each_class_of_tokens_came_to(store: Facing) -> None:
    rates = Rates(input=3_000_000_000, cache_read=300_000_000, output=15_000_000_000)
    store.prices.set(NewPrice(model="mine", rates=rates))
    made = store.llm_calls.record(
        NewLLMCall(
            model="mine",
            tokens=TokenCounts(input=1000, cache_read=2000, output=100),
            prompt=(
                PromptPart(role=MessageRole.SYSTEM, content="Be brief."),
                PromptPart(role=MessageRole.USER, content="Hi"),
            ),
        )
    )
    found = store.llm_calls.detail(made.id)
    assert found.call == store.llm_calls.get(made.id)
    assert [(part.role, part.content) for part in found.prompt] == [("system", "Be brief."), ("user", "Hi")]
    assert [(c.token_class, c.tokens, c.rate, c.cost_nanos) for c in found.charges] == [
        ("input", 1000, rates.input, 3_000_000), ("cache_read", 2000, rates.cache_read, 600_000),
        ("output", 100, rates.output, 1_500_000),
    ]  # fmt: skip
    assert sum(charge.cost_nanos for charge in found.charges) == found.call.cost_nanos
    bare = store.llm_calls.detail(store.llm_calls.record(NewLLMCall(model="nobody's")).id)
    assert (bare.price, bare.charges, bare.prompt) == (None, (), None)
    with pytest.raises(NotFound):
        store.llm_calls.detail(new_id())


@covers("pages.run_tree")
def test_two_runs_side_by_side_have_the_sums_of_their_trees(store: Facing) -> None:
    runs = []
    for number in (1, 2):
        run = store.runs.start(NewRun(run_id=f"r{number}", started_at=START))
        for place in range(number):
            call(store, run.id, place + 1)
            tool(store, run.id, "Bash", place + 1, error="x" if number == 2 else None)
        runs.append(store.runs.get(run.id, with_subtree=True))
    call(store, runs[1].id, 9, model="other", cost_nanos=None)
    trees = [store.pages.run_tree(run.id) for run in runs]
    found = compared(runs[0], trees[0], runs[1], trees[1])
    assert (found.sums_a.errors, found.sums_b.errors) == (0, 2)
    assert (found.sums_b.calls.count, found.sums_b.calls.cost_nanos, found.sums_b.calls.unpriced_calls) == (3, 14, 1)
    assert [(part.name, part.a and part.a.count, part.b and part.b.count) for part in found.models] == [
        ("m", 1, 2), ("other", None, 1),
    ]  # fmt: skip
    assert [(part.name, part.b and part.b.failed) for part in found.tools] == [("Bash", 2)]


def _lead(store: Facing, run: Any, parent: Any) -> None:
    """Make a run lead to another as its parent, which no operation would."""

    def change(conn: Any, scope: Any) -> None:
        conn.run(
            update(run_rows)
            .where(run_rows.c.project_id == scope.project, run_rows.c.id == run)
            .values(parent_uuid=parent)
        )

    store.run(change)
