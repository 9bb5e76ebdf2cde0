"""A run as a tree of its pieces, read without their contents: what a waterfall shows, however many there are."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any  # `Any`: rows hold whatever their columns hold
from uuid import UUID

from sqlalchemy import ColumnElement, Table, case, func, or_, select

from agentrecord.engine import Connection
from agentrecord.exceptions import NotFound
from agentrecord.records.event import EventType
from agentrecord.records.llm_call import CallStatus
from agentrecord.records.run import Run, RunStatus
from agentrecord.records.run_tree import RunTree, SpanKind
from agentrecord.records.scope import Scope
from agentrecord.records.tool_call import ToolCallStatus
from agentrecord.records.usage import UsageTotals
from agentrecord.schema import agents, events, llm_calls, messages, models, runs, tool_calls
from agentrecord.schema.tables import USAGE_COUNTERS
from agentrecord.store import runs as run_store
from agentrecord.store import span_words
from agentrecord.store._page import checked_limit
from agentrecord.store._phases import EXCERPT, STEPS, Draft, Row, milliseconds, paired
from agentrecord.store._rows import TOKEN_COLUMNS, tokens_of
from agentrecord.store._sql import by_value, usage_totals, within
from agentrecord.store._trees import with_trees

MAX_PIECES = 50_000
"""As many calls, uses of tools, runs and phases, each, as a tree can hold."""

ALIKE_AMONG = 1_000
_NOTE = 200


@dataclass(frozen=True, slots=True)
class _Known:
    """What was read of a tree: each run's row, what stands below each run, and how much more there is.

    `missing` are the spans that never came, by the pieces that would be below them.
    """

    runs: Mapping[UUID, Row]
    below: Mapping[UUID, Sequence[Draft]]
    sums: Mapping[UUID, UsageTotals]
    missing: Mapping[UUID, str]
    hidden: int


def run_tree(conn: Connection, scope: Scope, run: UUID, *, query: str | None = None) -> RunTree:
    """Return a run's pieces as a tree; raise `NotFound` if the run is not there.

    What was running in a phase stands below it. A run whose parents lead around in a circle stands below the whole.
    With `query`, such as `kind:tool attr.city:Paris`, the tree says which pieces that filter finds; `InvalidFilter` is
    raised for what cannot be understood.
    """
    if query is not None:
        span_words.query_of(query)
    known = _known(conn, scope, run)
    if run not in known.runs:
        raise NotFound("run", run)
    seen = {run}
    drafts = [_run_draft(known, run)]
    drafts.extend(_below(known, seen, drafts[0]))
    for other in known.runs:
        if other not in seen:
            seen.add(other)
            loose = _run_draft(known, other)
            loose.depth, loose.parent, loose.is_detached = 1, run, True
            drafts.extend((loose, *_below(known, seen, loose)))
    for draft in drafts:
        if draft.id in known.missing:
            draft.is_detached, draft.detached_from = True, known.missing[draft.id]
    spans = tuple([draft.done() for draft in drafts])
    found = None
    if query is not None:
        found = span_words.matching(conn, scope, run_store.subtree_of(scope, run), spans, query)
    return RunTree(root=run, spans=spans, hidden=known.hidden, found=found)


def _below(known: _Known, seen: set[UUID], top: Draft) -> Iterator[Draft]:
    """Yield what stands below a run, depth first; without recursion, since runs may be nested however deep."""
    waiting = [iter(_placed(known, seen, top))]
    while waiting:
        draft = next(waiting[-1], None)
        if draft is None:
            waiting.pop()
            continue
        yield draft
        if draft.kind is SpanKind.RUN:
            waiting.append(iter(_placed(known, seen, draft)))


def _placed(known: _Known, seen: set[UUID], run: Draft) -> list[Draft]:
    """Return what stands right below a run or in one of its phases, in order of time."""
    found: list[Draft] = []
    phases: list[Draft] = []
    for draft in known.below.get(run.id, ()):
        if draft.kind is SpanKind.RUN:
            if draft.id in seen:
                continue
            seen.add(draft.id)
        if draft.kind is SpanKind.PHASE:
            _close(draft, run)
        elif draft.kind is SpanKind.TOOL and not run.is_running:
            # Whose result was never told is over with its run; how long it took is not known.
            draft.is_running = False
        while phases and not _holds(phases[-1], draft):
            phases.pop()
        parent = phases[-1] if phases else run
        draft.depth, draft.parent = parent.depth + 1, parent.id
        if draft.calls:
            for phase in phases:
                phase.add(draft)
        found.append(draft)
        if draft.kind is SpanKind.PHASE:
            phases.append(draft)
    return found


def _close(phase: Draft, run: Draft) -> None:
    """End a phase whose end is not told with its run, where that is over."""
    ended = run.ended_at
    if phase.is_running and phase.started_at is not None and ended is not None:
        phase.duration_ms = max(0, milliseconds(phase.started_at, ended))
        phase.is_running, phase.status = False, "cut off"


def _holds(phase: Draft, other: Draft) -> bool:
    """Say whether a phase was going on when something began, and, for another phase, until that ended."""
    ended = phase.ended_at
    if other.started_at is None or ended is None:
        return phase.is_running
    last = other.ended_at if other.kind is SpanKind.PHASE else None
    return other.started_at < ended and (last is None or last <= ended)


def alike(conn: Connection, scope: Scope, run: UUID, *, limit: int = 10) -> tuple[Run, ...]:
    """Return other runs of a run's agent to compare it with: those of the same objective first, then the latest.

    Looks through the agent's latest thousand runs; raises `NotFound` if the run is not there.
    """
    this = run_store.get(conn, scope, run)
    mine = runs.c.agent_uuid.is_(None) if this.agent_uuid is None else runs.c.agent_uuid == this.agent_uuid
    latest = (
        select(runs.c.id)
        .where(*within(scope, runs), mine, runs.c.id != this.id)
        .order_by(runs.c.created_at.desc(), runs.c.id.desc())
        .limit(ALIKE_AMONG)
    )
    same = case((runs.c.objective == this.objective, 0), else_=1)
    rows = conn.maps(
        run_store.SELECT_RUN.where(*within(scope, runs), runs.c.id.in_(latest))
        .order_by(same, runs.c.created_at.desc(), runs.c.id.desc())
        .limit(checked_limit(limit))
    )
    return tuple(with_trees(conn, scope, runs, [run_store.run_of(row) for row in rows]))


# -- reading ----------------------------------------------------------------------------------------------------------


def _known(conn: Connection, scope: Scope, run: UUID) -> _Known:
    tree = run_store.subtree_of(scope, run)
    agent = (agents.c.project_id == runs.c.project_id) & (agents.c.id == runs.c.agent_uuid)
    names = ("id", "run_id", "agent_name", "parent_uuid", "started_at", "created_at", "finished_at", "status")
    run_rows, hidden = _read(
        conn,
        select(
            *[runs.c[name] for name in (*names, *USAGE_COUNTERS)],
            agents.c.agent_id,
            func.substr(runs.c.error_message, 1, EXCERPT).label("error_message"),
        ).select_from(runs.outerjoin(agents, agent)),
        runs,
        [*within(scope, runs), runs.c.id.in_(tree)],
        (runs.c.started_at, runs.c.id),
    )
    by_id = {row["id"]: row for row in run_rows}
    below: defaultdict[UUID, list[Draft]] = defaultdict(list)
    for read in (_calls, _tools, _phases):
        found, more = read(conn, scope, tree)
        hidden += more
        for owner, span in found:
            below[owner].append(span)
    known = _Known(by_id, below, _sums(by_id), _missing(conn, scope, tree, by_id), hidden)
    for row in run_rows:
        if row["parent_uuid"] is not None and row["id"] != run:
            below[row["parent_uuid"]].append(_run_draft(known, row["id"]))
    for spans in below.values():
        spans.sort(key=_order)
    return known


def _order(draft: Draft) -> tuple[float, int, float]:
    """Return where a piece stands: by its start, a phase before what began with it, the longer of two first."""
    start = float("inf") if draft.started_at is None else draft.started_at.timestamp()
    return start, draft.kind is not SpanKind.PHASE, -(draft.duration_ms or 0)


def _read(
    conn: Connection, statement: Any, table: Table, conditions: Sequence[ColumnElement[bool]], order: Sequence[Any]
) -> tuple[list[dict[str, Any]], int]:
    """Return the first rows, and how many more there are."""
    first, *then = order
    rows = conn.maps(statement.where(*conditions).order_by(by_value(first), *then).limit(MAX_PIECES + 1))
    if len(rows) <= MAX_PIECES:
        return rows, 0
    count = int(conn.value(select(func.count()).select_from(table).where(*conditions)))
    return rows[:MAX_PIECES], count - MAX_PIECES


def _missing(conn: Connection, scope: Scope, tree: Any, by_id: Mapping[UUID, Row]) -> Mapping[UUID, str]:
    """Return the spans of traces that never came, by the pieces that would be below them."""
    names = ("run_uuid", "piece_uuid", "detached_from")
    rows = conn.maps(
        select(*[events.c[name] for name in names]).where(
            *within(scope, events), events.c.run_uuid.in_(tree), events.c.detached_from.is_not(None)
        )
    )
    found = {}
    for row in rows:
        run = by_id.get(row["run_uuid"])
        # What is detached stands in its trace's own run, which is below none; in any other run it is that run itself.
        is_run = run is not None and run["parent_uuid"] is not None
        found[row["run_uuid"] if is_run else row["piece_uuid"]] = row["detached_from"]
    return found


def _sums(by_id: Mapping[UUID, Row]) -> dict[UUID, UsageTotals]:
    """Return each run's sums over itself and all below it; parents that lead around in a circle add nothing twice."""
    sums = {run: usage_totals(row) for run, row in by_id.items()}
    for run, row in by_id.items():
        if not row["calls"]:
            continue
        own, above, seen = usage_totals(row), row["parent_uuid"], {run}
        while above in by_id and above not in seen:
            seen.add(above)
            sums[above] += own
            above = by_id[above]["parent_uuid"]
    return sums


def _run_draft(known: _Known, run: UUID) -> Draft:
    row, sums = known.runs[run], known.sums[run]
    started, finished, status = row["started_at"], row["finished_at"], row["status"]
    return Draft(
        id=run,
        kind=SpanKind.RUN,
        name=row["agent_name"] or row["agent_id"] or row["run_id"],
        started_at=started or row["created_at"],
        duration_ms=None if started is None or finished is None else milliseconds(started, finished),
        status=status,
        is_failed=status == RunStatus.ERROR,
        is_running=status == RunStatus.RUNNING,
        error_message=row["error_message"],
        calls=sums.calls,
        unpriced_calls=sums.unpriced_calls,
        tokens=sums.total_tokens if sums.total_tokens or sums.calls > sums.uncounted_calls else None,
        cost_nanos=sums.cost_nanos if sums.calls > sums.unpriced_calls else None,
    )


Found = tuple[list[tuple[UUID, Draft]], int]


def _calls(conn: Connection, scope: Scope, tree: Any) -> Found:
    names = ("id", "run_uuid", "timestamp", "latency_ms", "status", "cost_nanos", *TOKEN_COLUMNS)
    rows, more = _read(
        conn,
        select(
            *[llm_calls.c[name] for name in names],
            models.c.name.label("model"),
            func.substr(llm_calls.c.error_message, 1, EXCERPT).label("error_message"),
        ).select_from(llm_calls.join(models, models.c.id == llm_calls.c.model_uuid)),
        llm_calls,
        [*within(scope, llm_calls), llm_calls.c.run_uuid.in_(tree)],
        (llm_calls.c.timestamp, llm_calls.c.id),
    )
    return [(row["run_uuid"], _call_draft(row)) for row in rows], more


def _call_draft(row: Row) -> Draft:
    """Return a call as a span; its instant is when it was answered."""
    failed, counts = row["status"] == CallStatus.ERROR, tokens_of(row)
    return Draft(
        id=row["id"],
        kind=SpanKind.LLM,
        name=row["model"] or "unknown",
        started_at=row["timestamp"] - timedelta(milliseconds=row["latency_ms"] or 0),
        duration_ms=row["latency_ms"],
        status=row["status"],
        is_failed=failed,
        error_message=row["error_message"],
        calls=1,
        unpriced_calls=int(row["cost_nanos"] is None),
        tokens=counts.total if counts.total or counts.is_complete else None,
        cost_nanos=row["cost_nanos"],
    )


def _tools(conn: Connection, scope: Scope, tree: Any) -> Found:
    failed = tool_calls.c.status == ToolCallStatus.ERROR
    told = messages.alias("told")
    is_told = (told.c.project_id == tool_calls.c.project_id) & (told.c.id == tool_calls.c.result_message_uuid) & failed
    said = func.coalesce(tool_calls.c.error_message, tool_calls.c.result, told.c.content)
    names = ("id", "run_uuid", "tool_name", "started_at", "finished_at", "duration_ms", "status")
    rows, more = _read(
        conn,
        select(
            *[tool_calls.c[name] for name in names],
            case((failed, func.substr(said, 1, EXCERPT))).label("error_message"),
            func.substr(tool_calls.c.arguments, 1, _NOTE).label("note"),
        ).select_from(tool_calls.outerjoin(told, is_told)),
        tool_calls,
        [*within(scope, tool_calls), tool_calls.c.run_uuid.in_(tree)],
        (tool_calls.c.started_at, tool_calls.c.id),
    )
    return [(row["run_uuid"], _tool_draft(row)) for row in rows], more


def _tool_draft(row: Row) -> Draft:
    started, finished, took = row["started_at"], row["finished_at"], row["duration_ms"]
    if took is None and started is not None and finished is not None:
        took = milliseconds(started, finished)
    return Draft(
        id=row["id"],
        kind=SpanKind.TOOL,
        name=row["tool_name"],
        started_at=started,
        duration_ms=took,
        status=row["status"],
        is_failed=row["status"] == ToolCallStatus.ERROR,
        is_running=row["status"] == ToolCallStatus.PENDING and started is not None,
        error_message=row["error_message"],
        note=row["note"],
    )


def _phases(conn: Connection, scope: Scope, tree: Any) -> Found:
    """Return the phases that events tell of: those with a beginning and an end, and those of one's own.

    A phase of one's own is one event with a duration, which tells its name.
    """
    is_own = (events.c.event_type == EventType.CUSTOM) & events.c.duration_ms.is_not(None)
    tells_error = events.c.data.contains('"error"')
    names = ("id", "run_uuid", "event_type", "timestamp", "duration_ms")
    rows, more = _read(
        conn,
        select(*[events.c[name] for name in names], case((or_(is_own, tells_error), events.c.data)).label("data")),
        events,
        [*within(scope, events), events.c.run_uuid.in_(tree), or_(events.c.event_type.in_(sorted(STEPS)), is_own)],
        (events.c.timestamp, events.c.run_sequence, events.c.id),
    )
    of_run: defaultdict[UUID, list[Row]] = defaultdict(list)
    for row in rows:
        of_run[row["run_uuid"]].append(row)
    return [(run, span) for run, found in of_run.items() for span in paired(found)], more
