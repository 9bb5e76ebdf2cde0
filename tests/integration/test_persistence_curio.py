"""A real agent of curio-agent-sdk runs with our persistence in the place of its own; both must say the same."""

import asyncio
import warnings
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from persistence_fixtures import BACK_ENDS, opened

from agentrecord.adapters import persistence as ours
from agentrecord.store import Store
from databases import Databases

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from curio_agent_sdk import Agent, tool
    from curio_agent_sdk.core.events import HookRegistry
    from curio_agent_sdk.middleware.consumers import PersistenceConsumer
    from curio_agent_sdk.middleware.cost_tracker import CostTracker
    from curio_agent_sdk.models.agent import AgentLLMUsage, AgentRun, AgentRunEvent
    from curio_agent_sdk.models.llm import LLMRequest, LLMResponse, Message, TokenUsage
    from curio_agent_sdk.persistence import SQLitePersistence, register_audit_hooks
    from curio_agent_sdk.testing import AgentTestHarness, MockLLM

__all__ = ["opened"]

STARTED = datetime(2026, 3, 4, 9, 30, 15, 123456)


@tool
def multiply(a: int, b: int) -> int:
    """Multiply two numbers."""
    return a * b


@tool
def explode() -> str:
    """Always fail."""
    raise RuntimeError("the tool is broken")


class Tee:
    """Hands every call of the framework to two persistences, so that both are told exactly the same."""

    def __init__(self, first: Any, second: Any) -> None:
        self._both = (first, second)

    def __getattr__(self, name: str) -> Any:
        methods = [getattr(one, name) for one in self._both]
        if name.startswith("a") and asyncio.iscoroutinefunction(methods[0]):

            async def awaited(*args: Any) -> Any:
                answers = [await method(*args) for method in methods]
                return answers[0]

            return awaited

        def blocking(*args: Any) -> Any:
            answers = [method(*args) for method in methods]
            return answers[0]

        return blocking


class Failing(MockLLM):
    """A scripted model that is away."""

    async def call(self, request: LLMRequest, run_id: str | None = None, agent_id: str | None = None) -> LLMResponse:
        raise ConnectionError("no model answers")


def scripted() -> MockLLM:
    """Return a model that uses both tools and then answers."""
    model = MockLLM()
    model.add_tool_call_response("multiply", {"a": 6, "b": 7})
    model.add_tool_call_response("explode", {})
    model.add_response(
        LLMResponse(
            message=Message.assistant("It is 42."), usage=TokenUsage(input_tokens=320, output_tokens=12),
            model="gpt-4o", provider="openai", finish_reason="stop",
        )
    )  # fmt: skip
    return model


def run_agent(persistence: Any, model: MockLLM, *, runs_too: Any = None, timeout: float | None = None) -> Any:
    """Run a real agent whose hooks write to `persistence`, and return its result."""
    registry = HookRegistry()
    if runs_too is not None:
        ours.record_runs(registry, runs_too, agent_name="Calculator")
    PersistenceConsumer(persistence).attach(registry)
    register_audit_hooks(registry, persistence)
    agent = Agent(agent_id="calculator", tools=[multiply, explode], hook_registry=registry, timeout=timeout)
    return AgentTestHarness(agent, llm=model).run_sync("What is 6 times 7?")


@pytest.fixture(params=BACK_ENDS)
def both(request: pytest.FixtureRequest, tmp_path: Path, opened: Any) -> Iterator[tuple[Any, Any]]:
    """Return the framework's own SQLite persistence and one of ours."""
    with warnings.catch_warnings():
        # The framework asks `datetime.utcnow()`.
        warnings.simplefilter("ignore", DeprecationWarning)
        yield SQLitePersistence(str(tmp_path / "theirs.db")), opened(request.param)


def plain(models: list[Any], *, leave_out: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """Return what the framework's models say, whichever class says it."""
    names = {
        "AgentRun": AgentRun, "AgentRunEvent": AgentRunEvent, "AgentLLMUsage": AgentLLMUsage,
    }  # fmt: skip
    found = []
    for model in models:
        fields = names[type(model).__name__].__dataclass_fields__
        found.append({name: getattr(model, name) for name in fields if name not in leave_out})
    return found


def near(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> None:
    """Hold two tellings against each other; both stamped the time of recording themselves."""
    assert len(one) == len(other)
    for left, right in zip(one, other, strict=True):
        for name in ("created_at", "updated_at"):
            a, b = left.pop(name, None), right.pop(name, None)
            assert (a is None) == (b is None)
            assert a is None or abs(a - b) < timedelta(seconds=5)
        assert left == right


def test_an_agents_whole_run_reads_as_in_its_own_persistence(both: tuple[Any, Any]) -> None:
    theirs, mine = both
    result = run_agent(Tee(theirs, mine), scripted())
    assert (result.status, result.output) == ("completed", "It is 42.")
    run_ids = {event.run_id for event in theirs.get_agent_run_events(result.run_id)} | {"", "unknown"}
    for run_id in run_ids:
        near(plain(theirs.get_agent_run_events(run_id)), plain(mine.get_agent_run_events(run_id)))
    assert len(mine.get_agent_run_events(result.run_id)) >= 2
    for wanted in ({}, {"agent_id": "calculator"}, {"run_id": result.run_id}, {"limit": 2}):
        near(plain(theirs.get_llm_usage(**wanted)), plain(mine.get_llm_usage(**wanted)))
    assert len(mine.get_llm_usage()) == 3
    for agent in (None, "calculator", "unknown"):
        assert mine.get_agent_run_stats(agent) == theirs.get_agent_run_stats(agent)
    assert mine.get_agent_run(result.run_id) is theirs.get_agent_run(result.run_id) is None


def test_its_audit_trail_reads_as_in_its_own_persistence(both: tuple[Any, Any]) -> None:
    theirs, mine = both
    result = run_agent(Tee(theirs, mine), scripted())
    told = ("agent_id", "run_id", "actor_type", "actor_id", "action", "resource", "resource_type", "timestamp")
    for wanted in ({}, {"run_id": result.run_id}, {"agent_id": "calculator"}, {"limit": 3}):
        left, right = theirs.get_audit_events(**wanted), mine.get_audit_events(**wanted)
        assert [{n: e[n] for n in told} for e in left] == [{n: e[n] for n in told} for e in right]
        assert {*left[0]} == {*right[0]}
        assert [set(e["metadata"]) for e in left] == [set(e["metadata"]) for e in right]
    entries = mine.get_audit_events(limit=1000)
    assert [e["prev_hash"] for e in entries] == [*[e["hash"] for e in entries[1:]], None]
    assert mine.store.audit.verify() == ()


def test_with_our_hook_the_run_itself_is_in_the_record(both: tuple[Any, Any]) -> None:
    _, mine = both
    result = run_agent(mine, scripted(), runs_too=mine)
    run = mine.get_agent_run(result.run_id)
    assert (run.agent_id, run.agent_name, run.objective) == ("calculator", "Calculator", "What is 6 times 7?")
    assert (run.status, run.final_output, run.total_iterations) == ("completed", "It is 42.", result.total_iterations)
    for name in ("total_llm_calls", "total_tool_calls", "total_input_tokens", "total_output_tokens"):
        assert getattr(run, name) == getattr(result, name)
    assert run.started_at <= run.finished_at
    stored = mine.store.runs.get(result.run_id)
    assert (stored.usage.calls, stored.usage.output_tokens) == (3, result.total_output_tokens)
    assert mine.get_agent_run_stats("calculator")["completed_runs"] == 1
    assert mine.store.usage.recount() == ()


def test_a_run_that_fails_or_takes_too_long_says_so(both: tuple[Any, Any]) -> None:
    _, mine = both
    failed = run_agent(mine, Failing(), runs_too=mine)
    run = mine.get_agent_run(failed.run_id)
    assert (failed.status, run.status) == ("error", "error")
    assert "no model answers" in run.error_message

    class Slow(MockLLM):
        async def call(self, request: Any, run_id: str | None = None, agent_id: str | None = None) -> Any:
            await asyncio.Event().wait()

    late = run_agent(mine, Slow(), runs_too=mine, timeout=0.05)
    assert late.status == mine.get_agent_run(late.run_id).status == "timeout"
    assert mine.get_agent_run_stats("calculator")["error_runs"] == 2


def test_its_cost_tracker_writes_into_the_record(both: tuple[Any, Any]) -> None:
    theirs, mine = both
    tracker = CostTracker(persistence=Tee(theirs, mine))
    request = LLMRequest(messages=[Message.user("x")])
    for response in scripted()._responses:
        asyncio.run(tracker.after_llm_call(request, response))
    near(plain(theirs.get_agent_run_events("")), plain(mine.get_agent_run_events("")))
    assert [event.event_type for event in mine.get_agent_run_events("")] == ["cost_entry"] * 3


def test_its_models_are_kept_whole_where_its_own_persistence_drops_fields(both: tuple[Any, Any]) -> None:
    theirs, mine = both
    given = {
        "agent_id": "a", "run_id": "r", "agent_name": "n", "objective": "o", "additional_context": "{}",
        "started_at": STARTED, "finished_at": STARTED, "total_iterations": 2, "total_llm_calls": 3,
        "total_tool_calls": 4, "total_input_tokens": 5, "total_output_tokens": 6, "final_output": "out",
        "execution_history": "[]", "status": "timeout", "error_message": "late", "metadata": "{}",
    }  # fmt: skip
    for one in both:
        one.create_agent_run(AgentRun("a", "r"))
        run = AgentRun(**given)
        one.update_agent_run("r", run)
        one.log_llm_usage(AgentLLMUsage("a", "r", "openai", "gpt-4o", 9, 8, 7, metadata='{"k": 1}'))
    dropped = ("total_llm_calls", "total_tool_calls", "total_input_tokens", "total_output_tokens")
    near(plain([theirs.get_agent_run("r")], leave_out=dropped), plain([mine.get_agent_run("r")], leave_out=dropped))
    found = mine.get_agent_run("r")
    assert {name: getattr(found, name) for name in given} == given
    assert (found.final_synthesis_output, found.to_dict()["status"]) == ("out", "timeout")
    usage = mine.get_llm_usage()[0]
    assert (usage.metadata, usage.usage_metrics, usage.total_tokens) == ('{"k": 1}', '{"k": 1}', 17)
    assert mine.store.runs.get("r").status_reason == "timeout"
    assert AgentRun.from_dict(found.to_dict() | {"final_output": found.final_output}).final_output == "out"
    assert ours.AgentRun.from_dict({**AgentRun(**given).to_dict(), "metadata": "{}"}).final_synthesis_output == "out"


def test_an_agent_recorded_in_a_file_is_found_by_the_store(tmp_path: Path) -> None:
    path = str(tmp_path / "agent.db")
    mine = ours.SQLitePersistence(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        result = run_agent(mine, scripted(), runs_too=mine)
    mine.close()
    with Store(path) as store:
        run = store.runs.get(result.run_id)
        assert run.final_synthesis_output == "It is 42."
        assert [call.model for call in store.llm_calls.list(run=run.id, sort="timestamp")][-1] == "gpt-4o"
        assert store.agents.get("calculator").name == "Calculator"


def test_a_file_of_its_own_persistence_is_not_touched(tmp_path: Path, databases: Databases) -> None:
    from agentrecord.exceptions import SchemaMismatch

    path = tmp_path / "theirs.db"
    SQLitePersistence(str(path)).create_agent_run(AgentRun("a", "r"))
    before = path.read_bytes()
    with pytest.raises(SchemaMismatch):
        ours.SQLitePersistence(str(path))
    assert path.read_bytes() == before
