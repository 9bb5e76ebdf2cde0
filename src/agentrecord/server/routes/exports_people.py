"""Exports of agents, users and groups of errors: what their pages list, complete, as JSON, JSON lines or CSV.

Where no order is asked for, it is one that nothing changes while rows are written: none is left out, none comes twice.
"""

from fastapi import APIRouter, Request, Response

from agentrecord.dashboard import filters
from agentrecord.dashboard.errors import status_of
from agentrecord.dashboard.portraits import days_of
from agentrecord.records.agent import AgentFigures
from agentrecord.records.error import ErrorGroup
from agentrecord.records.page import MAX_PAGE
from agentrecord.records.people import UserFigures
from agentrecord.server.routes.exports import USAGE_COLUMNS, ExportAs, Sheet, sent, usage_cells
from agentrecord.server.routes.pages_people import ERROR_FILTERS, LIST_FILTERS
from agentrecord.server.wire import store_of

router = APIRouter(include_in_schema=False)


_AGENTS: Sheet[AgentFigures] = Sheet(
    columns=(
        "agent_id", "name", "version", "last_active_at", "runs", "completed_runs", "failed_runs", "error_rate",
        "sessions", "tool_calls", "tool_errors", "errors", "latency_p50_ms", "latency_p95_ms", "cost_per_run_usd",
        *USAGE_COLUMNS,
    ),
    cells=lambda one: [
        one.agent.agent_id, one.agent.name, one.version, one.last_active_at and one.last_active_at.isoformat(),
        one.runs, one.completed_runs, one.failed_runs, one.error_rate, one.sessions, one.tool_calls, one.tool_errors,
        one.errors, one.latency_p50_ms, one.latency_p95_ms, one.cost_per_run_usd, *usage_cells(one.usage),
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
        "fingerprint", "error_type", "error_message", "status", "count", "users", "agents", "first_seen_at",
        "last_seen_at", "resolved_at", "regressed_at",
    ),
    cells=lambda one: [
        one.fingerprint, one.error_type, one.error_message, one.status, one.count, one.users, ", ".join(one.agents),
        one.first_seen_at.isoformat(), one.last_seen_at.isoformat(), one.resolved_at and one.resolved_at.isoformat(),
        one.regressed_at and one.regressed_at.isoformat(),
    ],
)  # fmt: skip


@router.get("/agents.{shape}")
async def export_agents(request: Request, shape: ExportAs) -> Response:
    """Send every agent that the filter finds."""
    store, asked = store_of(request), filters.checked(request.query_params, LIST_FILTERS)
    stretch, sort = days_of(asked, store.engine.maker.clock.now()), asked.get("sort", "agent_id")
    return await sent(
        lambda cursor: store.agents.report(
            query=asked.get("q"), since=stretch.since, until=stretch.until, sort=sort, limit=MAX_PAGE, cursor=cursor
        ),
        _AGENTS, "agents", shape,
    )  # fmt: skip


@router.get("/users.{shape}")
async def export_users(request: Request, shape: ExportAs) -> Response:
    """Send every user that the filter finds."""
    store, asked = store_of(request), filters.checked(request.query_params, LIST_FILTERS)
    stretch, sort = days_of(asked, store.engine.maker.clock.now()), asked.get("sort", "user")
    return await sent(
        lambda cursor: store.users.report(
            query=asked.get("q"), since=stretch.since, until=stretch.until, sort=sort, limit=MAX_PAGE, cursor=cursor
        ),
        _USERS, "users", shape,
    )  # fmt: skip


@router.get("/errors.{shape}")
async def export_groups(request: Request, shape: ExportAs) -> Response:
    """Send every group of equal errors that the filter finds."""
    store, asked = store_of(request), filters.checked(request.query_params, ERROR_FILTERS)
    stretch, sort = days_of(asked, store.engine.maker.clock.now()), asked.get("sort", "-first_seen_at")
    return await sent(
        lambda cursor: store.errors.groups(
            status=status_of(asked), query=asked.get("q"), agent_id=asked.get("agent"), user=asked.get("user"),
            since=stretch.since, until=stretch.until, sort=sort, limit=MAX_PAGE, cursor=cursor,
        ),
        _GROUPS, "errors", shape,
    )  # fmt: skip
