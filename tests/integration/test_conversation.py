"""The conversation endpoint over real HTTP: answers, events, resumption, order, endings."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from agentrecord.agents.conversation import Conversations, Limits
from agentrecord.agents.runner import AgentRunner, AgentTurn, Reply, TurnRecorder
from agentrecord.exceptions import InvalidTransition, TurnInterrupted
from agentrecord.ids import new_id
from agentrecord.records.budget import BudgetPeriod, NewBudget
from agentrecord.records.llm_call import NewLLMCall
from agentrecord.records.message import MessageRole, NewMessage
from agentrecord.records.run import RunStatus
from agentrecord.records.scope import Role
from agentrecord.records.tokens import TokenCounts
from agentrecord.records.turn import NewTurn, TurnStatus
from agentrecord.server.app import build_app
from agentrecord.store import AsyncStore, Store
from databases import Databases
from serving import serving

SECRET = b"0123456789abcdef0123456789abcdef"
PATH = "/api/agent-sessions/conversation"
EVENTS = {"Accept": "text/event-stream"}
PATIENCE_S = 20.0


@dataclass
class Gated:
    """Says one word, waits until it is let go, says another; notes how many turns it answers at once."""

    gate: threading.Event = field(default_factory=threading.Event)
    said_one: threading.Event = field(default_factory=threading.Event)
    at_once: int = 0
    most: int = 0
    answered: int = 0
    name: str = "gated"

    async def run(self, turn: AgentTurn, recorder: TurnRecorder) -> Reply:
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            await recorder.delta("one ")
            self.said_one.set()
            while not self.gate.is_set():
                await asyncio.sleep(0.005)
            await recorder.delta("two")
            self.answered += 1
            return Reply(content="one two", model="gated")
        finally:
            self.at_once -= 1


@dataclass
class Paying:
    """Makes a call that costs, uses a tool, and then does as `last` says."""

    last: Callable[[], Any]
    name: str = "paying"

    async def run(self, turn: AgentTurn, recorder: TurnRecorder) -> Reply:
        call = await recorder.reserve(model="m", host=None, input_tokens=10, max_output_tokens=10)
        asked = NewMessage(role=MessageRole.ASSISTANT, content="let me look")
        tokens = TokenCounts(input=7, cache_read=3, output=5)
        await recorder.append([asked], calls=[NewLLMCall(id=call, model="m", tokens=tokens, cost_nanos=11)])
        await recorder.tool_started("look", call_ref="c1", arguments='{"at":"it"}')
        await recorder.event("custom", '{"seen":true}')
        await recorder.tool_finished("c1", result="nothing there")
        await recorder.tool_started("look", call_ref="c2", arguments=None)
        return Reply(content=str(self.last()), model="m")


@dataclass
class Served:
    """A server over a record, and a client with a key."""

    client: httpx.Client
    store: Store
    base: str
    app: Any

    def say(self, text: str = "Hello!", *, session: str = "s", **headers: str) -> httpx.Response:
        return self.client.post(PATH, json=self.body(text, session), headers=headers)

    @staticmethod
    def body(text: str = "Hello!", session: str = "s") -> dict[str, Any]:
        return {"messages": [{"role": "user", "content": text}], "session_id": session}


Serve = Callable[..., Any]


@pytest.fixture(params=["sqlite", "postgresql"])
def serve(request: pytest.FixtureRequest, databases: Databases) -> Iterator[Serve]:
    """Return what serves a fresh record with a runner and limits."""
    url = databases.create(request.param)

    @contextmanager
    def serve_(runner: AgentRunner | None = None, **limits: Any) -> Iterator[Served]:
        store = AsyncStore(url)
        key = Store(engine=store.engine).scoped(user="ana").keys.create("test", role=Role.WRITE).secret
        app = build_app(store, secret=SECRET, runner=runner, limits=Limits(**limits))
        headers = {"Authorization": f"Bearer {key}"}
        try:
            with serving(app) as base, httpx.Client(base_url=base, headers=headers, timeout=PATIENCE_S) as client:
                yield Served(client, Store(engine=store.engine), base, app)
        finally:
            store.close()

    yield serve_
    databases.drop(url)


def events_of(lines: Iterator[str], *, until: str | None = None) -> list[tuple[str | None, str, Any]]:
    """Return server-sent events as id, name and data, up to the first one called `until`."""
    found: list[tuple[str | None, str, Any]] = []
    parts: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(": ")
            parts[name] = value
            continue
        if "event" in parts:
            found.append((parts.get("id"), parts["event"], json.loads(parts["data"])))
            if parts["event"] == until:
                break
        parts = {}
    return found


def wait_for(said: Callable[[], bool]) -> None:
    """Wait until something holds."""
    limit = threading.Event()
    for _ in range(int(PATIENCE_S / 0.02)):
        if said():
            return
        limit.wait(0.02)
    raise AssertionError("it never came to hold")


def test_the_documented_request_is_answered_as_documented(serve: Serve) -> None:
    with serve() as served:
        asked = {
            "messages": [{"role": "user", "content": "Hello, I need help with project planning"}],
            "session_id": "my-session-001",
            "session_name": "Project Planning Chat",
            "agent_name": "Planning Assistant",
            "agent_instructions": "You are a helpful project planning assistant.",
        }
        answer = served.client.post(PATH, json=asked)
        assert answer.status_code == 201
        said = answer.json()
        assert said["session_id"] == "my-session-001"
        assert said["response"] == "This is a mock response to: Hello, I need help with project planning"
        assert (said["messages_count"], said["session_active"], said["model"]) == (2, True, "echo")
        session = served.store.sessions.get("my-session-001")
        assert said["session_uuid"] == str(session.id)
        assert (session.user, session.title, session.agent_name) == (
            "ana",
            *[asked[k] for k in ("session_name", "agent_name")],
        )
        user, reply = served.store.messages.list(session.id)
        assert (user.content, reply.content, reply.model_used) == (
            asked["messages"][0]["content"],
            said["response"],
            "echo",
        )
        run = served.store.runs.get(said["run_id"])
        assert (run.status, run.session_uuid, run.agent_id) == (RunStatus.COMPLETED, session.id, "Planning Assistant")
        assert user.run_uuid == reply.run_uuid == run.id
        assert served.store.llm_calls.list().total == 0


def test_a_request_without_a_session_makes_one(serve: Serve) -> None:
    with serve() as served:
        said = served.client.post(PATH, json={"messages": [{"role": "user", "content": "hi"}]}).json()
        assert served.client.get(f"/api/agent-sessions/{said['session_id']}").json()["id"] == said["session_uuid"]


def test_everything_a_runner_does_is_recorded_and_told(serve: Serve) -> None:
    with (
        serve(Paying(lambda: "done")) as served,
        served.client.stream("POST", PATH, json=served.body(), headers=EVENTS) as answer,
    ):
        assert answer.headers["content-type"].startswith("text/event-stream")
        told = events_of(answer.iter_lines())
        names = [name for _, name, _ in told]
        assert names == ["turn.started", "llm.call", "tool.started", "tool.finished", "tool.started", "turn.completed"]
        turn = told[0][2]["turn_id"]
        assert [one for one, _, _ in told[1:]] == [f"{turn}:{n}" for n in range(1, 6)]
        call = told[1][2]
        assert (call["model"], call["cost_usd"], call["tokens"]["cache_read"]) == ("m", 1.1e-8, 3)
        end = told[-1][2]
        assert (end["messages_count"], end["usage"]["cost_nanos"], end["usage"]["calls"]) == (3, 11, 1)
        store = served.store
        (stored,) = store.llm_calls.list()
        run = store.runs.get(end["run_id"])
        assert (stored.run_uuid, stored.session_uuid) == (run.id, store.sessions.get("s").id)
        assert [m.content for m in store.messages.list(run.session_uuid)] == ["Hello!", "let me look", "done"]
        assert store.messages.list(run.session_uuid).items[1].usage.cost_nanos == 11
        tools = [(t.call_ref, t.status, t.result) for t in store.tool_calls.list(run=run.id)]
        assert tools == [("c1", "success", "nothing there"), ("c2", "error", None)]
        assert [(e.event_type, e.data) for e in store.events.list(run=run.id)] == [("custom", '{"seen":true}')]


def test_the_same_key_is_one_turn_however_often_and_however_it_is_asked(serve: Serve) -> None:
    runner = Gated()
    with serve(runner) as served, ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(served.say, **{"Idempotency-Key": "k"}) for _ in range(4)]
        assert runner.said_one.wait(PATIENCE_S)
        runner.gate.set()
        answers = [one.result() for one in asked]
        assert {answer.status_code for answer in answers} == {201}
        assert len({answer.text for answer in answers}) == 1
        with served.client.stream(
            "POST", PATH, json=served.body(), headers={**EVENTS, "Idempotency-Key": "k"}
        ) as again:
            assert events_of(again.iter_lines())[-1][2] == answers[0].json()
        assert (runner.answered, served.store.sessions.get("s").message_count) == (1, 2)
        other = served.say("something else", **{"Idempotency-Key": "k"})
        assert (other.status_code, "another request" in other.json()["detail"]) == (409, True)


def test_requests_for_one_session_are_answered_one_after_the_other(serve: Serve) -> None:
    runner = Gated()
    runner.gate.set()
    with serve(runner) as served, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: served.say(f"{n}"), range(8)))
        assert {answer.status_code for answer in answers} == {201}
        assert runner.most == 1
        messages = served.store.messages.list(served.store.sessions.get("s").id).items
        assert [m.role for m in messages] == ["user", "assistant"] * 8
        assert [m.sequence for m in messages] == list(range(1, 17))
        assert {messages[n].run_uuid == messages[n + 1].run_uuid for n in range(0, 16, 2)} == {True}


def test_a_second_request_is_refused_if_the_setting_says_so(serve: Serve) -> None:
    runner = Gated()
    with serve(runner, waits=False) as served, ThreadPoolExecutor(2) as pool:
        first = pool.submit(served.say)
        assert runner.said_one.wait(PATIENCE_S)
        second = served.say("me too")
        assert (second.status_code, second.json()["type"]) == (409, "urn:agentrecord:problem:SessionBusy")
        elsewhere = pool.submit(served.say, "elsewhere", session="other")
        runner.gate.set()
        assert elsewhere.result().status_code == 201
        assert first.result().status_code == 201
        assert [m.content for m in served.store.messages.list(served.store.sessions.get("s").id)] == [
            "Hello!",
            "one two",
        ]


def test_a_client_that_was_cut_off_resumes_without_a_lost_or_doubled_word(serve: Serve) -> None:
    runner = Gated()
    headers = {**EVENTS, "Idempotency-Key": "k"}
    with serve(runner) as served:
        with served.client.stream("POST", PATH, json=served.body(), headers=headers) as answer:
            told = events_of(answer.iter_lines(), until="message.delta")
        last, turn = told[-1][0], told[0][2]["turn_id"]
        runner.gate.set()
        again = {**headers, "Last-Event-ID": str(last)}
        with served.client.stream("POST", PATH, json=served.body(), headers=again) as answer:
            rest = events_of(answer.iter_lines())
        words = [data["text"] for _, name, data in (*told, *rest) if name == "message.delta"]
        assert ("".join(words), rest[-1][1]) == ("one two", "turn.completed")
        with served.client.stream("GET", f"{PATH}/{turn}", headers={**EVENTS, "Last-Event-ID": str(last)}) as answer:
            assert events_of(answer.iter_lines())[1:] == rest[1:]
        state = served.client.get(f"{PATH}/{turn}").json()
        assert (state["status"], json.loads(state["response"])["response"]) == ("completed", "one two")
        wrong = served.client.get(f"{PATH}/{turn}", headers={**EVENTS, "Last-Event-ID": "x:1"})
        assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "Last-Event-ID")


@pytest.mark.parametrize("streamed", [False, True])
def test_a_client_that_leaves_for_good_stops_the_turn(serve: Serve, streamed: bool) -> None:
    runner = Gated()
    with serve(runner, grace_s=0.2) as served:
        if streamed:
            with served.client.stream("POST", PATH, json=served.body(), headers=EVENTS) as answer:
                events_of(answer.iter_lines(), until="message.delta")
        else:
            with pytest.raises(httpx.ReadTimeout):
                served.client.post(PATH, json=served.body(), timeout=1.0)
        wait_for(lambda: not served.store.turns.running())
        run = served.store.runs.list().items[0]
        assert (run.status, run.error_message) == (RunStatus.CANCELLED, "the client left")
        runner.gate.set()
        assert served.say("still there?").status_code == 201
        contents = [m.content for m in served.store.messages.list(served.store.sessions.get("s").id)]
        assert contents == ["Hello!", "still there?", "one two"]


def test_a_turn_is_stopped_on_request_and_says_so(serve: Serve) -> None:
    runner = Gated()
    with serve(runner) as served, served.client.stream("POST", PATH, json=served.body(), headers=EVENTS) as answer:
        lines = answer.iter_lines()
        turn = events_of(lines, until="message.delta")[0][2]["turn_id"]
        assert served.client.put(f"{PATH}/{turn}/cancel").status_code == 200
        assert events_of(lines)[-1][1:] == (
            "turn.cancelled", {"type": "TurnCancelled", "detail": "the client asked for it"},
        )  # fmt: skip
        again = served.client.put(f"{PATH}/{turn}/cancel").json()
        assert (again["status"], again["error_message"]) == (TurnStatus.CANCELLED, "the client asked for it")


def test_a_turn_that_takes_too_long_is_an_error(serve: Serve) -> None:
    with serve(Gated(), turn_s=0.2) as served:
        answer = served.say()
        assert (answer.status_code, answer.json()["type"]) == (504, "urn:agentrecord:problem:TurnTimedOut")
        run = served.store.runs.list().items[0]
        assert (run.status, run.error_message) == (RunStatus.ERROR, "no answer within 0.2 s")


def test_a_runner_that_fails_leaves_the_message_the_error_and_what_was_paid(serve: Serve) -> None:
    failing = Paying(lambda: 1 // 0)
    with serve(failing) as served:
        answer = served.say(**{"Idempotency-Key": "k"})
        assert (answer.status_code, answer.json()["title"]) == (502, "The agent did not answer")
        assert "ZeroDivisionError" in answer.json()["detail"]
        assert served.say(**{"Idempotency-Key": "k"}).status_code == 502
        store = served.store
        run = store.runs.list().items[0]
        assert (run.status, run.usage.cost_nanos, store.runs.list().total) == (RunStatus.ERROR, 11, 1)
        assert [(e.error_type, e.run_uuid) for e in store.errors.list()] == [("ZeroDivisionError", run.id)]
        failing.last = lambda: "better"
        assert served.say("again").json()["response"] == "better"
        contents = [m.content for m in store.messages.list(store.sessions.get("s").id)]
        assert contents == ["Hello!", "let me look", "again", "let me look", "better"]


def test_a_server_that_ends_in_the_middle_leaves_nothing_running(serve: Serve) -> None:
    runner = Gated()
    with ThreadPoolExecutor(1) as pool:
        with serve(runner) as served:
            headers = {"Authorization": served.client.headers["Authorization"]}
            # A client of its own, which goes on while the server ends.
            asked = pool.submit(httpx.post, served.base + PATH, json=served.body(), headers=headers, timeout=20)
            assert runner.said_one.wait(PATIENCE_S)
        answer = asked.result()
        assert (answer.status_code, answer.json()["detail"]) == (503, "the server is shutting down")
    with serve() as served:
        assert served.store.runs.list().items[0].status is RunStatus.CANCELLED
        assert served.say("go on").json()["messages_count"] == 3


def test_another_users_turn_is_not_there(serve: Serve) -> None:
    with serve() as served:
        turn = served.say().json()["turn_id"]
        key = served.store.scoped(user="bob").keys.create("other", role=Role.WRITE).secret
        bob = {"Authorization": f"Bearer {key}"}
        for method, path in (("GET", f"{PATH}/{turn}"), ("PUT", f"{PATH}/{turn}/cancel")):
            assert served.client.request(method, path, headers=bob).status_code == 404
        assert served.client.get(f"{PATH}/{turn}", headers={**bob, **EVENTS}).status_code == 404
        mine = served.client.post(PATH, json=served.body(), headers=bob).json()
        assert mine["messages_count"] == 2
        assert mine["session_uuid"] != str(served.store.scoped(user="ana").sessions.get("s").id)


def test_an_inactive_session_takes_no_turn(serve: Serve) -> None:
    with serve() as served:
        served.say()
        assert served.client.put("/api/agent-sessions/s/deactivate").json()["is_active"] is False
        answer = served.say("anybody?")
        assert (answer.status_code, "activate it first" in answer.json()["detail"]) == (409, True)
        assert served.store.sessions.get("s").message_count == 2


@dataclass
class Asking:
    """Asks for leave to make a dear call, makes it, or stops in the middle of it."""

    name: str = "asking"
    hangs: bool = False
    asked: threading.Event = field(default_factory=threading.Event)

    async def run(self, turn: AgentTurn, recorder: TurnRecorder) -> Reply:
        call = await recorder.reserve(
            model="claude-sonnet-4-5", host="Anthropic", input_tokens=1000, max_output_tokens=1000
        )
        self.asked.set()
        while self.hangs:
            await asyncio.sleep(0.005)
        tokens = TokenCounts(input=1000, output=1000)
        done = NewLLMCall(id=call, model="claude-sonnet-4-5", host="Anthropic", tokens=tokens)
        reply = NewMessage(role=MessageRole.ASSISTANT, content="done")
        stored = await recorder.append([reply], calls=[done])
        return Reply(content="done", message=stored.messages[0].id)


def test_a_budget_stops_a_turn_before_its_call_is_made(serve: Serve) -> None:
    with serve(Asking()) as served:
        served.store.budgets.create(NewBudget(name="tight", period=BudgetPeriod.DAY, limit_nanos=30_000_000))
        assert served.say().status_code == 201
        refused = served.say("more", **{"Idempotency-Key": "k"})
        problem = refused.json()
        assert (refused.status_code, problem["type"]) == (402, "urn:agentrecord:problem:OverBudget")
        assert (problem["budget"], problem["limit_usd"], problem["spent_usd"], problem["asked_usd"]) == (
            "tight", 0.03, 0.018, 0.021,
        )  # fmt: skip
        again = served.say("more", **{"Idempotency-Key": "k"})
        assert (again.status_code, again.json()["type"]) == (402, "urn:agentrecord:problem:TurnOverBudget")
        assert served.store.llm_calls.list().total == 1
        assert served.store.runs.list().items[0].status is RunStatus.ERROR


def test_fifty_conversations_at_once_do_not_overshoot_a_budget(serve: Serve) -> None:
    with serve(Asking()) as served, ThreadPoolExecutor(50) as pool:
        new = NewBudget(name="tight", period=BudgetPeriod.TOTAL, limit_nanos=200_000_000)
        budget = served.store.budgets.create(new).id
        answers = list(pool.map(lambda n: served.say(session=f"s{n}").status_code, range(50)))
        made = answers.count(201)
        # Each costs $0.018 and reserves $0.021 while it is under way.
        assert (made in (9, 10), answers.count(402)) == (True, 50 - made)
        status = served.store.budgets.status(budget)
        assert (status.spent_nanos, status.reserved_nanos) == (made * 18_000_000, 0)
        assert status.spent_nanos <= status.budget.limit_nanos


def test_a_call_that_was_cut_off_is_recorded_as_one_whose_cost_is_not_known(serve: Serve) -> None:
    runner = Asking(hangs=True)
    with serve(runner, turn_s=0.3) as served:
        assert served.say().status_code == 504
        (call,) = served.store.llm_calls.list()
        assert (call.status, call.model, call.cost_nanos, call.tokens) == (
            "error",
            "claude-sonnet-4-5",
            None,
            TokenCounts(),
        )
        assert call.run_uuid == served.store.runs.list().items[0].id
        assert served.store.budgets.open_reservations() == ()


def test_a_stop_while_a_turn_is_being_closed_leaves_nobody_waiting(serve: Serve) -> None:
    with serve() as served, ThreadPoolExecutor(20) as pool:

        def say_and_stop(number: int) -> str:
            with served.client.stream("POST", PATH, json=served.body(session=f"s{number}"), headers=EVENTS) as answer:
                lines = answer.iter_lines()
                turn = events_of(lines, until="turn.started")[0][2]["turn_id"]
                served.client.put(f"{PATH}/{turn}/cancel")
                return str(events_of(lines)[-1][1])

        ends = set(pool.map(say_and_stop, range(40)))
        assert ends <= {"turn.completed", "turn.cancelled"}
        assert served.store.turns.running() == ()


def test_sessions_of_one_name_do_not_wait_for_another_users(serve: Serve) -> None:
    runner = Gated()
    with serve(runner) as served, ThreadPoolExecutor(2) as pool:
        first = pool.submit(served.say)
        assert runner.said_one.wait(PATIENCE_S)
        waiting = pool.submit(served.say, "and then?")
        key = served.store.scoped(user="bob").keys.create("other", role=Role.WRITE).secret
        bob = {"Authorization": f"Bearer {key}", **EVENTS}
        with served.client.stream("POST", PATH, json=served.body(), headers=bob) as answer:
            assert events_of(answer.iter_lines(), until="message.delta")[-1][2] == {"text": "one "}
            assert not waiting.done()
            runner.gate.set()
        assert (first.result().status_code, waiting.result().status_code) == (201, 201)


def test_nothing_is_kept_of_requests_that_are_over(serve: Serve) -> None:
    with serve() as served:
        served.say()
        served.client.put("/api/agent-sessions/s/deactivate")
        for number in range(5):
            assert served.say().status_code == 409
            assert served.say(session=f"s{number}").status_code == 201
        conversations = served.app.state.conversations
        assert (conversations._lines, conversations._live) == ({}, {})


@dataclass
class Odd:
    """Does what no runner should."""

    what: Callable[[AgentTurn, TurnRecorder], Any]
    name: str = "odd"

    async def run(self, turn: AgentTurn, recorder: TurnRecorder) -> Reply:
        found = self.what(turn, recorder)
        return await found if asyncio.iscoroutine(found) else found


async def clear_and_reply(turn: AgentTurn, recorder: TurnRecorder) -> Reply:
    stored = await recorder.append([NewMessage(role=MessageRole.ASSISTANT, content="gone soon")])
    await recorder.store.messages.clear(turn.session.id)
    return Reply(content="gone soon", message=stored.messages[0].id)


async def end_the_run_itself(turn: AgentTurn, recorder: TurnRecorder) -> Reply:
    await recorder.store.runs.finish(turn.run.id, output="mine")
    return Reply(content="done")


def raise_(error: Exception) -> Any:
    raise error


@pytest.mark.parametrize(
    ("what", "status"),
    [
        (lambda turn, recorder: Reply(content="a\0b\ud800"), 201),
        (lambda turn, recorder: raise_(InvalidTransition("run", "r", "running", "odd")), 502),
        (lambda turn, recorder: raise_(ValueError("a\0b")), 502),
        (clear_and_reply, 502),
        (end_the_run_itself, 201),
        (lambda turn, recorder: None, 502),
    ],
)
def test_an_odd_runner_ends_its_turn_and_the_session_goes_on(serve: Serve, what: Any, status: int) -> None:
    runner = Odd(what)
    with serve(runner) as served:
        assert served.say().status_code == status
        assert served.store.turns.running() == ()
        runner.what = lambda turn, recorder: Reply(content="fine")
        assert served.say("again").json()["response"] == "fine"


def test_an_event_id_that_is_none_is_refused_before_anything_is_done(serve: Serve) -> None:
    with serve() as served:
        for told in ("x", "x:1", f"{new_id()}:", f"{new_id()}:-1"):
            answer = served.client.post(PATH, json=served.body(), headers={**EVENTS, "Last-Event-ID": told})
            assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "Last-Event-ID")
        assert served.store.sessions.list().total == 0
        headers = {**EVENTS, "Last-Event-ID": f"{new_id()}:7", "Idempotency-Key": "k"}
        with served.client.stream("POST", PATH, json=served.body(), headers=headers) as answer:
            assert events_of(answer.iter_lines())[1][1] == "message.delta"
        again = served.client.post(PATH, json=served.body(), headers=headers)
        assert (again.status_code, again.json()["errors"][0]["field"]) == (422, "Last-Event-ID")


def test_a_turn_that_nobody_ever_follows_is_stopped(databases: Databases) -> None:
    async def leave_at_once() -> str:
        async with AsyncStore("memory:") as store:
            conversations = Conversations(store, Gated(), Limits(grace_s=0.1))
            await conversations.start()
            said = (NewMessage(role=MessageRole.USER, content="hello"),)
            begun = await conversations.begin(store, NewTurn(session_id="s", messages=said), is_resumable=True)
            while not (turn := await store.turns.get(begun.turn.id)).status.is_final:
                await asyncio.sleep(0.01)
            await conversations.close()
            with pytest.raises(TurnInterrupted):
                await conversations.begin(store, NewTurn(session_id="s", messages=said))
            return str(turn.error_message)

    assert asyncio.run(asyncio.wait_for(leave_at_once(), PATIENCE_S)) == "the client left"


def test_looking_after_turns_survives_any_failure() -> None:
    async def fail_once() -> bool:
        async with AsyncStore("memory:") as store:
            conversations = Conversations(store, Gated(), Limits(lease_s=0.3))
            await conversations.start()
            said = (NewMessage(role=MessageRole.USER, content="hello"),)
            begun = await conversations.begin(store, NewTurn(session_id="s", messages=said), is_resumable=True)
            failed = asyncio.Event()

            def fail(sql: str) -> None:
                if "UPDATE ar_turns" in sql and not failed.is_set():
                    failed.set()
                    raise OSError("a disk that stutters")

            store.engine.observer = fail
            await failed.wait()
            before = (await store.turns.get(begun.turn.id)).lease_expires_at
            while (await store.turns.get(begun.turn.id)).lease_expires_at <= before:
                await asyncio.sleep(0.01)
            await conversations.close()
            return True

    assert asyncio.run(asyncio.wait_for(fail_once(), PATIENCE_S))
