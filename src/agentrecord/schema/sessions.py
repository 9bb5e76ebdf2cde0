"""Sessions, messages with their revisions, and the side table that full-text search reads."""

from sqlalchemy import ForeignKeyConstraint

from agentrecord.records.message import MessageRole
from agentrecord.records.session import SessionStatus
from agentrecord.schema.tables import (
    SUBAGENT_COUNTERS,
    USAGE_COUNTERS,
    at,
    belongs_to,
    column,
    count,
    counters,
    define,
    index,
    optional,
    project_id,
    row_id,
    serial,
    unique,
)
from agentrecord.schema.types import EnumText, Flag, Id, Real, Whole, WordList, Words

ARCHIVED_COUNTERS = ("archived_message_count", "archived_calls", "archived_tokens", "archived_cost_nanos")
"""What a purge took away: live and archived together never change by it."""

sessions = define(
    "ar_sessions",
    project_id(),
    row_id(),
    serial(),
    column("user_uuid", Id()),
    column("session_id", Words()),
    optional("agent_uuid", Id()),
    optional("agent_name"),
    optional("agent_instructions"),
    optional("agent_version_uuid", Id()),
    optional("title"),
    optional("description"),
    column("is_active", Flag()),
    column("status", EnumText(SessionStatus)),
    optional("purpose"),
    optional("business_context"),
    column("tags", WordList(), default="'[]'"),
    optional("quality_score", Real()),
    optional("user_satisfaction", Real()),
    optional("learning_outcomes"),
    optional("source"),
    optional("parent_uuid", Id()),
    optional("root_uuid", Id()),
    optional("metadata"),
    *counters("message_count", "last_sequence", "last_event_sequence", "run_count"),
    *counters("tool_call_count", "tool_error_count", "error_count", "child_count"),
    *counters(*USAGE_COUNTERS),
    *counters(*SUBAGENT_COUNTERS),
    *counters(*ARCHIVED_COUNTERS),
    at("created_at"),
    at("updated_at"),
    at("last_activity_at"),
    at("deleted_at", null=True),
    belongs_to("ar_users", "user_uuid"),
)
index(
    "uq_ar_sessions_session_id",
    sessions.c.project_id,
    sessions.c.user_uuid,
    sessions.c.session_id,
    unique=True,
    where=sessions.c.deleted_at.is_(None),
)
index("ix_ar_sessions_name", sessions.c.project_id, sessions.c.session_id)
index("ix_ar_sessions_activity", sessions.c.project_id, sessions.c.last_activity_at, sessions.c.id)
index("ix_ar_sessions_parent", sessions.c.project_id, sessions.c.parent_uuid)
index("ix_ar_sessions_root", sessions.c.project_id, sessions.c.root_uuid)

coding_sessions = define(
    "ar_coding_sessions",
    project_id(),
    column("session_uuid", Id()),
    column("tool_name", Words()),
    optional("tool_version"),
    optional("working_directory"),
    optional("git_branch"),
    optional("host"),
    optional("username"),
    optional("chat_id"),
    optional("initial_task"),
    count("task_count"),
    optional("session_metadata"),
    belongs_to("ar_sessions", "session_uuid"),
    primary_key=("project_id", "session_uuid"),
)

messages = define(
    "ar_messages",
    project_id(),
    row_id(),
    serial(),
    column("session_uuid", Id()),
    column("user_uuid", Id()),
    column("sequence", Whole()),
    column("role", EnumText(MessageRole)),
    column("content", Words()),
    column("revision", Whole(), default="1"),
    optional("message_id"),
    optional("parts"),
    optional("tool_call_id"),
    optional("tool_name"),
    column("tools_used", WordList(), default="'[]'"),
    optional("extra_data"),
    optional("metadata"),
    optional("model_used"),
    optional("response_time_ms", Whole()),
    optional("run_uuid", Id()),
    at("created_at"),
    at("updated_at"),
    at("deleted_at", null=True),
    unique("project_id", "session_uuid", "sequence"),
    belongs_to("ar_sessions", "session_uuid"),
)

message_revisions = define(
    "ar_message_revisions",
    project_id(),
    column("message_uuid", Id()),
    column("revision", Whole()),
    column("content", Words()),
    optional("parts"),
    at("created_at"),
    belongs_to("ar_messages", "message_uuid"),
    primary_key=("project_id", "message_uuid", "revision"),
)

contents = define(
    "ar_contents",
    project_id(),
    row_id(),
    column("user_uuid", Id()),
    optional("content"),
    at("created_at"),
)

prompts = define(
    "ar_prompts",
    project_id(),
    row_id(),
    column("user_uuid", Id()),
    optional("parent_uuid", Id()),
    column("depth", Whole()),
    optional("role", EnumText(MessageRole)),
    optional("message_uuid", Id()),
    optional("revision", Whole()),
    optional("content_uuid", Id()),
)

metrics = define(
    "ar_session_metrics",
    project_id(),
    row_id(),
    serial(),
    column("session_uuid", Id()),
    column("metric_type", Words()),
    column("metric_value", Real()),
    at("timestamp"),
    optional("metadata"),
    ForeignKeyConstraint(["project_id", "session_uuid"], ["ar_sessions.project_id", "ar_sessions.id"]),
)
