"""The page of one run: its tree of calls, tools and sub-agents, each with its time and its cost."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from agentrecord.dashboard import formats
from agentrecord.dashboard.charts import span_bar
from agentrecord.dashboard.contexts import RunPage, Span
from agentrecord.dashboard.filters import Asked, whole_number
from agentrecord.exceptions import InvalidFilter
from agentrecord.records.llm_call import CallStatus, LLMCall
from agentrecord.records.run import Run, RunStatus
from agentrecord.records.tool_call import ToolCall, ToolCallStatus
from agentrecord.store import AsyncStore
from agentrecord.store.pages import RunWork

TICKS = 4
ROWS = 200
IDLE_SHARE = 0.02
"""How much of the width a gap keeps when it is cut; a gap must be twice as long to be one."""


@dataclass(frozen=True, slots=True)
class _Time:
    """The time that a waterfall spans, in seconds from its start, without the `gaps` that are cut out of it."""

    start: datetime
    length_s: float
    gaps: tuple[tuple[float, float], ...] = ()

    @property
    def cut_s(self) -> float:
        """How much is cut out."""
        return sum(end - start for start, end in self.gaps)

    def share(self, second: float) -> float:
        """Return where a second is drawn, as a share of the width."""
        before = sum(min(second, end) - start for start, end in self.gaps if start < second)
        return (second - before) / (self.length_s - self.cut_s)

    def bar(self, at: datetime | None, duration_ms: float | None) -> tuple[float, float]:
        """Return where something starts and how long it is, as shares of the width."""
        if at is None:
            return 0.0, 0.0
        second = (at - self.start).total_seconds()
        start = self.share(second)
        return start, self.share(second + (duration_ms or 0) / 1000) - start

    def ticks(self) -> list[str]:
        """Return what stands above the bars; where gaps are cut out, only the ends have a time."""
        if self.gaps:
            return ["0", "", f"{len(self.gaps)} idle cut", "", formats.coarse(self.length_s * 1000)]
        return ["0", *[formats.coarse(self.length_s * 1000 * place / TICKS) for place in range(1, TICKS + 1)]]


async def run_page(store: AsyncStore, run_id: str, asked: Asked) -> RunPage:
    """Return a run with its waterfall, and the piece of it that was asked for, else its first failure."""
    run = await store.runs.get(run_id, with_subtree=True)
    work = await store.pages.run_work(run.id)
    idle = asked.get("idle", "shown")
    if idle not in ("shown", "cut"):
        raise InvalidFilter("idle", idle, "must be shown or cut")
    time = _time_of(run, work)
    gaps = _idle(time, work)
    if idle == "cut":
        time = _Time(time.start, time.length_s, gaps)
    spans = list(_spans(run, 0, work, time))
    first_error = next((span for span in spans if span.failed and span.kind != "run"), None)
    chosen = _selected(spans, asked.get("span"))
    selected = chosen or first_error
    row = whole_number(asked, "row", spans.index(chosen) // ROWS * ROWS + 1 if chosen else 1)
    call = selected.call if selected else None
    return RunPage(
        run=run,
        spans=spans[row - 1 : row - 1 + ROWS],
        ticks=time.ticks(),
        idle_ms=sum(end - start for start, end in gaps) * 1000,
        is_cut=idle == "cut",
        selected=selected,
        price=await store.llm_calls.price(call.id) if call else None,
        prompt=await store.llm_calls.prompt(call.id) if call else None,
        first_error=first_error,
        row=row,
        next_row=row + ROWS if len(spans) >= row + ROWS else None,
        previous_row=max(1, row - ROWS) if row > 1 else None,
        total=len(spans),
        hidden=work.call_count - len(work.calls) + work.tool_call_count - len(work.tool_calls),
    )


def _selected(spans: Sequence[Span], wanted: str | None) -> Span | None:
    if wanted is None:
        return None
    for span in spans:
        if str(span.id) == wanted:
            return span
    raise InvalidFilter("span", wanted, "is no piece of this run; leave it out")


def _time_of(run: Run, work: RunWork) -> _Time:
    moments: list[datetime] = []
    for one in work.runs:
        moments.extend(at for at in (one.started_at, one.finished_at) if at is not None)
    for tool in work.tool_calls:
        moments.extend(at for at in (tool.started_at, tool.finished_at) if at is not None)
    for call in work.calls:
        moments.extend((_began(call), call.timestamp))
    start = min(moments, default=run.created_at)
    length = (max(moments, default=start) - start).total_seconds()
    return _Time(start, length or 1.0)


def _idle(time: _Time, work: RunWork) -> tuple[tuple[float, float], ...]:
    """Return the stretches in which no call and no tool was at work, where each is much of the whole."""
    busy = [(_began(call), call.timestamp) for call in work.calls]
    busy.extend((tool.started_at, tool.finished_at or tool.started_at) for tool in work.tool_calls if tool.started_at)
    least, gaps, reached = time.length_s * IDLE_SHARE, [], 0.0
    ends = time.start + timedelta(seconds=time.length_s)
    for began, ended in [*sorted(busy), (ends, ends)]:
        second = (began - time.start).total_seconds()
        if second - reached > 2 * least:
            gaps.append((reached + least / 2, second - least / 2))
        reached = max(reached, (ended - time.start).total_seconds())
    return tuple(gaps)


def _began(call: LLMCall) -> datetime:
    return call.timestamp - timedelta(milliseconds=call.latency_ms or 0)


def _spans(run: Run, depth: int, work: RunWork, time: _Time) -> Iterator[Span]:
    """Yield a run's row and then, in order of time, those of its calls, its tools and the runs below it."""
    yield _run_span(run, depth, time)
    found: list[tuple[datetime, LLMCall | ToolCall | Run]] = []
    found.extend((_began(call), call) for call in work.calls if call.run_uuid == run.id)
    found.extend((tool.started_at or time.start, tool) for tool in work.tool_calls if tool.run_uuid == run.id)
    found.extend((below.started_at or time.start, below) for below in work.runs if below.parent_uuid == run.id)
    for _, one in sorted(found, key=lambda item: item[0]):
        if isinstance(one, Run):
            yield from _spans(one, depth + 1, work, time)
        elif isinstance(one, LLMCall):
            yield _call_span(one, depth + 1, time)
        else:
            yield _tool_span(one, depth + 1, time)


def _run_span(run: Run, depth: int, time: _Time) -> Span:
    failed = run.status is RunStatus.ERROR
    start, length = time.bar(run.started_at, run.duration_ms)
    return Span(
        id=run.id,
        kind="run",
        depth=depth,
        name=run.agent_name or run.agent_id or run.run_id,
        at=run.started_at,
        duration_ms=run.duration_ms,
        tokens=run.usage.total_tokens if run.usage.calls else None,
        cost=formats.cost(run.usage),
        failed=failed,
        status=run.status,
        error=run.error_message,
        bar=span_bar(start, length, "run", failed=failed),
        run=run,
    )


def _call_span(call: LLMCall, depth: int, time: _Time) -> Span:
    failed = call.status is CallStatus.ERROR
    start, length = time.bar(_began(call), call.latency_ms)
    return Span(
        id=call.id,
        kind="llm",
        depth=depth,
        name=call.model or "unknown",
        at=call.timestamp,
        duration_ms=call.latency_ms,
        tokens=call.tokens.total,
        cost="no price" if call.cost_nanos is None else formats.money(call.cost_nanos),
        failed=failed,
        status=call.status,
        error=call.error_message,
        bar=span_bar(start, length, "llm", failed=failed),
        call=call,
    )


def _tool_span(tool: ToolCall, depth: int, time: _Time) -> Span:
    failed = tool.status is ToolCallStatus.ERROR
    start, length = time.bar(tool.started_at, tool.duration_ms)
    return Span(
        id=tool.id,
        kind="tool",
        depth=depth,
        name=tool.tool_name,
        at=tool.started_at,
        duration_ms=tool.duration_ms,
        tokens=None,
        cost="",
        failed=failed,
        status=tool.status,
        error=tool.error_message,
        bar=span_bar(start, length, "tool", failed=failed),
        tool=tool,
    )
