"""What users did and spent, read from the daily figures: it costs the same however many calls there are."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any  # `Any`: rows hold whatever their columns hold

from sqlalchemy import func, select

from agentrecord.engine import Connection
from agentrecord.records.measures import WordKind
from agentrecord.records.page import Page
from agentrecord.records.people import UserDetails, UserFigures
from agentrecord.records.scope import Scope
from agentrecord.records.usage import NamedCount
from agentrecord.schema import agents, usage_days, users
from agentrecord.schema.tables import USAGE_COUNTERS
from agentrecord.store._days import Days, counted, last_seen, words_of
from agentrecord.store._page import page
from agentrecord.store._sql import total, usage_totals
from agentrecord.store._words import Words, column_word, measured_word, tokens_of
from agentrecord.store.people import named_user, user_of
from agentrecord.store.usage_sums import sums

_BY = "user_uuid"
_COUNTED = {
    "sessions": "session_count", "messages": "message_count", "runs": "run_count", "completed_runs": "completed_runs",
    "failed_runs": "failed_runs", "tool_calls": "tool_calls", "tool_errors": "tool_errors", "errors": "error_count",
}  # fmt: skip
REPORT_SORTS = ("user", "last_seen_at", "sessions", "runs", "failed_runs", "errors", "cost", "tokens", "calls")


def report(
    conn: Connection,
    scope: Scope,
    *,
    query: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    sort: str = "-last_seen_at",
    limit: int = 50,
    cursor: str | None = None,
) -> Page[UserFigures]:
    """Return what users did and spent on the UTC days from `since` up to `until`, the last seen first.

    A day that the range touches counts whole. Without a range, users who never did anything are listed too.
    `query` is a filter's text: `user`, `name`, `email`, `seen`, `has`, `runs`, `sessions`, `tokens`, `cost` …
    """
    days = Days(scope=scope, by=_BY, since=since, until=until)
    statement, columns, known = _statement(scope, days)
    wanted = []
    if scope.user is not None:
        wanted.append(users.c.id == scope.user)
    elif since is not None or until is not None:
        wanted.append(days.acted(users.c.id))
    asked = known.conditions(scope, query)
    found = page(
        conn, statement.where(*wanted, *asked), _figures, sorts=columns, sort=sort, row_id=users.c.id,
        limit=limit, cursor=cursor, counted=bool(asked),
    )  # fmt: skip
    items = _with_days(conn, days, found.items)
    return replace(found, items=items) if asked else counted(conn, replace(found, items=items), scope, users, wanted)


def _statement(scope: Scope, days: Days) -> tuple[Any, dict[str, Any], Words]:
    active, spent = days.active(), days.spent(sums(usage_days))
    columns: dict[str, Any] = {
        "user": users.c.external_id,
        "last_seen_at": last_seen(active, spent),
        "sessions": active.c.session_count,
        "runs": active.c.run_count,
        "failed_runs": active.c.failed_runs,
        "errors": active.c.error_count,
        "cost": spent.c.cost_nanos,
        "tokens": tokens_of(spent),
        "calls": spent.c.calls,
    }
    statement = (
        select(
            *[c for c in users.c if c.name not in ("project_id", "serial")],
            columns["last_seen_at"].label("seen_at"),
            *[func.coalesce(active.c[name], 0).label(f"active_{name}") for name in _COUNTED.values()],
            *[func.coalesce(spent.c[name], 0).label(name) for name in USAGE_COUNTERS],
        )
        .select_from(
            users.outerjoin(active, active.c.owner == users.c.id).outerjoin(spent, spent.c.owner == users.c.id)
        )
        .where(users.c.project_id == scope.project)
    )
    return statement, columns, words_of(
        active,
        spent,
        column_word("user", "The string that the user is known by", "user:bob@acme.io", users.c.external_id),
        column_word("name", "The user's name", "name:Bob*", users.c.name),
        column_word("email", "The user's e-mail address", "email:*@acme.io", users.c.email),
        measured_word("seen", WordKind.MOMENT, "When they were last seen, UTC", "seen:>=2026-01-31",
                      columns["last_seen_at"]),
        free=(users.c.external_id, users.c.name, users.c.email),
    )  # fmt: skip


def known_words() -> Words:
    """Return the words that the list is filtered by, to offer or describe them."""
    scope = Scope()
    return _statement(scope, Days(scope=scope, by=_BY))[2]


def _figures(row: Mapping[str, Any]) -> UserFigures:
    told = {field: row[f"active_{name}"] for field, name in _COUNTED.items()}
    return UserFigures(user=user_of(row), usage=usage_totals(row), last_seen_at=row["seen_at"], **told)


def _with_days(conn: Connection, days: Days, found: Sequence[UserFigures]) -> list[UserFigures]:
    made = days.by_day(conn, [one.user.id for one in found])
    return [replace(one, days=made.get(one.user.id, ())) for one in found]


def details(
    conn: Connection, scope: Scope, user: str, *, since: datetime | None = None, until: datetime | None = None
) -> UserDetails:
    """Return what one user did and spent on the UTC days from `since` up to `until`, by model, day, tool and agent.

    `user` is the string that the user is known by, or else the row id. Raises `NotFound` for one that the scope does
    not see.
    """
    known = named_user(conn, scope, user)
    days = Days(scope=scope, by=_BY, owner=known.id, since=since, until=until)
    statement, *_ = _statement(scope, days)
    row = conn.first_map(statement.where(users.c.id == known.id))
    figures = UserFigures(user=known) if row is None else _figures(row)
    by_agent = conn.rows(
        select(agents.c.agent_id, total(usage_days.c.calls))
        .select_from(
            usage_days.outerjoin(
                agents, (agents.c.project_id == usage_days.c.project_id) & (agents.c.id == usage_days.c.agent_uuid)
            )
        )
        .where(*days.of(usage_days, "bucket"))
        .group_by(agents.c.agent_id)
    )
    named = [NamedCount(name=name, count=calls) for name, calls in by_agent if calls]
    return UserDetails(
        figures=_with_days(conn, days, [figures])[0],
        models=days.by_model(conn, sums(usage_days)),
        spend=days.by_day_and_model(conn, sums(usage_days)),
        tools=days.by_tool(conn),
        agents=tuple(sorted(named, key=lambda one: (-one.count, one.name or ""))),
    )
