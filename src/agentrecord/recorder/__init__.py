"""What agents are written with as they go: `with store.recorder.run(agent_id="coder") as run: …`.

Runs nest by themselves, end as they ended (also by an exception or a cancellation), and tell that they are alive, so
that one whose process died is not left running for ever.
"""

from agentrecord.recorder.face import AsyncRecorder, Recorder
from agentrecord.recorder.runs import RunWriter, ToolUse

__all__ = ["AsyncRecorder", "Recorder", "RunWriter", "ToolUse"]
