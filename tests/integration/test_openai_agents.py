"""The OpenAI Agents SDK answers turns over real HTTP, in both API formats; all that happens is in the record."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from agents import (
    Agent,
    FunctionTool,
    MaxTurnsExceeded,
    ModelBehaviorError,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    RunConfig,
    Runner,
    function_tool,
    set_trace_processors,
)
from agents.testing import ScriptedModel, assistant_message
from openai import APIConnectionError, APITimeoutError, AsyncOpenAI, InternalServerError

from agentrecord.agents.openai_agents import OpenAIAgentsRunner
from agentrecord.agents.openai_agents.ledger import Ledger
from agentrecord.agents.openai_agents.model import RecordedModel
from agentrecord.agents.openai_agents.turn_session import TurnSession
from agentrecord.agents.openai_agents.wire import ListeningClient
from agentrecord.agents.runner import AgentTurn
from agentrecord.exceptions import InvalidTransition, OverBudget, TurnFailed
from agentrecord.records.budget import BudgetChanges, BudgetPeriod, NewBudget
from agentrecord.records.llm_call import CallStatus, LLMCall
from agentrecord.records.message import Message, MessageRole, NewMessage, Part, PartKind
from agentrecord.records.session import NewSession
from agentrecord.records.tokens import TokenCounts
from agentrecord.records.tool_call import NewToolCall, ToolCall, ToolCallStatus
from agentrecord.records.turn import NewTurn, TurnEnd, TurnStatus
from agentrecord.store import AsyncStore
from databases import Databases
from faces import Loop
from openai_server import Answer, Asked, Cut, OpenAIServer, Refusal, Silence, Usage, Use
from turn_recorder import OWNER, Conversation, NotedRecorder

APIS = ("responses", "chat_completions")
TOLD_OF_A_FAILURE = "An error occurred while running the tool. Please try again."
SAID = NewMessage(role=MessageRole.USER, content="Hello.")
LOST = "LookupError: no hat here"


@function_tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@function_tool
def look_up(word: str) -> str:
    """Look a word up; there is none."""
    raise LookupError(f"no {word} here")


@dataclass
class Room:
    """A server, a record, and a conversation between them."""

    server: OpenAIServer
    store: AsyncStore
    api: str
    loop: Loop

    def talk(self, *tools: FunctionTool, model: str = "test-model", **options: Any) -> Conversation:
        """Return a conversation with the server's model."""
        runner = OpenAIAgentsRunner(
            model, base_url=self.server.url, api=self.api, tools=tools, retry_delay_s=0.001, **options
        )
        return Conversation(self.store, runner)

    def run(self, talk: Conversation, body: Callable[[], Awaitable[Any]]) -> Any:
        """Run a test's own steps, and close what the runner holds."""

        async def whole() -> Any:
            try:
                return await body()
            finally:
                await talk.runner.close()  # type: ignore[attr-defined]
                assert talk.left_open == []

        return self.loop.run(whole())

    def say(self, talk: Conversation, *turns: str) -> Any:
        """Say one thing after another and return the last answer."""

        async def body() -> Any:
            replies = [await talk.say(said) for said in turns]
            return replies[-1]

        return self.run(talk, body)

    @property
    def messages(self) -> tuple[Message, ...]:
        """What the session holds."""

        async def read() -> Any:
            session = await self.store.sessions.get("chat")
            return tuple((await self.store.messages.list(session.id, limit=200)).items)

        found: tuple[Message, ...] = self.loop.run(read())
        return found

    @property
    def calls(self) -> list[LLMCall]:
        """The calls, the oldest first."""
        return list(self.read(self.store.llm_calls.list(sort="timestamp")))

    @property
    def tool_calls(self) -> list[ToolCall]:
        """The uses of tools, the oldest first."""
        return list(self.read(self.store.tool_calls.list()))

    def read(self, awaited: Any) -> Any:
        """Await something."""

        async def read() -> Any:
            return await awaited

        return self.loop.run(read())


@pytest.fixture(params=APIS)
def api(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture(params=["memory"])
def engine(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
def room(api: str, engine: str, loop: Loop, databases: Databases) -> Iterator[Room]:
    """Return a server and an empty record; at the end the script is played and no figure differs from a recount."""
    url = databases.create(engine)
    store = AsyncStore(url)
    with OpenAIServer() as server:
        found = Room(server, store, api, loop)
        yield found
        assert server.left == 0
    assert found.read(store.usage.recount()) == ()
    store.close()
    databases.drop(url)


def texts_of(asked: Asked) -> list[tuple[str, str]]:
    """Return what a model was shown as pairs of who and what, the same for both APIs."""
    found = []
    for item in asked.said:
        kind = item.get("type", "message")
        if kind == "function_call":
            found.append(("call", item["call_id"]))
        elif kind == "function_call_output":
            found.append(("output", item["output"]))
        elif item.get("role") == "tool":
            found.append(("output", item["content"]))
        elif kind == "message":
            if item["content"]:
                content = item["content"]
                found.append((item["role"], content if isinstance(content, str) else content[0]["text"]))
            found += [("call", call["id"]) for call in item.get("tool_calls", [])]
    return found


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"], indirect=True)
def test_a_conversation_with_two_tools_is_recorded_field_by_field(room: Room) -> None:
    room.server.will(
        Answer(
            reasoning="Both at once.",
            uses=[Use("c1", "add", {"a": 1, "b": 2}), Use("c2", "look_up", {"word": "hat"})],
            usage=Usage(100, 20, cached=40, reasoning=5),
            model="gpt-4o-mini",
        ),
        Answer(["One more: "], uses=[Use("c3", "add", {"a": 3, "b": 4})], usage=Usage(130, 10), model="gpt-4o-mini"),
        Answer(["It is", " 7."], usage=Usage(160, 6), model="gpt-4o-mini"),
        Answer(["You are welcome."], usage=Usage(190, 5, cached=160), model="gpt-4o-mini"),
    )
    talk = room.talk(add, look_up)
    answer = room.say(talk, "Add up.", "Thank you.")

    assert (answer.content, answer.model) == ("You are welcome.", "gpt-4o-mini")
    assert [(m.role, m.content, m.tool_call_id, m.tool_name, m.model_used) for m in room.messages] == [
        ("user", "Add up.", None, None, None),
        ("assistant", "", None, None, "gpt-4o-mini"),
        ("tool", "3", "c1", "add", None),
        ("tool", TOLD_OF_A_FAILURE, "c2", "look_up", None),
        ("assistant", "One more: ", None, None, "gpt-4o-mini"),
        ("tool", "7", "c3", "add", None),
        ("assistant", "It is 7.", None, None, "gpt-4o-mini"),
        ("user", "Thank you.", None, None, None),
        ("assistant", "You are welcome.", None, None, "gpt-4o-mini"),
    ]
    first = room.messages[1]
    assert [(part.kind, part.text, part.call_ref, part.name) for part in first.parts] == [
        (PartKind.REASONING, "Both at once.", None, None),
        (PartKind.TOOL_CALL, None, "c1", "add"),
        (PartKind.TOOL_CALL, None, "c2", "look_up"),
    ]
    assert first.tools_used == ("add", "look_up")
    calls = room.calls
    answers = [message for message in room.messages if message.role is MessageRole.ASSISTANT]
    assert [call.message_uuid for call in calls] == [message.id for message in answers]
    assert answer.message == answers[-1].id
    assert [call.tokens for call in calls] == [
        TokenCounts(input=60, cache_read=40, output=20, reasoning=5),
        TokenCounts(input=130, cache_read=0, output=10, reasoning=0),
        TokenCounts(input=160, cache_read=0, output=6, reasoning=0),
        TokenCounts(input=30, cache_read=160, output=5, reasoning=0),
    ]
    assert json.loads(calls[0].usage_metrics or "") == Usage(100, 20, cached=40, reasoning=5).told(room.api)
    assert {(call.host, call.model, call.status, call.request_id) for call in calls} == {
        ("OpenAI", "gpt-4o-mini", CallStatus.SUCCESS, "req_test")
    }
    assert calls[1].cost_usd == Decimal("0.0000255")
    assert all(call.latency_ms is not None and call.latency_ms >= (call.time_to_first_token_ms or 0) for call in calls)
    assert [call.time_to_first_token_ms is None for call in calls[1:]] == [False, False, False]
    assert [message.response_time_ms for message in answers] == [
        pytest.approx(call.latency_ms, abs=50) for call in calls
    ]
    assert json.loads(calls[0].input_params or "") == {
        "model": "test-model", "max_tokens": 4096, "tools": ["add", "look_up"], "stream": True,
    }  # fmt: skip
    assert [(t.tool_name, t.call_ref, t.arguments, t.result, t.status, t.error_message) for t in room.tool_calls] == [
        ("add", "c1", '{"a": 1, "b": 2}', "3", ToolCallStatus.SUCCESS, None),
        ("look_up", "c2", '{"word": "hat"}', LOST, ToolCallStatus.ERROR, LOST),
        ("add", "c3", '{"a": 3, "b": 4}', "7", ToolCallStatus.SUCCESS, None),
    ]
    assert {call.run_uuid for call in calls[:3]} == {room.messages[1].run_uuid}
    assert calls[3].run_uuid == room.messages[-1].run_uuid != calls[0].run_uuid


def test_the_model_sees_the_whole_history_once_and_its_limit(room: Room) -> None:
    room.server.will(
        Answer(uses=[Use("c1", "add", {"a": 1, "b": 2})]), Answer(["Three."]), Answer(["Yes."]), Answer(["Yes."])
    )
    talk = room.talk(add, max_output_tokens=77)
    room.say(talk, "Add.", "Sure?", "Sure?")
    assert texts_of(room.server.asked[-1]) == [
        ("user", "Add."), ("call", "c1"), ("output", "3"), ("assistant", "Three."),
        ("user", "Sure?"), ("assistant", "Yes."), ("user", "Sure?"),
    ]  # fmt: skip
    assert [asked.max_output_tokens for asked in room.server.asked] == [77] * 4
    assert "x-agentrecord-call" not in room.server.asked[0].headers
    instructions = [
        asked.body.get("instructions") or asked.body["messages"][0]["content"] for asked in room.server.asked
    ]
    assert instructions == ["Be brief."] * 4
    assert [m.content for m in room.messages if m.role is MessageRole.USER] == ["Add.", "Sure?", "Sure?"]


def test_each_call_is_reserved_with_an_upper_bound_of_what_goes_in(room: Room) -> None:
    room.server.will(Answer(["Hi."]))
    talk = room.talk(add, max_output_tokens=50)
    room.say(talk, "Grüß dich, 世界!")
    assert talk.recorder is not None
    [reserved] = talk.recorder.reserved
    shown = {**room.server.asked[0].body, "stream": None, "stream_options": None, "max_tokens": None}
    said = ["Grüß dich, 世界!", "Be brief.", "Add two numbers."]
    assert reserved.input_tokens >= len("".join(said).encode()) + len(json.dumps(add.params_json_schema))
    assert reserved.input_tokens <= 2 * len(json.dumps(shown).encode())
    assert (reserved.model, reserved.host, reserved.max_output_tokens) == ("test-model", "OpenAI", 50)
    assert [call.id for call in room.calls] == [reserved.id]


def test_the_answer_comes_piece_by_piece(room: Room) -> None:
    room.server.will(Answer(["One", " two", " three"]))
    talk = room.talk()
    room.say(talk, "Count.")
    assert talk.recorder is not None
    assert talk.recorder.deltas == ["One", " two", " three"]


def test_a_request_too_many_is_sent_again_when_the_server_says_and_both_are_recorded(room: Room) -> None:
    room.server.will(Refusal(429, (("retry-after-ms", "80"),)), Answer(["Here."]))
    talk = room.talk()
    assert room.say(talk, "Hello?").content == "Here."
    refused, answered = room.calls
    # What it would have used is not known; that it was not charged is.
    assert (refused.status, refused.tokens, refused.cost_usd) == (CallStatus.ERROR, TokenCounts(), 0)
    assert "RateLimitError" in (refused.error_message or "")
    assert (answered.status, answered.tokens.output) == (CallStatus.SUCCESS, 20)
    first, second = room.server.asked
    assert second.at - first.at >= 0.08
    assert talk.recorder is not None
    assert [reserved.id for reserved in talk.recorder.reserved] == [refused.id, answered.id]


def test_a_server_that_keeps_failing_fails_the_turn_and_every_attempt_is_recorded(room: Room) -> None:
    room.server.will(Refusal(500), Refusal(503), Refusal(500))
    talk = room.talk(max_retries=2)
    with pytest.raises(InternalServerError):
        room.say(talk, "Hello?")
    assert [(call.status, call.tokens) for call in room.calls] == [(CallStatus.ERROR, TokenCounts())] * 3
    assert [message.content for message in room.messages] == ["Hello?"]


def test_a_refused_request_is_not_sent_again(room: Room) -> None:
    room.server.will(Refusal(400), Answer(["Better."]))
    talk = room.talk()

    async def body() -> Any:
        with pytest.raises(Exception, match="400"):
            await talk.say("Bad.")
        return await talk.say("Good.")

    assert room.run(talk, body).content == "Better."
    assert len(room.calls) == 2
    assert texts_of(room.server.asked[1]) == [("user", "Bad."), ("user", "Good.")]


def test_silence_ends_at_the_time_limit_and_is_recorded(room: Room) -> None:
    room.server.will(Silence())
    talk = room.talk(timeout_s=0.15, max_retries=0)
    with pytest.raises(APITimeoutError):
        room.say(talk, "Anyone?")
    [call] = room.calls
    assert (call.status, call.tokens, call.time_to_first_token_ms) == (CallStatus.ERROR, TokenCounts(), None)
    assert (call.latency_ms or 0) >= 150
    assert "timed out" in (call.error_message or "")


def test_a_connection_cut_before_the_answer_is_tried_again(room: Room) -> None:
    room.server.will(Cut(), Answer(["Back."]))
    talk = room.talk()
    assert room.say(talk, "Hello?").content == "Back."
    assert [call.status for call in room.calls] == [CallStatus.ERROR, CallStatus.SUCCESS]


def test_a_server_that_is_not_there_is_a_failed_call(room: Room) -> None:
    talk = room.talk(max_retries=0)
    room.server._loop.run(room.server._stop())
    with pytest.raises(APIConnectionError):
        room.say(talk, "Hello?")
    assert [call.status for call in room.calls] == [CallStatus.ERROR]


@pytest.mark.parametrize("how", ["cut_after", "end_after"])
def test_a_stream_cut_in_the_middle_keeps_what_was_heard_and_does_not_spoil_the_next_turn(room: Room, how: str) -> None:
    after = 5 if room.api == "responses" else 3
    room.server.will(Answer(["Once", " upon", " a time"], **{how: after}), Answer(["Again."]))
    talk = room.talk()

    async def body() -> Any:
        with pytest.raises(Exception, match=r"."):
            await talk.say("A tale.")
        return await talk.say("Go on.")

    assert room.run(talk, body).content == "Again."
    cut, whole = room.calls
    assert (cut.status, cut.tokens, cut.cost_usd) == (CallStatus.ERROR, TokenCounts(), None)
    assert (cut.response_content, cut.model) == ("Once upon", "test-model-2026")
    assert cut.time_to_first_token_ms is not None
    assert cut.message_uuid is None
    assert whole.status is CallStatus.SUCCESS
    assert texts_of(room.server.asked[1]) == [("user", "A tale."), ("user", "Go on.")]


def test_words_that_are_no_json_fail_the_call(room: Room) -> None:
    room.server.will(Answer(["Once", " upon"], malformed_after=3))
    talk = room.talk()
    with pytest.raises(json.JSONDecodeError):
        room.say(talk, "A tale.")
    assert [(call.status, "JSONDecodeError" in (call.error_message or "")) for call in room.calls] == [
        (CallStatus.ERROR, True)
    ]


def test_an_answer_without_usage_has_unknown_tokens_not_none_at_all(room: Room) -> None:
    room.server.will(Answer(["Hi."], usage=None))
    talk = room.talk()
    room.say(talk, "Hello.")
    [call] = room.calls
    assert (call.status, call.tokens, call.usage_metrics) == (CallStatus.SUCCESS, TokenCounts(), None)


def test_a_turn_cancelled_in_the_middle_of_a_stream_leaves_a_failed_call_and_nothing_reserved(room: Room) -> None:
    after = 5 if room.api == "responses" else 3
    room.server.will(Answer(["Once", " upon", " a time"], hang_after=after))
    talk = room.talk()

    async def body() -> None:
        said = asyncio.ensure_future(talk.say("A tale."))
        while talk.recorder is None or len(talk.recorder.deltas) < 2:
            await asyncio.sleep(0.001)
        said.cancel()
        with pytest.raises(asyncio.CancelledError):
            await said

    room.run(talk, body)
    [call] = room.calls
    assert (call.status, call.response_content, call.tokens) == (CallStatus.ERROR, "Once upon", TokenCounts())
    assert "cancelled" in (call.error_message or "")


def test_a_turn_cancelled_while_a_tool_runs_does_not_spoil_the_next_turn(room: Room) -> None:
    started = asyncio.Event()

    @function_tool
    async def wait() -> str:
        """Wait."""
        started.set()
        await asyncio.Event().wait()
        return "never"

    room.server.will(Answer(["Wait. "], uses=[Use("c1", "wait")]), Answer(["Well?"]))
    talk = room.talk(wait)

    async def body() -> Any:
        said = asyncio.ensure_future(talk.say("Wait."))
        await started.wait()
        said.cancel()
        with pytest.raises(asyncio.CancelledError):
            await said
        return await talk.say("And now?")

    assert room.run(talk, body).content == "Well?"
    [used] = room.tool_calls
    assert (used.status, used.error_message) == (ToolCallStatus.ERROR, "the tool was interrupted")
    assert texts_of(room.server.asked[1]) == [("user", "Wait."), ("assistant", "Wait. "), ("user", "And now?")]


def test_a_budget_that_is_spent_stops_the_turn_before_the_call(room: Room) -> None:
    room.read(room.store.budgets.create(NewBudget(name="tiny", period=BudgetPeriod.DAY, limit_nanos=1000)))
    talk = room.talk(model="gpt-4o-mini")
    with pytest.raises(OverBudget, match="tiny") as caught:
        room.say(talk, "Hello.")
    assert type(caught.value) is OverBudget
    assert room.server.asked == []
    assert room.calls == []


def test_a_budget_spent_between_two_calls_keeps_what_the_first_did(room: Room) -> None:
    usage = Usage(going_in=100_000)
    room.server.will(
        Answer(uses=[Use("c1", "add", {"a": 1, "b": 2})], usage=usage, model="gpt-4o-mini"), Answer(["Three."])
    )
    new = NewBudget(name="small", period=BudgetPeriod.TOTAL, limit_nanos=10_000_000)
    budget = room.read(room.store.budgets.create(new))
    talk = room.talk(add, model="gpt-4o-mini")

    async def body() -> Any:
        with pytest.raises(OverBudget, match="small"):
            await talk.say("Add.")
        await room.store.budgets.update(budget.id, BudgetChanges(limit_nanos=10**9))
        return await talk.say("Well?")

    assert room.run(talk, body).content == "Three."
    assert [call.status for call in room.calls] == [CallStatus.SUCCESS] * 2
    assert texts_of(room.server.asked[1]) == [("user", "Add."), ("call", "c1"), ("output", "3"), ("user", "Well?")]


def test_a_tool_may_say_itself_what_the_model_is_told_of_its_failure(room: Room) -> None:
    def say(context: Any, error: Exception) -> str:
        return f"Sorry: {error}"

    @function_tool(failure_error_function=say)
    def break_down() -> str:
        """Break."""
        raise RuntimeError("worn out")

    room.server.will(Answer(uses=[Use("c1", "break_down")]), Answer(["Oh."]))
    talk = room.talk(break_down)
    room.say(talk, "Break.")
    assert ("output", "Sorry: worn out") in texts_of(room.server.asked[1])
    [used] = room.tool_calls
    assert (used.status, used.error_message) == (ToolCallStatus.ERROR, "RuntimeError: worn out")


def test_a_tool_whose_failure_nobody_handles_fails_the_turn(room: Room) -> None:
    @function_tool(failure_error_function=None)
    def break_down() -> str:
        """Break."""
        raise RuntimeError("worn out")

    room.server.will(Answer(uses=[Use("c1", "break_down")]), Answer(["Fine."]))
    talk = room.talk(break_down)

    async def body() -> Any:
        with pytest.raises(Exception, match="worn out"):
            await talk.say("Break.")
        return await talk.say("Anyway.")

    assert room.run(talk, body).content == "Fine."
    assert [used.error_message for used in room.tool_calls] == ["RuntimeError: worn out"]
    assert texts_of(room.server.asked[1]) == [("user", "Break."), ("user", "Anyway.")]


def test_arguments_that_are_no_json_are_recorded_as_they_came(room: Room) -> None:
    room.server.will(Answer(uses=[Use("c1", "add", '{"a": 1,')]), Answer(["Hm."]))
    talk = room.talk(add)
    room.say(talk, "Add.")
    [used] = room.tool_calls
    assert (used.arguments, used.status) == ('{"a": 1,', ToolCallStatus.ERROR)


def test_a_tool_that_is_not_there_fails_the_turn_and_not_the_next(room: Room) -> None:
    room.server.will(Answer(uses=[Use("c1", "fly")]), Answer(["I cannot."]))
    talk = room.talk(add)

    async def body() -> Any:
        with pytest.raises(ModelBehaviorError, match="fly"):
            await talk.say("Fly.")
        return await talk.say("Well?")

    assert room.run(talk, body).content == "I cannot."
    assert texts_of(room.server.asked[1]) == [("user", "Fly."), ("user", "Well?")]
    assert [call.status for call in room.calls] == [CallStatus.SUCCESS] * 2


def test_a_model_that_never_comes_to_an_end_is_stopped(room: Room) -> None:
    room.server.will(*[Answer(uses=[Use(f"c{n}", "add", {"a": n, "b": 1})]) for n in range(3)])
    talk = room.talk(add, max_turns=3)
    with pytest.raises(MaxTurnsExceeded):
        room.say(talk, "For ever.")
    assert len(room.calls) == len(room.tool_calls) == 3


def test_a_tool_that_needs_an_approval_ends_the_turn(room: Room) -> None:
    @function_tool(needs_approval=True)
    def delete() -> str:
        """Delete."""
        return "gone"

    room.server.will(Answer(uses=[Use("c1", "delete")]))
    talk = room.talk(delete)
    with pytest.raises(TurnFailed, match="delete needs an approval"):
        room.say(talk, "Delete.")
    assert room.tool_calls == []


def test_what_no_engine_stores_is_replaced_in_what_model_and_tools_say(room: Room) -> None:
    @function_tool
    def dump() -> str:
        """Dump."""
        return "a\0b"

    room.server.will(Answer(uses=[Use("c1", "dump")]), Answer(["c\0d"]))
    talk = room.talk(dump)
    room.say(talk, "Dump.")
    assert [message.content for message in room.messages[2:]] == ["a\ufffdb", "c\ufffdd"]
    assert [used.result for used in room.tool_calls] == ["a\ufffdb"]


def test_a_turn_lost_to_another_process_while_it_answers_ends_with_that_error_and_its_call_as_it_was(
    room: Room,
) -> None:
    room.server.will(Answer(["Hi."], hold_after=2))
    talk = room.talk()

    async def body() -> None:
        answering = asyncio.ensure_future(talk.say("Hello."))
        while not room.server.asked:
            await asyncio.sleep(0.001)
        [turn] = await room.store.turns.running()
        end = TurnEnd(status=TurnStatus.CANCELLED, error_type="Test", error_message="taken")
        await room.store.turns.finish(turn.id, end, lease_owner=OWNER)
        room.server.go_on()
        with pytest.raises(InvalidTransition):
            await answering

    room.run(talk, body)
    assert len(room.calls) == 1


def test_prompts_point_at_the_messages_and_a_long_conversation_stores_each_once(room: Room) -> None:
    turns = 12
    room.server.will(*[Answer([f"Answer {n}."]) for n in range(turns)])
    talk = room.talk()
    room.say(talk, *[f"Question {n % 3}?" for n in range(turns)])
    last = room.calls[-1]
    shown = json.loads(room.read(room.store.llm_calls.prompt(last.id)))
    assert shown == [{"role": "system", "content": "Be brief."}] + [
        {"role": message.role.value, "content": message.content} for message in room.messages[:-1]
    ]

    assert last.prompt_length == sum(len(part["content"]) for part in shown)

    def count(conn: Any, scope: Any) -> Any:
        return conn.text("SELECT count(*), count(message_uuid) FROM ar_prompts"), conn.text("SELECT * FROM ar_contents")

    [(parts, pointing)], contents = room.read(room.store.run(count))
    assert (parts, pointing, len(contents)) == (2 * turns, 2 * turns - 1, 1)


def test_an_edited_message_is_seen_as_edited_and_the_old_prompt_stays(room: Room) -> None:
    room.server.will(Answer(["First."], uses=[Use("c1", "add", {"a": 1, "b": 2})]), Answer(["3"]), Answer(["Yes."]))
    talk = room.talk(add)

    async def body() -> None:
        await talk.say("Say.")
        session = await room.store.sessions.get("chat")
        said, answer = (await room.store.messages.list(session.id)).items[:2]
        await room.store.messages.edit(said.id, "Say it.")
        await room.store.messages.edit(answer.id, "Second.", parts=answer.parts)
        await talk.say("Sure?")

    room.run(talk, body)
    assert texts_of(room.server.asked[2]) == [
        ("user", "Say it."), ("assistant", "Second."), ("call", "c1"), ("output", "3"), ("assistant", "3"),
        ("user", "Sure?"),
    ]  # fmt: skip
    prompts = [json.loads(room.read(room.store.llm_calls.prompt(call.id))) for call in room.calls]
    assert [part["content"] for part in prompts[1]] == ["Be brief.", "Say.", "First.", "3"]
    assert [part["content"] for part in prompts[2]][:3] == ["Be brief.", "Say it.", "Second."]


def test_messages_of_other_doors_are_shown_as_something_a_model_accepts(room: Room) -> None:
    room.server.will(Answer(["I see."]))
    talk = room.talk()
    parts = (Part(kind=PartKind.TOOL_CALL, call_ref="t1", name="read"),)
    result = (Part(kind=PartKind.TOOL_RESULT, call_ref="t1"),)
    lost = (Part(kind=PartKind.TOOL_RESULT, call_ref="t9"),)

    async def body() -> None:
        session = await room.store.sessions.create(NewSession(session_id="chat"))
        call = NewToolCall(tool_name="read", call_ref="t1", arguments='{"path": "x"}', session_uuid=session.id)
        await room.store.tool_calls.record(call)
        for new in (
            NewMessage(role=MessageRole.SYSTEM, content="Mind the step."),
            NewMessage(role=MessageRole.TOOL, content="42", tool_name="guess"),
            NewMessage(role=MessageRole.TOOL, content="43", tool_name="guess", tool_call_id="nobody"),
            NewMessage(role=MessageRole.ASSISTANT, content="Reading.", parts=parts),
            NewMessage(role=MessageRole.TOOL, content="read it", parts=result),
            NewMessage(role=MessageRole.TOOL, content="lost", parts=lost),
        ):
            await room.store.messages.append(session.id, [new])
        await talk.say("Hello.")

    room.run(talk, body)
    [asked] = room.server.asked
    assert [text for who, text in texts_of(asked) if who != "system"] == [
        "[guess gave] 42", "[guess gave] 43", "Reading.", "t1", "read it", "Hello.",
    ]  # fmt: skip
    assert '{\\"path\\": \\"x\\"}' in json.dumps(asked.body)


def test_a_server_that_gives_every_tool_call_the_same_name_keeps_its_history_in_order(room: Room) -> None:
    for n in (1, 2):
        room.server.will(Answer(uses=[Use("c1", "add", {"a": n, "b": 0})]), Answer([f"{n}!"]))
    room.say(room.talk(add), "One.", "Two.")
    assert texts_of(room.server.asked[-1]) == [
        ("user", "One."), ("call", "c1"), ("output", "1"), ("assistant", "1!"),
        ("user", "Two."), ("call", "c1-2"), ("output", "2"),
    ]  # fmt: skip
    assert [(used.call_ref, used.result) for used in room.tool_calls] == [("c1", "1"), ("c1-2", "2")]


def test_the_history_that_a_model_sees_may_be_limited(room: Room) -> None:
    room.server.will(Answer(uses=[Use("c1", "add", {"a": 1, "b": 0})]), Answer(["1!"]), Answer(["Yes."]))
    room.say(room.talk(add, history_limit=2), "One.", "Sure?")
    assert texts_of(room.server.asked[-1]) == [("assistant", "1!"), ("user", "Sure?")]


def test_nothing_is_traced(room: Room) -> None:
    class Seen:
        def __init__(self) -> None:
            self.traced: list[Any] = []

        def on_trace_start(self, trace: Any) -> None:
            self.traced.append(trace)

        on_trace_end = on_span_start = on_span_end = on_trace_start

        def shutdown(self) -> None: ...

        def force_flush(self) -> None: ...

    seen = Seen()
    set_trace_processors([seen])
    try:
        room.server.will(Answer(["Hi."]))
        room.say(room.talk(), "Hello.")
    finally:
        set_trace_processors([])
    assert seen.traced == []


def test_an_output_that_the_sdk_adds_again_is_stored_once_and_nothing_stored_is_taken_back(loop: Loop) -> None:
    output: Any = {"call_id": "c1", "output": "3", "type": "function_call_output"}

    async def body() -> tuple[list[Any], list[str]]:
        async with AsyncStore("memory:") as store:
            begun = await store.turns.begin(NewTurn(session_id="chat", messages=(SAID,), lease_owner=OWNER, lease_s=60))
            recorder = NotedRecorder(begun, store)
            turn = AgentTurn(session=begun.session, run=begun.run, messages=begun.messages)
            session = TurnSession(turn, recorder, Ledger(recorder, model="m", host=None))
            said: Any = session.new_items()
            assert await session.get_items() == []
            await session.add_items(said)
            await session.add_items([output])
            popped = [await session.pop_item(), await session.pop_item(), await session.pop_item()]
            await session.add_items([*said, output])
            await session.clear_session()
            stored = await store.messages.list(begun.session.id)
            return popped, [message.content for message in stored.items]

    assert loop.run(body()) == ([output, {"content": "Hello.", "role": "user"}, None], ["Hello.", "3"])


def test_an_answer_that_comes_whole_is_recorded_too(room: Room) -> None:
    room.server.will(Answer(["Whole."], usage=Usage(100, 20, cached=30)), Refusal(500))
    kind = OpenAIResponsesModel if room.api == "responses" else OpenAIChatCompletionsModel

    async def body() -> None:
        listening = ListeningClient()
        async with AsyncOpenAI(base_url=room.server.url, api_key="k", max_retries=0, http_client=listening) as client:
            begun = await room.store.turns.begin(
                NewTurn(session_id="chat", messages=(SAID,), lease_owner=OWNER, lease_s=60)
            )
            recorder = NotedRecorder(begun, room.store)
            ledger = Ledger(recorder, model="test-model", host="OpenAI")
            model = RecordedModel(kind("test-model", client), ledger, name="test-model", client=listening)
            agent = Agent(name="A", model=model)
            result = await Runner.run(agent, "Hello.", run_config=RunConfig(tracing_disabled=True))
            assert result.final_output == "Whole."
            with pytest.raises(InternalServerError):
                await Runner.run(agent, "Hello.", run_config=RunConfig(tracing_disabled=True))
            await recorder.flush()

    room.loop.run(body())
    whole, failed = room.calls
    assert (whole.model, whole.tokens) == (
        "test-model-2026",
        TokenCounts(input=70, cache_read=30, output=20, reasoning=0),
    )
    assert (failed.status, failed.tokens) == (CallStatus.ERROR, TokenCounts())
    assert [message.content for message in room.messages] == ["Hello.", "Whole."]


def test_a_model_object_of_the_sdk_answers_too(loop: Loop) -> None:
    async def body() -> tuple[Any, Any]:
        async with AsyncStore("memory:") as store:
            runner = OpenAIAgentsRunner(ScriptedModel([[assistant_message("Scripted.")]]), host="Nowhere")
            reply = await Conversation(store, runner).say("Hello.")
            await runner.close()
            return reply, (await store.llm_calls.list()).items[0]

    reply, call = loop.run(body())
    assert reply.content == "Scripted."
    assert (call.host, call.status, call.message_uuid) == ("Nowhere", CallStatus.SUCCESS, reply.message)
