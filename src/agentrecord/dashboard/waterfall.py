"""The page of one run: its tree of calls, tools and sub-agents, each with its time and its cost."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from agentrecord.dashboard import formats
from agentrecord.dashboard.charts import span_bar
from agentrecord.dashboard.contexts import RunPage, Span
from agentrecord.dashboard.filters import Asked
from agentrecord.exceptions import InvalidFilter
from agentrecord.records.llm_call import CallStatus, LLMCall
from agentrecord.records.run import Run, RunStatus
from agentrecord.records.tool_call import ToolCall, ToolCallStatus
from agentrecord.store import AsyncStore
from agentrecord.store.pages import RunWork

TICKS = 4


@dataclass(frozen=True, slots=True)
class _Time:
    """The time that a waterfall spans."""

    start: datetime
    length_s: float

    def bar(self, at: datetime | None, duration_ms: float | None) -> tuple[float, float]:
        """Return where something starts and how long it is, as shares of the whole."""
        if at is None:
            return 0.0, 0.0
        return (at - self.start).total_seconds() / self.length_s, (duration_ms or 0) / 1000 / self.length_s


async def run_page(store: AsyncStore, run_id: str, asked: Asked) -> RunPage:
    """Return a run with its waterfall, and the piece of it that was asked for, else its first failure."""
    run = await store.runs.get(run_id, with_subtree=True)
    work = await store.pages.run_work(run.id)
    time = _time_of(run, work)
    spans = list(_spans(run, 0, work, time))
    first_error = next((span for span in spans if span.failed and span.kind != "run"), None)
    selected = _selected(spans, asked.get("span")) or first_error
    call = selected.call if selected else None
    return RunPage(
        run=run,
        spans=spans,
        ticks=[formats.duration(time.length_s * 1000 * place / TICKS) for place in range(TICKS + 1)],
        selected=selected,
        price=await store.llm_calls.price(call.id) if call else None,
        prompt=await store.llm_calls.prompt(call.id) if call else None,
        first_error=first_error,
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

