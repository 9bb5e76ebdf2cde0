"""What a list of runs is told by: sums over a whole filter, facets, runs over time, and completion of its words."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any  # `Any`: SQLAlchemy columns are generic over values they do not know
from uuid import UUID

from sqlalchemy import FromClause, Select, and_, case, distinct, func, select, type_coerce

from agentrecord.codec import values as checked
from agentrecord.engine import Connection
from agentrecord.engine.moments import from_micros
from agentrecord.records.facet import TIMED, Facets, Failure, RunBucket, RunSums
from agentrecord.records.llm_call import CallStatus
from agentrecord.records.page import COUNT_LIMIT, MAX_PAGE
from agentrecord.records.run import RunFilter, RunStatus
from agentrecord.records.scope import Scope
from agentrecord.records.tool_call import ToolCallStatus
from agentrecord.schema import agents, llm_calls, models, runs, sessions, tool_calls, users
from agentrecord.schema.types import Whole
from agentrecord.store import prices
from agentrecord.store._facets import TOP, counted, named, observed, pairs
from agentrecord.store._run_words import (
    DURATION,
    ERRORS,
    JOINED,
    RUN_WORDS,
    environment,
    run_conditions,
    run_source,
)
from agentrecord.store._sql import total, usage_totals, within
from agentrecord.store.agents import version_of
from agentrecord.store.run_figures import interpolated
from agentrecord.store.usage_sums import sums as usage_sums

MICROS_PER_MS = 1_000
MAX_BUCKETS = 1_000
DEEP = 500
"""Over how many runs, the last started ones, models, tools, versions and environments are counted."""

_FACETS = ("status", "agent", "user", "source")


def sums(conn: Connection, scope: Scope, where: RunFilter | None = None) -> RunSums:
    """Return how many runs a filter finds and the sums over their own calls: each run counts by itself.

    The prices told with them are those behind all that was spent on the days of the filter's range.
    """
    wanted = where or RunFilter()
    # Sums by a condition, and no GROUP BY: that would sort all the rows.
    by_status = {status: total(case((runs.c.status == status, 1), else_=0)) for status in RunStatus}
    row = conn.maps(
        select(
            func.count().label("runs"),
            total(runs.c.tool_call_count).label("tool_calls"),
            total(runs.c.tool_error_count).label("tool_errors"),
            total(ERRORS).label("errors"),
            total(DURATION).label("duration"),
            *[count.label(f"is_{status}") for status, count in by_status.items()],
            *usage_sums(runs),
        )
        .select_from(run_source(wanted))
        .where(*run_conditions(scope, wanted))
    )[0]
    return RunSums(
        runs=row["runs"],
        by_status={status: row[f"is_{status}"] for status in sorted(RunStatus) if row[f"is_{status}"]},
        tool_calls=row["tool_calls"],
        tool_errors=row["tool_errors"],
        errors=row["errors"],
        duration_ms=row["duration"] // MICROS_PER_MS,
        totals=usage_totals(row),
        prices=prices.behind(conn, scope, since=wanted.since, until=wanted.until) if row["calls"] else None,
    )


def facets(conn: Connection, scope: Scope, where: RunFilter | None = None, *, top: int = TOP) -> Facets:
    """Return the `top` most frequent values of each main word among the runs that a filter finds.

    Up to 10,000 runs are counted, the last started ones, up to 500 for models, tools, versions and
    environments; a run counts for each model and tool that it used.
    """
    found = _latest(scope, where or RunFilter())
    latest = found.limit(DEEP)
    others = {
        "model": _used(conn, scope, models.c.name, llm_calls, latest),
        "tool": _used(conn, scope, tool_calls.c.tool_name, tool_calls, latest),
        "version": named(conn, latest, version_of(runs)),
        "env": named(conn, latest, environment(runs.c.metadata, sessions.c.metadata)),
    }
    return counted(conn, found.subquery("matched"), _FACETS, others, top=top, deep=DEEP)


def _used(
    conn: Connection, scope: Scope, column: Any, table: Any, found: Select[*tuple[Any, ...]]
) -> Mapping[str, int]:
    """Return how many of the runs found have a row of `table`, by the value of `column`."""
    matched = found.subquery("matched")
    # Outer joins, so that SQLite, which has no statistics, begins with the few runs.
    source = matched.outerjoin(table, and_(*within(scope, table), table.c.run_uuid == matched.c.id))
    if table is llm_calls:
        source = source.outerjoin(models, models.c.id == llm_calls.c.model_uuid)
    return pairs(conn.rows(select(column, func.count(distinct(matched.c.id))).select_from(source).group_by(column)))


def _latest(scope: Scope, wanted: RunFilter) -> Select[*tuple[Any, ...]]:
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

    Buckets without runs are left out; at most the last 1,000 are returned. How long runs took is told of the last
    10,000 started ones.
    """
    wanted = where or RunFilter()
    width = checked.integer("bucket_s", bucket_s, minimum=1, maximum=366 * 86_400) * 1_000_000
    place = type_coerce(runs.c.started_at, Whole()) - type_coerce(runs.c.started_at, Whole()) % width
    started = [*run_conditions(scope, wanted), runs.c.started_at.is_not(None)]
    found = (
        select(place.label("place"), runs.c.status.label("status"))
        .select_from(run_source(wanted))
        .where(*started)
        .subquery("found")
    )
    rows = conn.rows(select(found.c.place, found.c.status, func.count()).group_by(found.c.place, found.c.status))
    latest = (
        select(place, DURATION)
        .select_from(run_source(wanted))
        .where(*started)
        .order_by(runs.c.started_at.desc(), runs.c.id.desc())
        .limit(TIMED)
    )
    times = _times(conn.rows(latest))
    buckets: dict[int, dict[RunStatus, int]] = {}
    for start, status, count in sorted(rows, key=lambda row: (row[0], str(row[1]))):
        buckets.setdefault(int(start), {})[RunStatus(status)] = count
    shown = list(buckets.items())[-MAX_BUCKETS:]
    return tuple(_bucket(start, by_status, times.get(start, ())) for start, by_status in shown)


def _times(latest: Sequence[Sequence[Any]]) -> Mapping[int, Sequence[float]]:
    """Return in order how many milliseconds the runs of each bucket took, where all of its runs are among these."""
    # They come in order of time, so that those of a bucket lie together.
    found = {
        int(start): sorted([micros / MICROS_PER_MS for _, micros in rows if micros is not None])
        for start, rows in groupby(latest, itemgetter(0))
    }
    if len(latest) == TIMED:
        del found[int(latest[-1][0])]
    return found


def _bucket(start: int, by_status: Mapping[RunStatus, int], times: Sequence[float]) -> RunBucket:
    return RunBucket(
        start=from_micros(start), by_status=by_status, timed_runs=len(times),
        p50_ms=interpolated(times, 0.5), p95_ms=interpolated(times, 0.95),
    )  # fmt: skip


def values(conn: Connection, scope: Scope, word: str, *, prefix: str = "", limit: int = 20) -> tuple[str, ...]:
    """Return values that a word of a filter of runs can have, those that begin with `prefix`; for completion.

    Raises `InvalidFilter` for an unknown word.
    """
    return observed(conn, scope, RUN_WORDS, word, prefix, limit)


def failures(conn: Connection, scope: Scope, run_ids: Sequence[UUID]) -> Mapping[UUID, Failure]:
    """Return the first use of a tool, or call to a model, that failed in each of at most 200 runs."""
    if not run_ids:
        return {}
    checked.integer("run_ids", len(run_ids), minimum=1, maximum=MAX_PAGE)
    tools = _first_failed(
        scope, tool_calls, tool_calls.c.tool_name, tool_calls.c.started_at, ToolCallStatus.ERROR, run_ids, tool_calls
    )
    calls = _first_failed(
        scope, llm_calls, models.c.name, llm_calls.c.timestamp, CallStatus.ERROR, run_ids,
        llm_calls.join(models, models.c.id == llm_calls.c.model_uuid),
    )  # fmt: skip
    found: dict[UUID, Failure] = {}
    for kind, statement in (("tool", tools), ("call", calls)):
        for row in conn.maps(statement):
            failure = Failure(
                kind=kind, id=row["id"], name=row["name"] or "unknown", message=row["message"], at=row["at"]
            )
            known = found.get(row["run"])
            if known is None or (failure.at is not None and known.at is not None and failure.at < known.at):
                found[row["run"]] = failure
    return found


def _first_failed(
    scope: Scope, table: Any, name: Any, at: Any, status: str, run_ids: Sequence[UUID], source: FromClause
) -> Select[*tuple[Any, ...]]:
    place = func.row_number().over(partition_by=table.c.run_uuid, order_by=(at, table.c.id))
    ranked = (
        select(
            table.c.run_uuid.label("run"), table.c.id, name.label("name"), table.c.error_message.label("message"),
            at.label("at"), place.label("place"),
        )
        .select_from(source)
        .where(*within(scope, table), table.c.run_uuid.in_(list(run_ids)), table.c.status == status)
        .subquery("ranked")
    )  # fmt: skip
    return select(ranked.c.run, ranked.c.id, ranked.c.name, ranked.c.message, ranked.c.at).where(ranked.c.place == 1)
