"""What every source is read into: see `agentrecord.records.transcript`."""

from agentrecord.records.transcript import (
    CallFact,
    ErrorFact,
    EventFact,
    Fact,
    MessageFact,
    RunFact,
    SessionFact,
    Skipped,
    ToolCallFact,
    ToolResultFact,
    Unreadable,
)

__all__ = [
    "CallFact",
    "ErrorFact",
    "EventFact",
    "Fact",
    "MessageFact",
    "RunFact",
    "SessionFact",
    "Skipped",
    "ToolCallFact",
    "ToolResultFact",
    "Unreadable",
]
