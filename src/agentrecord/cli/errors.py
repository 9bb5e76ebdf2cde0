"""`agentrecord errors`: groups of equal errors, and each occurrence."""

from datetime import datetime
from typing import TypedDict, Unpack

import click
from click.core import ParameterSource

from agentrecord.cli import words
from agentrecord.cli.filtering import Filtering, words_argument
from agentrecord.cli.moments import bounds, since_option, until_option
from agentrecord.cli.opening import reading
from agentrecord.cli.output import Column, Form, Listing, chosen_form, output_options, show
from agentrecord.cli.paging import collect, page_document, tell_rest
from agentrecord.records.error import ErrorGroup, ErrorRecord, ErrorStatus
from agentrecord.records.facet import GroupSums
from agentrecord.records.query import Term, joined, written
from agentrecord.store import Store


def group_columns(now: datetime) -> list[Column[ErrorGroup]]:
    """Return the columns of groups of equal errors."""
    return [
        Column(name="fingerprint", title="group", value=lambda g: g.fingerprint),
        Column(name="count", value=lambda g: g.count, text=lambda g: words.count(g.count), right=True),
        Column(name="kind", value=lambda g: str(g.kind), priority=1),
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
    Column(name="kind", value=lambda e: str(e.kind), priority=2),
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

    resolved: bool
    status: str | None
    agent: str | None
    since: str | None
    until: str | None
    sort: str


def _groups(store: Store, text: tuple[str, ...], wanted: Wanted, *, limit: int, cursor: str | None) -> None:
    now = store.engine.maker.clock.now()
    since, until = bounds(wanted["since"], wanted["until"], now=now)
    named = {"status": wanted["status"], "agent": wanted["agent"]}
    terms = [str(Term(word=word, values=(written(value),))) for word, value in named.items() if value]
    query = " ".join([*filter(None, [joined(text)]), *terms]) or None
    is_whole = wanted["resolved"]
    page = collect(
        lambda size, place: store.errors.groups(
            query=query, include_resolved=is_whole, since=since, until=until, sort=wanted["sort"], limit=size,
            cursor=place,
        ),
        limit=limit, cursor=cursor, everything=False,
    )  # fmt: skip
    sums = GroupSums()
    if chosen_form() is Form.TABLE:
        sums = store.errors.group_sums(query=query, include_resolved=is_whole, since=since, until=until)
    show(Listing(
        columns=group_columns(now), rows=page.items, document=page_document(page),
        footer={"fingerprint": f"{len(page):,} of {sums.groups:,}", "count": words.count(sums.errors)},
        empty="No errors." if is_whole else "No open errors match; --resolved shows the others.",
    ))  # fmt: skip
    tell_rest(page)


def _occurrences(store: Store, text: tuple[str, ...], *, limit: int, cursor: str | None, everything: bool) -> None:
    page = collect(
        lambda size, place: store.errors.list(
            words=" ".join(text) or None, derived=True, limit=size, cursor=place
        ),
        limit=limit, cursor=cursor, everything=everything,
    )  # fmt: skip
    show(Listing(columns=OCCURRENCES, rows=page.items, document=page_document(page), empty="No errors match."))
    tell_rest(page)


@click.command("errors", cls=Filtering)
@words_argument
@click.option("--all", "everything", is_flag=True, help="Every occurrence instead of groups: those that hold WORDS.")
@click.option("--resolved", is_flag=True, help="Resolved groups too.")
@click.option("--status", type=click.Choice([str(status) for status in ErrorStatus]), help="Groups that stand so.")
@click.option("--agent", metavar="ID", help="Groups met in the work of an agent.")
@since_option("Groups met since")
@until_option()
@click.option("--sort", default="-last_seen_at", show_default=True, metavar="FIELD",
              help="One of last_seen_at, first_seen_at, count, error_type; - before it for descending.")  # fmt: skip
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="Rows at most.")
@click.option("--cursor", metavar="PLACE", help="Go on from where an earlier list ended.")
@output_options
def command(text: tuple[str, ...], everything: bool, limit: int, cursor: str | None, **wanted: Unpack[Wanted]) -> None:
    """List groups of equal errors, the last seen first; WORDS are a filter, as in the dashboard.

    Failed uses of tools and failed calls to models are errors too. A plain word must occur in the type or the message;
    docs/reference/filters.md lists the others: kind, status, type, tool, agent, user, version, count and more. Resolved
    groups are left out, unless --resolved or a status asks for them.

    \b
    Examples:
      agentrecord errors
      agentrecord errors status:regressed --since 7d
      agentrecord errors kind:tool tool:Bash
      agentrecord errors timeout 'count:>3' -agent:support-bot
      agentrecord errors --all --jsonl
    """
    source = click.get_current_context().get_parameter_source
    given = [name for name in wanted if source(name) is ParameterSource.COMMANDLINE]
    if everything and given:
        raise click.UsageError(f"--all and --{given[0]} cannot go together: it chooses groups, not occurrences")
    with reading() as store:
        if everything:
            _occurrences(store, text, limit=limit, cursor=cursor, everything=everything)
        else:
            _groups(store, text, wanted, limit=limit, cursor=cursor)
