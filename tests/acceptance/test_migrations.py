"""Migrations arrive at the declared schema, once, whoever runs them at once; the documented views are there."""

import multiprocessing
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import MetaData, create_engine

from agentrecord.exceptions import SchemaMismatch
from agentrecord.migrations import LATEST, current_version, migrate
from agentrecord.records.event import NewEvent
from agentrecord.records.llm_call import NewLLMCall
from agentrecord.records.run import NewRun
from agentrecord.records.session import CodingDetails, NewSession
from agentrecord.records.tokens import TokenCounts
from agentrecord.schema import metadata
from agentrecord.schema.tables import with_condition
from agentrecord.store import Store
from databases import Databases

AT = datetime(2026, 1, 1, tzinfo=UTC)
ON_DISK = ("sqlite", "postgresql")


@pytest.fixture
def url(databases: Databases, request: pytest.FixtureRequest) -> Iterator[str]:
    """Return the address of a database that nobody has migrated."""
    found = databases.create_empty(request.param)
    yield found
    databases.drop(found)


@pytest.mark.parametrize("url", ON_DISK, indirect=True)
def test_the_steps_arrive_at_the_declared_schema(url: str) -> None:
    Store(url).close()
    is_sqlite = not url.startswith("postgresql")
    engine = create_engine(f"sqlite:///{url}" if is_sqlite else url.replace("postgresql://", "postgresql+psycopg://"))
    declared = metadata
    for one in {one for table in metadata.tables.values() for one in table.indexes}:
        with_condition(one, "sqlite" if is_sqlite else "postgresql")
    if not is_sqlite:
        declared = MetaData(naming_convention=metadata.naming_convention)
        for table in metadata.sorted_tables:
            table.to_metadata(declared, schema="agentrecord", referred_schema_fn=lambda *_: "agentrecord")

    def ours(name: str | None, kind: str, parents: Any) -> bool:
        if kind == "schema":
            return name == (None if is_sqlite else "agentrecord")
        return not (kind == "table" and (name or "").startswith("ar_search"))

    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={"compare_type": True, "compare_server_default": True, "include_schemas": True, "include_name": ours},
        )
        assert compare_metadata(context, declared) == []
    engine.dispose()


@pytest.mark.parametrize("url", ON_DISK, indirect=True)
def test_migrating_again_does_nothing(url: str) -> None:
    with Store(url) as store:
        assert current_version(store.engine) == LATEST
        assert migrate(store.engine, at=AT) == []
        store.sessions.create(NewSession(session_id="s"))
    with Store(url) as store:
        assert store.sessions.get("s").session_id == "s"


def _open(url: str, barrier: Any, results: Any) -> None:
    barrier.wait()
    try:
        with Store(url) as store:
            store.sessions.list()
        results.put("")
    except Exception as error:  # noqa: BLE001  (whatever it is, the test that waits is told)
        results.put(repr(error))


@pytest.mark.parametrize("url", ON_DISK, indirect=True)
def test_processes_that_migrate_at_once_all_succeed(url: str) -> None:
    spawn = multiprocessing.get_context("spawn")
    barrier, results = spawn.Barrier(4), spawn.Queue()
    processes = [spawn.Process(target=_open, args=(url, barrier, results)) for _ in range(4)]
    for process in processes:
        process.start()
    assert [results.get(timeout=60) for _ in processes] == [""] * 4
    for process in processes:
        process.join()
    with Store(url) as store:
        assert current_version(store.engine) == LATEST


@pytest.mark.parametrize("url", ON_DISK, indirect=True)
def test_a_newer_schema_is_refused_and_left_as_it_is(url: str) -> None:
    ledger = "ar_schema" if not url.startswith("postgresql") else "agentrecord.ar_schema"
    with Store(url) as store:
        store.engine.write(lambda conn: conn.text(f"INSERT INTO {ledger} VALUES ({LATEST + 1}, 'later', 0)"))
    before = None if url.startswith("postgresql") else Path(url).read_bytes()
    with pytest.raises(SchemaMismatch, match="upgrade agentrecord"):
        Store(url)
    if before is not None:
        assert Path(url).read_bytes() == before


def _read(url: str, sql: str) -> list[dict[str, Any]]:
    """Read with a tool that knows nothing of this package."""
    connect = psycopg.connect if url.startswith("postgresql") else sqlite3.connect
    with closing(connect(url)) as connection:
        cursor = connection.execute(sql)
        return [dict(zip([c[0] for c in cursor.description], row, strict=True)) for row in cursor.fetchall()]


@pytest.mark.parametrize("url", ON_DISK, indirect=True)
def test_the_documented_names_are_read_with_plain_sql(url: str) -> None:
    system, sdk = ("", "") if not url.startswith("postgresql") else ("system.", "agent_sdk.")
    with Store(url) as store:
        coding = CodingDetails(tool_name="claude-code", working_directory="/w", initial_task="t", chat_id="c")
        session = store.sessions.create(NewSession(session_id="s", coding=coding, agent_id="bot"), user="anna").id
        run = store.runs.start(NewRun(run_id="r", session_uuid=session, objective="o")).id
        store.events.record(NewEvent(event_type="custom", run_uuid=run, data='{"a":1}'))
        tokens = TokenCounts(input=10, cache_read=20, cache_write_5m=30, output=5)
        store.llm_calls.record(
            NewLLMCall(model="claude-opus-4-5", host="Anthropic", tokens=tokens, run_uuid=run, prompt="hello",
                       response_content="hi", cost_nanos=1_500_000_000, request_id="q", latency_ms=9))  # fmt: skip
        (usage,) = _read(url, f"SELECT * FROM {system}token_usage")
        assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) == (60, 5, 65)
        assert (float(usage["cost_usd"]), usage["user_id"], usage["request_id"]) == (1.5, "anna", "q")
        (host,) = [h for h in _read(url, f"SELECT * FROM {system}hosts") if h["name"] == "Anthropic"]
        (model,) = _read(url, f"SELECT * FROM {system}models WHERE name = 'claude-opus-4-5'")
        assert model["host_id"] == host["id"]
        assert usage["model_id"] == model["id"]
        (project,) = _read(url, f"SELECT * FROM {system}projects")
        assert (project["name"], project["id"]) == ("default", usage["project_id"])
        (coded,) = _read(url, f"SELECT * FROM {system}claude_code_sessions")
        assert (coded["session_id"], coded["working_directory"], coded["initial_task"]) == ("s", "/w", "t")
        (ran,) = _read(url, f"SELECT * FROM {sdk}agent_runs")
        assert (ran["run_id"], ran["agent_id"], ran["objective"], ran["status"]) == ("r", "bot", "o", "running")
        (event,) = _read(url, f"SELECT * FROM {sdk}agent_run_events")
        assert (event["run_id"], event["event_type"], event["data"]) == ("r", "custom", '{"a":1}')
        (call,) = _read(url, f"SELECT * FROM {sdk}agent_llm_usage")
        assert (call["provider"], call["model"], call["prompt"], call["response_content"]) == (
            "Anthropic", "claude-opus-4-5", "hello", "hi")  # fmt: skip
        assert (call["input_tokens"], call["output_tokens"], call["latency_ms"]) == (60, 5, 9)
