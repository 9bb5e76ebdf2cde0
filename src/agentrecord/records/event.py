"""Events: what happened, when. A session's timeline and a run's trace are two readings of one table."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from agentrecord.ids import UserId


class EventType(StrEnum):
    """Event types that this package or a documented door writes; others are open text."""

    RUN_STARTED = "run_started"
    RUN_COMPLETED = "run_completed"
    RUN_ERROR = "run_error"
    ITERATION_STARTED = "iteration_started"
    ITERATION_COMPLETED = "iteration_completed"
    PLANNING_STARTED = "planning_started"
    PLANNING_COMPLETED = "planning_completed"
    ACTION_EXECUTION_STARTED = "action_execution_started"
    ACTION_EXECUTION_COMPLETED = "action_execution_completed"
    CRITIQUE_STARTED = "critique_started"
    CRITIQUE_COMPLETED = "critique_completed"
    CRITIQUE_RESULT = "critique_result"
    SYNTHESIS_STARTED = "synthesis_started"
    SYNTHESIS_COMPLETED = "synthesis_completed"
    SYNTHESIS_RESULT = "synthesis_result"
    OBJECT_STORED = "object_stored"
    OBJECT_NOT_FOUND = "object_not_found"
    TOOL_REGISTERED = "tool_registered"
    SUBAGENT_RUN_STARTED = "subagent_run_started"
    SUBAGENT_RUN_COMPLETED = "subagent_run_completed"
    CUSTOM = "custom"
    USER_INPUT = "user_input"
    AGENT_RESPONSE = "agent_response"
    ERROR = "error"
    CHECKPOINT = "checkpoint"
    SUMMARY = "summary"
    COMPACTION = "compaction"
    HOOK = "hook"
    TURN_DURATION = "turn_duration"
    PULL_REQUEST = "pull_request"


class Phase(StrEnum):
    """The phases of a run that events mark the beginning and the end of."""

    ITERATION = "iteration"
    PLAN = "plan"
    ACT = "act"
    CRITIQUE = "critique"
    SYNTHESIS = "synthesis"


PHASES: dict[Phase, tuple[EventType, EventType]] = {
    Phase.ITERATION: (EventType.ITERATION_STARTED, EventType.ITERATION_COMPLETED),
    Phase.PLAN: (EventType.PLANNING_STARTED, EventType.PLANNING_COMPLETED),
    Phase.ACT: (EventType.ACTION_EXECUTION_STARTED, EventType.ACTION_EXECUTION_COMPLETED),
    Phase.CRITIQUE: (EventType.CRITIQUE_STARTED, EventType.CRITIQUE_COMPLETED),
    Phase.SYNTHESIS: (EventType.SYNTHESIS_STARTED, EventType.SYNTHESIS_COMPLETED),
}
"""Which events begin and end each phase."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEvent:
    """An event to record; `data` is JSON text, `run_ref` the `run_id` of a run that may not be known yet."""

    event_type: str
    timestamp: datetime | None = None
    id: UUID | None = None
    data: str | None = None
    duration_ms: int | None = None
    agent_id: str | None = None
    agent_name: str | None = None
    run_uuid: UUID | None = None
    run_ref: str | None = None
    session_uuid: UUID | None = None
    parent_event_uuid: UUID | None = None
    trace_uuid: UUID | None = None
    span_id: str | None = None
    piece_uuid: UUID | None = None
    detached_from: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened in a session, a run, or both; sequences count within each.

    `run_ref` is the `run_id` of a run that is not known. Of a span, `piece_uuid` is the run, the call or the use of a
    tool that was made of it; `detached_from` is the id of the span above it that never came, for want of which it is
    told below the run of its trace.
    """

    id: UUID
    serial: int | None = None
    event_type: str
    timestamp: datetime
    created_at: datetime
    user_uuid: UserId
    data: str | None = None
    duration_ms: int | None = None
    agent_uuid: UUID | None = None
    agent_name: str | None = None
    run_uuid: UUID | None = None
    run_ref: str | None = None
    session_uuid: UUID | None = None
    session_sequence: int | None = None
    run_sequence: int | None = None
    parent_event_uuid: UUID | None = None
    trace_uuid: UUID | None = None
    span_id: str | None = None
    piece_uuid: UUID | None = None
    detached_from: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedEvent:
    """An event with the names of its agent and run, as their framework gave them."""

    event: Event
    agent_id: str | None
    run_id: str | None
