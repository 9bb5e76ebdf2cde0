"""What a list of runs is told by: sums over a whole filter, facets, runs over time, and completion of its words."""

from collections.abc import Mapping
from typing import Any  # `Any`: SQLAlchemy columns are generic over values they do not know

from sqlalchemy import Select, distinct, func, select, type_coerce

from agentrecord.codec import values as checked
from agentrecord.engine import Connection
from agentrecord.engine.moments import from_micros
from agentrecord.records.facet import Facets, RunBucket, RunSums
from agentrecord.records.page import COUNT_LIMIT
from agentrecord.records.run import RunFilter, RunStatus
from agentrecord.records.scope import Scope
from agentrecord.records.usage import UsageTotals
from agentrecord.schema import agents, llm_calls, models, runs, sessions, tool_calls, users
from agentrecord.schema.types import Whole
from agentrecord.store._facets import TOP, counted, observed, pairs
from agentrecord.store._run_words import DURATION, ERRORS, JOINED, RUN_WORDS, run_conditions
from agentrecord.store._sql import total, usage_totals, within
from agentrecord.store.usage import sums as usage_sums

MICROS_PER_MS = 1_000
MAX_BUCKETS = 1_000
_FACETS = ("status", "agent", "user", "source")


def sums(conn: Connection, scope: Scope, where: RunFilter | None = None) -> RunSums:
    """Return how many runs a filter finds and the sums over their own calls: each run counts by itself."""
    rows = conn.maps(
        select(
            runs.c.status,
            func.count().label("runs"),
            total(runs.c.tool_call_count).label("tool_calls"),
            total(runs.c.tool_error_count).label("tool_errors"),
            total(ERRORS).label("errors"),
            total(DURATION).label("duration"),
            *usage_sums(runs),
        )
        .select_from(JOINED)
        .where(*run_conditions(scope, where or RunFilter()))
        .group_by(runs.c.status)
    )
    return RunSums(
        runs=sum(row["runs"] for row in rows),
        by_status={RunStatus(row["status"]): row["runs"] for row in sorted(rows, key=lambda row: str(row["status"]))},
        tool_calls=sum(row["tool_calls"] for row in rows),
        tool_errors=sum(row["tool_errors"] for row in rows),
        errors=sum(row["errors"] for row in rows),
        duration_ms=sum(row["duration"] for row in rows) // MICROS_PER_MS,
        totals=sum((usage_totals(row) for row in rows), start=UsageTotals()),
    )


def facets(conn: Connection, scope: Scope, where: RunFilter | None = None, *, top: int = TOP) -> Facets:
    """Return the `top` most frequent values of each main word among the runs that a filter finds.

    Up to 10,000 runs are counted, the last started ones; a run counts for each model and tool that it used.
    """
    found = _latest(scope, where or RunFilter())
    matched = select(found.subquery("matched").c.id)
    others: dict[str, Mapping[str, int]] = {
        "model": pairs(
            conn.rows(
                select(models.c.name, func.count(distinct(llm_calls.c.run_uuid)))
                .select_from(llm_calls.join(models, models.c.id == llm_calls.c.model_uuid))
                .where(*within(scope, llm_calls), llm_calls.c.run_uuid.in_(matched))
                .group_by(models.c.name)
            )
        ),
        "tool": pairs(
            conn.rows(
                select(tool_calls.c.tool_name, func.count(distinct(tool_calls.c.run_uuid)))
                .where(*within(scope, tool_calls), tool_calls.c.run_uuid.in_(matched))
                .group_by(tool_calls.c.tool_name)
            )
        ),
    }
    return counted(conn, found.subquery("matched"), _FACETS, others, top=top)


def _latest(scope: Scope, wanted: RunFilter) -> Select[Any]:
    return (
        select(
            runs.c.id,
            runs.c.status,
            agents.c.agent_id.label("agent"),
            users.c.external_id.label("user"),
            sessions.c.source,
        )
        .select_from(JOINED)
        .where(*run_conditions(scope, wanted))
        .order_by(runs.c.started_at.desc(), runs.c.id.desc())
        .limit(COUNT_LIMIT + 1)
    )


def series(
    conn: Connection, scope: Scope, where: RunFilter | None = None, *, bucket_s: int = 86_400
) -> tuple[RunBucket, ...]:
    """Return the runs that a filter finds by when they started, in buckets of `bucket_s` seconds since 1970 UTC.

    Buckets without runs are left out; at most the last 1,000 are returned.
    """
    width = checked.integer("bucket_s", bucket_s, minimum=1, maximum=366 * 86_400) * 1_000_000
    place = type_coerce(runs.c.started_at, Whole()) - type_coerce(runs.c.started_at, Whole()) % width
    found = (
        select(place.label("place"), runs.c.status.label("status"))
        .select_from(JOINED)
        .where(*run_conditions(scope, where or RunFilter()), runs.c.started_at.is_not(None))
        .subquery("found")
    )
    rows = conn.rows(select(found.c.place, found.c.status, func.count()).group_by(found.c.place, found.c.status))
    buckets: dict[int, dict[RunStatus, int]] = {}
    for start, status, count in sorted(rows, key=lambda row: (row[0], str(row[1]))):
        buckets.setdefault(int(start), {})[RunStatus(status)] = count
    shown = list(buckets.items())[-MAX_BUCKETS:]
    return tuple(RunBucket(start=from_micros(start), by_status=by_status) for start, by_status in shown)


def values(conn: Connection, scope: Scope, word: str, *, prefix: str = "", limit: int = 20) -> tuple[str, ...]:
    """Return values that a word of a filter of runs can have, those that begin with `prefix`; for completion.

    Raises `InvalidFilter` for an unknown word.
    """
    return observed(conn, scope, RUN_WORDS, word, prefix, limit)
