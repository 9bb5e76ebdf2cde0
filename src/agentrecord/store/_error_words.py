"""The words that groups of equal errors are filtered by, and the groups as a scope sees them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any  # `Any`: SQLAlchemy columns are generic over values they do not know

from sqlalchemy import ColumnElement, Select, and_, func, select

from agentrecord.codec import values
from agentrecord.records.error import ErrorKind, ErrorStatus
from agentrecord.records.measures import WordKind
from agentrecord.records.query import Value
from agentrecord.records.scope import Scope
from agentrecord.schema import agent_versions, agents, error_days, error_groups, errors, runs, users
from agentrecord.store._page import moving
from agentrecord.store._run_words import OF_VERSION
from agentrecord.store._sql import within
from agentrecord.store._words import Words, choice_word, column_word, matching, measured_word, text_word

NEW_FOR = timedelta(days=1)
TIMES = error_days.c["count"]


@dataclass(frozen=True, slots=True)
class Seen:
    """Groups as a scope sees them: a statement of a row each, and its columns by name."""

    statement: Select[Any]
    columns: Mapping[str, Any]


def _words(columns: Mapping[str, Any], now: datetime) -> Words:
    return Words(
        (
            choice_word("status", "How the group stands", "status:regressed",
                        {str(status): and_(*standing(status, now, columns)) for status in ErrorStatus}),
            choice_word("kind", "What failed: the agent, a request to a model, a use of a tool", "kind:llm",
                        {str(kind): columns["kind"] == kind for kind in ErrorKind}),
            column_word("type", "The type of the error", "type:Timeout*", columns["error_type"]),
            column_word("tool", "The tool that failed", "tool:Bash", columns["tool_name"]),
            column_word("group", "The group's fingerprint", "group:857143f5b149dd6e", columns["fingerprint"]),
            text_word("agent", "Met in the work of an agent", "agent:support-bot", _in_work_of),
            text_word("user", "Met by a user", "user:bob@acme.io", _met_by),
            text_word("version", "Met in a run of that version", "version:1.4.0", _in_runs_of),
            measured_word("count", WordKind.COUNT, "How often it was met", "count:>10", columns["count"]),
            measured_word("first", WordKind.MOMENT, "When it was first met, UTC", "first:>=2026-01-31",
                          columns["first_seen_at"]),
            measured_word("last", WordKind.MOMENT, "When it was last met, UTC", "last:2026-01-31",
                          columns["last_seen_at"]),
        ),
        free=(columns["error_type"], columns["error_message"]),
    )  # fmt: skip


def known_words() -> Words:
    """Return the words that the list is filtered by, to offer or describe them."""
    # What they are called does not depend on the time.
    return _words(dict(error_groups.c), datetime(2000, 1, 1, tzinfo=UTC))


def _in_work_of(scope: Scope, wanted: Sequence[Value]) -> ColumnElement[bool]:
    named = select(agents.c.id).where(agents.c.project_id == scope.project, matching(agents.c.agent_id, wanted))
    return met(scope, error_days.c.agent_uuid.in_(named))


def _met_by(scope: Scope, wanted: Sequence[Value]) -> ColumnElement[bool]:
    named = select(users.c.id).where(users.c.project_id == scope.project, matching(users.c.external_id, wanted))
    return met(scope, error_days.c.user_uuid.in_(named))


def _in_runs_of(scope: Scope, wanted: Sequence[Value]) -> ColumnElement[bool]:
    in_run = (runs.c.project_id == errors.c.project_id) & (runs.c.id == errors.c.run_uuid)
    found = (
        select(errors.c.group_uuid)
        .select_from(errors.join(runs, in_run).join(agent_versions, OF_VERSION))
        .where(*within(scope, errors), matching(agent_versions.c.version_number, wanted))
    )
    return error_groups.c.id.in_(found)


IN_WORK_OF = (agents.c.project_id == error_days.c.project_id) & (agents.c.id == error_days.c.agent_uuid)
OF_USER = (users.c.project_id == error_days.c.project_id) & (users.c.id == error_days.c.user_uuid)
"""How a day of a group is joined to an agent and to a user."""


def met(scope: Scope, by: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return the condition that a group was met on a day, by a user, in an agent's work, as `by` says."""
    return error_groups.c.id.in_(select(error_days.c.group_uuid).where(*within(scope, error_days), by, TIMES > 0))


def standing(status: ErrorStatus, now: datetime, columns: Mapping[str, Any]) -> list[ColumnElement[bool]]:
    """Return the conditions that a group stands as `status` says."""
    if status is ErrorStatus.RESOLVED:
        return [error_groups.c.resolved_at.is_not(None)]
    if status is ErrorStatus.REGRESSED:
        return [error_groups.c.resolved_at.is_(None), error_groups.c.regressed_at.is_not(None)]
    first = columns["first_seen_at"]
    lately = moving("lately", now - NEW_FOR, error_groups.c.first_seen_at)
    is_new = first >= lately if status is ErrorStatus.NEW else first < lately
    return [error_groups.c.resolved_at.is_(None), error_groups.c.regressed_at.is_(None), is_new]


def seen_by(scope: Scope) -> Seen:
    """Return the groups as a scope sees them: its user's own words, times and counts where it is of one user."""
    whole = select(error_groups).where(error_groups.c.project_id == scope.project)
    if scope.user is None:
        return Seen(whole, dict(error_groups.c))
    own = (
        select(
            errors.c.group_uuid,
            func.count().label("count"),
            func.min(errors.c.created_at).label("first_seen_at"),
            func.max(errors.c.created_at).label("last_seen_at"),
        )
        .where(*within(scope, errors))
        .group_by(errors.c.group_uuid)
        .subquery()
    )
    # Their own words: the group keeps those of whoever met it first.
    said = (
        select(errors.c.error_message)
        .where(*within(scope, errors), errors.c.group_uuid == own.c.group_uuid, errors.c.error_message != "")
        .order_by(errors.c.created_at)
        .limit(1)
        .scalar_subquery()
    )
    columns = {c.name: own.c.get(c.name, c) for c in error_groups.c} | {"error_message": func.coalesce(said, "")}
    statement = (
        select(*[column.label(name) for name, column in columns.items()])
        .select_from(error_groups.join(own, own.c.group_uuid == error_groups.c.id))
        .where(error_groups.c.project_id == scope.project)
    )
    return Seen(statement, columns)


def group_conditions(
    scope: Scope,
    seen: Seen,
    now: datetime,
    *,
    query: str | None = None,
    include_resolved: bool = False,
    status: ErrorStatus | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[ColumnElement[bool]]:
    """Return what a filter asks of each group; resolved ones are left out, unless it says how groups must stand."""
    columns = seen.columns
    known = _words(columns, now)
    found = known.conditions(scope, query)
    if status is not None:
        found.extend(standing(status, now, columns))
    elif not include_resolved and not any(term.word == "status" for term in known.parse(query or "").terms):
        found.append(error_groups.c.resolved_at.is_(None))
    start = None if since is None else moving("since", values.moment("since", since), error_groups.c.last_seen_at)
    end = None if until is None else values.moment("until", until)
    if start is not None:
        found.append(columns["last_seen_at"] >= start)
    if end is not None:
        found.append(columns["first_seen_at"] < end)
    if start is not None and end is not None:
        # One that was met before and after need not have been met in between.
        between = (errors.c.created_at >= start, errors.c.created_at < end)
        found.append(
            select(errors.c.id)
            .where(*within(scope, errors), errors.c.group_uuid == error_groups.c.id, *between)
            .correlate(error_groups)
            .exists()
        )
    return found
