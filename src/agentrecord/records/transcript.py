"""What a transcript says, whatever tool wrote it: facts that name each other by the tool's own ids.

A source yields facts in an order in which whatever is named came before (a session before its messages,
a run before its calls). The loader gives each fact a row id derived from the source's ids, so that a fact
that comes twice is one row. Later facts about the same session, run or call complete the earlier one.
"""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from agentrecord.records.error import ErrorKind
from agentrecord.records.llm_call import CallStatus
from agentrecord.records.message import MessageRole, Part
from agentrecord.records.run import RunStatus
from agentrecord.records.tokens import TokenCounts


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionFact:
    """A session was seen; told again, later non-empty fields win and the earliest `created_at` stays.

    `row_id` is given by sources that learn when a session began only after they told of it.
    """

    session_id: str
    created_at: datetime
    parent_session_id: str | None = None
    agent_id: str | None = None
    agent_name: str | None = None
    title: str | None = None
    tool_name: str
    tool_version: str | None = None
    working_directory: str | None = None
    git_branch: str | None = None
    host: str | None = None
    initial_task: str | None = None
    metadata: str | None = None
    row_id: UUID | None = None
    is_coding: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFact:
    """A run was seen, or came further: told again, later non-empty fields win."""

    session_id: str
    run_id: str
    started_at: datetime
    parent_run_id: str | None = None
    agent_id: str | None = None
    agent_name: str | None = None
    objective: str | None = None
    status: RunStatus = RunStatus.RUNNING
    finished_at: datetime | None = None
    output: str | None = None
    error_message: str | None = None
    trace_id: str | None = None
    row_id: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageFact:
    """A message; `key` identifies it within its session."""

    session_id: str
    key: str
    role: MessageRole
    content: str
    created_at: datetime
    run_id: str | None = None
    message_id: str | None = None
    parts: tuple[Part, ...] = ()
    tool_call_id: str | None = None
    tool_name: str | None = None
    tools_used: tuple[str, ...] = ()
    model_used: str | None = None
    metadata: str | None = None
    line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFact:
    """An LLM call; the same `dedup_key` anywhere in the project is the same call, and the larger one is right.

    `cost_nanos` only if the transcript itself names the cost that the provider charged.
    """

    session_id: str
    run_id: str | None
    dedup_key: str | None
    timestamp: datetime
    model: str | None
    host: str | None
    tokens: TokenCounts
    message_key: str | None = None
    request_id: str | None = None
    is_subagent: bool = False
    usage_metrics: str | None = None
    status: CallStatus = CallStatus.SUCCESS
    error_message: str | None = None
    latency_ms: int | None = None
    cost_nanos: int | None = None
    input_params: str | None = None
    time_to_first_token_ms: int | None = None
    agent_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallFact:
    """A use of a tool; `call_ref` identifies it within its session."""

    session_id: str
    run_id: str | None
    call_ref: str
    tool_name: str
    started_at: datetime
    arguments: str | None = None
    message_key: str | None = None
    agent_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResultFact:
    """What a tool gave back.

    `message_key` names the message whose whole content is this result, so that it is stored once;
    otherwise `result` carries the text.
    """

    session_id: str
    call_ref: str
    finished_at: datetime
    is_error: bool = False
    result: str | None = None
    message_key: str | None = None
    duration_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFact:
    """Something that happened; `key` identifies it within its session."""

    session_id: str
    key: str
    event_type: str
    timestamp: datetime
    run_id: str | None = None
    data: str | None = None
    duration_ms: int | None = None
    agent_id: str | None = None
    span_id: str | None = None
    ended_at: datetime | None = None
    trace_uuid: UUID | None = None
    parent_event_uuid: UUID | None = None
    piece_uuid: UUID | None = None
    detached_from: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorFact:
    """An error that the transcript tells of; `key` identifies it within its session.

    `call_key` is the `dedup_key` of the failed call that it tells of, where that has the same session and time.
    """

    session_id: str
    key: str
    error_type: str
    error_message: str
    created_at: datetime
    kind: ErrorKind = ErrorKind.AGENT
    tool_name: str | None = None
    call_key: str | None = None
    run_id: str | None = None
    error_code: str | None = None
    context: str | None = None
    stack_trace: str | None = None
    agent_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A line, or a part of one, that could not be read; `was_kept` if it was stored all the same, but altered.

    `reason` says what is wrong and how to mend it; `line` counts from 1.
    """

    line: int
    reason: str
    excerpt: str = ""
    was_kept: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A line that was understood and deliberately not kept, and why: counted, not stored."""

    reason: str
    count: int = field(default=1)


Fact = (
    SessionFact
    | RunFact
    | MessageFact
    | CallFact
    | ToolCallFact
    | ToolResultFact
    | EventFact
    | ErrorFact
    | Unreadable
    | Skipped
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identified:
    """The row id derived for a fact, so that what comes twice is one row, and the message that it belongs to.

    An error has the use of a tool or the call that it tells of.
    """

    row_id: UUID
    message_uuid: UUID | None = None
    tool_call_uuid: UUID | None = None
    llm_call_uuid: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportBatch:
    """Facts to store in one transaction, each kind in the order it came."""

    source: str
    path: str
    user: str | None = None
    sessions: tuple[SessionFact, ...] = ()
    runs: tuple[RunFact, ...] = ()
    messages: tuple[tuple[Identified, MessageFact], ...] = ()
    calls: tuple[tuple[Identified, CallFact], ...] = ()
    tool_calls: tuple[tuple[Identified, ToolCallFact], ...] = ()
    tool_results: tuple[tuple[Identified, ToolResultFact], ...] = ()
    events: tuple[tuple[Identified, EventFact], ...] = ()
    errors: tuple[tuple[Identified, ErrorFact], ...] = ()
    unreadable: tuple[Unreadable, ...] = ()
    indexed: bool = True


@dataclass(slots=True, kw_only=True)
class ImportCounts:
    """What an import added; `unchanged` facts were there already, `deleted` ones belong to sessions deleted here."""

    sessions: int = 0
    runs: int = 0
    messages: int = 0
    calls: int = 0
    tool_calls: int = 0
    tool_results: int = 0
    events: int = 0
    errors: int = 0
    unchanged: int = 0
    conflicts: int = 0
    orphan_results: int = 0
    deleted: int = 0
    unreadable: int = 0

    def add(self, other: "ImportCounts") -> None:
        """Add another import's counts to these."""
        for name in self.__dataclass_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    @property
    def added(self) -> int:
        """How many facts are new in the record."""
        return self.sessions + self.runs + self.messages + self.calls + self.tool_calls + self.events + self.errors
