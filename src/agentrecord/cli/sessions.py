"""`agentrecord sessions`: conversations, the last active first."""

from dataclasses import replace
from datetime import datetime
from typing import Any, TypedDict, Unpack  # `Any`: looks are keywords of several types

import click

from agentrecord.cli import words
from agentrecord.cli.filtering import Filtering, tell_excluded, tell_prices, words_argument
from agentrecord.cli.moments import bounds, since_option, until_option
from agentrecord.cli.opening import reading
from agentrecord.cli.output import Column, Form, Listing, chosen_form, output_options, show
from agentrecord.cli.paging import collect, page_document, page_options, tell_rest
from agentrecord.cli.session import name_of
from agentrecord.records.page import Page
from agentrecord.records.query import joined
from agentrecord.records.session import Session, SessionFilter, SessionStatus
from agentrecord.records.usage import UsageTotals
from agentrecord.store import Store
from agentrecord.store.pages import NO_SUMS, SessionSums

SORTS = ("last_activity_at", "created_at", "updated_at", "cost", "tree_cost", "tree_tokens", "duration", "messages",
         "runs", "errors", "session_id", "title")  # fmt: skip


class Wanted(TypedDict):
    """The command's options."""

    agent: str | None
    source: str | None
    status: str | None
    directory: str | None
    since: str | None
    until: str | None
    children: bool
    sort: str
    limit: int
    cursor: str | None
    everything: bool


def status_look(session: Session) -> dict[str, Any]:
    """Return how a session's status looks."""
    return {"fg": "red"} if session.status is SessionStatus.FAILED else {}


def _columns(now: datetime) -> list[Column[Session]]:
    return [
        Column(name="session_id", title="session", value=lambda s: s.session_id),
        Column(name="title", value=name_of, flexible=True, least=16, priority=1),
        Column(name="last_activity_at", title="active", value=lambda s: s.last_activity_at,
               text=lambda s: words.ago(s.last_activity_at, now), priority=4),
        Column(name="user", value=lambda s: s.user, priority=9),
        Column(name="agent_id", title="agent", value=lambda s: s.agent_id, priority=7),
        Column(name="source", value=lambda s: s.source, priority=10),
        Column(name="status", value=lambda s: s.status, look=status_look, priority=8),
        Column(name="message_count", title="messages", value=lambda s: s.message_count,
               text=lambda s: words.count(s.message_count), right=True, priority=5),
        Column(name="errors", value=_errors, text=lambda s: words.count(_errors(s)), right=True, priority=6),
        Column(name="total_tokens", title="tokens", value=lambda s: _whole(s).total_tokens,
               text=lambda s: words.tokens(_whole(s)), right=True, priority=3),
        Column(name="cost_usd", title="cost", value=lambda s: _whole(s).cost_usd if _whole(s).calls else None,
               text=lambda s: words.money(_whole(s).cost_usd) if _whole(s).calls else words.NONE, right=True,
               priority=2),
    ]  # fmt: skip


def _errors(session: Session) -> int:
    """Return what the word `errors` counts: errors, failed calls and failed tools."""
    return session.error_count + session.tool_error_count + session.usage.failed_calls


def _footer(page: Page[Session], sums: SessionSums) -> dict[str, str]:
    """Return the totals over the whole filter, whatever part of it is printed."""
    return {
        "session_id": f"{len(page):,} of {sums.sessions:,}",
        "message_count": words.count(sums.messages),
        "errors": words.count(sums.errors + sums.tool_errors + sums.totals.failed_calls),
        "total_tokens": words.tokens(sums.totals),
        "cost_usd": words.money(sums.totals.cost_usd) if sums.totals.calls else words.NONE,
    }


def _whole(session: Session) -> UsageTotals:
    """Return a session's figures with those of the sessions below it, where these are no rows of their own."""
    return session.subtree or session.usage


def _wanted(store: Store, text: tuple[str, ...], wanted: Wanted) -> SessionFilter:
    since, until = bounds(wanted["since"], wanted["until"], now=store.engine.maker.clock.now())
    return SessionFilter(
        query=joined(text),
        agent_id=wanted["agent"],
        source=wanted["source"],
        status=SessionStatus(wanted["status"]) if wanted["status"] else None,
        directory=wanted["directory"],
        since=since,
        until=until,
        include_children=wanted["children"],
    )


@click.command("sessions", cls=Filtering)
@words_argument
@click.option("--agent", metavar="ID", help="Of one agent.")
@click.option("--source", metavar="NAME", help="From one source: claude-code, codex, …")
@click.option("--status", type=click.Choice([str(status) for status in SessionStatus]), help="In one state.")
@click.option("--directory", metavar="PATH", help="Worked in this directory.")
@since_option("Active since")
@until_option()
@click.option("--children", is_flag=True, help="Sub-agents' sessions too.")
@click.option("--sort", default="-last_activity_at", show_default=True, metavar="FIELD",
              help=f"One of {', '.join(SORTS)}; - before it for descending.")  # fmt: skip
@page_options
@output_options
def command(text: tuple[str, ...], **wanted: Unpack[Wanted]) -> None:
    """List conversations, the last active first; WORDS are a filter, as in the dashboard.

    A plain word must occur in the id, title or first task. docs/reference/filters.md lists the others: status, user,
    agent, model, tool, cost, tokens, duration and more. Tokens and cost include sub-agents, each session's own alone
    with --children. The last row sums up the whole filter.

    \b
    Examples:
      agentrecord sessions has:error --since 7d
      agentrecord sessions 'cost:>1' 'model:claude-*' -source:codex
      agentrecord sessions flaky test --sort -cost --limit 10
      agentrecord sessions --all --jsonl | jq .session_id
    """
    with reading() as store:
        chosen, now = _wanted(store, text, wanted), store.engine.maker.clock.now()
        page = collect(
            lambda size, place: store.sessions.list(chosen, sort=wanted["sort"], limit=size, cursor=place),
            limit=wanted["limit"], cursor=wanted["cursor"], everything=wanted["everything"],
        )  # fmt: skip
        if wanted["children"]:
            page = replace(page, items=[replace(session, subtree=None) for session in page.items])
        sums = store.sessions.sums(chosen) if chosen_form() is Form.TABLE else NO_SUMS
    show(Listing(
        columns=_columns(now), rows=page.items, footer=_footer(page, sums), document=page_document(page),
        empty="No sessions match. `agentrecord import` brings in transcripts.",
    ))  # fmt: skip
    tell_excluded(sums.totals)
    tell_prices(sums.prices)
    tell_rest(page)
