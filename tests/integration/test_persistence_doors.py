"""What the persistence module writes, every other door reads field by field, and the other way round."""

import json
import multiprocessing
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from page_fixtures import HOME, SECRET, TOKEN, signed_in
from persistence_fixtures import BACK_ENDS, opened
from starlette.testclient import TestClient

from agentrecord.adapters.persistence import AgentLLMUsage, AgentRun, AgentRunEvent, SQLitePersistence, StorePersistence
from agentrecord.cli.main import program
from agentrecord.records.event import NewEvent
from agentrecord.records.llm_call import NewLLMCall
from agentrecord.records.run import NewRun, RunFilter, RunStatus
from agentrecord.records.scope import Role
from agentrecord.records.tokens import TokenCounts
from agentrecord.records.usage import UsageBy
from agentrecord.server.app import build_app
from agentrecord.store import AsyncStore

__all__ = ["opened"]

STARTED = datetime(2026, 3, 4, 9, 30, 15, 123456, tzinfo=UTC)
DATA = '{"action": "fetch", "args": {"topic": "AI"}, "result": "five", "duration_ms": 1234}'
METRICS = '{"prompt_tokens": 150, "completion_tokens": 50}'
Opened = Callable[[str], StorePersistence]


def fill(persistence: StorePersistence) -> None:
    """Record a run with an event and a call, each with every field."""
    persistence.create_agent_run(
        AgentRun(
            agent_id="agent-1", run_id="run-1", agent_name="Researcher", objective="Find articles",
            additional_context='{"topic": "AI"}', started_at=STARTED, finished_at=STARTED + timedelta(minutes=3),
            total_iterations=3, final_synthesis_output="Found five.", execution_history='[{"step": 1}]',
            status="completed", error_message="none", metadata='{"k": 1}',
        )
    )  # fmt: skip
    persistence.log_agent_run_event(
        AgentRunEvent("agent-1", "run-1", "Researcher", STARTED, "action_execution_completed", DATA)
    )
    persistence.log_llm_usage(
        AgentLLMUsage(
            agent_id="agent-1", run_id="run-1", provider="openai", model="gpt-4o", prompt="What is new?",
            prompt_length=12, input_params='{"temperature": 0.2}', input_tokens=150, output_tokens=50,
            response_content="Much.", response_length=5, usage_metrics=METRICS, status="success",
            error_message="none", latency_ms=820,
        )
    )  # fmt: skip


def view(persistence: StorePersistence, name: str) -> dict[str, Any]:
    """Return the one row of a documented table, read with plain SQL, its instants as aware datetimes."""
    engine = persistence.store.engine
    is_sqlite = engine.dialect.name == "sqlite"
    table = name if is_sqlite else f"agent_sdk.{name}"
    columns = COLUMNS[name]
    (row,) = persistence.store.run(lambda conn, scope: conn.text(f"SELECT {', '.join(columns)} FROM {table}"))
    found = dict(zip(columns, row, strict=True))
    for column in ("started_at", "finished_at", "timestamp", "created_at", "updated_at"):
        if isinstance(found.get(column), str):
            found[column] = datetime.fromisoformat(found[column]).replace(tzinfo=UTC)
    return found


COLUMNS = {
    "agent_runs": (
        "id", "agent_id", "run_id", "agent_name", "objective", "additional_context", "started_at", "finished_at",
        "total_iterations", "final_synthesis_output", "execution_history", "status", "error_message", "metadata",
        "created_at", "updated_at",
    ),
    "agent_run_events": (
        "id", "agent_id", "run_id", "agent_name", "timestamp", "event_type", "data", "created_at",
    ),
    "agent_llm_usage": (
        "id", "agent_id", "run_id", "provider", "model", "prompt", "prompt_length", "input_params", "input_tokens",
        "output_tokens", "response_content", "response_length", "usage_metrics", "status", "error_message",
        "latency_ms", "created_at",
    ),
}  # fmt: skip


@pytest.mark.parametrize("back_end", BACK_ENDS)
def test_the_documented_tables_read_with_plain_sql_what_the_module_reads(opened: Opened, back_end: str) -> None:
    persistence = opened(back_end)
    fill(persistence)
    models = {
        "agent_runs": persistence.get_agent_run("run-1"),
        "agent_run_events": persistence.get_agent_run_events("run-1")[0],
        "agent_llm_usage": persistence.get_llm_usage()[0],
    }
    for table, model in models.items():
        row = view(persistence, table)
        for column, value in row.items():
            wanted = getattr(model, column)
            if isinstance(wanted, datetime):
                assert abs(wanted.astimezone(UTC) - value) < timedelta(milliseconds=1), (table, column)
            else:
                assert value == wanted, (table, column)


@pytest.mark.parametrize("back_end", BACK_ENDS)
def test_the_store_reads_every_field(opened: Opened, back_end: str) -> None:
    persistence = opened(back_end)
    fill(persistence)
    store = persistence.store
    (run,) = store.runs.list(RunFilter(agent_id="agent-1"))
    assert (run.run_id, run.agent_name, run.objective, run.status) == (
        "run-1", "Researcher", "Find articles", RunStatus.COMPLETED
    )  # fmt: skip
    assert (run.started_at, run.duration_ms, run.total_iterations) == (STARTED, 180_000, 3)
    assert (run.additional_context, run.execution_history, run.metadata) == (
        '{"topic": "AI"}', '[{"step": 1}]', '{"k": 1}'
    )  # fmt: skip
    assert (run.final_synthesis_output, run.error_message) == ("Found five.", "none")
    assert (run.usage.calls, run.usage.input_tokens, run.usage.output_tokens, run.tool_call_count) == (1, 150, 50, 1)
    (event,) = store.events.list(run=run.id)
    assert (event.event_type, event.data, event.timestamp, event.agent_name) == (
        "action_execution_completed", DATA, STARTED, "Researcher"
    )  # fmt: skip
    (call,) = store.llm_calls.list(run=run.id)
    assert (call.host, call.model, call.latency_ms, call.input_params) == (
        "openai", "gpt-4o", 820, '{"temperature": 0.2}'
    )  # fmt: skip
    assert (call.response_content, call.usage_metrics, call.tokens.total) == ("Much.", METRICS, 200)
    assert store.llm_calls.prompt(call.id) == "What is new?"
    (use,) = store.tool_calls.list(run=run.id)
    assert (use.tool_name, use.result, use.duration_ms) == ("fetch", "five", 1234)
    report = store.usage.report(UsageBy.AGENT)
    assert [(row.label, row.totals.calls) for row in report.rows] == [("agent-1", 1)]
    assert report.total.cost_usd == call.cost_usd
    assert call.cost_usd is not None
    assert persistence.get_llm_usage()[0].get_cost_usd() == float(call.cost_usd)


def test_the_rest_api_reads_every_field() -> None:
    store = AsyncStore("memory:")
    from agentrecord.store import Store

    fill(StorePersistence(Store(engine=store.engine)))
    with TestClient(
        build_app(store, secret=SECRET, sign_in_token=TOKEN), base_url=HOME, follow_redirects=False
    ) as bare:
        client = signed_in(bare)
        run = client.get("/api/runs/run-1").json()
        assert (run["agent_id"], run["status"], run["serial"], run["total_iterations"]) == (
            "agent-1",
            "completed",
            1,
            3,
        )
        assert (run["started_at"], run["usage"]["calls"]) == ("2026-03-04T09:30:15.123456Z", 1)
        assert (run["metadata"], run["final_synthesis_output"]) == ('{"k": 1}', "Found five.")
        (call,) = client.get("/api/calls", params={"run": "run-1"}).json()["items"]
        assert (call["host"], call["model"], call["total_tokens"], call["serial"]) == ("openai", "gpt-4o", 200, 1)
        assert (call["usage_metrics"], call["response_content"], call["latency_ms"]) == (METRICS, "Much.", 820)


def test_the_command_line_reads_it(tmp_path: Path) -> None:
    path = str(tmp_path / "agent.db")
    persistence = SQLitePersistence(path)
    fill(persistence)
    persistence.close()
    runs = CliRunner().invoke(program, ["--db", path, "runs", "--json"])
    told = json.loads(runs.output)
    (run,) = told if isinstance(told, list) else told["items"]
    assert (run["run_id"], run["agent_id"], run["objective"]) == ("run-1", "agent-1", "Find articles")
    shown = CliRunner().invoke(program, ["--db", path, "run", "run-1"])
    assert shown.exit_code == 0
    assert "fetch" in shown.output
    assert "gpt-4o" in shown.output


@pytest.mark.parametrize("back_end", BACK_ENDS)
def test_the_module_reads_what_other_doors_write(opened: Opened, back_end: str) -> None:
    persistence = opened(back_end)
    store = persistence.store
    run = store.runs.start(NewRun(run_id="r", agent_id="a", agent_name="A", objective="o", metadata='{"k": 1}'))
    store.events.record(NewEvent(event_type="e", run_uuid=run.id, timestamp=STARTED, data="[1]"))
    store.llm_calls.record(
        NewLLMCall(model="gpt-4o", host="openai", run_uuid=run.id, prompt="p", latency_ms=5,
                   tokens=TokenCounts(input=10, cache_read=20, cache_write_5m=30, cache_write_1h=40, output=50))
    )  # fmt: skip
    store.runs.finish(run.id, output="out", total_iterations=2)
    found = persistence.get_agent_runs()[0]
    assert (found.id, found.agent_id, found.agent_name, found.objective, found.metadata) == (
        1,
        "a",
        "A",
        "o",
        '{"k": 1}',
    )
    assert (found.status, found.final_output, found.total_iterations) == ("completed", "out", 2)
    assert (found.total_llm_calls, found.total_input_tokens, found.total_output_tokens) == (1, 100, 50)
    assert persistence.get_agent_run("r") == found
    (event,) = persistence.get_agent_run_events("r")
    assert (event.id, event.agent_id, event.data, event.timestamp.astimezone(UTC)) == (1, "a", "[1]", STARTED)
    (usage,) = persistence.get_llm_usage(agent_id="a")
    assert (usage.id, usage.run_id, usage.input_tokens, usage.output_tokens) == (1, "r", 100, 50)
    assert (usage.prompt, usage.prompt_length, usage.get_total_tokens()) == ("p", 1, 150)
    assert persistence.get_agent_run_stats("a")["total_input_tokens"] == 100
    assert persistence.get_agent_run("not a run") is None
    assert persistence.get_agent_run(str(run.id)) is None


def test_a_reader_sees_rows_without_numbering_them(opened: Opened) -> None:
    persistence = opened("memory")
    persistence.store.runs.start(NewRun(run_id="r"))
    reading = StorePersistence(persistence.store.scoped(role=Role.READ))
    assert [run.id for run in reading.get_agent_runs()] == [None]


def write_many(path: str, process: int, count: int) -> None:
    """Write runs, events and calls, as one process of several."""
    persistence = SQLitePersistence(path)
    for number in range(count):
        run_id = f"r{process}-{number}"
        persistence.log_agent_run_event(AgentRunEvent("a", run_id, event_type="tool_call", data='{"tool_name": "t"}'))
        persistence.create_agent_run(AgentRun("a", run_id, status="running"))
        persistence.log_agent_run_event(AgentRunEvent("a", "shared", event_type="e"))
        persistence.log_llm_usage(AgentLLMUsage("a", run_id, model="m", input_tokens=1, output_tokens=2))
        persistence.update_agent_run(run_id, AgentRun("a", run_id, status="completed", total_iterations=1))
    persistence.close()


def test_two_processes_write_at_once_and_lose_nothing(tmp_path: Path) -> None:
    path, count = str(tmp_path / "agent.db"), 40
    persistence = SQLitePersistence(path)
    persistence.create_agent_run(AgentRun("a", "shared"))
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=write_many, args=(path, number, count)) for number in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    stats = persistence.get_agent_run_stats("a")
    assert (stats["total_runs"], stats["completed_runs"], stats["total_llm_calls"]) == (
        2 * count + 1,
        2 * count,
        2 * count,
    )
    assert stats["tool_metrics"]["t"]["call_count"] == 2 * count
    assert sorted(run.id for run in persistence.get_agent_runs(limit=1000)) == list(range(1, 2 * count + 2))
    shared = persistence.store.events.list(run=persistence.store.runs.get("shared").id, limit=200, sort="run_sequence")
    assert [event.run_sequence for event in shared] == list(range(1, 2 * count + 1))
    assert persistence.store.usage.recount() == ()
    persistence.close()
