"""What a runner writes with in tests: straight into a store, with a budget that the test holds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from agentrecord.agents.runner import AgentRunner, AgentTurn, Reply
from agentrecord.exceptions import OverBudget
from agentrecord.ids import new_id
from agentrecord.records.event import NewEvent
from agentrecord.records.llm_call import NewLLMCall
from agentrecord.records.message import MessageRole, NewMessage
from agentrecord.records.run import Run
from agentrecord.records.session import Session
from agentrecord.records.tool_call import NewToolCall
from agentrecord.records.turn import BegunTurn, NewTurn, TurnEnd, TurnStatus
from agentrecord.store import AsyncStore
from agentrecord.store.messages import Turn

OWNER = "test"


@dataclass(frozen=True)
class Reserved:
    """A call that leave was given for."""

    id: UUID
    model: str
    host: str | None
    input_tokens: int
    max_output_tokens: int | None


class StoreRecorder:
    """Writes a turn's facts as they happen; `calls_left` may be a budget."""

    def __init__(self, store: AsyncStore, session: Session, run: Run, *, calls_left: int | None = None) -> None:
        """Write for one run of a session."""
        self._store = store
        self._session = session
        self._run = run
        self._tools: dict[str, UUID] = {}
        self.calls_left = calls_left
        self.deltas: list[str] = []
        self.reserved: list[Reserved] = []
        self.open: set[UUID] = set()

    @property
    def store(self) -> AsyncStore:
        """The record."""
        return self._store

    async def delta(self, text: str) -> None:
        """Keep a piece."""
        self.deltas.append(text)

    async def reserve(self, *, model: str, host: str | None, input_tokens: int, max_output_tokens: int | None) -> UUID:
        """Give leave while the budget lasts."""
        if self.calls_left == 0:
            raise OverBudget("the budget of this test is spent")
        if self.calls_left is not None:
            self.calls_left -= 1
        self.reserved.append(Reserved(new_id(), model, host, input_tokens, max_output_tokens))
        self.open.add(self.reserved[-1].id)
        return self.reserved[-1].id

    async def release(self, call: UUID) -> None:
        """Take leave back."""
        self.open.remove(call)

    async def append(self, messages: Sequence[NewMessage], *, calls: Sequence[NewLLMCall] = ()) -> Turn:
        """Append as this run's."""
        mine = [replace(new, run_uuid=self._run.id) for new in messages]
        told = [self._mine(call) for call in calls]
        turn = await self._store.messages.append(self._session.id, mine, calls=told)
        self.open.difference_update(call.id for call in told if call.id)
        return turn

    async def record_call(self, call: NewLLMCall) -> None:
        """Record as this run's."""
        await self._store.llm_calls.record(self._mine(call))
        if call.id is not None:
            self.open.remove(call.id)

    def _mine(self, call: NewLLMCall) -> NewLLMCall:
        return replace(call, session_uuid=self._session.id, run_uuid=self._run.id)

    async def tool_started(self, tool_name: str, *, call_ref: str, arguments: str | None) -> None:
        """Record the start."""
        started = await self._store.tool_calls.record(
            NewToolCall(
                tool_name=tool_name, call_ref=call_ref, arguments=arguments, session_uuid=self._session.id,
                run_uuid=self._run.id,
            )
        )  # fmt: skip
        self._tools[call_ref] = started.id

    async def tool_finished(self, call_ref: str, *, result: str, is_error: bool = False) -> None:
        """Record the end."""
        told = {"error_message": result} if is_error else {"result": result}
        await self._store.tool_calls.finish(self._tools[call_ref], **told)

    async def event(self, event_type: str, data: str | None = None) -> None:
        """Record an event."""
        new = NewEvent(event_type=event_type, data=data, session_uuid=self._session.id, run_uuid=self._run.id)
        await self._store.events.record(new)


@dataclass
class Conversation:
    """A session that a runner answers in, turn after turn."""

    store: AsyncStore
    runner: AgentRunner
    session_id: str = "chat"
    instructions: str | None = "Be brief."
    calls_left: int | None = None
    recorder: StoreRecorder | None = None

    async def begin(self, *said: str) -> tuple[BegunTurn, AgentTurn, StoreRecorder]:
        """Store what the user says, and return what a runner is given."""
        new = tuple(NewMessage(role=MessageRole.USER, content=text) for text in said)
        begun = await self.store.turns.begin(
            NewTurn(session_id=self.session_id, messages=new, lease_owner=OWNER, lease_s=60)
        )
        turn = AgentTurn(
            session=begun.session, run=begun.run, messages=begun.messages, instructions=self.instructions,
            agent_name="Helper",
        )  # fmt: skip
        self.recorder = StoreRecorder(self.store, begun.session, begun.run, calls_left=self.calls_left)
        return begun, turn, self.recorder

    async def say(self, *said: str) -> Reply:
        """Let the runner answer, and end the turn as it went."""
        begun, turn, recorder = await self.begin(*said)
        try:
            reply = await self.runner.run(turn, recorder)
        except BaseException as error:
            end = TurnEnd(status=TurnStatus.ERROR, error_type=type(error).__name__, error_message=str(error) or "gone")
            await self.store.turns.finish(begun.turn.id, end, lease_owner=OWNER)
            raise
        stored = None if reply.message else NewMessage(role=MessageRole.ASSISTANT, content=reply.content)
        end = TurnEnd(status=TurnStatus.COMPLETED, reply=stored, reply_uuid=reply.message, model=reply.model)
        await self.store.turns.finish(begun.turn.id, end, lease_owner=OWNER)
        return reply
