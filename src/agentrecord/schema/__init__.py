"""Where facts are kept: SQLAlchemy Core tables, one module per domain."""

from agentrecord.schema.agents import agent_versions, agents
from agentrecord.schema.arrivals import arrivals
from agentrecord.schema.budgets import budgets, call_reservations
from agentrecord.schema.governance import (
    audit_entries,
    audit_heads,
    imported_files,
    relations,
    schema_ledger,
    unreadable_lines,
)
from agentrecord.schema.people import (
    accounts,
    api_keys,
    memberships,
    projects,
    refresh_tokens,
    serials,
    settings,
    sign_in_attempts,
    sign_ins,
    users,
)
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
from agentrecord.schema.turns import turn_events, turns
from agentrecord.schema.usage import (
    activity_days,
    call_tools,
    error_days,
    latency_days,
    tool_days,
    tool_usage_days,
    tool_usage_hours,
    usage_days,
    usage_hours,
)

__all__ = [
    "GLOBAL_TABLES",
    "accounts",
    "activity_days",
    "agent_versions",
    "agents",
    "api_keys",
    "arrivals",
    "audit_entries",
    "audit_heads",
    "budgets",
    "call_reservations",
    "call_tools",
    "coding_sessions",
    "contents",
    "error_days",
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
    "refresh_tokens",
    "relations",
    "runs",
    "schema_ledger",
    "serials",
    "sessions",
    "settings",
    "sign_in_attempts",
    "sign_ins",
    "tool_calls",
    "tool_days",
    "tool_usage_days",
    "tool_usage_hours",
    "traces",
    "turn_events",
    "turns",
    "unreadable_lines",
    "usage_days",
    "usage_hours",
    "users",
]
