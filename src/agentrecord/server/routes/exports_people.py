"""Exports of agents, users and groups of errors: what their pages list, complete, as JSON, JSON lines or CSV.

Where no order is asked for, it is one that nothing changes while rows are written: none is left out, none comes twice.
"""

from fastapi import APIRouter, Request, Response

from agentrecord.dashboard.error_list import ERRORS
from agentrecord.dashboard.figure_lists import AGENTS, USERS
from agentrecord.records.agent import AgentFigures
from agentrecord.records.error import ErrorGroup
from agentrecord.records.people import UserFigures
from agentrecord.server.routes.exports import USAGE_COLUMNS, ExportAs, Sheet, exported, usage_cells

router = APIRouter(include_in_schema=False)


_AGENTS: Sheet[AgentFigures] = Sheet(
    columns=(
        "agent_id", "name", "version", "last_active_at", "runs", "completed_runs", "failed_runs", "error_rate",
        "sessions", "messages", "tool_calls", "tool_errors", "errors", "latency_p50_ms", "latency_p95_ms",
        "cost_per_run_usd", *USAGE_COLUMNS,
    ),
    cells=lambda one: [
        one.agent.agent_id, one.agent.name, one.version, one.last_active_at and one.last_active_at.isoformat(),
        one.runs, one.completed_runs, one.failed_runs, one.error_rate, one.sessions, one.messages, one.tool_calls,
        one.tool_errors, one.errors, one.latency_p50_ms, one.latency_p95_ms, one.cost_per_run_usd,
        *usage_cells(one.usage),
    ],
)  # fmt: skip
_USERS: Sheet[UserFigures] = Sheet(
    columns=(
        "user", "id", "name", "email", "last_seen_at", "sessions", "messages", "runs", "completed_runs", "failed_runs",
        "tool_calls", "tool_errors", "errors", *USAGE_COLUMNS,
    ),
    cells=lambda one: [
        one.user.external_id, one.user.id, one.user.name, one.user.email,
        one.last_seen_at and one.last_seen_at.isoformat(), one.sessions, one.messages, one.runs, one.completed_runs,
        one.failed_runs, one.tool_calls, one.tool_errors, one.errors, *usage_cells(one.usage),
    ],
)  # fmt: skip
_GROUPS: Sheet[ErrorGroup] = Sheet(
    columns=(
        "fingerprint", "kind", "error_type", "error_message", "tool_name", "status", "count", "users", "agents",
        "first_version", "first_seen_at", "last_seen_at", "resolved_at", "regressed_at",
    ),
    cells=lambda one: [
        one.fingerprint, one.kind, one.error_type, one.error_message, one.tool_name, one.status, one.count, one.users,
        ", ".join(one.agents), one.first_version, one.first_seen_at.isoformat(), one.last_seen_at.isoformat(),
        one.resolved_at and one.resolved_at.isoformat(),
        one.regressed_at and one.regressed_at.isoformat(),
    ],
)  # fmt: skip


@router.get("/agents.{shape}")
async def export_agents(request: Request, shape: ExportAs) -> Response:
    """Send every agent that the filter finds."""
    return await exported(request, AGENTS, _AGENTS, shape)


@router.get("/users.{shape}")
async def export_users(request: Request, shape: ExportAs) -> Response:
    """Send every user that the filter finds."""
    return await exported(request, USERS, _USERS, shape)


@router.get("/errors.{shape}")
async def export_groups(request: Request, shape: ExportAs) -> Response:
    """Send every group of equal errors that the filter finds."""
    return await exported(request, ERRORS, _GROUPS, shape)
