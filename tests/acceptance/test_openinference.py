"""A run of the OpenAI Agents SDK that OpenInference watches, sent to a server of its own process, is in the record."""

import os
import subprocess
import sys
from pathlib import Path

from faults_server import free_port, serving

from agentrecord.records.message import MessageRole
from agentrecord.records.run import RunStatus
from agentrecord.records.scope import Role
from agentrecord.store import Store
from openai_server import Answer, OpenAIServer, Usage, Use

AGENT = Path(__file__).parent / "instrumented_agent.py"


def test_what_openinference_sees_of_an_agent_is_a_session_with_its_calls_and_tools(tmp_path: Path) -> None:
    path, port = tmp_path / "record.db", free_port()
    with Store(str(path)) as store:
        key = store.keys.create("exporter", role=Role.WRITE).secret
    with serving(path, port), OpenAIServer() as model:
        model.will(
            Answer(uses=[Use("call_1", "weather", {"city": "Rome"})], usage=Usage(100, 20), model="gpt-4o-mini"),
            Answer(["It is sunny."], usage=Usage(150, 5, cached=100), model="gpt-4o-mini"),
        )
        command = [sys.executable, str(AGENT), model.url, f"http://127.0.0.1:{port}/v1/traces", key]
        paths = os.pathsep.join(filter(None, sys.path))
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=120, check=False, env={**os.environ, "PYTHONPATH": paths}
        )
        assert (done.returncode, done.stdout) == (0, "It is sunny.\n"), done.stderr[-3000:]
    with Store(str(path)) as store:
        session = store.sessions.get("trip")
        assert session.user == "ana"
        calls = store.llm_calls.list(session=session.id, sort="timestamp").items
        assert [(call.model, call.tokens.total_input, call.tokens.output) for call in calls] == [
            ("gpt-4o-mini", 100, 20), ("gpt-4o-mini", 150, 5)]  # fmt: skip
        assert all(call.cost_nanos for call in calls)
        said = [(m.role, m.content) for m in store.messages.list(session.id) if m.content]
        assert said[-1] == (MessageRole.ASSISTANT, "It is sunny.")
        assert (MessageRole.USER, "How is the weather in Rome?") in said
        (use,) = store.tool_calls.list(session=session.id).items
        assert (use.tool_name, use.result) == ("weather", "sunny in Rome")
        assert {run.status for run in store.runs.list()} == {RunStatus.COMPLETED}
        assert "guide" in {run.agent_id for run in store.runs.list()}
        assert store.usage.recount() == ()
