"""Agents and the versions of them that were in service."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """Something that acts: known by the `agent_id` its framework gives it."""

    id: UUID
    agent_id: str
    name: str | None = None
    description: str | None = None
    instructions: str | None = None
    learning_mode: str | None = None
    training_status: str | None = None
    specializations: tuple[str, ...] = ()
    total_sessions: int = 0
    created_at: datetime
    last_active_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentVersion:
    """One version of an agent; at most one of an agent's versions is active."""

    id: UUID
    agent_uuid: UUID
    version_number: str
    changes: str | None = None
    created_by: str | None = None
    is_active: bool = False
    activated_at: datetime | None = None
    deactivated_at: datetime | None = None
    created_at: datetime
