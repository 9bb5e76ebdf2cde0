"""The interface of what answers in a conversation, and what it is given to work with.

A runner is any object with a `name` and an awaitable `run`. It never opens the record by itself: whatever it does
goes through the `TurnRecorder` it is given, which stores each fact under the turn's session and run as it happens, so
that a crash leaves all that was done and paid for. A runner may be cancelled at any `await` (the client left, the
time is up): it lets `CancelledError` through.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable
from uuid import UUID

from agentrecord.records.agent import AgentVersion
from agentrecord.records.llm_call import NewLLMCall
from agentrecord.records.message import Message, NewMessage
from agentrecord.records.run import Run
from agentrecord.records.session import Session
from agentrecord.store import AsyncStore
from agentrecord.store.messages import Turn


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentTurn:
    """One turn to answer.

    `messages` are what the caller said now, oldest first, stored already (and so also the last of the session's
    messages); `instructions` are the session's own, else those of the agent's active version, else the agent's.
    """

    session: Session
    run: Run
    messages: tuple[Message, ...]
    instructions: str | None = None
    agent_name: str | None = None
    agent_version: AgentVersion | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a runner answered.

    `message` names the assistant's message if the runner stored it by `TurnRecorder.append`; without one the
    conversation stores `content` as a message whose `model_used` is `model`.
    """

    content: str
    model: str | None = None
    message: UUID | None = None


class TurnRecorder(Protocol):
    """What a runner writes with while it works on one turn; everything is durable when the call returns."""

    @property
    def store(self) -> AsyncStore:
        """The record as the turn's own user sees it, for reading the session's history."""
        ...

    async def delta(self, text: str) -> None:
        """Give the client a further piece of the answer; pieces that come close together are sent as one."""
        ...

    async def reserve(self, *, model: str, host: str | None, input_tokens: int, max_output_tokens: int | None) -> UUID:
        """Ask for leave to make an LLM call, before it is made, and return the id that the call must be recorded with.

        `input_tokens` is an upper bound. Raises `OverBudget` if the call might cross a budget. Whatever is reserved
        and never recorded (a crash) is recorded as a failed call with unknown tokens when the turn is closed.
        """
        ...

    async def release(self, call: UUID) -> None:
        """Give a reservation back: the call was not made."""
        ...

    async def append(self, messages: Sequence[NewMessage], *, calls: Sequence[NewLLMCall] = ()) -> Turn:
        """Append messages to the session, and the calls that made them, in one transaction, as this run's."""
        ...

    async def record_call(self, call: NewLLMCall) -> None:
        """Record a call that gave no message: it failed, or was cut off."""
        ...

    async def tool_started(self, tool_name: str, *, call_ref: str, arguments: str | None) -> None:
        """Record that a tool was called; `call_ref` is the id that the model gave the call."""
        ...

    async def tool_finished(self, call_ref: str, *, result: str, is_error: bool = False) -> None:
        """Record what a tool gave back."""
        ...

    async def event(self, event_type: str, data: str | None = None) -> None:
        """Record an event of the run; `data` is JSON text."""
        ...


class AgentRunner(Protocol):
    """What answers in a conversation."""

    @property
    def name(self) -> str:
        """What the runner is called in settings, on runs and in answers."""
        ...

    async def run(self, turn: AgentTurn, recorder: TurnRecorder) -> Reply:
        """Answer one turn; an exception ends the turn as failed, with its message told to the caller."""
        ...


@runtime_checkable
class Closing(Protocol):
    """A runner that holds something open between turns, such as connections."""

    async def close(self) -> None:
        """Close it: no more turns will come."""
        ...
