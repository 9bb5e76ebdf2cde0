"""`agentrecord run ID`: one run as a tree with a waterfall."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

import click

from agentrecord.cli import words
from agentrecord.cli.filtering import tell_prices, warn_of_unpriced
from agentrecord.cli.opening import reading
from agentrecord.cli.output import (
    Form,
    chosen_form,
    encode,
    fields_of,
    is_plain_asked,
    output_options,
    show,
    write_json,
)
from agentrecord.cli.runs import SIGNS
from agentrecord.cli.terminal import Terminal, clean, clip, hint, one_line, out, pad, say, told_in_lines
from agentrecord.records.llm_call import LLMCall
from agentrecord.records.page import MAX_PAGE, Page
from agentrecord.records.run import Run, RunStatus
from agentrecord.records.run_tree import RunSpan, RunTree, SpanKind, only, only_failed
from agentrecord.records.tool_call import ToolCall
from agentrecord.store import Store

T = TypeVar("T")

BAR_WIDTH = 28
COST_WIDTH, TIME_WIDTH = 9, 9
SITE = "AGENTRECORD_SITE"
DEFAULT_SITE = "http://127.0.0.1:8321"
_COLORS = {SpanKind.RUN: "white", SpanKind.PHASE: "white", SpanKind.LLM: "blue", SpanKind.TOOL: "yellow"}


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


def _sign(span: RunSpan) -> str:
    if span.kind is SpanKind.RUN:
        return SIGNS[RunStatus(span.status)]
    return "error" if span.is_failed else "running" if span.is_running else "ok"


def _window(found: Sequence[RunSpan]) -> tuple[datetime, float] | None:
    starts = [span.started_at for span in found if span.started_at is not None]
    if not starts:
        return None
    ends = [span.ended_at or span.started_at for span in found if span.started_at is not None]
    first = min(starts)
    return first, max((max(end for end in ends if end is not None) - first).total_seconds() * 1000, 1.0)


def _bar(span: RunSpan, window: tuple[datetime, float] | None, terminal: Terminal) -> str:
    if span.started_at is None or window is None:
        return ""
    first, length = window
    before = (span.started_at - first).total_seconds() * 1000 / length
    at = min(BAR_WIDTH - 1, int(before * BAR_WIDTH))
    took = length if span.is_running else span.duration_ms or 0
    size = max(1, min(BAR_WIDTH - at, round(took / length * BAR_WIDTH)))
    block = ("▒" if span.is_failed else "█") if terminal.unicode else ("!" if span.is_failed else "#")
    return " " * at + terminal.style(block * size, fg="red" if span.is_failed else _COLORS[span.kind])


def waterfall(found: Sequence[RunSpan], terminal: Terminal) -> Iterator[str]:
    """Yield the tree's lines, each with its time, cost and bar, and the message below what failed."""
    window = _window(found)
    room = max(16, terminal.width - BAR_WIDTH - COST_WIDTH - TIME_WIDTH - 6)
    head = [pad("span", room), pad("time", TIME_WIDTH, right=True), pad("cost", COST_WIDTH, right=True)]
    yield terminal.style("  ".join(head), dim=True)
    for span in found:
        loose = "detached: " if span.is_detached else ""
        label = f"{'  ' * span.depth}{terminal.glyph(_sign(span))} {loose}{span.kind} {one_line(span.name)}"
        name = pad(clip(label, room, mark=terminal.glyph("more")), room)
        time = pad(words.duration(span.duration_ms), TIME_WIDTH, right=True)
        cost = pad(words.money(span.cost_usd) if span.calls else "", COST_WIDTH, right=True)
        shown = terminal.style(name, fg="red") if span.is_failed else name
        yield f"{shown}  {time}  {cost}  {_bar(span, window, terminal)}".rstrip()
        if span.is_failed and span.error_message:
            for line in clean(span.error_message).strip().splitlines()[:5]:
                yield terminal.style("  " * (span.depth + 1) + line, fg="red")


def _header(tree: RunTree, run: Run, terminal: Terminal) -> Iterator[str]:
    yield terminal.style(clip(one_line(run.objective or run.run_id), terminal.width), bold=True)
    yield f"{run.run_id}  {terminal.glyph(SIGNS[run.status])} {run.status}  {run.agent_id or 'no agent'}  {run.user}"
    usage = run.subtree or run.usage
    told = [
        f"started {words.moment(run.started_at)} UTC",
        words.duration(run.duration_ms),
        words.plural(usage.calls, "call"),
        words.plural(sum(span.kind is SpanKind.TOOL for span in tree.spans), "tool call"),
        f"{usage.total_tokens:,} tokens",
        words.money(usage.cost_usd) if usage.calls else "no calls",
    ]
    yield from told_in_lines(told, terminal)
    if run.error_message:
        yield terminal.style(f"{terminal.glyph('error')} {clean(run.error_message)}", fg="red")


def site() -> str:
    """Return where the dashboard is, as `AGENTRECORD_SITE` says, or as `agentrecord serve` serves it."""
    return os.environ.get(SITE, DEFAULT_SITE).rstrip("/")


def permalink(run: Run) -> str:
    """Return the address of a run's page on the dashboard."""
    return f"{site()}/r/{run.id}"


@click.command("run")
@click.argument("run_id", metavar="ID")
@click.option("--errors", is_flag=True, help="Only what failed, and the runs that it is in.")
@click.option("--find", metavar="FILTER", help="Only what a filter finds, and what that is in.")
@output_options
def command(run_id: str, errors: bool, find: str | None) -> None:
    """Show one run as a tree: its calls, tools and sub-agents, with times, costs and a waterfall.

    \b
    Examples:
      agentrecord run ID
      agentrecord run ID --errors
      agentrecord run ID --find 'kind:tool attr.city:Paris'
    """
    form = chosen_form()
    if find is not None and form is Form.JSON:
        raise click.UsageError("--json tells the whole run; use --jsonl with --find.")
    with reading() as store:
        run = store.runs.get(run_id, with_subtree=True)
        if form is Form.JSON:
            trace = trace_of(store, run)
            say(encode({"run": run, "runs": list(trace.runs), "llm_calls": list(trace.calls),
                        "tool_calls": list(trace.tools)}))  # fmt: skip
            return
        tree = store.pages.run_tree(run.id, query=find)
    found = tree.spans if tree.found is None else only(tree.spans, tree.found)
    found = only_failed(found) if errors else found
    if form is Form.JSONL:
        for span in found:
            write_json(span)
    elif form is Form.CSV or is_plain_asked():
        show(fields_of(found, "depth", "kind", "name", "started_at", "duration_ms", "cost_usd", "is_failed",
                       "error_message", "detached_from"))  # fmt: skip
    else:
        nothing = "Nothing failed in this run." if errors and not found else ""
        _tell(run, tree, found, "Nothing in this run matches." if find is not None and not tree.found else nothing)


def _tell(run: Run, tree: RunTree, found: Sequence[RunSpan], nothing: str) -> None:
    """Print a run for people, with those of its pieces that were found, or why there are none."""
    terminal = out()
    for line in (*_header(tree, run, terminal), "", *waterfall(found, terminal)):
        say(line)
    if nothing:
        say(nothing)
    if loose := sum(span.is_detached for span in found):
        hint(f"{words.plural(loose, 'piece')} detached: what would be above has not come")
    if tree.hidden:
        say(f"{tree.hidden:,} more pieces are not shown.")
    warn_of_unpriced(run.subtree or run.usage)
    tell_prices(run.prices)
    say(terminal.style(permalink(run), dim=True))
