"""A session of the record keeps the SDK's session contract: the SDK's own SQLite session is the oracle."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from agents import Agent, RunConfig, Runner, Session, SQLiteSession, function_tool
from agents.memory.session_settings import SessionSettings
from agents.testing import ScriptedModel, assistant_message, function_call
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from agentrecord.adapters.openai_agents import AgentRecordSession
from agentrecord.engine import Connection
from agentrecord.exceptions import InvalidValue
from agentrecord.records.message import MessageRole, NewMessage, Part, PartKind
from agentrecord.records.scope import Scope
from agentrecord.records.session import NewSession
from agentrecord.records.tool_call import NewToolCall
from agentrecord.store import AsyncStore, Store, sessions
from databases import Databases
from faces import Loop

Item = dict[str, Any]

USER = {"content": "Hello.", "role": "user"}
CALL = {"arguments": '{"a":1}', "call_id": "c1", "name": "add", "type": "function_call", "id": "fc_1", "x": [1, None]}
OUTPUT = {"call_id": "c1", "output": "2", "type": "function_call_output"}
THOUGHT = {"id": "rs_1", "summary": [{"text": "Hm.", "type": "summary_text"}], "type": "reasoning", "encrypted": "…"}
ANSWER = {
    "id": "msg_1",
    "content": [{"annotations": [], "text": "Two.", "type": "output_text", "logprobs": []}],
    "role": "assistant",
    "status": "completed",
    "type": "message",
}
ITEMS: list[Item] = [
    USER,
    {"role": "user", "content": "Hello."},
    {"role": "developer", "content": "developer"},
    {
        "content": [{"type": "input_text", "text": "input_text"}, {"type": "input_image", "image_url": "u"}],
        "role": "user",
    },
    THOUGHT,
    CALL,
    OUTPUT,
    {"output": [{"type": "input_text", "text": "2"}], "call_id": "c1", "type": "function_call_output"},
    ANSWER,
    USER,
    {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"query": "q", "n": 1.5}},
    {"type": "something_new"},
    {"content": "", "role": "system"},
]


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, databases: Databases) -> Iterator[Store]:
    """Return an empty record on each engine."""
    url = databases.create(request.param)
    with Store(url) as found:
        yield found
        assert found.usage.recount() == ()
    databases.drop(url)


def told(items: list[Any]) -> list[str]:
    """Return items as JSON text, which tells their keys' order too."""
    return [json.dumps(item) for item in items]


def items(given: list[Item]) -> list[Any]:
    """Return copies of items, so that nobody changes another's."""
    return cast("list[Any]", json.loads(json.dumps(given)))


def test_items_come_back_as_they_were_given(store: Store, loop: Loop) -> None:
    async def body() -> list[Any]:
        session = AgentRecordSession("chat", store)
        await session.add_items(items(ITEMS[:3]))
        await session.add_items(items(ITEMS[3:]))
        return await AgentRecordSession("chat", store).get_items()

    assert told(loop.run(body())) == told(ITEMS)


def test_items_are_messages_to_every_other_door(store: Store, loop: Loop) -> None:
    async def body() -> None:
        await AgentRecordSession("chat", store).add_items(items([USER, THOUGHT, CALL, OUTPUT, ANSWER]))

    loop.run(body())
    session = store.sessions.get("chat")
    found = store.messages.list(session.id).items
    assert [(m.sequence, m.role, m.content, m.tool_call_id, m.tools_used) for m in found] == [
        (1, "user", "Hello.", None, ()),
        (2, "assistant", "", None, ()),
        (3, "assistant", "", None, ("add",)),
        (4, "tool", "2", "c1", ()),
        (5, "assistant", "Two.", None, ()),
    ]
    assert [part.kind for message in found for part in message.parts] == ["reasoning", "tool_call", "tool_result"]
    assert (session.source, session.user, session.message_count) == ("openai-agents", "unassigned", 5)
    assert found[0].metadata is None
    assert "Two." not in (found[4].metadata or "")
    assert [hit.sequence for hit in store.messages.search("two").items] == [5]


def test_a_text_edited_elsewhere_is_read_as_edited(store: Store, loop: Loop) -> None:
    async def body() -> list[Any]:
        session = AgentRecordSession("chat", store)
        await session.add_items(items([USER, ANSWER, {"role": "developer", "content": "developer"}]))
        for message in store.messages.list(store.sessions.get("chat").id).items:
            store.messages.edit(message.id, "Other.")
        return await session.get_items()

    said, answer, ordered = loop.run(body())
    assert ordered == {"role": "developer", "content": "Other."}
    assert said == {"content": "Other.", "role": "user"}
    assert answer == {**ANSWER, "content": [{**ANSWER["content"][0], "text": "Other."}]}  # type: ignore[index]


def test_sessions_of_other_doors_read_as_items(store: Store, loop: Loop) -> None:
    session = store.sessions.create(NewSession(session_id="chat"))
    store.tool_calls.record(NewToolCall(tool_name="read", call_ref="t1", arguments='{"p":1}', session_uuid=session.id))
    call = (
        Part(kind=PartKind.REASONING, text="Hm."),
        Part(kind=PartKind.TEXT, text="Wait."),
        Part(kind=PartKind.TOOL_CALL, call_ref="t1", name="read"),
    )
    for new in (
        NewMessage(role=MessageRole.SYSTEM, content="Be kind."),
        NewMessage(role=MessageRole.USER, content="Hello."),
        NewMessage(role=MessageRole.TOOL, content="42"),
        NewMessage(role=MessageRole.ASSISTANT, content="Wait.", parts=call),
        NewMessage(role=MessageRole.TOOL, content="it", tool_call_id="t1"),
        NewMessage(role=MessageRole.ASSISTANT, content="", parts=call[:1]),
        NewMessage(role=MessageRole.ASSISTANT, content="Done."),
    ):
        store.messages.append(session.id, [new])

    async def body() -> tuple[list[Any], list[Any], Any]:
        found = AgentRecordSession("chat", store)
        everything, last = await found.get_items(), await found.get_items(2)
        return everything, last, [await found.pop_item(), await found.pop_item(), await found.pop_item()]

    everything, last, popped = loop.run(body())
    expected = [
        {"content": "Be kind.", "role": "system"},
        {"content": "Hello.", "role": "user"},
        {"content": "[a tool gave] 42", "role": "assistant"},
        {"content": "Wait.", "role": "assistant"},
        {"arguments": '{"p":1}', "call_id": "t1", "name": "read", "type": "function_call"},
        {"call_id": "t1", "output": "it", "type": "function_call_output"},
        {"content": "Done.", "role": "assistant"},
    ]
    assert everything == expected
    assert last == expected[-2:]
    assert popped == expected[:-4:-1]


def test_an_item_of_a_message_with_several_is_taken_alone(store: Store, loop: Loop) -> None:
    call = (Part(kind=PartKind.TOOL_CALL, call_ref="t1", name="read"),)
    session = store.sessions.create(NewSession(session_id="chat"))
    store.messages.append(session.id, [NewMessage(role=MessageRole.ASSISTANT, content="Wait.", parts=call)])

    async def body() -> tuple[Any, list[Any]]:
        found = AgentRecordSession("chat", store)
        return await found.pop_item(), await found.get_items()

    popped, left = loop.run(body())
    assert popped["type"] == "function_call"
    assert left == [{"content": "Wait.", "role": "assistant"}]


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ({"role": "user", "content": "a\0b"}, r"items\[1\].*NUL"),
        ({"role": "user", "content": "a\ud800b"}, r"items\[1\].*surrogate"),
        ({"role": "user", "n": float("nan")}, r"items\[1\].*NaN"),
        ({"role": "user", "content": b"bytes"}, r"items\[1\].*bytes"),
        ("Hello.", r"items\[1\].*JSON object"),
    ],
)
def test_a_batch_with_an_item_that_cannot_be_stored_leaves_nothing(
    store: Store, loop: Loop, bad: Any, why: str
) -> None:
    async def body() -> list[Any]:
        session = AgentRecordSession("chat", store)
        with pytest.raises(InvalidValue, match=why):
            await session.add_items([cast("Any", USER), bad])
        return await session.get_items()

    assert loop.run(body()) == []
    assert store.sessions.find("chat") is None


@pytest.fixture(params=["sqlite", "postgresql"])
def two_stores(request: pytest.FixtureRequest, databases: Databases) -> Iterator[tuple[AsyncStore, AsyncStore]]:
    """Return a record that is open twice, as two processes have it."""
    url = databases.create(request.param)
    found = AsyncStore(url), AsyncStore(url)
    yield found
    for store in found:
        store.close()
    databases.drop(url)


def test_an_item_is_handed_to_one_of_many_who_pop_at_once(
    two_stores: tuple[AsyncStore, AsyncStore], loop: Loop
) -> None:
    async def body() -> list[Any]:
        found = [AgentRecordSession("chat", store) for store in two_stores]
        await found[0].add_items(items([{"role": "user", "content": str(n)} for n in range(24)]))
        return await asyncio.gather(*(found[n % 2].pop_item() for n in range(30)))

    popped = loop.run(body())
    assert sorted(item["content"] for item in popped if item is not None) == sorted(str(n) for n in range(24))
    assert popped.count(None) == 6


def test_batches_of_many_at_once_stay_together(two_stores: tuple[AsyncStore, AsyncStore], loop: Loop) -> None:
    async def body(name: str) -> list[Any]:
        found = [AgentRecordSession(name, store) for store in two_stores]
        batches = [[{"role": "user", "content": f"{n}.{k}"} for k in range(4)] for n in range(8)]
        await asyncio.gather(*(found[n % 2].add_items(items(batch)) for n, batch in enumerate(batches)))
        return await found[0].get_items()

    for attempt in range(5):
        found = [item["content"] for item in loop.run(body(f"chat {attempt}"))]
        assert sorted(found[::4]) == [f"{n}.0" for n in range(8)]
        assert [text.split(".")[1] for text in found] == ["0", "1", "2", "3"] * 8


def test_a_session_that_somebody_makes_meanwhile_is_the_one_written_to(databases: Databases, loop: Loop) -> None:
    url, made, go = databases.create("postgresql"), threading.Event(), threading.Event()
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"

    def make_slowly(conn: Connection, scope: Scope) -> None:
        sessions.create(conn, scope, NewSession(session_id="chat"))
        conn.settle()
        made.set()
        assert go.wait(60)

    async def body() -> list[Any]:
        with Store(url) as maker, Store(url) as watcher:
            async with AsyncStore(url) as store:
                making = asyncio.create_task(asyncio.to_thread(maker.run, make_slowly))
                adding = asyncio.create_task(AgentRecordSession("chat", store).add_items(items([USER])))
                while watcher.engine.read(lambda conn: conn.text(waiting)) == [(0,)]:
                    assert not adding.done()
                    await asyncio.sleep(0.01)
                go.set()
                await making
                await adding
                return await AgentRecordSession("chat", store).get_items()

    assert loop.run(body()) == [USER]
    databases.drop(url)


def test_a_cancelled_write_is_finished_first(store: Store, loop: Loop) -> None:
    async def body() -> list[Any]:
        session = AgentRecordSession("chat", store)
        writing = asyncio.ensure_future(session.add_items(items([USER, ANSWER])))
        await asyncio.sleep(0)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        return await session.get_items()

    assert told(loop.run(body())) == told([USER, ANSWER])


def test_two_people_have_sessions_of_the_same_name(store: Store, loop: Loop) -> None:
    async def body() -> list[Any]:
        for name in ("ada", "bob"):
            await AgentRecordSession("chat", store.scoped(user=name)).add_items([{"role": "user", "content": name}])
        return await AgentRecordSession("chat", store.scoped(user="ada")).get_items()

    assert loop.run(body()) == [{"content": "ada", "role": "user"}]


def test_a_closed_session_is_not_used(loop: Loop, tmp_path: Any) -> None:
    async def body() -> None:
        session = AgentRecordSession("chat", str(tmp_path / "record.db"))
        await session.add_items(items([USER]))
        session.close()
        with pytest.raises(RuntimeError, match="is closed"):
            await session.add_items([])
        again = AgentRecordSession("chat", str(tmp_path / "record.db"))
        assert await again.get_items() == [USER]
        again.close()

    loop.run(body())


def test_settings_limit_what_is_read_and_refuse_what_they_do_not_know() -> None:
    session = AgentRecordSession("chat", session_settings={"limit": 3})
    assert session.session_settings == SessionSettings(limit=3)
    assert isinstance(session, Session)
    with pytest.raises(Exception, match="unknown"):
        AgentRecordSession("chat", session_settings={"unknown": 3})
    session.close()


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
KNOWN = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["message", "function_call", "function_call_output", "reasoning", "x_output", "x"]),
        "role": st.sampled_from(["user", "assistant", "system", "developer", "tool", "else"]),
        "content": TEXTS | st.lists(st.fixed_dictionaries({"type": TEXTS, "text": TEXTS}), max_size=2) | ANYTHING,
        "call_id": st.sampled_from(["c1", "c2"]) | st.none(),
        "name": st.sampled_from(["add", "x"]),
        "arguments": TEXTS,
        "output": TEXTS | ANYTHING,
        "summary": st.lists(st.fixed_dictionaries({"text": TEXTS}), max_size=2),
    },
)


@st.composite
def any_item(draw: st.DrawFn) -> Item:
    """Return an item: known fields and unknown ones, in any order."""
    fields = [*draw(KNOWN).items(), *draw(st.dictionaries(TEXTS, ANYTHING, max_size=2)).items()]
    return dict(draw(st.permutations(fields)))


class SameAsTheSDKs(RuleBasedStateMachine):
    """Whatever is done to both sessions, both answer the same."""

    loop: Loop
    databases: Databases

    @initialize(limit=st.none() | st.integers(-1, 4))
    def start(self, limit: int | None) -> None:
        self.store = Store("memory:")
        self.ours: Any = AgentRecordSession("chat", self.store, session_settings=SessionSettings(limit=limit))
        self.theirs: Any = SQLiteSession("chat", session_settings=SessionSettings(limit=limit))

    def both(self, act: Callable[[Any], Any]) -> None:
        """Do something to both and compare."""
        ours, theirs = self.loop.run(act(self.ours)), self.loop.run(act(self.theirs))
        assert json.dumps(ours) == json.dumps(theirs)

    @rule(batch=st.lists(st.sampled_from(ITEMS) | any_item(), max_size=4))
    def add(self, batch: list[Item]) -> None:
        self.both(lambda session: session.add_items(items(batch)))

    @rule(limit=st.none() | st.integers(-2, 6))
    def get(self, limit: int | None) -> None:
        self.both(lambda session: session.get_items(limit))

    @rule()
    def pop(self) -> None:
        self.both(lambda session: session.pop_item())

    @rule()
    def clear(self) -> None:
        self.both(lambda session: session.clear_session())

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.both(lambda session: session.get_items(-1))
            assert self.store.usage.recount() == ()
            self.theirs.close()
            self.store.close()


def test_whatever_is_done_a_session_answers_as_the_sdks_own(loop: Loop) -> None:
    SameAsTheSDKs.loop = loop
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        SameAsTheSDKs,
        settings=settings(
            max_examples=40, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


@function_tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def test_an_agent_outside_the_server_goes_on_where_it_stopped(store: Store, loop: Loop) -> None:
    async def body() -> tuple[Any, Any, list[Any]]:
        model = ScriptedModel(
            [
                [function_call("add", {"a": 1, "b": 2}, call_id="c1")],
                [assistant_message("Three.")],
                [assistant_message("As I said.")],
            ]
        )
        agent = Agent(name="Adder", model=model, tools=[add])
        off = RunConfig(tracing_disabled=True)
        await Runner.run(agent, "Add.", session=AgentRecordSession("chat", store), run_config=off)
        again = await Runner.run(agent, "Sure?", session=AgentRecordSession("chat", store), run_config=off)
        assert model.last_call is not None
        return again.final_output, model.last_call.input, await AgentRecordSession("chat", store).get_items()

    answer, shown, kept = loop.run(body())
    assert answer == "As I said."
    assert [item.get("type", "message") for item in shown] == [
        "message", "function_call", "function_call_output", "message", "message",
    ]  # fmt: skip
    assert kept[:-1] == shown
    assert [message.content for message in store.messages.list(store.sessions.get("chat").id).items] == [
        "Add.", "", "3", "Three.", "Sure?", "As I said.",
    ]  # fmt: skip


def test_a_call_without_its_output_is_left_out_of_the_next_request(store: Store, loop: Loop) -> None:
    async def body() -> list[Any]:
        await AgentRecordSession("chat", store).add_items(items([USER, THOUGHT, CALL]))
        model = ScriptedModel([[assistant_message("Well.")]])
        session = AgentRecordSession("chat", AsyncStore(engine=store.engine))
        await Runner.run(
            Agent(name="A", model=model), "Again.", session=session, run_config=RunConfig(tracing_disabled=True)
        )
        assert model.last_call is not None
        return cast("list[Any]", model.last_call.input)

    assert [item["content"] for item in loop.run(body())] == ["Hello.", "Again."]
