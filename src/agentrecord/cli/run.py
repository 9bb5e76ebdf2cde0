"""`agentrecord run ID`: one run as a tree with a waterfall."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TypeVar
from uuid import UUID

import click

from agentrecord.cli import words
from agentrecord.cli.opening import reading
from agentrecord.cli.output import Form, chosen_form, encode, fields_of, output_options, show, write_json
from agentrecord.cli.runs import SIGNS
from agentrecord.cli.terminal import Terminal, clean, clip, one_line, out, pad, say
from agentrecord.records.llm_call import CallStatus, LLMCall
from agentrecord.records.page import MAX_PAGE, Page
from agentrecord.records.run import Run, RunStatus
from agentrecord.records.tool_call import ToolCall, ToolCallStatus
from agentrecord.store import Store

T = TypeVar("T")

BAR_WIDTH = 28
COST_WIDTH, TIME_WIDTH = 9, 9
_COLORS = {"run": "white", "llm": "blue", "tool": "yellow"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One bar of the waterfall: a run, a call to a model, or a use of a tool."""

    kind: str
    name: str
    start: datetime | None
    duration_ms: int | None
    sign: str
    error: str | None = None
    cost_usd: Decimal | None = None
    is_priced: bool = False
    depth: int = 0
    failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """A run, the runs below it, and what each of them called."""

    runs: tuple[Run, ...]
    calls: tuple[LLMCall, ...]
    tools: tuple[ToolCall, ...]


def _all(ask: Callable[[str | None], Page[T]]) -> Iterator[T]:
    cursor = None
    while True:
        page = ask(cursor)
        yield from page
        cursor = page.next_cursor
        if cursor is None:
            return


def trace_of(store: Store, run: Run) -> Trace:
    """Return a run with all that happened in it."""
    runs = store.runs.tree(run.id)
    calls: list[LLMCall] = []
    tools: list[ToolCall] = []
    for one in runs:
        mine = one.id
        calls.extend(_all(lambda place, mine=mine: store.llm_calls.list(  # type: ignore[misc]
            run=mine, sort="timestamp", limit=MAX_PAGE, cursor=place)))  # fmt: skip
        tools.extend(_all(lambda place, mine=mine: store.tool_calls.list(  # type: ignore[misc]
            run=mine, limit=MAX_PAGE, cursor=place)))  # fmt: skip
    return Trace(runs=runs, calls=tuple(calls), tools=tuple(tools))


def _run_span(run: Run, depth: int) -> Span:
    return Span(
        kind="run", name=run.agent_id or run.agent_name or run.run_id, start=run.started_at, depth=depth,
        duration_ms=run.duration_ms, sign=SIGNS[run.status], error=run.error_message,
        cost_usd=run.usage.cost_usd, is_priced=bool(run.usage.calls), failed=run.status is RunStatus.ERROR,
    )  # fmt: skip


def _call_span(call: LLMCall, depth: int) -> Span:
    failed = call.status is CallStatus.ERROR
    return Span(
        kind="llm", name=call.model or "unknown model", start=call.timestamp, duration_ms=call.latency_ms,
        sign="error" if failed else "ok", error=call.error_message, cost_usd=call.cost_usd, is_priced=True,
        depth=depth, failed=failed,
    )  # fmt: skip


def _tool_span(call: ToolCall, depth: int) -> Span:
    failed = call.status is ToolCallStatus.ERROR
    sign = "error" if failed else "running" if call.status is ToolCallStatus.PENDING else "ok"
    return Span(
        kind="tool", name=call.tool_name, start=call.started_at, duration_ms=call.duration_ms, sign=sign,
        error=call.error_message, depth=depth, failed=failed,
    )  # fmt: skip


def spans(trace: Trace, root: UUID) -> list[Span]:
    """Return a run's spans in the order of their starts, each before what is below it."""
    below: defaultdict[UUID | None, list[LLMCall | ToolCall | Run]] = defaultdict(list)
    for call in trace.calls:
        below[call.run_uuid].append(call)
    for use in trace.tools:
        below[use.run_uuid].append(use)
    for run in trace.runs:
        if run.id != root:
            below[run.parent_uuid].append(run)
    return _spans_of(next(run for run in trace.runs if run.id == root), below, 0)


def _spans_of(run: Run, below: Mapping[UUID | None, list[LLMCall | ToolCall | Run]], depth: int) -> list[Span]:
    found = [_run_span(run, depth)]
    for one in sorted(below.get(run.id, ()), key=_start):
        match one:
            case LLMCall():
                found.append(_call_span(one, depth + 1))
            case ToolCall():
                found.append(_tool_span(one, depth + 1))
            case Run():
                found.extend(_spans_of(one, below, depth + 1))
    return found


def _start(one: LLMCall | ToolCall | Run) -> datetime:
    start = one.timestamp if isinstance(one, LLMCall) else one.started_at
    return start or datetime.max.replace(tzinfo=UTC)


def only_errors(found: Sequence[Span]) -> list[Span]:
    """Return the spans that failed, and the runs that they are in."""
    kept: list[Span] = []
    depth = -1
    for span in reversed(found):
        if span.failed or (span.kind == "run" and span.depth < depth):
            kept.append(span)
            depth = span.depth if span.depth < depth or span.failed else depth
    return kept[::-1]


def _window(found: Sequence[Span]) -> tuple[datetime, float] | None:
    starts = [span.start for span in found if span.start is not None]
    if not starts:
        return None
    ends = [s.start + timedelta(milliseconds=s.duration_ms or 0) for s in found if s.start is not None]
    first = min(starts)
    return first, max((max(ends) - first).total_seconds() * 1000, 1.0)


def _bar(span: Span, window: tuple[datetime, float] | None, terminal: Terminal) -> str:
    if span.start is None or window is None:
        return ""
    first, length = window
    before = (span.start - first).total_seconds() * 1000 / length
    at = min(BAR_WIDTH - 1, int(before * BAR_WIDTH))
    size = max(1, min(BAR_WIDTH - at, round((span.duration_ms or 0) / length * BAR_WIDTH)))
    block = ("▒" if span.failed else "█") if terminal.unicode else ("!" if span.failed else "#")
    return " " * at + terminal.style(block * size, fg="red" if span.failed else _COLORS[span.kind])


def waterfall(found: Sequence[Span], terminal: Terminal) -> Iterator[str]:
    """Yield the tree's lines, each with its time, cost and bar, and the message below what failed."""
    window = _window(found)
    room = max(16, terminal.width - BAR_WIDTH - COST_WIDTH - TIME_WIDTH - 6)
    head = [pad("span", room), pad("time", TIME_WIDTH, right=True), pad("cost", COST_WIDTH, right=True)]
    yield terminal.style("  ".join(head), dim=True)
    for span in found:
        label = f"{'  ' * span.depth}{terminal.glyph(span.sign)} {span.kind} {one_line(span.name)}"
        name = pad(clip(label, room, mark=terminal.glyph("more")), room)
        time = pad(words.duration(span.duration_ms), TIME_WIDTH, right=True)
        cost = pad(words.money(span.cost_usd) if span.is_priced else "", COST_WIDTH, right=True)
        shown = terminal.style(name, fg="red") if span.failed else name
        yield f"{shown}  {time}  {cost}  {_bar(span, window, terminal)}".rstrip()
        if span.failed and span.error:
            for line in clean(span.error).strip().splitlines()[:5]:
                yield terminal.style("  " * (span.depth + 1) + line, fg="red")


def _header(trace: Trace, run: Run, terminal: Terminal) -> Iterator[str]:
    yield terminal.style(clip(one_line(run.objective or run.run_id), terminal.width), bold=True)
    yield f"{run.run_id}  {terminal.glyph(SIGNS[run.status])} {run.status}  {run.agent_id or 'no agent'}  {run.user}"
    usage = run.subtree or run.usage
    told = [
        f"started {words.moment(run.started_at)} UTC",
        words.duration(run.duration_ms),
        words.plural(usage.calls, "call"),
        words.plural(len(trace.tools), "tool call"),
        f"{usage.total_tokens:,} tokens",
        words.money(usage.cost_usd) if usage.calls else "no calls",
    ]
    yield f" {terminal.glyph('dot')} ".join(told)
    if run.error_message:
        yield terminal.style(f"{terminal.glyph('error')} {clean(run.error_message)}", fg="red")


@click.command("run")
@click.argument("run_id", metavar="ID")
@click.option("--errors", is_flag=True, help="Only what failed, and the runs that it is in.")
@output_options
def command(run_id: str, errors: bool) -> None:
    """Show one run as a tree: its calls, tools and sub-agents, with times, costs and a waterfall.

    \b
    Examples:
      agentrecord run ID
      agentrecord run ID --errors
    """
    with reading() as store:
        run = store.runs.get(run_id, with_subtree=True)
        trace = trace_of(store, run)
    found = spans(trace, run.id)
    found = only_errors(found) if errors else found
    form = chosen_form()
    if form is Form.JSON:
        say(encode({"run": run, "runs": list(trace.runs), "llm_calls": list(trace.calls),
                    "tool_calls": list(trace.tools)}))  # fmt: skip
    elif form is Form.JSONL:
        for span in found:
            write_json(span)
    elif form is Form.CSV:
        show(fields_of(found, "depth", "kind", "name", "start", "duration_ms", "cost_usd", "failed", "error"))
    else:
        terminal = out()
        for line in (*_header(trace, run, terminal), "", *waterfall(found, terminal)):
            say(line)
        if errors and not found:
            say("Nothing failed in this run.")
