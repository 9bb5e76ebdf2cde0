"""`agentrecord errors`: groups of equal errors, and each occurrence."""

from datetime import datetime
from typing import TypedDict, Unpack

import click

from agentrecord.cli import words
from agentrecord.cli.moments import bounds, since_option, until_option
from agentrecord.cli.opening import reading
from agentrecord.cli.output import Column, Listing, output_options, show
from agentrecord.cli.paging import collect, page_document, tell_rest
from agentrecord.records.error import ErrorGroup, ErrorRecord, ErrorStatus
from agentrecord.store import Store


def group_columns(now: datetime) -> list[Column[ErrorGroup]]:
    """Return the columns of groups of equal errors."""
    return [
        Column(name="fingerprint", title="group", value=lambda g: g.fingerprint),
        Column(name="count", value=lambda g: g.count, text=lambda g: words.count(g.count), right=True),
        Column(name="error_type", title="type", value=lambda g: g.error_type, priority=1),
        Column(name="error_message", title="message", value=lambda g: g.error_message, flexible=True),
        Column(name="last_seen_at", title="last seen", value=lambda g: g.last_seen_at, priority=2,
               text=lambda g: words.ago(g.last_seen_at, now)),
        Column(name="first_seen_at", title="first seen", value=lambda g: g.first_seen_at, priority=3,
               text=lambda g: words.ago(g.first_seen_at, now)),
        Column(name="status", value=lambda g: str(g.status), priority=2),
        Column(name="users", value=lambda g: g.users, text=lambda g: words.count(g.users), right=True, priority=5),
        Column(name="agents", value=lambda g: ", ".join(g.agents), flexible=True, priority=6),
    ]  # fmt: skip


OCCURRENCES: list[Column[ErrorRecord]] = [
    Column(name="id", value=lambda e: e.id),
    Column(name="created_at", title="when", value=lambda e: e.created_at, text=lambda e: words.moment(e.created_at),
           priority=2),
    Column(name="error_type", title="type", value=lambda e: e.error_type, priority=1),
    Column(name="error_message", title="message", value=lambda e: e.error_message, flexible=True),
    Column(name="fingerprint", title="group", value=lambda e: e.fingerprint, priority=3),
    Column(name="user", value=lambda e: e.user, priority=6),
    Column(name="agent_id", title="agent", value=lambda e: e.agent_id, priority=7),
    Column(name="session_uuid", title="session", value=lambda e: e.session_uuid, priority=4),
    Column(name="run_uuid", title="run", value=lambda e: e.run_uuid, priority=5),
]  # fmt: skip


class Wanted(TypedDict):
    """The options that choose groups."""

    filter: str | None
    resolved: bool
    status: str | None
    agent: str | None
    since: str | None
    until: str | None
    sort: str


def _groups(store: Store, wanted: Wanted, *, limit: int, cursor: str | None) -> None:
    since, until = bounds(wanted["since"], wanted["until"], now=store.engine.maker.clock.now())
    status = ErrorStatus(wanted["status"]) if wanted["status"] else None
    page = collect(
        lambda size, place: store.errors.groups(
            query=wanted["filter"], include_resolved=wanted["resolved"], status=status, agent_id=wanted["agent"],
            since=since, until=until,
            sort=wanted["sort"], limit=size, cursor=place,
        ),
        limit=limit, cursor=cursor, everything=False,
    )  # fmt: skip
    show(Listing(
        columns=group_columns(store.engine.maker.clock.now()), rows=page.items, document=page_document(page),
        footer={"fingerprint": words.plural(len(page), "group"), "count": words.count(sum(g.count for g in page))},
        empty="No errors." if wanted["resolved"] else "No open errors match; --resolved shows the others.",
    ))  # fmt: skip
    tell_rest(page)


def _occurrences(store: Store, text: tuple[str, ...], *, limit: int, cursor: str | None, everything: bool) -> None:
    page = collect(
        lambda size, place: store.errors.list(words=" ".join(text) or None, limit=size, cursor=place),
        limit=limit, cursor=cursor, everything=everything,
    )  # fmt: skip
    show(Listing(columns=OCCURRENCES, rows=page.items, document=page_document(page), empty="No errors match."))
    tell_rest(page)


@click.command("errors")
@click.argument("text", nargs=-1, metavar="[WORDS]...")
@click.option("--all", "everything", is_flag=True, help="Every occurrence instead of groups.")
@click.option("--filter", metavar="FILTER", help="Groups, in the filter's words: type:Timeout* count:>3")
@click.option("--resolved", is_flag=True, help="Resolved groups too.")
@click.option("--status", type=click.Choice([str(status) for status in ErrorStatus]), help="Groups that stand so.")
@click.option("--agent", metavar="ID", help="Groups met in the work of an agent.")
@since_option("Groups met since")
@until_option()
@click.option("--sort", default="-last_seen_at", show_default=True, metavar="FIELD",
              help="Of groups: last_seen_at, first_seen_at or count; - before it for descending.")  # fmt: skip
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="Rows at most.")
@click.option("--cursor", metavar="PLACE", help="Go on from where an earlier list ended.")
@output_options
def command(text: tuple[str, ...], everything: bool, limit: int, cursor: str | None, **wanted: Unpack[Wanted]) -> None:
    """List groups of equal errors, the last seen first; with WORDS, the occurrences whose message holds them.

    \b
    Examples:
      agentrecord errors
      agentrecord errors --status regressed --since 7d
      agentrecord errors timeout
      agentrecord errors --all --jsonl
    """
    with reading() as store:
        if everything or text:
            _occurrences(store, text, limit=limit, cursor=cursor, everything=everything)
        else:
            _groups(store, wanted, limit=limit, cursor=cursor)
