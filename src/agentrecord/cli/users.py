"""`agentrecord users`: what users did and spent, and one of them."""

import time
from dataclasses import replace
from datetime import datetime
from typing import Unpack

import click

from agentrecord.cli import words
from agentrecord.cli.agents import model_columns, section, tool_columns
from agentrecord.cli.figures import FIGURE_SORTS, Wanted, list_options, show_list, spent_columns, work_columns
from agentrecord.cli.filtering import FilteringGroup, tell_prices
from agentrecord.cli.identity import whoever_types
from agentrecord.cli.moments import bounds, since_option, until_option
from agentrecord.cli.opening import reading, writing
from agentrecord.cli.output import (
    LEAST_NAME,
    Column,
    Form,
    Listing,
    chosen_form,
    output_options,
    show,
    wants_json,
    write_json,
)
from agentrecord.cli.terminal import hint, say
from agentrecord.cli.waiting import QUIET_S
from agentrecord.engine.sqlite import SqliteEngine
from agentrecord.records.lengths import HOUR
from agentrecord.records.people import UserFigures, UserPurge
from agentrecord.store import Store

SORTS = ("user", "last_seen_at", *FIGURE_SORTS)


def _columns(now: datetime) -> list[Column[UserFigures]]:
    return [
        Column(name="user", value=lambda u: u.user.external_id, flexible=True, least=LEAST_NAME),
        Column(name="last_seen_at", title="last seen", value=lambda u: u.last_seen_at, priority=1,
               text=lambda u: words.seen(u.last_seen_at, now)),
        Column(name="sessions", value=lambda u: u.sessions, text=lambda u: words.count(u.sessions), right=True,
               priority=3),
        *work_columns(),
        Column(name="tool_errors", title="failed tools", value=lambda u: u.tool_errors, right=True, priority=7,
               text=lambda u: words.count(u.tool_errors)),
        Column(name="errors", value=lambda u: u.errors, text=lambda u: words.count(u.errors), right=True, priority=4),
        *spent_columns(),
    ]  # fmt: skip


@click.group("users", cls=FilteringGroup, invoke_without_command=True)
@list_options(SORTS, "-last_seen_at")
@click.pass_context
def command(context: click.Context, text: tuple[str, ...] = (), **wanted: Unpack[Wanted]) -> None:
    """List users with what they did and spent, the last seen first; WORDS are a filter, as in the dashboard.

    A plain word must occur in the user's string, name or e-mail. docs/reference/filters.md lists the others: agent,
    model, tool, cost, runs and more. A range counts whole UTC days. The last row sums up the whole filter.

    \b
    Examples:
      agentrecord users --since 30d --sort -cost
      agentrecord users has:error 'cost:>1' acme.io
      agentrecord users show ana@example.org
    """
    if context.invoked_subcommand is None:
        empty = "No users match. Each is made when something is first recorded for them."
        show_list(text, wanted, lambda store: (store.users.report, store.users.sums), _columns, empty=empty)


@command.command("delete", short_help="Delete all that a user said and did.")
@click.argument("who")
@click.option("--yes", "goes", is_flag=True, help="Delete; without it only what would go is shown.")
@output_options
def delete_user(who: str, goes: bool) -> None:
    """Show what would go if a user were deleted; --yes deletes it for good.

    Conversations, runs, calls and errors lose all content, the user loses the name and every key and account; figures
    stay, for sums to stay true. What was cut off goes on with the row id in the place of the name.

    \b
    Examples:
      agentrecord users delete ana@example.org
      agentrecord users delete ana@example.org --yes && agentrecord db vacuum
    """
    with writing() if goes else reading() as store:
        now = store.engine.maker.clock.now()
        found = store.users.details(who).figures
        if not goes:
            show(Listing(columns=_columns(now), rows=[found]))
            hint("nothing was deleted; this is what --yes deletes the content of")
            return
        done = _purged(store, found)
        is_file = isinstance(store.engine, SqliteEngine)
    if wants_json():
        write_json({"user": done.user, "rows": done.rows})
    else:
        say(f"{words.plural(done.rows, 'row')} emptied; the figures stay under erased-{done.user.hex}")
    if is_file:
        hint("`agentrecord db vacuum` takes the last bytes of it out of the file")


def _purged(store: Store, found: UserFigures) -> UserPurge:
    """Purge a user, batch by batch, and return the last answer with all rows counted; tell how far it is."""
    name = str(found.user.id)
    done, began, told = store.users.purge(name, by=whoever_types()), time.monotonic(), 0
    rows = done.rows
    while done.cursor is not None:
        if time.monotonic() - began > QUIET_S and done.steps_done > told:
            told = done.steps_done
            hint(f"{told} of {done.steps} steps, {words.plural(rows, 'row')}")
        done = store.users.purge(name, cursor=done.cursor, by=whoever_types())
        rows += done.rows
    return replace(done, rows=rows)


@command.command("show", short_help="Show one user.")
@click.argument("who")
@since_option("Over the days since")
@until_option()
@output_options
def show_user(who: str, since: str | None, until: str | None) -> None:
    """Show what a user did and spent, by model and by tool; --json has the days and agents too.

    \b
    Example:
      agentrecord users show ana@example.org --since 30d
    """
    with reading() as store:
        now = store.engine.maker.clock.now()
        first, last = bounds(since, until, now=now, whole=HOUR)
        found = store.users.details(who, since=first, until=last)
    if wants_json():
        write_json(found)
        return
    show(Listing(columns=_columns(now), rows=[found.figures]))
    if chosen_form() is Form.TABLE:
        section("Models", model_columns(), found.models)
        section("Tools", tool_columns(), found.tools)
        tell_prices(found.prices)
