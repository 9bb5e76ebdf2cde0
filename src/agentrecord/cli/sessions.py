"""`agentrecord sessions`: conversations, the last active first."""

from datetime import datetime
from typing import Any, TypedDict, Unpack  # `Any`: looks are keywords of several types

import click

from agentrecord.cli import words
from agentrecord.cli.filtering import FilteredCommand
from agentrecord.cli.moments import bounds, since_option, until_option
from agentrecord.cli.opening import reading
from agentrecord.cli.output import Column, Listing, output_options, show
from agentrecord.cli.paging import collect, page_document, page_options, tell_rest
from agentrecord.cli.session import name_of
from agentrecord.records.page import Page
from agentrecord.records.session import Session, SessionFilter, SessionStatus
from agentrecord.store import Store

SORTS = ("last_activity_at", "created_at", "updated_at", "cost", "messages", "session_id", "title")


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
        Column(name="title", value=name_of, flexible=True, priority=1),
        Column(name="last_activity_at", title="active", value=lambda s: s.last_activity_at,
               text=lambda s: words.ago(s.last_activity_at, now), priority=4),
        Column(name="user", value=lambda s: s.user, priority=9),
        Column(name="agent_id", title="agent", value=lambda s: s.agent_id, priority=7),
        Column(name="source", value=lambda s: s.source, priority=10),
        Column(name="status", value=lambda s: s.status, look=status_look, priority=8),
        Column(name="message_count", title="messages", value=lambda s: s.message_count,
               text=lambda s: words.count(s.message_count), right=True, priority=5),
        Column(name="error_count", title="errors", value=lambda s: s.error_count,
               text=lambda s: words.count(s.error_count), right=True, priority=6),
        Column(name="total_tokens", title="tokens", value=lambda s: s.usage.total_tokens,
               text=lambda s: words.count(s.usage.total_tokens), right=True, priority=3),
        Column(name="cost_usd", title="cost", value=lambda s: s.usage.cost_usd if s.usage.calls else None,
               text=lambda s: words.money(s.usage.cost_usd) if s.usage.calls else words.NONE, right=True, priority=2),
    ]  # fmt: skip


def _footer(page: Page[Session]) -> dict[str, str]:
    return {
        "session_id": f"{len(page):,} of {page.total:,}" if page.total is not None else words.count(len(page)),
        "message_count": words.count(sum(s.message_count for s in page)),
        "error_count": words.count(sum(s.error_count for s in page)),
        "total_tokens": words.count(sum(s.usage.total_tokens for s in page)),
        "cost_usd": words.money(sum(s.usage.cost_usd or 0 for s in page) + words.NO_DOLLARS),
    }


def _ask(store: Store, text: tuple[str, ...], wanted: Wanted) -> Page[Session]:
    since, until = bounds(wanted["since"], wanted["until"], now=store.engine.maker.clock.now())
    chosen = SessionFilter(
        words=" ".join(text) or None,
        agent_id=wanted["agent"],
        source=wanted["source"],
        status=SessionStatus(wanted["status"]) if wanted["status"] else None,
        directory=wanted["directory"],
        since=since,
        until=until,
        include_children=wanted["children"],
    )
    return collect(
        lambda size, place: store.sessions.list(chosen, sort=wanted["sort"], limit=size, cursor=place),
        limit=wanted["limit"], cursor=wanted["cursor"], everything=wanted["everything"],
    )  # fmt: skip


@click.command("sessions", cls=FilteredCommand)
@click.argument("text", nargs=-1, metavar="[WORDS]...")
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
    """List conversations, the last active first; WORDS must occur in the id, title or first task.

    Figures are each session's own; `agentrecord usage --by session` adds those of its sub-agents.

    \b
    Examples:
      agentrecord sessions --since 7d
      agentrecord sessions flaky test --sort -cost --limit 10
      agentrecord sessions --all --jsonl | jq .session_id
    """
    with reading() as store:
        page = _ask(store, text, wanted)
        now = store.engine.maker.clock.now()
    show(Listing(
        columns=_columns(now), rows=page.items, footer=_footer(page), document=page_document(page),
        empty="No sessions match. `agentrecord import` brings in transcripts.",
    ))  # fmt: skip
    tell_rest(page)
