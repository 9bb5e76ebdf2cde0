"""Where facts are kept: SQLAlchemy Core tables, one module per domain."""

from agentrecord.schema.agents import agent_versions, agents
from agentrecord.schema.governance import (
    audit_entries,
    audit_heads,
    imported_files,
    relations,
    schema_ledger,
    unreadable_lines,
)
from agentrecord.schema.people import accounts, api_keys, memberships, projects, serials, settings, users
from agentrecord.schema.prices import hosts, models, prices
from agentrecord.schema.runs import error_groups, errors, events, llm_calls, runs, tool_calls, traces
from agentrecord.schema.sessions import (
    coding_sessions,
    contents,
    message_revisions,
    messages,
    metrics,
    prompts,
    sessions,
)
from agentrecord.schema.tables import GLOBAL_TABLES, metadata
from agentrecord.schema.usage import activity_days, latency_days, tool_days, usage_days, usage_hours

__all__ = [
    "GLOBAL_TABLES",
    "accounts",
    "activity_days",
    "agent_versions",
    "agents",
    "api_keys",
    "audit_entries",
    "audit_heads",
    "coding_sessions",
    "contents",
    "error_groups",
    "errors",
    "events",
    "hosts",
    "imported_files",
    "latency_days",
    "llm_calls",
    "memberships",
    "message_revisions",
    "messages",
    "metadata",
    "metrics",
    "models",
    "prices",
    "projects",
    "prompts",
    "relations",
    "runs",
    "schema_ledger",
    "serials",
    "sessions",
    "settings",
    "tool_calls",
    "tool_days",
    "traces",
    "unreadable_lines",
    "usage_days",
    "usage_hours",
    "users",
]
