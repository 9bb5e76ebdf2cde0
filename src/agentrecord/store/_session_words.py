"""The words that a list of sessions is filtered by, and the conditions of `SessionFilter`.

Cost, tokens, calls, models and tools are those of a session and of all below it, as the list shows them.
"""

from collections.abc import Sequence
from typing import Any  # `Any`: SQLAlchemy columns are generic over values they do not know

from sqlalchemy import ColumnElement, FromClause, case, or_, select, type_coerce

from agentrecord.codec import values as checked
from agentrecord.records.measures import WordKind
from agentrecord.records.query import Value
from agentrecord.records.scope import Scope
from agentrecord.records.session import SessionFilter, SessionStatus
from agentrecord.schema import (
    agent_versions,
    agents,
    coding_sessions,
    llm_calls,
    models,
    runs,
    sessions,
    tool_calls,
    users,
)
from agentrecord.schema.types import Whole
from agentrecord.store._page import moving
from agentrecord.store._run_words import OF_VERSION, environment
from agentrecord.store._sql import contains, total, within
from agentrecord.store._words import (
    Words,
    choice_word,
    column_word,
    matching,
    measured_word,
    text_word,
    tokens_of,
)

JOINED = (
    sessions.join(users, (users.c.project_id == sessions.c.project_id) & (users.c.id == sessions.c.user_uuid))
    .outerjoin(agents, (agents.c.project_id == sessions.c.project_id) & (agents.c.id == sessions.c.agent_uuid))
    .outerjoin(
        coding_sessions,
        (coding_sessions.c.project_id == sessions.c.project_id) & (coding_sessions.c.session_uuid == sessions.c.id),
    )
)
"""A session with its user, its agent and what a coding agent tells of it."""

LIVE = sessions.c.deleted_at.is_(None)
_BELOW = sessions.alias("below")
_FREE = (
    sessions.c.session_id,
    sessions.c.title,
    sessions.c.description,
    sessions.c.agent_name,
    coding_sessions.c.initial_task,
)


def _tree(own: ColumnElement[Any], below: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return a sum over a session and all below it."""
    under = (
        select(total(below))
        .where(_BELOW.c.project_id == sessions.c.project_id, _BELOW.c.root_uuid == sessions.c.id)
        .correlate(sessions)
        .scalar_subquery()
    )
    return type_coerce(own + under, Whole())


COST = _tree(sessions.c.cost_nanos, _BELOW.c.cost_nanos)
TOKENS = _tree(tokens_of(sessions), tokens_of(_BELOW))
_CALLS = _tree(sessions.c.calls, _BELOW.c.calls)
_PRICED = _tree(sessions.c.calls - sessions.c.unpriced_calls, _BELOW.c.calls - _BELOW.c.unpriced_calls)
_UNPRICED = _tree(sessions.c.unpriced_calls, _BELOW.c.unpriced_calls)
DURATION = type_coerce(sessions.c.last_activity_at - sessions.c.created_at, Whole())
"""Microseconds from the first to the last activity."""

ERRORS = type_coerce(sessions.c.tool_error_count + sessions.c.error_count + sessions.c.failed_calls, Whole())


def _in_tree(scope: Scope, table: Any, source: FromClause, *conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return the condition that a session, or one below it, has a row in `table` with these conditions."""
    return (
        select(_BELOW.c.id)
        .select_from(source.join(_BELOW, _BELOW.c.id == table.c.session_uuid))
        .where(
            *within(scope, table),
            _BELOW.c.project_id == scope.project,
            or_(_BELOW.c.id == sessions.c.id, _BELOW.c.root_uuid == sessions.c.id),
            *conditions,
        )
        .correlate(sessions)
        .exists()
    )


def _model(scope: Scope, values: Sequence[Value]) -> ColumnElement[bool]:
    joined = llm_calls.join(models, models.c.id == llm_calls.c.model_uuid)
    return _in_tree(scope, llm_calls, joined, matching(models.c.name, values))


def _tool(scope: Scope, values: Sequence[Value]) -> ColumnElement[bool]:
    return _in_tree(scope, tool_calls, tool_calls, matching(tool_calls.c.tool_name, values))


def _version(scope: Scope, values: Sequence[Value]) -> ColumnElement[bool]:
    return _in_tree(
        scope, runs, runs.join(agent_versions, OF_VERSION), matching(agent_versions.c.version_number, values)
    )


SESSION_WORDS = Words(
    (
        choice_word("status", "Where the session stands", "status:failed",
                    {str(status): sessions.c.status == status for status in SessionStatus}),
        column_word("user", "Whose session it is", "user:bob@acme.io", users.c.external_id),
        column_word("agent", "The agent's id", "agent:support-bot", agents.c.agent_id),
        text_word("version", "A version of an agent that served in it", "version:1.4.0", _version),
        column_word("source", "What wrote it: claude-code, codex, …", "source:claude-code", sessions.c.source),
        text_word("model", "A model that was called in it", "model:claude-*", _model),
        text_word("tool", "A tool that was used in it", "tool:Bash", _tool),
        column_word("session", "The session's own id", "session:chat-17", sessions.c.session_id),
        column_word("directory", "The working directory", "directory:*/agentrecord",
                    coding_sessions.c.working_directory),
        column_word("branch", "The git branch", "branch:main", coding_sessions.c.git_branch),
        column_word("env", "The environment that its metadata names", "-env:staging",
                    environment(sessions.c.metadata)),
        choice_word("has", "What there must be", "has:error", {
            "error": or_(ERRORS > 0, sessions.c.status == SessionStatus.FAILED),
            "calls": _CALLS > 0,
            "tools": sessions.c.tool_call_count > 0,
            "unpriced": _UNPRICED > 0,
            "children": sessions.c.child_count > 0,
            "title": sessions.c.title.is_not(None),
        }),
        measured_word("cost", WordKind.MONEY, "Dollars, where a price is known", "cost:>0.05",
                      case((_PRICED > 0, COST))),
        measured_word("tokens", WordKind.COUNT, "Tokens of all classes", "tokens:>100k", TOKENS),
        measured_word("duration", WordKind.DURATION, "From the first to the last activity", "duration:>2h", DURATION),
        measured_word("messages", WordKind.COUNT, "Messages", "messages:>50", sessions.c.message_count),
        measured_word("runs", WordKind.COUNT, "Runs, one for each turn", "runs:>10", sessions.c.run_count),
        measured_word("calls", WordKind.COUNT, "Calls to models", "calls:>20", _CALLS),
        measured_word("tools", WordKind.COUNT, "Uses of tools", "tools:1..5", sessions.c.tool_call_count),
        measured_word("errors", WordKind.COUNT, "Errors, failed calls and failed tools", "errors:>3", ERRORS),
        measured_word("created", WordKind.MOMENT, "When it began, UTC", "created:2026-01-31", sessions.c.created_at),
        measured_word("active", WordKind.MOMENT, "When it was last active, UTC", "active:>=2026-01-31",
                      sessions.c.last_activity_at),
    ),
    free=_FREE,
)  # fmt: skip


def session_conditions(scope: Scope, wanted: SessionFilter) -> list[ColumnElement[bool]]:
    """Return what a filter asks of each row of `JOINED`: the scope included, the deleted ones left out."""
    found = [*within(scope, sessions), LIVE, *SESSION_WORDS.conditions(scope, wanted.query)]
    if wanted.words:
        found.append(or_(*[contains(column, wanted.words) for column in _FREE]))
    equal = {
        users.c.external_id: wanted.user,
        agents.c.agent_id: wanted.agent_id,
        sessions.c.source: wanted.source,
        sessions.c.status: wanted.status,
        coding_sessions.c.working_directory: wanted.directory,
        sessions.c.parent_uuid: wanted.parent_uuid,
        sessions.c.session_id: wanted.session_id,
        sessions.c.agent_name: wanted.agent_name,
        sessions.c.is_active: wanted.is_active,
        sessions.c.user_uuid: wanted.user_uuid,
    }
    found.extend(column == value for column, value in equal.items() if value is not None)
    if wanted.since is not None:
        since = checked.moment("since", wanted.since)
        found.append(sessions.c.last_activity_at >= moving("since", since, sessions.c.last_activity_at))
    if wanted.until is not None:
        found.append(sessions.c.last_activity_at < checked.moment("until", wanted.until))
    if wanted.parent_uuid is None and not wanted.include_children:
        found.append(sessions.c.parent_uuid.is_(None))
    return found
