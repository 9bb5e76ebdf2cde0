"""What users did and spent, read from the daily figures: it costs the same however many calls there are."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any  # `Any`: rows hold whatever their columns hold
from uuid import UUID

from sqlalchemy import ColumnElement, select

from agentrecord.engine import Connection
from agentrecord.records.facet import Facets, FigureSums
from agentrecord.records.measures import WordKind
from agentrecord.records.page import Page
from agentrecord.records.people import UserDetails, UserFigures
from agentrecord.records.scope import Scope
from agentrecord.records.usage import NamedCount
from agentrecord.schema import agents, usage_days, users
from agentrecord.store._days import Days, by_model
from agentrecord.store._facets import TOP, Observed
from agentrecord.store._owners import COUNTED, FIGURE_SORTS, Other, Owners
from agentrecord.store._price_sources import of_days
from agentrecord.store._sql import total, usage_totals
from agentrecord.store._words import Rule, column_word, measured_word
from agentrecord.store.people import named_user, user_of
from agentrecord.store.usage_sums import sums


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
    `query` is a filter's text: `user`, `name`, `email`, `agent`, `model`, `tool`, `seen`, `has`, `runs`, `cost` …
    """
    return USERS.page(conn, _days(scope, since, until), query, sort=sort, limit=limit, cursor=cursor)


def report_sums(
    conn: Connection,
    scope: Scope,
    *,
    query: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> FigureSums:
    """Return the sums over all users that a filter finds, with the figures of the days that `report` counts."""
    return USERS.summed(conn, _days(scope, since, until), query)


def facets(
    conn: Connection,
    scope: Scope,
    *,
    query: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    top: int = TOP,
) -> Facets:
    """Return the `top` most frequent values of each main word among the users that `report` finds.

    Up to 10,000 users are counted, the last seen ones; a user counts for each agent, model and tool of their days.
    """
    return USERS.faceted(conn, _days(scope, since, until), query, top=top)


def values(conn: Connection, scope: Scope, word: str, *, prefix: str = "", limit: int = 20) -> tuple[str, ...]:
    """Return values that a word of a filter of users can have, those that begin with `prefix`; for completion.

    Raises `InvalidFilter` for an unknown word.
    """
    return USERS.values(conn, scope, word, prefix, limit)


def _days(scope: Scope, since: datetime | None, until: datetime | None, owner: UUID | None = None) -> Days:
    return Days(scope=scope, by="user_uuid", owner=owner, since=since, until=until)


def _figures(row: Mapping[str, Any]) -> UserFigures:
    told = {field: row[f"active_{name}"] for field, name in COUNTED.items()}
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
    days = _days(scope, since, until, known.id)
    row = conn.first_map(USERS.listed(days).statement.where(users.c.id == known.id))
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
    spend = days.by_day_and_model(conn, sums(usage_days))
    return UserDetails(
        figures=_with_days(conn, days, [figures])[0],
        models=by_model(spend),
        spend=spend,
        tools=days.by_tool(conn),
        agents=tuple(sorted(named, key=lambda one: (-one.count, one.name or ""))),
        prices=of_days(conn, days),
    )


def _rules(seen: ColumnElement[Any]) -> tuple[Rule, ...]:
    return (
        column_word("user", "The string that the user is known by", "user:bob@acme.io", users.c.external_id),
        column_word("name", "The user's name", "name:Bob*", users.c.name),
        column_word("email", "The user's e-mail address", "email:*@acme.io", users.c.email),
        measured_word("seen", WordKind.MOMENT, "When they were last seen, UTC", "seen:>=2026-01-31", seen),
    )


USERS: Owners[UserFigures] = Owners(
    table=users,
    by="user_uuid",
    columns=[c for c in users.c if c.name not in ("project_id", "serial")],
    known=users.c.external_id,
    sorts=("user", "last_seen_at"),
    rules=_rules,
    free=(users.c.external_id, users.c.name, users.c.email),
    build=_figures,
    details=_with_days,
    other=Other(word="agent", help="An agent that worked for them", example="agent:support-bot", by="agent_uuid",
                name=agents.c.agent_id, table=agents),
    facets={},
    observed={"name": Observed(users.c.name, users, users), "email": Observed(users.c.email, users, users)},
)  # fmt: skip
"""The list of users."""

REPORT_SORTS = (*USERS.sorts, *FIGURE_SORTS)
