"""Two versions of an agent, measured on the runs that each served."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from statistics import fmean
from typing import Any  # `Any`: rows hold whatever their columns hold
from uuid import UUID

from sqlalchemy import Subquery, func, select

from agentrecord.engine import Connection
from agentrecord.exceptions import InvalidFilter, NotFound
from agentrecord.records.agent import AgentVersion
from agentrecord.records.comparison import Measure, ModelMix, Unit, VersionComparison
from agentrecord.records.run import RunFilter, RunStatus
from agentrecord.records.scope import Scope
from agentrecord.records.usage import NANOS_PER_DOLLAR
from agentrecord.schema import agent_versions, llm_calls, models, runs, sessions
from agentrecord.store import _version_differences as differences
from agentrecord.store import agents
from agentrecord.store._intervals import mean_difference, share_difference
from agentrecord.store._run_words import run_conditions, run_source
from agentrecord.store._sql import within
from agentrecord.store._words import TOKEN_COUNTERS
from agentrecord.store.agents import VERSION_COLUMNS
from agentrecord.store.run_figures import interpolated

MAX_RUNS = 10_000
"""How many of the latest runs of each version are measured."""

_READ = (
    "status", "started_at", "finished_at", "calls", "tool_call_count", "cost_nanos", "unpriced_calls", "session_uuid",
    *TOKEN_COUNTERS,
)  # fmt: skip
Row = Mapping[str, Any]


def compare(
    conn: Connection,
    scope: Scope,
    agent: str,
    a: str | None = None,
    b: str | None = None,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    query: str | None = None,
) -> VersionComparison:
    """Return how version `b` of an agent did beside `a`, over the runs that began from `since` up to `until`.

    Without `a` and `b`, the last two versions are compared, the older as `a`. `agent` is its `agent_id`, or else its
    row id. `query`, the words of a filter of runs, holds for the runs of both. Costs are those of runs whose calls all
    have a price. Raises `NotFound` for an agent or version that is not there, and `InvalidFilter` where an agent has no
    two versions to choose, or for a query that cannot be understood.
    """
    known = agents.named(conn, scope, agent)
    first, second = _versions(conn, scope, known.id, known.agent_id, a, b)
    wanted = RunFilter(query=query, since=since, until=until, include_children=True)
    latest_a, latest_b = (_latest(scope, version, wanted) for version in (first, second))
    rows_a, rows_b = (conn.maps(select(latest)) for latest in (latest_a, latest_b))
    if scope.user is not None and not (rows_a or rows_b):
        raise NotFound("agent", agent)
    pairs, paired = differences.pairs(conn, scope, latest_a, latest_b)
    return VersionComparison(
        agent_id=known.agent_id,
        a=first,
        b=second,
        runs_a=len(rows_a),
        runs_b=len(rows_b),
        measures=(
            *_measures(rows_a, rows_b),
            _mean("user satisfaction", Unit.SCORE, *(_ratings(conn, scope, one) for one in (latest_a, latest_b))),
        ),
        models=_mix(*(_calls_by_model(conn, scope, latest) for latest in (latest_a, latest_b))),
        prompt_a=differences.prompt_of(conn, scope, latest_a),
        prompt_b=differences.prompt_of(conn, scope, latest_b),
        tools=differences.named(*(differences.tools_of(conn, scope, latest) for latest in (latest_a, latest_b))),
        errors=differences.named(*(differences.errors_of(conn, scope, latest) for latest in (latest_a, latest_b))),
        costs=differences.spread(_nanos(rows_a), _nanos(rows_b)),
        pairs=pairs,
        paired=paired,
    )


def _versions(
    conn: Connection, scope: Scope, agent: UUID, agent_id: str, a: str | None, b: str | None
) -> tuple[AgentVersion, AgentVersion]:
    rows = conn.maps(
        select(*VERSION_COLUMNS)
        .where(agent_versions.c.project_id == scope.project, agent_versions.c.agent_uuid == agent)
        .order_by(agent_versions.c.created_at, agent_versions.c.id)
    )
    known = {row["version_number"]: AgentVersion(**row) for row in rows}
    for wanted in (a, b):
        if wanted is not None and wanted not in known:
            raise NotFound("agent version", wanted)
    second = b if b is not None else next((name for name in reversed(known) if name != a), None)
    first = a if a is not None else next((name for name in reversed(known) if name != second), None)
    if first is None or second is None or first == second:
        raise InvalidFilter("a", a or agent_id, "needs another version beside it: name two that the agent has")
    if a is None and b is None and known[first].created_at > known[second].created_at:
        first, second = second, first
    return known[first], known[second]


def _latest(scope: Scope, version: AgentVersion, wanted: RunFilter) -> Subquery:
    return (
        select(runs.c.id, runs.c.created_at, *[runs.c[name] for name in _READ])
        .select_from(run_source(wanted))
        .where(*run_conditions(scope, wanted), runs.c.agent_version_uuid == version.id)
        .order_by(runs.c.created_at.desc(), runs.c.id.desc())
        .limit(MAX_RUNS)
        .subquery("latest")
    )


def _ratings(conn: Connection, scope: Scope, latest: Subquery) -> list[float]:
    """Return how users rated the sessions in which a version served, each once."""
    served = select(latest.c.session_uuid).where(latest.c.session_uuid.is_not(None))
    rated = select(sessions.c.user_satisfaction).where(
        *within(scope, sessions), sessions.c.id.in_(served), sessions.c.user_satisfaction.is_not(None)
    )
    return [float(row[0]) for row in conn.rows(rated)]


def _calls_by_model(conn: Connection, scope: Scope, latest: Subquery) -> dict[str, int]:
    rows = conn.rows(
        select(models.c.name, func.count())
        .select_from(llm_calls.join(models, models.c.id == llm_calls.c.model_uuid))
        .where(*within(scope, llm_calls), llm_calls.c.run_uuid.in_(select(latest.c.id)))
        .group_by(models.c.name)
    )
    return {name or "unknown": count for name, count in rows}


def _mix(a: Mapping[str, int], b: Mapping[str, int]) -> tuple[ModelMix, ...]:
    all_a, all_b = sum(a.values()), sum(b.values())
    found = [
        ModelMix(
            model=name,
            calls_a=a.get(name, 0),
            calls_b=b.get(name, 0),
            share_a=a.get(name, 0) / all_a if all_a else None,
            share_b=b.get(name, 0) / all_b if all_b else None,
        )
        for name in {*a, *b}
    ]
    return tuple(sorted(found, key=lambda one: (-one.calls_a - one.calls_b, one.model)))


def _measures(a: Sequence[Row], b: Sequence[Row]) -> tuple[Measure, ...]:
    took_a, took_b = ([ms for row in rows if (ms := _duration(row)) is not None] for rows in (a, b))
    return (
        _error_rate(a, b),
        _mean("cost per run", Unit.DOLLARS, _costs(a), _costs(b)),
        _mean("tokens per run", Unit.TOKENS, *_each(a, b, lambda row: sum(row[name] for name in TOKEN_COUNTERS))),
        _mean("LLM calls per run", Unit.CALLS, *_each(a, b, lambda row: row["calls"])),
        _mean("tool calls per run", Unit.CALLS, *_each(a, b, lambda row: row["tool_call_count"])),
        _mean("duration", Unit.MILLISECONDS, took_a, took_b),
        _percentile("duration, median", took_a, took_b, 0.50),
        _percentile("duration, 95th percentile", took_a, took_b, 0.95),
    )


def _duration(row: Row) -> float | None:
    if row["started_at"] is None or row["finished_at"] is None:
        return None
    return float((row["finished_at"] - row["started_at"]).total_seconds() * 1000)


def _nanos(rows: Sequence[Row]) -> list[int]:
    return [row["cost_nanos"] for row in rows if row["calls"] and not row["unpriced_calls"]]


def _costs(rows: Sequence[Row]) -> list[float]:
    return [nanos / NANOS_PER_DOLLAR for nanos in _nanos(rows)]


def _each(a: Sequence[Row], b: Sequence[Row], read: Callable[[Row], int]) -> tuple[list[float], list[float]]:
    return [float(read(row)) for row in a], [float(read(row)) for row in b]


def _error_rate(a: Sequence[Row], b: Sequence[Row]) -> Measure:
    counted = []
    for rows in (a, b):
        ended = [row["status"] for row in rows if row["status"] in (RunStatus.COMPLETED, RunStatus.ERROR)]
        counted.append((ended.count(RunStatus.ERROR), len(ended)))
    (failed_a, n_a), (failed_b, n_b) = counted
    return _measure(
        "error rate", Unit.SHARE,
        (failed_a / n_a if n_a else None, n_a), (failed_b / n_b if n_b else None, n_b),
        share_difference(failed_a, n_a, failed_b, n_b),
    )  # fmt: skip


def _mean(name: str, unit: Unit, a: Sequence[float], b: Sequence[float]) -> Measure:
    sides = [(fmean(side) if side else None, len(side)) for side in (a, b)]
    return _measure(name, unit, sides[0], sides[1], mean_difference(a, b))


def _percentile(name: str, a: Sequence[float], b: Sequence[float], share: float) -> Measure:
    sides = [(interpolated(sorted(side), share), len(side)) for side in (a, b)]
    return _measure(name, Unit.MILLISECONDS, sides[0], sides[1], None)


def _measure(
    name: str,
    unit: Unit,
    a: tuple[float | None, int],
    b: tuple[float | None, int],
    interval: tuple[float, float] | None,
) -> Measure:
    low, high = interval if interval is not None else (None, None)
    delta = b[0] - a[0] if a[0] is not None and b[0] is not None else None
    return Measure(name=name, unit=unit, a=a[0], b=b[0], n_a=a[1], n_b=b[1], delta=delta, low=low, high=high)
