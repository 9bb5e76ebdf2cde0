"""Runs, events, LLM calls, tool calls and errors: what agents did."""

from sqlalchemy import literal_column

from agentrecord.records.error import ErrorKind
from agentrecord.records.llm_call import CallOrigin, CallStatus, CostSource
from agentrecord.records.run import RunStatus
from agentrecord.records.tool_call import ToolCallStatus
from agentrecord.schema.tables import (
    USAGE_COUNTERS,
    at,
    belongs_to,
    column,
    counters,
    define,
    index,
    optional,
    project_id,
    row_id,
    serial,
    unique,
)
from agentrecord.schema.types import EnumText, Flag, Id, Whole, Words

runs = define(
    "ar_runs",
    project_id(),
    row_id(),
    serial(),
    column("run_id", Words()),
    column("user_uuid", Id()),
    optional("agent_uuid", Id()),
    optional("agent_name"),
    optional("agent_version_uuid", Id()),
    optional("objective"),
    optional("additional_context"),
    column("status", EnumText(RunStatus)),
    optional("status_reason"),
    optional("error_message"),
    *counters("total_iterations"),
    optional("reported"),
    optional("final_synthesis_output"),
    optional("execution_history"),
    optional("session_uuid", Id()),
    optional("parent_uuid", Id()),
    optional("trace_id"),
    optional("metadata"),
    *counters("last_event_sequence", "tool_call_count", "tool_error_count", "child_count"),
    *counters(*USAGE_COUNTERS),
    at("created_at"),
    at("updated_at"),
    at("started_at", null=True),
    at("finished_at", null=True),
    at("heartbeat_at", null=True),
    at("alive_until", null=True),
    unique("project_id", "run_id"),
)
index("ix_ar_runs_started", runs.c.project_id, runs.c.started_at, runs.c.id)
index("ix_ar_runs_session", runs.c.project_id, runs.c.session_uuid)
index("ix_ar_runs_parent", runs.c.project_id, runs.c.parent_uuid)
index("ix_ar_runs_status", runs.c.project_id, runs.c.status)
index(
    "ix_ar_runs_alive",
    runs.c.project_id,
    runs.c.alive_until,
    where=runs.c.alive_until.is_not(None),
)
index(
    "ix_ar_runs_reason",
    runs.c.project_id,
    runs.c.status_reason,
    runs.c.started_at,
    where=runs.c.status_reason.is_not(None),
)
index(
    "ix_ar_runs_below",
    runs.c.project_id,
    runs.c.started_at,
    runs.c.created_at,
    runs.c.status,
    runs.c.user_uuid,
    where=runs.c.parent_uuid.is_not(None),
)
index("ix_ar_runs_created", runs.c.project_id, runs.c.created_at, runs.c.id)
index("ix_ar_runs_agent", runs.c.project_id, runs.c.agent_uuid, runs.c.created_at, runs.c.id)
index(
    "ix_ar_runs_version",
    runs.c.project_id,
    runs.c.agent_version_uuid,
    runs.c.created_at,
    runs.c.id,
    runs.c.status,
    runs.c.started_at,
    runs.c.agent_uuid,
    runs.c.user_uuid,
    where=runs.c.agent_version_uuid.is_not(None),
)

events = define(
    "ar_events",
    project_id(),
    row_id(),
    serial(),
    column("event_type", Words()),
    column("user_uuid", Id()),
    optional("agent_uuid", Id()),
    optional("agent_name"),
    optional("run_uuid", Id()),
    optional("run_ref"),
    optional("session_uuid", Id()),
    optional("session_ref"),
    optional("session_sequence", Whole()),
    optional("run_sequence", Whole()),
    optional("parent_event_uuid", Id()),
    optional("trace_uuid", Id()),
    optional("span_id"),
    optional("piece_uuid", Id()),
    optional("detached_from"),
    optional("data"),
    optional("duration_ms", Whole()),
    at("timestamp"),
    at("created_at"),
)
index("ix_ar_events_run", events.c.project_id, events.c.run_uuid, events.c.run_sequence)
index("ix_ar_events_session", events.c.project_id, events.c.session_uuid, events.c.session_sequence)
index(
    "ix_ar_events_run_ref",
    events.c.project_id,
    events.c.run_ref,
    where=events.c.run_ref.is_not(None),
)
index(
    "ix_ar_events_trace",
    events.c.project_id,
    events.c.trace_uuid,
    where=events.c.trace_uuid.is_not(None),
)
index(
    "ix_ar_events_spans",
    events.c.project_id,
    events.c.timestamp,
    where=events.c.trace_uuid.is_not(None),
)
index(
    "ix_ar_events_detached",
    events.c.project_id,
    events.c.run_uuid,
    where=events.c.detached_from.is_not(None),
)

traces = define(
    "ar_traces",
    project_id(),
    row_id(),
    column("trace_id", Words()),
    column("user_uuid", Id()),
    at("created_at"),
)
index("ix_ar_traces_trace", traces.c.project_id, traces.c.trace_id)

llm_calls = define(
    "ar_llm_calls",
    project_id(),
    row_id(),
    serial(),
    column("user_uuid", Id()),
    optional("agent_uuid", Id()),
    optional("agent_version_uuid", Id()),
    optional("session_uuid", Id()),
    optional("session_ref"),
    optional("run_uuid", Id()),
    optional("run_ref"),
    optional("message_uuid", Id()),
    column("model_uuid", Id()),
    column("is_subagent", Flag()),
    optional("dedup_key"),
    optional("request_id"),
    optional("prompt_uuid", Id()),
    optional("prompt_length", Whole()),
    optional("input_params"),
    optional("response_content"),
    optional("response_length", Whole()),
    optional("input_tokens", Whole()),
    optional("cache_read_tokens", Whole()),
    optional("cache_write_5m_tokens", Whole()),
    optional("cache_write_1h_tokens", Whole()),
    optional("output_tokens", Whole()),
    optional("reasoning_tokens", Whole()),
    optional("unclassified_tokens", Whole()),
    optional("usage_metrics"),
    column("status", EnumText(CallStatus)),
    optional("error_message"),
    optional("latency_ms", Whole()),
    optional("time_to_first_token_ms", Whole()),
    optional("cost_nanos", Whole()),
    column("cost_source", EnumText(CostSource)),
    optional("price_uuid", Id()),
    column("origin", EnumText(CallOrigin)),
    at("timestamp"),
    at("created_at"),
)
index(
    "uq_ar_llm_calls_dedup_key",
    llm_calls.c.project_id,
    llm_calls.c.dedup_key,
    unique=True,
    where=llm_calls.c.dedup_key.is_not(None),
)
index("ix_ar_llm_calls_session", llm_calls.c.project_id, llm_calls.c.session_uuid)
index("ix_ar_llm_calls_timestamp", llm_calls.c.project_id, llm_calls.c.timestamp)
index(
    "ix_ar_llm_calls_run",
    llm_calls.c.project_id,
    llm_calls.c.run_uuid,
    llm_calls.c.timestamp,
    where=llm_calls.c.run_uuid.is_not(None),
)
index(
    "ix_ar_llm_calls_outside",
    llm_calls.c.project_id,
    llm_calls.c.session_uuid,
    llm_calls.c.timestamp,
    where=llm_calls.c.run_uuid.is_(None),
)
index("ix_ar_llm_calls_agent", llm_calls.c.project_id, llm_calls.c.agent_uuid, llm_calls.c.timestamp)
index(
    "ix_ar_llm_calls_failed",
    llm_calls.c.project_id,
    llm_calls.c.status,
    llm_calls.c.timestamp,
    llm_calls.c.user_uuid,
    llm_calls.c.cost_nanos,
    llm_calls.c.is_subagent,
    where=llm_calls.c.status == literal_column("'error'"),
)
index(
    "ix_ar_llm_calls_run_ref",
    llm_calls.c.project_id,
    llm_calls.c.run_ref,
    where=llm_calls.c.run_ref.is_not(None),
)

tool_calls = define(
    "ar_tool_calls",
    project_id(),
    row_id(),
    serial(),
    column("tool_name", Words()),
    optional("call_ref"),
    column("user_uuid", Id()),
    optional("agent_uuid", Id()),
    optional("arguments"),
    optional("result"),
    column("status", EnumText(ToolCallStatus)),
    optional("error_message"),
    optional("session_uuid", Id()),
    optional("run_uuid", Id()),
    optional("message_uuid", Id()),
    optional("result_message_uuid", Id()),
    at("started_at", null=True),
    at("finished_at", null=True),
    optional("duration_ms", Whole()),
    at("created_at"),
)
index("ix_ar_tool_calls_session", tool_calls.c.project_id, tool_calls.c.session_uuid, tool_calls.c.call_ref)
index(
    "ix_ar_tool_calls_run",
    tool_calls.c.project_id,
    tool_calls.c.run_uuid,
    tool_calls.c.started_at,
    where=tool_calls.c.run_uuid.is_not(None),
)
index(
    "ix_ar_tool_calls_outside",
    tool_calls.c.project_id,
    tool_calls.c.session_uuid,
    tool_calls.c.started_at,
    where=tool_calls.c.run_uuid.is_(None),
)
index(
    "ix_ar_tool_calls_failed",
    tool_calls.c.project_id,
    tool_calls.c.status,
    tool_calls.c.started_at,
    tool_calls.c.id,
    tool_calls.c.user_uuid,
    where=tool_calls.c.status == literal_column("'error'"),
)

error_groups = define(
    "ar_error_groups",
    project_id(),
    row_id(),
    column("fingerprint", Words()),
    column("kind", EnumText(ErrorKind), default="'agent'"),
    column("error_type", Words()),
    column("error_message", Words()),
    optional("tool_name"),
    *counters("count"),
    at("first_seen_at"),
    at("last_seen_at"),
    at("resolved_at", null=True),
    at("regressed_at", null=True),
    unique("project_id", "fingerprint"),
)

errors = define(
    "ar_errors",
    project_id(),
    row_id(),
    serial(),
    column("group_uuid", Id()),
    column("user_uuid", Id()),
    optional("agent_uuid", Id()),
    optional("session_uuid", Id()),
    optional("run_uuid", Id()),
    optional("tool_call_uuid", Id()),
    optional("llm_call_uuid", Id()),
    column("kind", EnumText(ErrorKind), default="'agent'"),
    column("is_derived", Flag()),
    optional("tool_name"),
    column("error_type", Words()),
    column("error_message", Words()),
    optional("error_code"),
    optional("stack_trace"),
    optional("context"),
    column("is_resolved", Flag()),
    at("resolved_at", null=True),
    at("created_at"),
    belongs_to("ar_error_groups", "group_uuid"),
)
index("ix_ar_errors_group", errors.c.project_id, errors.c.group_uuid, errors.c.created_at, errors.c.id)
index("ix_ar_errors_session", errors.c.project_id, errors.c.session_uuid)
index("ix_ar_errors_created", errors.c.project_id, errors.c.created_at, errors.c.id)
index("ix_ar_errors_user", errors.c.project_id, errors.c.user_uuid, errors.c.group_uuid, errors.c.created_at)
index(
    "ix_ar_errors_told",
    errors.c.project_id,
    errors.c.created_at,
    errors.c.id,
    where=~errors.c.is_derived,
)
index(
    "ix_ar_errors_run",
    errors.c.project_id,
    errors.c.run_uuid,
    where=errors.c.run_uuid.is_not(None),
)
index(
    "ix_ar_errors_tool_call",
    errors.c.project_id,
    errors.c.tool_call_uuid,
    where=errors.c.tool_call_uuid.is_not(None),
)
index(
    "ix_ar_errors_llm_call",
    errors.c.project_id,
    errors.c.llm_call_uuid,
    where=errors.c.llm_call_uuid.is_not(None),
)
