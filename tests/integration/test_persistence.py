"""The documented persistence module: one contract for its three back ends."""

import dataclasses
import inspect
import json
import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from persistence_fixtures import BACK_ENDS, opened, parts_of

from agentrecord.adapters import persistence as module
from agentrecord.adapters.persistence import (
    AgentLLMUsage,
    AgentRun,
    AgentRunEvent,
    AgentRunStatus,
    BasePersistence,
    EventType,
    InMemoryPersistence,
    PostgresPersistence,
    SQLitePersistence,
    StorePersistence,
)
from agentrecord.exceptions import AgentRecordError, Conflict, InvalidFilter, InvalidValue, StoreUnavailable
from agentrecord.store import Store
from databases import Databases
from faces import Loop

__all__ = ["opened"]

STARTED = datetime(2026, 3, 4, 9, 30, 15, 123456)
WHOLE_RUN: dict[str, Any] = {
    "agent_id": "agent-1", "run_id": "run-1", "agent_name": "Researcher", "objective": "Find 5 articles",
    "additional_context": '{"topic": "AI"}', "started_at": STARTED, "finished_at": STARTED + timedelta(minutes=3),
    "total_iterations": 3, "final_synthesis_output": "Found five.", "execution_history": '[{"step": 1}]',
    "status": "completed", "error_message": "none", "metadata": '{"k": [1, 2]}',
}  # fmt: skip
WHOLE_EVENT: dict[str, Any] = {
    "agent_id": "agent-1", "run_id": "run-1", "agent_name": "Researcher", "timestamp": STARTED,
    "event_type": "action_execution_completed",
    "data": '{"action": "fetch", "args": {"topic": "AI"}, "result": {"status": "ok"}, "duration_ms": 1234}',
}  # fmt: skip
WHOLE_USAGE: dict[str, Any] = {
    "agent_id": "agent-1", "run_id": "run-1", "provider": "openai", "model": "gpt-4o", "prompt": "What is new?",
    "prompt_length": 12, "input_params": '{"temperature": 0.2}', "input_tokens": 150, "output_tokens": 50,
    "response_content": "Much.", "response_length": 5,
    "usage_metrics": '{"prompt_tokens": 150, "completion_tokens": 50, "total_tokens": 200, "cost_usd": 0.0003}',
    "status": "error", "error_message": "cut off", "latency_ms": 820,
}  # fmt: skip


@pytest.fixture(params=BACK_ENDS)
def persistence(
    request: pytest.FixtureRequest, opened: Callable[[str], StorePersistence]
) -> Iterator[StorePersistence]:
    """Return each back end; when the test ends no figure differs from a recount."""
    found = opened(request.param)
    yield found
    if found.health_check():
        assert found.store.usage.recount() == ()


@pytest.fixture(params=["Europe/Berlin", "America/New_York"])
def time_zone(request: pytest.FixtureRequest) -> Iterator[str]:
    """Set the local time zone."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = request.param
    time.tzset()
    yield request.param
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


def now_here() -> datetime:
    return datetime.now(UTC).astimezone().replace(tzinfo=None)


def said(model: Any, names: Any) -> dict[str, Any]:
    return {name: getattr(model, name) for name in names}


def test_the_models_have_the_documented_fields_and_defaults() -> None:
    documented: dict[type, dict[str, Any]] = {
        AgentRun: {
            "agent_id": dataclasses.MISSING, "run_id": dataclasses.MISSING, "agent_name": "", "objective": "",
            "additional_context": None, "started_at": None, "finished_at": None, "total_iterations": 0,
            "final_synthesis_output": None, "execution_history": None, "status": "pending", "error_message": None,
            "metadata": None, "id": None, "created_at": None, "updated_at": None,
        },
        AgentRunEvent: {
            "agent_id": dataclasses.MISSING, "run_id": dataclasses.MISSING, "agent_name": "", "timestamp": None,
            "event_type": "", "data": None, "id": None, "created_at": None,
        },
        AgentLLMUsage: {
            "agent_id": None, "run_id": None, "provider": "", "model": "", "prompt": "", "prompt_length": 0,
            "input_params": None, "input_tokens": None, "output_tokens": None, "response_content": None,
            "response_length": None, "usage_metrics": None, "status": "success", "error_message": None,
            "latency_ms": None, "id": None, "created_at": None,
        },
    }  # fmt: skip
    for model, wanted in documented.items():
        fields = {field.name: field.default for field in dataclasses.fields(model)}
        assert list(fields.items())[: len(wanted)] == list(wanted.items())
    assert [status.value for status in AgentRunStatus] == ["pending", "running", "completed", "error", "cancelled"]
    assert len(EventType) == 21
    assert EventType("subagent_run_completed") is EventType.SUBAGENT_RUN_COMPLETED


def test_the_interface_has_the_documented_methods() -> None:
    documented = {
        "create_agent_run": "(self, run)", "update_agent_run": "(self, run_id, run)",
        "get_agent_run": "(self, run_id)", "get_agent_runs": "(self, agent_id=None, limit=10, offset=0)",
        "delete_agent_run": "(self, run_id)", "log_agent_run_event": "(self, event)",
        "get_agent_run_events": "(self, run_id, event_type=None)", "log_llm_usage": "(self, usage)",
        "get_llm_usage": "(self, agent_id=None, run_id=None, limit=100)",
        "get_agent_run_stats": "(self, agent_id=None)",
        "initialize_schema": "(self)", "health_check": "(self)", "close": "(self)",
    }  # fmt: skip
    for kind in (BasePersistence, SQLitePersistence, PostgresPersistence, InMemoryPersistence):
        for name, shown in documented.items():
            signature = inspect.signature(getattr(kind, name))
            bare = [p.replace(annotation=inspect.Parameter.empty) for p in signature.parameters.values()]
            assert str(inspect.Signature(bare)) == shown
    with pytest.raises(TypeError):
        BasePersistence()  # type: ignore[abstract]
    assert sorted(module.__all__) == list(module.__all__)


def test_everything_is_read_back_field_by_field(persistence: StorePersistence) -> None:
    run, event, usage = AgentRun(**WHOLE_RUN), AgentRunEvent(**WHOLE_EVENT), AgentLLMUsage(**WHOLE_USAGE)
    persistence.create_agent_run(run)
    found = persistence.get_agent_run("run-1")
    persistence.log_agent_run_event(event)
    persistence.log_llm_usage(usage)
    assert (run.id, event.id, usage.id) == (1, 1, 1)
    assert found is not None
    assert said(found, WHOLE_RUN) == WHOLE_RUN
    assert (found.id, found.created_at, found.updated_at) == (1, run.created_at, run.updated_at)
    (seen,) = persistence.get_agent_run_events("run-1")
    assert (said(seen, WHOLE_EVENT), seen.id, seen.created_at) == (WHOLE_EVENT, 1, event.created_at)
    (call,) = persistence.get_llm_usage()
    assert (said(call, WHOLE_USAGE), call.id, call.created_at) == (WHOLE_USAGE, 1, usage.created_at)
    assert run.created_at is not None
    assert abs(run.created_at - now_here()) < timedelta(minutes=1)
    assert (call.get_total_tokens(), call.get_cost_usd(), call.cost_usd) == (200, 0.0003, 0.0003)
    assert seen.get_data_dict()["args"] == {"topic": "AI"}


def test_what_is_left_out_is_read_back_as_its_default(persistence: StorePersistence) -> None:
    persistence.create_agent_run(AgentRun("a", "r"))
    persistence.log_agent_run_event(AgentRunEvent("a", "r", event_type=EventType.CUSTOM))
    persistence.log_llm_usage(AgentLLMUsage())
    read = [persistence.get_agent_runs()[0], persistence.get_agent_run_events("r")[0], persistence.get_llm_usage()[0]]
    blank = [AgentRun("a", "r"), AgentRunEvent("a", "r", event_type="custom"), AgentLLMUsage()]
    for model, wanted in zip(read, blank, strict=True):
        names = {f.name for f in dataclasses.fields(wanted)} - {"id", "created_at", "updated_at", "timestamp"}
        assert said(model, names) == said(wanted, names)
    assert abs(read[1].timestamp - now_here()) < timedelta(minutes=1)
    assert read[2].get_total_tokens() is read[2].get_cost_usd() is None


def test_updating_replaces_everything_but_the_names(persistence: StorePersistence) -> None:
    persistence.create_agent_run(AgentRun("agent-1", "run-1", status="running", started_at=STARTED))
    persistence.update_agent_run("run-1", AgentRun(**{**WHOLE_RUN, "agent_id": "other", "run_id": "other"}))
    found = persistence.get_agent_run("run-1")
    assert found is not None
    assert said(found, WHOLE_RUN) == WHOLE_RUN
    assert found.updated_at > found.created_at
    persistence.update_agent_run("run-1", AgentRun("agent-1", "run-1", status=AgentRunStatus.CANCELLED))
    emptied = persistence.get_agent_run("run-1")
    assert (emptied.status, emptied.objective, emptied.finished_at, emptied.metadata) == ("cancelled", "", None, None)
    persistence.update_agent_run("unknown", AgentRun("a", "unknown"))
    assert persistence.get_agent_run("unknown") is None
    assert persistence.get_agent_run("other") is None


@pytest.mark.parametrize("status", ["pending", "running", "completed", "error", "cancelled", "timeout"])
def test_every_status_returns_as_it_came(persistence: StorePersistence, status: str) -> None:
    persistence.create_agent_run(AgentRun("a", "r", status=status))
    assert persistence.get_agent_run("r").status == status
    assert persistence.get_agent_run_stats()["error_runs"] == (status in ("error", "timeout"))
    persistence.update_agent_run("r", AgentRun("a", "r", status="error"))
    assert persistence.get_agent_run("r").status == "error"


def test_runs_come_newest_first_in_pages(persistence: StorePersistence) -> None:
    for number in range(15):
        persistence.create_agent_run(AgentRun(f"agent-{number % 2}", f"r{number}"))
    assert [run.run_id for run in persistence.get_agent_runs()] == [f"r{n}" for n in range(14, 4, -1)]
    assert [run.run_id for run in persistence.get_agent_runs("agent-1", limit=3, offset=1)] == ["r11", "r9", "r7"]
    assert len(persistence.get_agent_runs(agent_id="agent-0", limit=1000)) == 8
    assert persistence.get_agent_runs("unknown") == []
    assert [run.id for run in persistence.get_agent_runs(limit=2)] == [15, 14]


def test_events_come_by_timestamp_and_by_type(persistence: StorePersistence) -> None:
    persistence.create_agent_run(AgentRun("a", "r"))
    kinds = list(EventType)
    persistence.log_agent_run_events(
        [
            AgentRunEvent("a", "r", event_type=kind.value, timestamp=STARTED - timedelta(seconds=number))
            for number, kind in enumerate(kinds)
        ]
    )
    found = persistence.get_agent_run_events("r")
    assert [event.event_type for event in found] == [kind.value for kind in reversed(kinds)]
    assert sorted(event.id for event in found) == list(range(1, 22))
    assert [e.event_type for e in persistence.get_agent_run_events("r", event_type="custom")] == ["custom"]
    assert persistence.get_agent_run_events("unknown") == []


def test_events_and_calls_may_come_before_their_run_or_without_one(persistence: StorePersistence) -> None:
    persistence.log_agent_run_event(AgentRunEvent("a", "r", event_type="run_started"))
    persistence.log_agent_run_event(AgentRunEvent("", "", event_type="cost_entry", data='{"cost_usd": 1}'))
    persistence.log_llm_usages([AgentLLMUsage(run_id="r", model="m"), AgentLLMUsage(agent_id="a", model="m")])
    assert persistence.get_agent_run("r") is None
    assert [e.run_id for e in persistence.get_agent_run_events("r")] == ["r"]
    (entry,) = persistence.get_agent_run_events("")
    assert (entry.agent_id, entry.run_id, entry.event_type) == ("", "", "cost_entry")
    persistence.create_agent_run(AgentRun("a", "r"))
    assert [e.event_type for e in persistence.get_agent_run_events("r")] == ["run_started"]
    assert [(u.agent_id, u.run_id) for u in persistence.get_llm_usage()] == [("a", None), (None, "r")]
    assert [u.id for u in persistence.get_llm_usage(run_id="r")] == [1]
    assert [u.id for u in persistence.get_llm_usage(agent_id="a", limit=5)] == [2]
    assert persistence.store.runs.get("r").usage.calls == 1


def test_deleting_a_run_takes_its_events_and_keeps_its_calls(persistence: StorePersistence) -> None:
    persistence.create_agent_run(AgentRun("a", "r"))
    persistence.log_agent_run_event(AgentRunEvent("a", "r", event_type="tool_call", data='{"tool_name": "t"}'))
    persistence.log_llm_usage(AgentLLMUsage("a", "r", model="m"))
    assert persistence.delete_agent_run("r") is True
    assert persistence.get_agent_run("r") is None
    assert persistence.get_agent_run_events("r") == []
    assert [usage.run_id for usage in persistence.get_llm_usage(run_id="r")] == ["r"]
    assert persistence.delete_agent_run("r") is False
    found = persistence.get_agent_run_stats("a")
    assert (found["total_runs"], found["total_llm_calls"], found["tool_metrics"]) == (0, 1, {})
    persistence.create_agent_run(AgentRun("a", "r"))
    assert persistence.store.runs.get("r").usage.calls == 1


def test_statistics_have_the_documented_keys(persistence: StorePersistence) -> None:
    nothing = persistence.get_agent_run_stats("unknown")
    assert nothing == {
        "total_runs": 0, "completed_runs": 0, "error_runs": 0, "avg_iterations": 0, "total_llm_calls": 0,
        "total_input_tokens": 0, "total_output_tokens": 0, "tool_metrics": {}, "latency_percentiles": {},
        "token_efficiency": 0, "avg_input_tokens_per_call": 0, "avg_output_tokens_per_call": 0,
    }  # fmt: skip
    for number, status in enumerate(["completed", "completed", "error", "running"]):
        persistence.create_agent_run(AgentRun("a", f"r{number}", status=status, total_iterations=number))
    persistence.create_agent_run(AgentRun("b", "other", status="completed"))
    persistence.log_llm_usages(
        [AgentLLMUsage("a", "r0", "openai", "gpt-4o", input_tokens=100 * n, output_tokens=10 * n, latency_ms=n * 100)
         for n in (1, 2, 3)]
    )  # fmt: skip
    for told in ({"tool_name": "t", "latency_ms": 10}, {"tool_name": "t", "latency_ms": 20, "error": "x"}):
        persistence.log_agent_run_event(AgentRunEvent("a", "r0", event_type="tool_call", data=json.dumps(told)))
    assert persistence.get_agent_run_stats(agent_id="a") == {
        "total_runs": 4, "completed_runs": 2, "error_runs": 1, "avg_iterations": 1.5, "total_llm_calls": 3,
        "total_input_tokens": 600, "total_output_tokens": 60,
        "tool_metrics": {"t": {"call_count": 2, "total_latency_ms": 30, "error_count": 1, "avg_latency_ms": 15}},
        "latency_percentiles": {"p50": 200, "p75": 250, "p90": 280, "p95": 290, "p99": 298},
        "token_efficiency": 0.1, "avg_input_tokens_per_call": 200, "avg_output_tokens_per_call": 20,
    }  # fmt: skip
    assert persistence.get_agent_run_stats()["total_runs"] == 5


def test_cached_tokens_are_part_of_the_input_and_priced_as_such(persistence: StorePersistence) -> None:
    told = {
        "cached": {
            "prompt_tokens_details": {"cached_tokens": 600},
            "completion_tokens_details": {"reasoning_tokens": 3},
        },
        "written": {"cache_read_input_tokens": 100, "cache_creation_input_tokens": 200},
        "outside": {"cache_read_input_tokens": 5000},
    }
    for name, metrics in told.items():
        persistence.log_llm_usage(
            AgentLLMUsage("a", name, "openai", "gpt-4o", input_tokens=1000, output_tokens=7,
                          usage_metrics=json.dumps(metrics))
        )  # fmt: skip
        assert persistence.get_llm_usage(run_id=name)[0].input_tokens == 1000
    tokens = {n.run_id: n.call.tokens for n in persistence.store.llm_calls.named()}
    assert (tokens["cached"].input, tokens["cached"].cache_read, tokens["cached"].reasoning) == (400, 600, 3)
    assert (tokens["written"].input, tokens["written"].cache_read, tokens["written"].cache_write_5m) == (700, 100, 200)
    assert (tokens["outside"].input, tokens["outside"].cache_read) == (1000, None)
    costs = {u.run_id: u.get_cost_usd() for u in persistence.get_llm_usage()}
    assert 0 < costs["cached"] < costs["outside"]
    assert persistence.get_agent_run_stats("a")["total_input_tokens"] == 3000


def test_naive_times_are_local_in_and_out(persistence: StorePersistence, time_zone: str) -> None:
    instant = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
    local = instant.astimezone().replace(tzinfo=None)
    assert local.hour != 12
    persistence.create_agent_run(AgentRun("a", "naive", started_at=local))
    persistence.create_agent_run(AgentRun("a", "aware", started_at=instant.astimezone(timezone(timedelta(hours=9)))))
    persistence.log_agent_run_event(AgentRunEvent("a", "naive", event_type="e", timestamp=local))
    for name in ("naive", "aware"):
        assert persistence.get_agent_run(name).started_at == local
        assert persistence.store.runs.get(name).started_at == instant
    assert persistence.get_agent_run_events("naive")[0].timestamp == local
    twice = datetime(2026, 10, 25, 2, 30) if time_zone == "Europe/Berlin" else datetime(2026, 11, 1, 1, 30)
    for fold in (0, 1):
        persistence.create_agent_run(AgentRun("a", f"fold{fold}", started_at=twice.replace(fold=fold)))
        back = persistence.get_agent_run(f"fold{fold}").started_at
        assert (back, back.fold) == (twice, fold)


BAD: list[tuple[str, str, Any]] = [
    ("run", "run_id", ""), ("run", "run_id", None), ("run", "run_id", "x" * 256), ("run", "agent_id", "a\0"),
    ("run", "agent_name", "x" * 256), ("run", "objective", "\ud800"), ("run", "status", "done"),
    ("run", "status", None),
    ("run", "total_iterations", -1), ("run", "total_iterations", "3"), ("run", "metadata", "{"),
    ("run", "started_at", "yesterday"), ("run", "started_at", datetime(1969, 1, 1)), ("run", "error_message", 5),
    ("event", "event_type", ""), ("event", "event_type", "x" * 101), ("event", "data", "no json"),
    ("event", "data", '{"a": NaN}'), ("event", "run_id", None), ("event", "timestamp", 12.5),
    ("usage", "status", "maybe"), ("usage", "input_tokens", -1), ("usage", "output_tokens", 1.5),
    ("usage", "latency_ms", -1), ("usage", "provider", "x" * 101), ("usage", "model", "x" * 256),
    ("usage", "usage_metrics", "no json"), ("usage", "input_params", "no json"), ("usage", "prompt", "\0"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "field", "value"), BAD)
def test_what_cannot_be_stored_is_refused_by_name_and_nothing_is_kept(
    opened: Callable[[str], StorePersistence], kind: str, field: str, value: Any
) -> None:
    persistence = opened("memory")
    whole = {"run": (AgentRun, WHOLE_RUN), "event": (AgentRunEvent, WHOLE_EVENT), "usage": (AgentLLMUsage, WHOLE_USAGE)}
    model, given = whole[kind]
    log = {
        "run": persistence.create_agent_run, "event": persistence.log_agent_run_event,
        "usage": persistence.log_llm_usage,
    }[kind]  # fmt: skip
    bad = model(**{**given, field: value})
    with pytest.raises(InvalidValue) as refused:
        log(bad)
    names = {"input_tokens": "tokens.input", "output_tokens": "tokens.output"}
    assert refused.value.field == names.get(field, field)
    assert bad.id is None
    data = persistence.get_all_data()
    assert data == {"runs": {}, "events": {}, "llm_usage": []}
    assert persistence.store.agents.list().items == []


def test_a_bad_item_in_a_batch_leaves_none_of_it(persistence: StorePersistence) -> None:
    with pytest.raises(InvalidValue):
        persistence.log_agent_run_events(
            [AgentRunEvent(**WHOLE_EVENT), AgentRunEvent("a", "run-1", event_type="e", data="{")]
        )
    with pytest.raises(InvalidValue):
        persistence.log_llm_usages([AgentLLMUsage(**WHOLE_USAGE), AgentLLMUsage(latency_ms=-1)])
    assert persistence.get_agent_run_events("run-1") == persistence.get_llm_usage() == []
    persistence.log_agent_run_events([])
    persistence.log_llm_usages([])


def test_a_run_id_is_taken_once(persistence: StorePersistence) -> None:
    persistence.create_agent_run(AgentRun(**WHOLE_RUN))
    with pytest.raises(Conflict):
        persistence.create_agent_run(AgentRun("b", "run-1"))
    assert said(persistence.get_agent_run("run-1"), WHOLE_RUN) == WHOLE_RUN
    assert persistence.get_agent_run_stats()["total_runs"] == 1


def test_pages_of_an_impossible_size_are_refused(persistence: StorePersistence) -> None:
    for ask in (
        lambda: persistence.get_agent_runs(limit=-1),
        lambda: persistence.get_agent_runs(offset=-1),
        lambda: persistence.get_llm_usage(limit=-1),
    ):
        with pytest.raises(InvalidFilter):
            ask()
    assert persistence.get_agent_runs(limit=0) == []


def test_awaited_calls_do_the_same(persistence: StorePersistence, loop: Loop) -> None:
    async def work() -> AgentRun | None:
        await persistence.startup()
        await persistence.acreate_agent_run(AgentRun("a", "r"))
        await persistence.alog_agent_run_event(AgentRunEvent("a", "r", event_type="e"))
        await persistence.alog_llm_usage(AgentLLMUsage("a", "r", model="m"))
        await persistence.aupdate_agent_run("r", AgentRun("a", "r", status="completed"))
        await persistence.aupdate_agent_run("unknown", AgentRun("a", "unknown"))
        assert await persistence.aget_agent_run("unknown") is None
        return await persistence.aget_agent_run("r")

    run = loop.run(work())
    assert (run.status, run.id) == ("completed", 1)
    assert [len(persistence.get_agent_run_events("r")), len(persistence.get_llm_usage(run_id="r"))] == [1, 1]
    loop.run(persistence.shutdown())
    assert persistence.health_check() is False


def test_health_tells_whether_the_record_answers(persistence: StorePersistence) -> None:
    assert persistence.health_check() is True
    persistence.initialize_schema()
    persistence.close()
    persistence.close()
    assert persistence.health_check() is False
    with pytest.raises(AgentRecordError):
        persistence.create_agent_run(AgentRun("a", "r"))


def test_memory_is_cleared_and_told_whole() -> None:
    persistence = InMemoryPersistence()
    persistence.create_agent_run(AgentRun(**WHOLE_RUN))
    persistence.create_agent_run(AgentRun("a", "quiet"))
    persistence.log_agent_run_event(AgentRunEvent(**WHOLE_EVENT))
    persistence.log_agent_run_event(AgentRunEvent("a", "unknown", event_type="e"))
    persistence.log_llm_usage(AgentLLMUsage(**WHOLE_USAGE))
    data = persistence.get_all_data()
    assert {name: len(events) for name, events in data["events"].items()} == {"run-1": 1, "quiet": 0, "unknown": 1}
    assert json.loads(json.dumps(data)) == data
    assert said(AgentRun.from_dict(data["runs"]["run-1"]), WHOLE_RUN) == WHOLE_RUN
    assert said(AgentRunEvent.from_dict(data["events"]["run-1"][0]), WHOLE_EVENT) == WHOLE_EVENT
    assert said(AgentLLMUsage.from_dict(data["llm_usage"][0]), WHOLE_USAGE) == WHOLE_USAGE
    persistence.clear_all()
    assert persistence.get_all_data() == {"runs": {}, "events": {}, "llm_usage": []}
    run = AgentRun("a", "r")
    persistence.create_agent_run(run)
    assert run.id == 1
    persistence.close()


def test_the_default_file_is_agent_sdk_db_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    SQLitePersistence().close()
    assert (tmp_path / "agent_sdk.db").exists()
    with Store(str(tmp_path / "agent_sdk.db")) as store:
        assert StorePersistence(store).get_agent_runs() == []


def test_postgresql_takes_what_is_not_given_from_the_environment(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = databases.create_empty("postgresql")
    parts = parts_of(url)
    for variable, value in {
        "DB_HOST": parts["host"], "DB_PORT": str(parts["port"]), "DB_NAME": parts["database"], "DB_USER": parts["user"],
        "DB_PASSWORD": "p w/&", "DB_SCHEMA": "Custom_1",
    }.items():  # fmt: skip
        monkeypatch.setenv(variable, value)
    persistence = PostgresPersistence(min_connections=2, max_connections=3)
    assert (persistence.database, persistence.schema) == (parts["database"], "Custom_1")
    assert "p w" not in persistence.store.engine.url
    assert "p+w" not in persistence.store.engine.url
    persistence.create_agent_run(AgentRun("a", "r"))
    rows = persistence.store.run(lambda conn, scope: conn.text("SELECT id, run_id FROM custom_1.agent_runs"))
    assert rows == [(1, "r")]
    persistence.initialize_schema()
    given = PostgresPersistence(schema="other")
    assert given.schema == "other"
    assert [run.run_id for run in given.get_agent_runs()] == ["r"]
    given.close()
    persistence.close()
    monkeypatch.setenv("DB_PORT", "x1")
    with pytest.raises(InvalidValue):
        PostgresPersistence()
    databases.drop(url)


def test_postgresql_refuses_what_it_cannot_use(databases: Databases) -> None:
    url = databases.create_empty("postgresql")
    parts = parts_of(url)
    with StorePersistence(PostgresPersistence(**parts).store).store as store:
        store.engine.execute_script(["CREATE SCHEMA taken", "CREATE TABLE taken.agent_runs (id int)"])
    for wrong in (
        {"schema": "a b"},
        {"schema": 'x"; DROP'},
        {"min_connections": 0},
        {"min_connections": 5, "max_connections": 4},
    ):
        with pytest.raises(InvalidValue):
            PostgresPersistence(**{**parts, **wrong})
    with pytest.raises(Conflict):
        PostgresPersistence(**parts, schema="taken")
    with pytest.raises(StoreUnavailable):
        PostgresPersistence(**{**parts, "database": "no_such_database"})
    databases.drop(url)
