"""`agentrecord runs`: runs of agents, the last started first."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, TypedDict, Unpack  # `Any`: looks are keywords of several types

import click

from agentrecord.cli import words
from agentrecord.cli.filtering import Filtering, tell_excluded, tell_prices, words_argument
from agentrecord.cli.moments import bounds, since_option, until_option
from agentrecord.cli.opening import reading
from agentrecord.cli.output import Column, Form, Listing, chosen_form, output_options, show
from agentrecord.cli.paging import collect, page_document, page_options, tell_rest
from agentrecord.cli.terminal import out
from agentrecord.records.facet import RunSums
from agentrecord.records.page import Page
from agentrecord.records.query import joined
from agentrecord.records.run import Run, RunFilter, RunStatus
from agentrecord.store import Store

UUID_CHARS = 36
SIGNS = {
    RunStatus.PENDING: "waiting",
    RunStatus.RUNNING: "running",
    RunStatus.COMPLETED: "ok",
    RunStatus.ERROR: "error",
    RunStatus.CANCELLED: "cancelled",
}

TREE_COST = "tree_cost_usd"
SORTS = ("started_at", "finished_at", "duration", "cost", "tokens", "calls", "tools", "errors", "run_id")


class Wanted(TypedDict):
    """The command's options."""

    agent: str | None
    status: str | None
    session: str | None
    errors: bool
    since: str | None
    until: str | None
    no_children: bool
    sort: str
    limit: int
    cursor: str | None
    everything: bool


def status_look(run: Run) -> dict[str, Any]:
    """Return how a run's status looks; the word and a sign say it too."""
    return {RunStatus.ERROR: {"fg": "red"}, RunStatus.RUNNING: {"fg": "yellow"}}.get(run.status, {})


def _tree_cost(run: Run) -> Decimal | None:
    """Return what a run cost with all runs below it; None where nothing of it has a price."""
    whole = run.subtree or run.usage
    return whole.cost_usd if whole.calls else None


def columns(now: datetime, rows: Sequence[Run]) -> list[Column[Run]]:
    """Return the columns of a list of runs; for people, those in which any of these says something."""
    is_left_out = chosen_form() is Form.TABLE and all(run.subtree is None for run in rows)
    return [column for column in _columns(now) if not (is_left_out and column.name == TREE_COST)]


def _columns(now: datetime) -> list[Column[Run]]:
    terminal = out()
    return [
        # Either names the run; imported ids may be longer than the terminal is wide.
        Column(name="run_id", title="run", value=lambda r: r.run_id,
               text=lambda r: r.run_id if len(r.run_id) <= UUID_CHARS else str(r.id)),
        Column(name="status", value=lambda r: r.status, look=status_look, priority=1,
               text=lambda r: f"{terminal.glyph(SIGNS[r.status])} {r.status}"),
        Column(name="started_at", title="started", value=lambda r: r.started_at, priority=5,
               text=lambda r: words.ago(r.started_at, now) if r.started_at else words.NONE),
        Column(name="agent_id", title="agent", value=lambda r: r.agent_id, priority=7),
        Column(name="agent_version", title="version", value=lambda r: r.agent_version, priority=13),
        Column(name="objective", value=lambda r: r.objective, flexible=True, least=24, priority=6),
        Column(name="user", value=lambda r: r.user, priority=10),
        Column(name="session_id", title="session", value=lambda r: r.session_id, priority=11),
        Column(name="calls", value=lambda r: r.usage.calls, text=lambda r: words.count(r.usage.calls), right=True,
               priority=8),
        Column(name="tool_call_count", title="tools", value=lambda r: r.tool_call_count, right=True, priority=9,
               text=lambda r: words.count(r.tool_call_count)),
        Column(name="total_tokens", title="tokens", value=lambda r: r.usage.total_tokens, right=True, priority=4,
               text=lambda r: words.tokens(r.usage)),
        Column(name="cost_usd", title="cost", value=lambda r: r.usage.cost_usd if r.usage.calls else None, right=True,
               text=lambda r: words.money(r.usage.cost_usd) if r.usage.calls else words.NONE, priority=2),
        Column(name=TREE_COST, title="with sub-agents", value=_tree_cost, right=True, priority=7,
               text=lambda r: words.NONE if r.subtree is None else words.money(_tree_cost(r))),
        Column(name="duration_ms", title="duration", value=lambda r: r.duration_ms, right=True, priority=3,
               text=lambda r: words.duration(r.duration_ms)),
        Column(name="error_message", title="error", value=lambda r: r.error_message, flexible=True, priority=12),
    ]  # fmt: skip


def _footer(page: Page[Run], sums: RunSums) -> dict[str, str]:
    """Return the totals over the whole filter, whatever part of it is printed."""
    return {
        "run_id": f"{len(page):,} of {sums.runs:,}",
        "calls": words.count(sums.totals.calls),
        "tool_call_count": words.count(sums.tool_calls),
        "total_tokens": words.tokens(sums.totals),
        "cost_usd": words.money(sums.totals.cost_usd) if sums.totals.calls else words.NONE,
        "duration_ms": words.duration(sums.duration_ms) if sums.duration_ms else words.NONE,
    }


def _wanted(store: Store, text: tuple[str, ...], wanted: Wanted) -> RunFilter:
    since, until = bounds(wanted["since"], wanted["until"], now=store.engine.maker.clock.now())
    return RunFilter(
        query=joined(text),
        agent_id=wanted["agent"],
        status=RunStatus(wanted["status"]) if wanted["status"] else None,
        session_uuid=store.sessions.get(wanted["session"]).id if wanted["session"] else None,
        has_error=True if wanted["errors"] else None,
        since=since,
        until=until,
        include_children=not wanted["no_children"],
    )


@click.command("runs", cls=Filtering)
@words_argument
@click.option("--agent", metavar="ID", help="Of one agent.")
@click.option("--status", type=click.Choice([str(status) for status in RunStatus]), help="In one state.")
@click.option("--session", metavar="ID", help="In one session.")
@click.option("--errors", is_flag=True, help="Those in which something failed.")
@since_option("Started since")
@until_option()
@click.option("--no-children", is_flag=True, help="Leave sub-agents' runs out.")
@click.option("--sort", default="-started_at", show_default=True, metavar="FIELD",
              help=f"One of {', '.join(SORTS)}; - before it for descending.")  # fmt: skip
@page_options
@output_options
def command(text: tuple[str, ...], **wanted: Unpack[Wanted]) -> None:
    """List runs of agents, the last started first; WORDS are a filter, as in the dashboard.

    A plain word must occur in the id or objective. docs/reference/filters.md lists the others: status, user, agent,
    model, tool, cost, tokens, duration and more. The last row sums up the whole filter.

    \b
    Examples:
      agentrecord runs status:error user:bob --since 24h
      agentrecord runs 'cost:>0.05' -model:claude-haiku-* refund
      agentrecord runs agent:claude-code --sort -cost --limit 10
    """
    with reading() as store:
        chosen, now = _wanted(store, text, wanted), store.engine.maker.clock.now()
        page = collect(
            lambda size, place: store.runs.list(chosen, sort=wanted["sort"], limit=size, cursor=place),
            limit=wanted["limit"], cursor=wanted["cursor"], everything=wanted["everything"],
        )  # fmt: skip
        sums = store.runs.sums(chosen) if chosen_form() is Form.TABLE else RunSums()
    show(Listing(
        columns=columns(now, page.items), rows=page.items, footer=_footer(page, sums), document=page_document(page),
        empty="No runs match. `agentrecord import` brings in transcripts.",
    ))  # fmt: skip
    tell_excluded(sums.totals)
    tell_prices(sums.prices)
    tell_rest(page)
