"""Conversations with a runner, one turn after another, with a recorder that the test can look into."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from agentrecord.agents.live import LiveRecorder, LiveTurn
from agentrecord.agents.runner import AgentRunner, AgentTurn, Reply
from agentrecord.records.message import MessageRole, NewMessage
from agentrecord.records.turn import BegunTurn, NewTurn, TurnEnd, TurnStatus
from agentrecord.store import AsyncStore

OWNER = "test"
LEASE_S = 60.0


@dataclass(frozen=True)
class Reserved:
    """A call that leave was given for."""

    id: UUID
    model: str
    host: str | None
    input_tokens: int
    max_output_tokens: int | None


class NotedRecorder(LiveRecorder):
    """The server's own recorder; notes the pieces of the answer and the calls that leave was given for."""

    def __init__(self, begun: BegunTurn, store: AsyncStore) -> None:
        """Write for a turn that has begun."""
        super().__init__(LiveTurn(begun, store, False), lease_owner=OWNER, lease_s=LEASE_S)
        self.deltas: list[str] = []
        self.reserved: list[Reserved] = []

    async def delta(self, text: str) -> None:
        """Note a piece."""
        self.deltas.append(text)
        await super().delta(text)

    async def reserve(self, *, model: str, host: str | None, input_tokens: int, max_output_tokens: int | None) -> UUID:
        """Note the leave that was given."""
        call = await super().reserve(
            model=model, host=host, input_tokens=input_tokens, max_output_tokens=max_output_tokens
        )
        self.reserved.append(Reserved(call, model, host, input_tokens, max_output_tokens))
        return call


@dataclass
class Conversation:
    """A session that a runner answers in; `left_open` are calls neither recorded nor given back when a turn ended."""

    store: AsyncStore
    runner: AgentRunner
    session_id: str = "chat"
    instructions: str | None = "Be brief."
    recorder: NotedRecorder | None = None
    left_open: list[Any] = field(default_factory=list)

    async def say(self, *said: str) -> Reply:
        """Let the runner answer, and end the turn as it went."""
        new = tuple(NewMessage(role=MessageRole.USER, content=text) for text in said)
        begun = await self.store.turns.begin(
            NewTurn(session_id=self.session_id, messages=new, lease_owner=OWNER, lease_s=LEASE_S)
        )
        self.recorder = NotedRecorder(begun, self.store)
        turn = AgentTurn(
            session=begun.session, run=begun.run, messages=begun.messages, instructions=self.instructions,
            agent_name="Helper",
        )  # fmt: skip
        try:
            reply = await self.runner.run(turn, self.recorder)
        except BaseException as error:
            end = TurnEnd(status=TurnStatus.ERROR, error_type=type(error).__name__, error_message=str(error) or "gone")
            await self._end(begun, end)
            raise
        stored = None if reply.message else NewMessage(role=MessageRole.ASSISTANT, content=reply.content)
        await self._end(
            begun, TurnEnd(status=TurnStatus.COMPLETED, reply=stored, reply_uuid=reply.message, model=reply.model)
        )
        return reply

    async def _end(self, begun: BegunTurn, end: TurnEnd) -> None:
        assert self.recorder is not None
        await self.recorder.flush()
        self.left_open += await self.store.run(_reservations)
        await self.store.turns.finish(begun.turn.id, end, lease_owner=OWNER)


def _reservations(conn: Any, scope: Any) -> list[Any]:
    table = "ar_call_reservations" if conn.is_sqlite else "agentrecord.ar_call_reservations"
    found: list[Any] = conn.text(f"SELECT id FROM {table}")
    return found
