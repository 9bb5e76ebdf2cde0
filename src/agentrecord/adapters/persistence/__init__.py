"""The documented persistence module for agents, over the record: runs, events and calls, in three back ends."""

from agentrecord.adapters.persistence.backends import InMemoryPersistence, PostgresPersistence, SQLitePersistence
from agentrecord.adapters.persistence.base import BasePersistence, StorePersistence
from agentrecord.adapters.persistence.hooks import record_runs
from agentrecord.adapters.persistence.models import (
    AgentLLMUsage,
    AgentRun,
    AgentRunEvent,
    AgentRunStatus,
    EventType,
)

__all__ = [
    "AgentLLMUsage",
    "AgentRun",
    "AgentRunEvent",
    "AgentRunStatus",
    "BasePersistence",
    "EventType",
    "InMemoryPersistence",
    "PostgresPersistence",
    "SQLitePersistence",
    "StorePersistence",
    "record_runs",
]
