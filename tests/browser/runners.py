"""Agents as their users write them: small runners that the tests of the chat talk with."""

import asyncio
from collections.abc import Sequence

from agentrecord.agents.runner import AgentTurn, Reply, TurnRecorder
from agentrecord.records.llm_call import NewLLMCall
from agentrecord.records.message import MessageRole, NewMessage
from agentrecord.records.tokens import TokenCounts

PACE_S = 0.07
"""How long this model takes for a piece: longer than pieces wait for each other, so each is an event of its own."""


class Gate:
    """Where a runner waits until the test lets it go on."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._permits = asyncio.Semaphore(0)

    async def passed(self) -> None:
        """Wait."""
        self._loop = asyncio.get_running_loop()
        await self._permits.acquire()

    def open(self) -> None:
        """Let one who waits, or who comes next, go on."""
        if self._loop is None:
            self._permits.release()
        else:
            self._loop.call_soon_threadsafe(self._permits.release)


class Speaking:
    """Says pieces, one after the other; waits at the gate before the piece with the number `waits_at`."""

    name = "speaking"

    def __init__(self, pieces: Sequence[str], *, waits_at: int | None = None) -> None:
        self.pieces = tuple(pieces)
        self.waits_at = waits_at
        self.gate = Gate()
        self.asked: list[str] = []

    async def run(self, turn: AgentTurn, recorder: TurnRecorder) -> Reply:
        """Answer one turn."""
        self.asked.append(turn.messages[-1].content)
        for number, piece in enumerate(self.pieces):
            if number == self.waits_at:
                await self.gate.passed()
            await recorder.delta(piece)
            await asyncio.sleep(PACE_S)
        return Reply(content="".join(self.pieces), model="speaking-1")


class Failing(Speaking):
    """Says a piece and breaks, as often as `failures`; answers after that."""

    name = "failing"

    def __init__(self, *, failures: int, error: Exception) -> None:
        super().__init__(["It works ", "now."])
        self.failures = failures
        self.error = error

    async def run(self, turn: AgentTurn, recorder: TurnRecorder) -> Reply:
        """Answer one turn, or fail."""
        if self.failures:
            self.failures -= 1
            self.asked.append(turn.messages[-1].content)
            await recorder.delta("I was about to say")
            raise self.error
        return await super().run(turn, recorder)


class Reserving:
    """Asks its budget for leave to call a model."""

    name = "reserving"

    async def run(self, turn: AgentTurn, recorder: TurnRecorder) -> Reply:
        """Answer one turn, if there is money left."""
        call = await recorder.reserve(
            model="claude-opus-4-5", host="Anthropic", input_tokens=1000, max_output_tokens=1000
        )
        await recorder.release(call)
        return Reply(content=f"There is money for {turn.messages[-1].content}")


class Working:
    """Calls models and tools: a priced call, a tool, a failing tool, an unpriced call, and then the answer.

    Waits at its gate before each of the three steps.
    """

    name = "working"

    def __init__(self, *, result: str = "42 degrees", answer: str = "It is warm.", models: Sequence[str] = ()) -> None:
        self.result = result
        self.answer = answer
        self.models = tuple(models) or ("claude-opus-4-5", "acme-local-70b")
        self.gate = Gate()

    async def run(self, turn: AgentTurn, recorder: TurnRecorder) -> Reply:
        """Answer one turn."""
        await recorder.record_call(_call(self.models[0], recorder))
        await recorder.tool_started("weather", call_ref=f"w-{turn.run.id}", arguments='{"city": "Graz"}')
        await self.gate.passed()
        await recorder.tool_finished(f"w-{turn.run.id}", result=self.result)
        await recorder.tool_started("map", call_ref=f"m-{turn.run.id}", arguments='{"at": "Graz"}')
        await recorder.tool_finished(f"m-{turn.run.id}", result="no such map", is_error=True)
        await self.gate.passed()
        await recorder.delta(self.answer)
        reply = NewMessage(role=MessageRole.ASSISTANT, content=self.answer, model_used=self.models[-1])
        stored = await recorder.append([reply], calls=[_call(self.models[-1], recorder)])
        await self.gate.passed()
        return Reply(content=self.answer, model=self.models[-1], message=stored.messages[0].id)


def _call(model: str, recorder: TurnRecorder) -> NewLLMCall:
    return NewLLMCall(
        model=model,
        host="Anthropic" if model.startswith("claude") else "local",
        tokens=TokenCounts(input=1000, output=200),
        timestamp=recorder.store.engine.maker.clock.now(),
    )
