"""The documented models: mutable dataclasses with naive local datetimes and JSON texts.

Each has the documented fields first, in their order, and after them what newer agents of that family also tell.
"""

import json
from dataclasses import dataclass, fields
from datetime import datetime
from enum import Enum
from typing import Any, Self, cast  # `Any`: JSON texts hold whatever their writer put in


class AgentRunStatus(str, Enum):  # noqa: UP042 (documented so: its text is `AgentRunStatus.PENDING`, its value the word)
    """Where a run stands."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    ERROR = "error"
    CANCELLED = "cancelled"


class EventType(str, Enum):  # noqa: UP042 (as above)
    """The documented types of events; any other text of 1 to 100 characters may be recorded too."""

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


class _Plain:
    """What the three models share: themselves as a dict of plain values, and back."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields by name, datetimes as ISO 8601 text."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Return the model that `data` tells; names that it has not are left aside."""
        known = {field.name: field.type for field in fields(cls)}  # type: ignore[arg-type]
        given = {name: value for name, value in data.items() if name in known}
        for name, value in given.items():
            if isinstance(value, str) and known[name] == datetime | None:
                given[name] = datetime.fromisoformat(value)
        made = cls(**given)
        for name in ("final_output", "metadata"):
            if name in data and name not in known and isinstance(getattr(cls, name, None), property):
                setattr(made, name, data[name])
        return made


@dataclass
class AgentRun(_Plain):
    """A run of an agent, from start to end; `additional_context`, `execution_history`, `metadata` are JSON texts."""

    agent_id: str
    run_id: str
    agent_name: str = ""
    objective: str = ""
    additional_context: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    total_iterations: int = 0
    final_synthesis_output: str | None = None
    execution_history: str | None = None
    status: str = AgentRunStatus.PENDING.value
    error_message: str | None = None
    metadata: str | None = None
    id: int | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    total_llm_calls: int = 0
    total_tool_calls: int = 0
    total_input_tokens: int = 0
    total_output_tokens: int = 0

    @property
    def final_output(self) -> str | None:
        """The newer name of `final_synthesis_output`."""
        return self.final_synthesis_output

    @final_output.setter
    def final_output(self, value: str | None) -> None:
        self.final_synthesis_output = value


@dataclass
class AgentRunEvent(_Plain):
    """Something that happened during a run; `data` is a JSON text."""

    agent_id: str
    run_id: str
    agent_name: str = ""
    timestamp: datetime | None = None
    event_type: str = ""
    data: str | None = None
    id: int | None = None
    created_at: datetime | None = None

    def get_data_dict(self) -> dict[str, Any]:
        """Return `data` as a dict; what is no JSON object stands under `raw`."""
        return _parsed(self.data)


@dataclass
class AgentLLMUsage(_Plain):
    """A call to a model; `input_params` and `usage_metrics` are JSON texts, `input_tokens` the provider's total.

    `cost_usd` is what the record says that the call cost, set when it is read; None while no price is known.
    """

    agent_id: str | None = None
    run_id: str | None = None
    provider: str = ""
    model: str = ""
    prompt: str = ""
    prompt_length: int = 0
    input_params: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    response_content: str | None = None
    response_length: int | None = None
    usage_metrics: str | None = None
    status: str = "success"
    error_message: str | None = None
    latency_ms: int | None = None
    id: int | None = None
    created_at: datetime | None = None
    cost_usd: float | None = None

    @property
    def metadata(self) -> str | None:
        """The newer name of `usage_metrics`."""
        return self.usage_metrics

    @metadata.setter
    def metadata(self, value: str | None) -> None:
        self.usage_metrics = value

    @property
    def total_tokens(self) -> int:
        """Input and output tokens, unknown ones as 0."""
        return self.get_total_tokens() or 0

    def get_total_tokens(self) -> int | None:
        """Return input and output tokens together, else the total in `usage_metrics`; None if neither is told."""
        if self.input_tokens is None and self.output_tokens is None:
            told = _number(_parsed(self.usage_metrics).get("total_tokens"))
            return None if told is None else int(told)
        return (self.input_tokens or 0) + (self.output_tokens or 0)

    def get_cost_usd(self) -> float | None:
        """Return the cost in dollars that the provider told, else the one that the record charged; None if unknown."""
        told = _number(_parsed(self.usage_metrics).get("cost_usd"))
        return self.cost_usd if told is None else told


def _parsed(text: str | None) -> dict[str, Any]:
    if not text:
        return {}
    try:
        found: Any = json.loads(text)
    except json.JSONDecodeError:
        return {"raw": text}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {"raw": found}


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
