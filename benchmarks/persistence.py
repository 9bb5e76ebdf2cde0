"""The documented persistence module: single writes and statistics, against curio-agent-sdk's own SQLite back end."""

import itertools
import json
import sqlite3
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from agentrecord.adapters.persistence import SQLitePersistence
from agentrecord.adapters.persistence.convert import new_call, new_event, run_content
from agentrecord.adapters.persistence.models import AgentLLMUsage, AgentRun, AgentRunEvent
from agentrecord.engine import Connection
from agentrecord.records.scope import Scope
from agentrecord.store import events, llm_calls, run_records
from benchmarks.common import Cost, Samples, Scale, Section, scratch, timed

AGENTS = 10
BATCH = 500
EXPLANATION = """\
One call of the documented module at a time, each durable when it returns: ours with synchronous=FULL, theirs
(curio-agent-sdk 0.6.0, `SQLitePersistence`) with SQLite's default, which is FULL too, on a connection of its own per
call. An event is a `tool_call` with 120 bytes of data; a call has no prompt, since their model has none. The statistics
are asked of records with as many runs as the line says, one event and one call for each, over all agents and of one."""
CAUSES = """\
A single write waits for the disk: theirs for the journal's file to be made, written and removed, ours for one sync of
the log. Where a sync costs little, the rest is what is compared, and ours keeps figures, sequences and prices."""


def _models(kinds: Any) -> dict[str, Iterator[Any]]:
    """Return endless models, of our classes or of theirs."""
    agent_run, agent_event, agent_usage = kinds
    data = json.dumps({"tool_name": "search", "latency_ms": 31, "result_preview": "five articles about agents " * 2})

    def of(number: int) -> dict[str, Any]:
        return {"agent_id": f"agent-{number % AGENTS}", "run_id": f"run-{number}"}

    when = datetime.now(UTC).replace(tzinfo=None)
    return {
        "run": (
            agent_run(**of(n), agent_name="Agent", objective="Find five articles", started_at=when, status="completed",
                      total_iterations=n % 7)
            for n in itertools.count()
        ),
        "event": (
            agent_event(**of(n), agent_name="Agent", event_type="tool_call", data=data, timestamp=when)
            for n in itertools.count()
        ),
        "usage": (
            agent_usage(**of(n), provider="openai", model="gpt-4o", input_tokens=900 + n % 100,
                        output_tokens=120 + n % 10, latency_ms=200 + n * 7919 % 3000)
            for n in itertools.count()
        ),
    }  # fmt: skip


OURS = (AgentRun, AgentRunEvent, AgentLLMUsage)
METHODS = {"run": "create_agent_run", "event": "log_agent_run_event", "usage": "log_llm_usage"}


def fill_ours(persistence: SQLitePersistence, count: int) -> None:
    """Store `count` runs with an event and a call each, many in a transaction."""
    made = _models(OURS)

    def batch(conn: Connection, scope: Scope, size: int) -> None:
        runs = [next(made["run"]) for _ in range(size)]
        for run in runs:
            run_records.record(conn, scope, run.run_id, run_content(run), agent_id=run.agent_id)
        events.record_numbered(conn, scope, [new_event(next(made["event"])) for _ in runs])
        llm_calls.record_numbered(conn, scope, [new_call(next(made["usage"])) for _ in runs])

    for start in range(0, count, BATCH):
        persistence.store.run(batch, min(BATCH, count - start))


def fill_theirs(path: Path, kinds: Any, count: int) -> None:
    """Put the same rows into their tables."""
    made = _models(kinds)
    now = datetime.now(UTC).replace(tzinfo=None).isoformat()
    driver = sqlite3.connect(path)
    tables = {"run": "agent_runs", "event": "agent_run_events", "usage": "agent_llm_usage"}
    for kind, table in tables.items():
        names = [row[1] for row in driver.execute(f"PRAGMA table_info({table})") if row[1] != "id"]
        marks = ",".join("?" * len(names))
        told = ([_value(next(made[kind]), name, now) for name in names] for _ in range(count))
        driver.executemany(f"INSERT INTO {table} ({','.join(names)}) VALUES ({marks})", told)
    driver.commit()
    driver.close()


def _value(model: Any, name: str, now: str) -> Any:
    value = now if name in ("created_at", "updated_at") else getattr(model, name, None)
    return value.isoformat() if isinstance(value, datetime) else value


def _writing(persistence: Any, models: Iterator[Any], method: str, count: int) -> Callable[[], Cost]:
    write = getattr(persistence, method)

    def work() -> Cost:
        given = list(itertools.islice(models, count))
        return timed(lambda: [write(model) for model in given], count)

    return work


def _asking(persistence: Any, agent: str | None, count: int) -> Callable[[], Cost]:
    return lambda: timed(lambda: [persistence.get_agent_run_stats(agent) for _ in range(count)], count)


def run(scale: Scale) -> Section:
    """Measure writes and statistics."""
    section = Section(title="The documented persistence module", explanation=EXPLANATION, causes=CAUSES)
    if find_spec("curio_agent_sdk") is None:
        section.notes.append("Left out: curio-agent-sdk is not installed.")
        return section
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = import_module("curio_agent_sdk.models.agent")
        back_end = import_module("curio_agent_sdk.persistence").SQLitePersistence
    kinds = (theirs.AgentRun, theirs.AgentRunEvent, theirs.AgentLLMUsage)
    count, rounds = scale.of(200, 50), scale.of(11, 3)
    with scratch() as folder:
        mine, other = SQLitePersistence(str(folder / "ours.db")), back_end(str(folder / "theirs.db"))
        ours_models, theirs_models = _models(OURS), _models(kinds)
        for kind, method in METHODS.items():
            samples = Samples().take(
                {
                    "ours": _writing(mine, ours_models[kind], method, count),
                    "theirs": _writing(other, theirs_models[kind], method, count),
                },
                rounds,
            )
            section.figures.append(samples.gain(f"`{method}`, one at a time", "ours", "theirs", goal=4))
        mine.close()
        runs = scale.of(100_000, 5_000)
        large, base = SQLitePersistence(str(folder / "ours-large.db")), back_end(str(folder / "theirs-large.db"))
        fill_ours(large, runs)
        fill_theirs(folder / "theirs-large.db", kinds, runs)
        for agent, of in ((None, "all agents"), ("agent-3", "one agent")):
            samples = Samples().take({"ours": _asking(large, agent, 5), "theirs": _asking(base, agent, 1)}, rounds)
            what = f"`get_agent_run_stats` of {of}, {runs:,} runs"
            section.figures.append(samples.gain(what, "ours", "theirs", goal=20))
        large.close()
    return section
