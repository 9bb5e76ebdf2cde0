"""The offline default: answers with what was said, calls no model, and says so."""

from agentrecord.agents.runner import AgentTurn, Reply, TurnRecorder
from agentrecord.records.message import MessageRole

NAME = "echo"
ANSWER = "This is a mock response to: "


class EchoRunner:
    """Answers "This is a mock response to: " and the last thing the user said."""

    @property
    def name(self) -> str:
        """The runner's name, which is also the `model` that its answers show."""
        return NAME

    async def run(self, turn: AgentTurn, recorder: TurnRecorder) -> Reply:
        """Answer one turn."""
        said = [message.content for message in turn.messages if message.role is MessageRole.USER]
        content = ANSWER + (said[-1] if said else "")
        await recorder.delta(content)
        return Reply(content=content, model=NAME)
