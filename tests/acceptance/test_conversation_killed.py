"""A server that is killed while the model speaks, or while a tool works: what was said, done and paid is kept."""

import json
from collections.abc import Generator, Iterator
from contextlib import closing
from itertools import product
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from server_processes import ServerProcess, serving_process

from agentrecord.agents.choose import APIS
from agentrecord.records.llm_call import CallStatus, LLMCall
from agentrecord.records.run import RunStatus
from agentrecord.records.scope import Role
from agentrecord.records.session import Session
from agentrecord.records.tokens import TokenCounts
from agentrecord.records.tool_call import ToolCallStatus
from agentrecord.records.turn import ConversationTurn, TurnStatus
from agentrecord.records.usage import UsageBy
from agentrecord.store import Store
from counts import is_long
from databases import ENGINES, Databases
from openai_server import Answer, OpenAIServer, Usage, Use

PATH = "/api/agent-sessions/conversation"
MODEL = "gpt-4o-mini"
UNKNOWN = TokenCounts()


# Records and model APIs do not know of each other, so that two of the four pairs tell what all of them would.
@pytest.fixture(params=list(product(ENGINES[1:], APIS)) if is_long() else list(zip(ENGINES[1:], APIS, strict=True)))
def engine_and_api(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Return where the record is kept, and which of its two APIs the model is asked by."""
    found: tuple[str, str] = request.param
    return found


@pytest.fixture
def url(engine_and_api: tuple[str, str], databases: Databases) -> Iterator[str]:
    """Return the address of a record; PostgreSQL's for the role that row-level security binds."""
    found = databases.create(engine_and_api[0])
    yield found
    databases.drop(found)


@pytest.fixture
def api(engine_and_api: tuple[str, str]) -> str:
    """Return which API the model is asked by."""
    return engine_and_api[1]


class Client:
    """Ana, who talks with the agent in one session."""

    def __init__(self, url: str, model: OpenAIServer, api: str) -> None:
        with Store(url) as store:
            key = store.scoped(user="ana").keys.create("test", role=Role.WRITE).secret
        self.headers = {"Authorization": f"Bearer {key}"}
        self.environ = {
            "AGENTRECORD_RUNNER": "openai-agents",
            "AGENTRECORD_BASE_URL": model.url,
            "AGENTRECORD_MODEL": MODEL,
            "AGENTRECORD_API": api,
            "AGENTRECORD_TOOLS": "conversation_tools:add,conversation_tools:ponder",
        }

    def events(self, server: ServerProcess, text: str) -> Generator[tuple[str, Any], None, None]:
        """Say something, and yield what the answer's stream tells until it ends."""
        connection = server.connect()
        body = json.dumps({"session_id": "s", "messages": [{"role": "user", "content": text}]})
        headers = {**self.headers, "Accept": "text/event-stream", "Content-Type": "application/json"}
        connection.request("POST", PATH, body, headers)
        with closing(connection), connection.getresponse() as response:
            assert response.status == 200, response.read()
            event = ""
            for line in response:
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name == "event":
                    event = value
                elif name == "data":
                    yield event, json.loads(value)

    def say(self, server: ServerProcess, text: str) -> str:
        """Say something and return the whole answer."""
        events = list(self.events(server, text))
        name, told = events[-1]
        assert name == "turn.completed", events
        return str(told["response"])


def killed_at(event: str, server: ServerProcess, heard: Generator[tuple[str, Any], None, None]) -> Any:
    """Kill a server as soon as a client heard of an `event`, and return what opened the client's stream."""
    with closing(heard):
        _, opening = next(heard)
        assert event in (name for name, _ in heard)
        server.kill()
    return opening


def ended(store: Store, turn: str) -> tuple[ConversationTurn, Session, list[LLMCall]]:
    """Return a turn that a crash ended, its session, and the calls of its run: nothing of it still runs."""
    found = store.turns.get(UUID(turn))
    assert store.turns.running() == ()
    assert store.budgets.open_reservations() == ()
    assert (found.status, found.error_type) == (TurnStatus.ERROR, "TurnInterrupted")
    run = store.runs.get(found.run_uuid)
    assert run.status is RunStatus.ERROR
    assert {one.status for one in store.runs.list()} <= {RunStatus.COMPLETED, RunStatus.ERROR}
    assert ToolCallStatus.PENDING not in {one.status for one in store.tool_calls.list()}
    calls = list(store.llm_calls.list(run=run.id, sort="timestamp"))
    assert run.usage.cost_nanos == sum(call.cost_nanos or 0 for call in calls)
    return found, store.sessions.get("s"), calls


def check_costs(store: Store) -> None:
    """Hold every figure against the sum over the calls."""
    calls = store.llm_calls.list(sort="timestamp").items
    session, report = store.sessions.get("s"), store.usage.report(UsageBy.SESSION).total
    assert sum(call.cost_nanos or 0 for call in calls) == session.usage.cost_nanos == report.cost_nanos > 0
    for name in ("input", "cache_read", "output"):
        total = sum(getattr(call.tokens, name) or 0 for call in calls)
        assert total == getattr(session.usage, f"{name}_tokens") == getattr(report, f"{name}_tokens"), name
    failed = sum(call.status is CallStatus.ERROR for call in calls)
    assert (len(calls), failed) == (session.usage.calls, session.usage.failed_calls)
    assert (len(calls), failed) == (report.calls, report.failed_calls)
    assert store.usage.recount() == ()


def unanswered(said: list[Any]) -> set[str]:
    """Return the tool calls without a result, and the results without a call, that the model was shown."""
    called, answered = [], []
    for item in said:
        called += [item["call_id"]] if item.get("type") == "function_call" else []
        answered += [item["call_id"]] if item.get("type") == "function_call_output" else []
        called += [use["id"] for use in item.get("tool_calls") or ()]
        answered += [item["tool_call_id"]] if item.get("role") == "tool" else []
    assert len(set(called)) == len(called)
    return set(called) ^ set(answered)


def test_a_conversation_goes_on_after_its_server_was_killed_in_mid_turn(url: str, api: str, tmp_path: Path) -> None:
    with OpenAIServer() as model:
        ana = Client(url, model, api)
        model.will(
            Answer(uses=[Use("c1", "add", {"a": 1, "b": 2})], usage=Usage(120, 30), model=MODEL),
            Answer(["Three."], usage=Usage(200, 5, cached=100), model=MODEL),
            Answer(uses=[Use("c2", "add", {"a": 3, "b": 4})], usage=Usage(240, 31), model=MODEL),
            Answer(["Se", "ven", ", I", " th", "ink."], hang_after=4, model=MODEL),
        )
        with serving_process(url, tmp_path, ana.environ) as server:
            assert ana.say(server, "One and two?") == "Three."
            opening = killed_at("message.delta", server, ana.events(server, "Three and four?"))

        model.will(
            Answer(["Seven."], usage=Usage(300, 4), model=MODEL),
            Answer(uses=[Use("c3", "ponder", {"question": "Why?"})], usage=Usage(320, 33), model=MODEL),
        )
        with serving_process(url, tmp_path, ana.environ) as server:
            with Store(url) as store:
                turn, _, calls = ended(store, opening["turn_id"])
                assert [(call.status, call.tokens.input, call.tokens.output) for call in calls] == [
                    (CallStatus.SUCCESS, 240, 31), (CallStatus.ERROR, None, None),
                ]  # fmt: skip
                assert (calls[0].cost_nanos or 0) > 0
                assert (calls[1].tokens, calls[1].cost_nanos) == (UNKNOWN, None)
                check_costs(store)
            status, told = server.ask("GET", f"{PATH}/{turn.id}", **ana.headers)
            assert (status, told["status"], told["error_type"]) == (200, "error", "TurnInterrupted")
            assert ana.say(server, "And?") == "Seven."
            assert unanswered(model.asked[-1].said) == set()
            assert '"c2"' in json.dumps(model.asked[-1].said)
            opening = killed_at("tool.started", server, ana.events(server, "Why?"))

        model.will(Answer(["Because."], usage=Usage(400, 2), model=MODEL))
        with serving_process(url, tmp_path, ana.environ) as server:
            with Store(url) as store:
                _, _, calls = ended(store, opening["turn_id"])
                assert [(call.status, call.tokens.input) for call in calls] == [(CallStatus.SUCCESS, 320)]
                uses = {use.call_ref: use.status for use in store.tool_calls.list()}
                assert uses["c3"] is ToolCallStatus.ERROR
                check_costs(store)
            assert ana.say(server, "So?") == "Because."
            assert unanswered(model.asked[-1].said) == set()
            with Store(url) as store:
                check_costs(store)
                found = store.messages.list(store.sessions.get("s").id, limit=200).items
                assert [m.sequence for m in found] == list(range(1, len(found) + 1))
                questions = ["One and two?", "Three and four?", "And?", "Why?", "So?"]
                assert [m.content for m in found if m.role == "user"] == questions
        assert model.left == 0
