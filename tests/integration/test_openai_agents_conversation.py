"""The conversation endpoint with the OpenAI Agents SDK behind it, from the request to the record."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from agents import function_tool
from starlette.testclient import TestClient

from agentrecord.agents.conversation import Limits
from agentrecord.agents.openai_agents import OpenAIAgentsRunner
from agentrecord.records.llm_call import CallStatus
from agentrecord.records.run import RunStatus
from agentrecord.records.scope import Role
from agentrecord.records.tool_call import ToolCallStatus
from agentrecord.server.app import build_app
from agentrecord.store import AsyncStore, Store
from databases import Databases
from openai_server import Answer, OpenAIServer, Refusal, Silence, Usage, Use

PATH = "/api/agent-sessions/conversation"


@function_tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@function_tool
def look_up(word: str) -> str:
    """Look a word up; there is none."""
    raise LookupError(word)


@pytest.fixture(params=["responses", "chat_completions"])
def api(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
def model() -> Iterator[OpenAIServer]:
    """Return the server that the model answers from."""
    with OpenAIServer() as found:
        yield found
        assert found.left == 0


Serve = Callable[..., Any]


@pytest.fixture(params=["sqlite", "postgresql"])
def serve(request: pytest.FixtureRequest, databases: Databases, model: OpenAIServer, api: str) -> Iterator[Serve]:
    """Return what serves a record, again and again, with a runner that asks the model."""
    url = databases.create(request.param)

    @contextmanager
    def serve_(*, turn_s: float = 60.0, **options: Any) -> Iterator[tuple[TestClient, Store]]:
        store = AsyncStore(url)
        blocking = Store(engine=store.engine)
        key = blocking.scoped(user="ana").keys.create("test", role=Role.WRITE).secret
        runner = OpenAIAgentsRunner(
            "m", base_url=model.url, api=api, tools=[add, look_up], retry_delay_s=0.001, **options
        )
        app = build_app(store, secret=b"s" * 32, runner=runner, limits=Limits(turn_s=turn_s))
        headers = {"Authorization": f"Bearer {key}"}
        with TestClient(app, base_url="http://127.0.0.1", headers=headers) as client:
            yield client, blocking
        assert blocking.usage.recount() == ()
        store.close()

    yield serve_
    databases.drop(url)


def said(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], "session_id": "s", "agent_instructions": "Be brief."}


def test_a_conversation_goes_on_after_the_server_was_started_anew(serve: Serve, model: OpenAIServer) -> None:
    model.will(
        Answer(uses=[Use("c1", "add", {"a": 1, "b": 2}), Use("c2", "look_up", {"word": "x"})], model="gpt-4o-mini"),
        Answer(["Three."], usage=Usage(150, 3, cached=100), model="gpt-4o-mini"),
        Answer(["I did."], model="gpt-4o-mini"),
    )
    with serve() as (client, store):
        first = client.post(PATH, json=said("Add."))
        assert first.status_code == 201
        assert (first.json()["response"], first.json()["messages_count"]) == ("Three.", 5)
        assert first.json()["model"] == "gpt-4o-mini"
        run = store.runs.get(first.json()["run_id"])
        assert (run.status, run.final_synthesis_output) == (RunStatus.COMPLETED, "Three.")
    with serve() as (client, store):
        second = client.post(PATH, json=said("Did you?"))
        assert (second.json()["response"], second.json()["messages_count"]) == ("I did.", 7)
        session = store.sessions.get("s")
        found = store.messages.list(session.id).items
        assert [(m.sequence, m.role, m.content) for m in found] == [
            (1, "user", "Add."),
            (2, "assistant", ""),
            (3, "tool", "3"),
            (4, "tool", "An error occurred while running the tool. Please try again."),
            (5, "assistant", "Three."),
            (6, "user", "Did you?"),
            (7, "assistant", "I did."),
        ]
        calls = store.llm_calls.list(sort="timestamp").items
        assert [call.status for call in calls] == [CallStatus.SUCCESS] * 3
        assert session.usage.cost_nanos == sum(call.cost_nanos or 0 for call in calls) > 0
        assert second.json()["message_id"] == str(found[-1].id)
        uses = store.tool_calls.list().items
        assert [(u.call_ref, u.status) for u in uses] == [("c1", ToolCallStatus.SUCCESS), ("c2", ToolCallStatus.ERROR)]
    shown = json.dumps(model.asked[-1].said)
    assert [shown.count(text) for text in ("Add.", "Three.", "Did you?", '"c1"')] == [1, 1, 1, 2]


def test_the_answer_streams_to_the_client(serve: Serve, model: OpenAIServer) -> None:
    model.will(Answer(["Hello", " there"]))
    with serve() as (client, _):
        answer = client.post(PATH, json=said("Hi."), headers={"Accept": "text/event-stream"})
    events = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]
    assert "".join(event["text"] for event in events if "text" in event) == "Hello there"
    assert "turn.completed" in answer.text


def test_a_failing_model_fails_the_turn_truthfully_and_the_next_one_is_fine(serve: Serve, model: OpenAIServer) -> None:
    model.will(Refusal(500), Refusal(500), Answer(["Again."]))
    with serve(max_retries=1) as (client, store):
        failed = client.post(PATH, json=said("Hello?"))
        assert failed.status_code >= 500
        assert "InternalServerError" in failed.text
        assert client.post(PATH, json=said("Hello?")).json()["response"] == "Again."
        assert [call.status for call in store.llm_calls.list(sort="timestamp")] == [
            CallStatus.ERROR, CallStatus.ERROR, CallStatus.SUCCESS,
        ]  # fmt: skip
        runs = store.runs.list().items
        assert sorted(run.status for run in runs) == [RunStatus.COMPLETED, RunStatus.ERROR]


def test_a_turn_that_takes_too_long_ends_with_its_call_recorded(serve: Serve, model: OpenAIServer) -> None:
    model.will(Answer(["Once"], hang_after=2), Answer(["Quick."]))
    with serve(turn_s=4.0) as (client, store):
        assert client.post(PATH, json=said("Slowly.")).status_code >= 500
        [call] = store.llm_calls.list().items
        assert (call.status, call.tokens.output) == (CallStatus.ERROR, None)
    with serve() as (client, store):
        assert client.post(PATH, json=said("Quickly.")).json()["response"] == "Quick."


def test_silence_of_the_model_is_told_to_the_caller(serve: Serve, model: OpenAIServer) -> None:
    model.will(Silence())
    with serve(timeout_s=0.1, max_retries=0) as (client, store):
        answer = client.post(PATH, json=said("Anyone?"))
        assert answer.status_code >= 500
        assert "APITimeoutError" in answer.text
        assert [call.status for call in store.llm_calls.list()] == [CallStatus.ERROR]
