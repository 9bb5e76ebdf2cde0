"""The words that a list of runs is filtered by, and the conditions of `RunFilter`."""

from collections.abc import Sequence
from typing import Any  # `Any`: SQLAlchemy columns are generic over values they do not know

from sqlalchemy import ColumnElement, FromClause, case, func, or_, select, type_coerce

from agentrecord.codec import values as checked
from agentrecord.records.measures import WordKind
from agentrecord.records.query import Value
from agentrecord.records.run import RunFilter, RunStatus
from agentrecord.records.scope import Scope
from agentrecord.schema import agent_versions, agents, errors, llm_calls, models, runs, sessions, tool_calls, users
from agentrecord.schema.types import Whole
from agentrecord.store._page import moving
from agentrecord.store._sql import contains, within
from agentrecord.store._words import (
    Member,
    Words,
    choice_word,
    column_word,
    matching,
    measured_word,
    text_word,
    tokens_of,
)

JOINED = (
    runs.join(users, (users.c.project_id == runs.c.project_id) & (users.c.id == runs.c.user_uuid))
    .outerjoin(agents, (agents.c.project_id == runs.c.project_id) & (agents.c.id == runs.c.agent_uuid))
    .outerjoin(sessions, (sessions.c.project_id == runs.c.project_id) & (sessions.c.id == runs.c.session_uuid))
)
"""A run with its user, its agent and its session."""

FAILED = or_(runs.c.status == RunStatus.ERROR, runs.c.tool_error_count > 0, runs.c.failed_calls > 0)
ERRORS = type_coerce(
    runs.c.tool_error_count + runs.c.failed_calls + case((runs.c.status == RunStatus.ERROR, 1), else_=0), Whole()
)
DURATION = type_coerce(runs.c.finished_at - runs.c.started_at, Whole())
"""Microseconds from start to finish; NULL while either is unknown."""

TOKENS = tokens_of(runs)
_PRICED = case((runs.c.calls > runs.c.unpriced_calls, runs.c.cost_nanos))
ENVIRONMENT_KEYS = ("env", "environment", "deployment.environment", "deployment.environment.name")


OF_VERSION = (agent_versions.c.project_id == runs.c.project_id) & (agent_versions.c.id == runs.c.agent_version_uuid)
"""How a run is joined with the version of its agent that served it."""


def environment(*columns: Any) -> ColumnElement[Any]:
    """Return the environment that one of some columns of metadata names."""
    return func.coalesce(*[Member(column, key) for column in columns for key in ENVIRONMENT_KEYS])


def _model(scope: Scope, values: Sequence[Value]) -> ColumnElement[bool]:
    return (
        select(llm_calls.c.id)
        .join(models, models.c.id == llm_calls.c.model_uuid)
        .where(*within(scope, llm_calls), llm_calls.c.run_uuid == runs.c.id, matching(models.c.name, values))
        .correlate(runs)
        .exists()
    )


def _tool(scope: Scope, values: Sequence[Value]) -> ColumnElement[bool]:
    return (
        select(tool_calls.c.id)
        .where(*within(scope, tool_calls), tool_calls.c.run_uuid == runs.c.id, matching(tool_calls.c.tool_name, values))
        .correlate(runs)
        .exists()
    )


def _version(scope: Scope, values: Sequence[Value]) -> ColumnElement[bool]:
    return (
        select(agent_versions.c.id)
        .where(
            *within(scope, agent_versions),
            agent_versions.c.id == runs.c.agent_version_uuid,
            matching(agent_versions.c.version_number, values),
        )
        .correlate(runs)
        .exists()
    )


def _session(scope: Scope, values: Sequence[Value]) -> ColumnElement[bool]:
    # By the sessions' ids, so that their runs are found by an index: a run's session is joined after the run is read.
    named = select(sessions.c.id).where(*within(scope, sessions), matching(sessions.c.session_id, values))
    return runs.c.session_uuid.in_(named.correlate(None))


RUN_WORDS = Words(
    (
        choice_word("status", "Where the run stands", "status:error,cancelled",
                    {str(status): runs.c.status == status for status in RunStatus}),
        column_word("user", "Whose run it is", "user:bob@acme.io", users.c.external_id),
        column_word("agent", "The agent's id", "agent:support-bot", agents.c.agent_id),
        text_word("version", "The agent's version", "version:1.4.0", _version),
        text_word("model", "A model that was called in it", "model:claude-*", _model),
        text_word("tool", "A tool that was used in it", "tool:refund_payment", _tool),
        text_word("session", "The session's own id", "session:chat-17", _session),
        column_word("run", "The run's own id", "run:r-2026*", runs.c.run_id),
        column_word("source", "What wrote the session: claude-code, codex, …", "source:claude-code",
                    sessions.c.source),
        column_word("env", "The environment that the run's or session's metadata names", "-env:staging",
                    environment(runs.c.metadata, sessions.c.metadata)),
        column_word("error", "The run's error message", "error:*timeout*", runs.c.error_message),
        choice_word("has", "What there must be", "has:error", {
            "error": FAILED,
            "calls": runs.c.calls > 0,
            "tools": runs.c.tool_call_count > 0,
            "unpriced": runs.c.unpriced_calls > 0,
            "children": runs.c.child_count > 0,
            "parent": runs.c.parent_uuid.is_not(None),
            "session": runs.c.session_uuid.is_not(None),
            "output": runs.c.final_synthesis_output.is_not(None),
        }),
        measured_word("cost", WordKind.MONEY, "Dollars, where a price is known", "cost:>0.05", _PRICED),
        measured_word("tokens", WordKind.COUNT, "Tokens of all classes", "tokens:>10k", TOKENS),
        measured_word("duration", WordKind.DURATION, "From start to finish", "duration:>2m", DURATION),
        measured_word("calls", WordKind.COUNT, "Calls to models", "calls:>20", runs.c.calls),
        measured_word("tools", WordKind.COUNT, "Uses of tools", "tools:1..5", runs.c.tool_call_count),
        measured_word("errors", WordKind.COUNT, "Failed calls and tools, and the run itself", "errors:>3", ERRORS),
        measured_word("started", WordKind.MOMENT, "When it started, UTC", "started:>=2026-01-31", runs.c.started_at),
    ),
    free=(runs.c.run_id, runs.c.objective),
)  # fmt: skip


_TELLS_ERROR = (
    select(errors.c.id)
    .where(errors.c.project_id == runs.c.project_id, errors.c.run_uuid == runs.c.id, ~errors.c.is_derived)
    .correlate(runs)
    .exists()
)


def run_source(wanted: RunFilter) -> FromClause:
    """Return what a filter's rows are read from: without a condition on another table, the runs alone."""
    return JOINED if wanted.query or wanted.user is not None or wanted.agent_id is not None else runs


def run_conditions(scope: Scope, wanted: RunFilter) -> list[ColumnElement[bool]]:
    """Return what a filter asks of each row of `JOINED`, the scope included."""
    equal = {
        users.c.external_id: wanted.user,
        agents.c.agent_id: wanted.agent_id,
        runs.c.status: wanted.status,
        runs.c.session_uuid: wanted.session_uuid,
        runs.c.parent_uuid: wanted.parent_uuid,
    }
    found = [*within(scope, runs), *[column == value for column, value in equal.items() if value is not None]]
    found.extend(RUN_WORDS.conditions(scope, wanted.query))
    if wanted.words:
        found.append(or_(contains(runs.c.run_id, wanted.words), contains(runs.c.objective, wanted.words)))
    if wanted.has_error is not None:
        found.append(FAILED if wanted.has_error else ~FAILED)
    if wanted.tells_error is not None:
        found.append(_TELLS_ERROR if wanted.tells_error else ~_TELLS_ERROR)
    if wanted.since is not None:
        found.append(runs.c.started_at >= moving("since", checked.moment("since", wanted.since), runs.c.started_at))
    if wanted.until is not None:
        found.append(runs.c.started_at < checked.moment("until", wanted.until))
    if wanted.parent_uuid is None and not wanted.include_children:
        found.append(runs.c.parent_uuid.is_(None))
    return found
