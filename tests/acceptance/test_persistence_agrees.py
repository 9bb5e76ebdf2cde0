"""The persistence module's back ends agree step by step, and what any steps left goes elsewhere as it is."""

import dataclasses
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from test_engines_agree import TEXTS, TOKENS, Steady, plain

from agentrecord.adapters.persistence import AgentLLMUsage, AgentRun, AgentRunEvent, AgentRunStatus, StorePersistence
from agentrecord.exceptions import AgentRecordError
from agentrecord.store import Store
from counts import count, is_long
from databases import ENGINES, Databases
from rich_record import leaving

RUNS = st.sampled_from(["r1", "r2", "r3", "never made"])
AGENTS = st.sampled_from(["a", "b"])
JSON = st.none() | st.sampled_from(['{"tool_name": "look", "latency_ms": 7}', "[]", "no JSON", '{"n": 1e400}'])
TIMES = st.none() | st.integers(0, 100).map(lambda hours: datetime(2026, 1, 1) + timedelta(hours=hours))
STATUS = st.sampled_from([*(status.value for status in AgentRunStatus), "timeout", ""])
Act = Callable[[StorePersistence], Any]


class BackEnds(RuleBasedStateMachine):
    """One step is done on every back end, and the answers are compared."""

    databases: ClassVar[Databases]

    @initialize()
    def open(self) -> None:
        self.urls = [self.databases.create(engine) for engine in ENGINES]
        self.clocks = [Steady() for _ in ENGINES]
        self.stores = [
            Store(url, clock=clock, make_id=clock.new_id) for url, clock in zip(self.urls, self.clocks, strict=True)
        ]
        self.doors = [StorePersistence(store) for store in self.stores]

    def same(self, act: Act) -> None:
        """Do it on every back end."""
        made = max(clock.made for clock in self.clocks)
        reads = max(clock.reads for clock in self.clocks)
        answers: list[Any] = []
        for door, clock in zip(self.doors, self.clocks, strict=True):
            # One engine may have tried more often than another; every step starts at one time and one id.
            clock.made, clock.reads = made, reads
            try:
                answers.append(plain(act(door)))
            except AgentRecordError as error:
                answers.append((type(error).__name__, getattr(error, "field", None)))
        for engine, answer in zip(ENGINES[1:], answers[1:], strict=True):
            assert answer == answers[0], f"{engine} differs from memory"

    @rule(run=RUNS, agent=AGENTS, objective=TEXTS, status=STATUS, started=TIMES, steps=st.integers(-1, 5), more=JSON)
    def create(
        self, run: str, agent: str, objective: str, status: str, started: Any, steps: int, more: str | None
    ) -> None:
        new = AgentRun(agent_id=agent, run_id=run, agent_name=agent, objective=objective, status=status,
                       started_at=started, total_iterations=steps, metadata=more)  # fmt: skip
        self.same(lambda door: door.create_agent_run(dataclasses.replace(new)))

    @rule(run=RUNS, status=STATUS, output=TEXTS, finished=TIMES, failure=st.none() | TEXTS)
    def update(self, run: str, status: str, output: str, finished: Any, failure: str | None) -> None:
        def act(door: StorePersistence) -> None:
            found = door.get_agent_run(run) or AgentRun(agent_id="a", run_id=run)
            found.status, found.final_synthesis_output = status, output
            found.finished_at, found.error_message = finished, failure
            door.update_agent_run(run, found)

        self.same(act)

    @rule(run=RUNS)
    def delete(self, run: str) -> None:
        self.same(lambda door: door.delete_agent_run(run))

    @rule(run=RUNS, agent=AGENTS, kind=st.sampled_from(["custom", "tool_call", "run_started", ""]), data=JSON, at=TIMES)
    def log(self, run: str, agent: str, kind: str, data: str | None, at: Any) -> None:
        new = AgentRunEvent(agent_id=agent, run_id=run, agent_name=agent, event_type=kind, data=data, timestamp=at)
        self.same(lambda door: door.log_agent_run_events([dataclasses.replace(new), dataclasses.replace(new)]))

    @rule(run=st.none() | RUNS, agent=st.none() | AGENTS, given=TOKENS, made=TOKENS, prompt=TEXTS, metrics=JSON,
          latency=TOKENS, status=st.sampled_from(["success", "error", "odd"]))  # fmt: skip
    def spend(
        self, run: str | None, agent: str | None, given: int | None, made: int | None, prompt: str,
        metrics: str | None, latency: int | None, status: str,
    ) -> None:  # fmt: skip
        new = AgentLLMUsage(agent_id=agent, run_id=run, provider="openai", model="gpt-4o", prompt=prompt,
                            input_tokens=given, output_tokens=made, usage_metrics=metrics, latency_ms=latency,
                            status=status)  # fmt: skip
        self.same(lambda door: door.log_llm_usage(dataclasses.replace(new)))

    @rule(run=RUNS, agent=AGENTS, limit=st.integers(-1, 5), offset=st.integers(-1, 3))
    def read(self, run: str, agent: str, limit: int, offset: int) -> None:
        self.same(lambda door: door.get_agent_run(run))
        self.same(lambda door: door.get_agent_runs(agent, limit, offset))
        self.same(lambda door: [door.get_agent_run_events(run), door.get_agent_run_events(run, "tool_call")])
        self.same(lambda door: door.get_llm_usage(agent_id=agent))
        self.same(lambda door: [door.get_llm_usage(run_id=run), door.get_llm_usage(limit=2)])
        self.same(lambda door: [door.get_agent_run_stats(agent), door.get_agent_run_stats()])

    @rule()
    def close_those_of_dead_processes(self) -> None:
        self.same(lambda door: door.store.runs.close_abandoned())

    def teardown(self) -> None:
        sent = [leaving(store) for store in getattr(self, "stores", ())]
        for store, url, facts in zip(getattr(self, "stores", ()), getattr(self, "urls", ()), sent, strict=True):
            assert facts == sent[0]
            other = store.scoped(project="elsewhere")
            restored = other.exchange.restore(sent[0])
            there, recounted = leaving(other), [*store.usage.recount(), *other.usage.recount()]
            store.close()
            self.databases.drop(url)
            assert (restored.refused, restored.reasons, there, recounted) == (0, (), facts, [])


@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")
def test_every_back_end_answers_alike_and_what_is_left_is_the_same_elsewhere(databases: Databases) -> None:
    BackEnds.databases = databases
    run_state_machine_as_test(
        BackEnds,
        settings=settings(
            max_examples=count(5, 60), stateful_step_count=count(20, 50), deadline=None, database=None,
            suppress_health_check=list(HealthCheck), phases=(Phase.generate, *((Phase.shrink,) if is_long() else ())),
        ),
    )  # fmt: skip
