"""A run whose process was killed is closed as an error when the next one starts, with what it cost until then."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from agentrecord.adapters.persistence import AgentRun, StorePersistence
from agentrecord.records.run import RunStatus
from agentrecord.server.app import build_app
from agentrecord.store import AsyncStore, Store
from held_clock import HeldClock

DYING = """
import signal, sys
from agentrecord.records.llm_call import NewLLMCall
from agentrecord.records.tokens import TokenCounts
from agentrecord.store import Store

store = Store(sys.argv[1])
with store.recorder.run(agent_id="coder", run_id="lost") as run:
    run.llm_call(NewLLMCall(model="m", tokens=TokenCounts(input=9, output=1), cost_nanos=5_000_000))
    print("going", flush=True)
    signal.pause()
"""


def killed(path: Path) -> None:
    """Start a run in a process of its own and kill it."""
    with subprocess.Popen([sys.executable, "-c", DYING, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "going\n"
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait(timeout=60) == -signal.SIGKILL


def by_the_recorder(store: Store) -> None:
    with store.recorder.run(agent_id="coder"):
        assert store.runs.get("lost").status is RunStatus.ERROR


def by_the_persistence_module(store: Store) -> None:
    StorePersistence(store).create_agent_run(AgentRun(agent_id="coder", run_id="next"))


def by_a_server(store: Store) -> None:
    app = build_app(AsyncStore(engine=store.engine), secret=b"s" * 32)
    with TestClient(app, base_url="http://localhost") as client:
        assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize("starts", [by_the_recorder, by_the_persistence_module, by_a_server])
def test_a_run_whose_process_was_killed_is_closed_at_the_next_start(
    tmp_path: Path, starts: Callable[[Store], None]
) -> None:
    path = tmp_path / "record.db"
    killed(path)
    with Store(str(path)) as store:
        begun = store.runs.get("lost")
        assert begun.status is RunStatus.RUNNING
    assert begun.alive_until is not None
    later = HeldClock()
    later.at = begun.alive_until + timedelta(seconds=1)
    with Store(str(path), clock=later) as store:
        starts(store)
        run = store.runs.get("lost")
        assert (run.status, run.status_reason) == (RunStatus.ERROR, "abandoned")
        assert (run.usage.calls, run.usage.cost_nanos) == (1, 5_000_000)
        assert run.finished_at is not None
        assert run.finished_at < begun.alive_until
        assert store.usage.recount() == ()
