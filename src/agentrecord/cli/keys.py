"""`agentrecord keys`: keys for programs that read or write over the API."""

from datetime import datetime
from uuid import UUID

import click

from agentrecord.cli import settings, words
from agentrecord.cli.accounts import ROLES
from agentrecord.cli.identity import whoever_types
from agentrecord.cli.moments import Moment, parse_moment
from agentrecord.cli.opening import reading, writing
from agentrecord.cli.output import Column, Form, Listing, chosen_form, output_options, show
from agentrecord.cli.paging import collect, page_document, page_options, tell_rest
from agentrecord.cli.terminal import hint, say
from agentrecord.records.project import ApiKey
from agentrecord.records.scope import Role


def _state(key: ApiKey, now: datetime) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.expires_at is not None and key.expires_at <= now else "active"


def _columns(now: datetime) -> list[Column[ApiKey]]:
    return [
        Column(name="id", value=lambda k: k.id),
        Column(name="name", value=lambda k: k.name, flexible=True),
        Column(name="prefix", title="begins with", value=lambda k: f"arec_{k.prefix}", priority=5),
        Column(name="role", value=lambda k: k.role, priority=1),
        Column(name="user", value=lambda k: k.user, text=lambda k: k.user or "everybody", priority=4),
        Column(name="state", value=lambda k: _state(k, now), priority=1),
        Column(name="expires_at", title="expires", value=lambda k: k.expires_at, priority=3,
               text=lambda k: words.moment(k.expires_at) if k.expires_at else "never"),
        Column(name="last_used_at", title="last used", value=lambda k: k.last_used_at, priority=2,
               text=lambda k: words.ago(k.last_used_at, now) if k.last_used_at else "never"),
    ]  # fmt: skip


@click.group("keys", invoke_without_command=True)
@page_options
@output_options
@click.pass_context
def command(context: click.Context, limit: int, cursor: str | None, everything: bool) -> None:
    """List the project's API keys, the newest first; make and revoke them.

    \b
    Examples:
      agentrecord keys
      agentrecord keys create nightly-import --role write --expires 2027-01-31
      agentrecord keys revoke 0199e0c5-7c1e-7a44-9d1f-4ae1d2f3b5c6
    """
    if context.invoked_subcommand is not None:
        return
    with reading() as store:
        page = collect(
            lambda size, place: store.keys.list(limit=size, cursor=place),
            limit=limit, cursor=cursor, everything=everything,
        )  # fmt: skip
        show(Listing(columns=_columns(store.engine.maker.clock.now()), rows=page.items, document=page_document(page),
                     empty="No keys; agentrecord keys create NAME makes one."))  # fmt: skip
        tell_rest(page)


@command.command("create", short_help="Make a key.")
@click.argument("name")
@click.option("--role", type=ROLES, default=Role.READ.value, show_default=True, help="What the key may do.")
@click.option("--expires", type=Moment(), metavar="DATE", help="When it ends; never without it.")
@output_options
def create(name: str, role: str, expires: str | None) -> None:
    """Make a key called NAME and print it: it is shown this once. With --user it sees that user's rows only.

    \b
    Example:
      agentrecord keys create nightly-import --role write
    """
    wanted = settings.current()
    if wanted.user is not None and role == Role.ADMIN:
        raise click.UsageError("--user goes with --role read or write: an administrator's key sees everybody")
    with writing(as_user=False) as store:
        ends = None if expires is None else parse_moment(expires, now=store.engine.maker.clock.now(), is_end=True)
        made = store.keys.create(name, role=Role(role), user=wanted.user, expires_at=ends, by=whoever_types())
        if chosen_form() in (Form.TABLE, Form.PLAIN):
            say(made.secret)
        else:
            show(Listing(columns=_columns(store.engine.maker.clock.now()), rows=[made.key], document=made,
                         record=lambda _: made))  # fmt: skip
    hint("keep it now: it is not shown again; send it as `Authorization: Bearer arec_…`")


@command.command("revoke", short_help="Take a key out of use.")
@click.argument("key_id", metavar="ID", type=click.UUID)
@output_options
def revoke(key_id: UUID) -> None:
    """Take a key out of use at once; `agentrecord keys` tells its ID.

    \b
    Example:
      agentrecord keys revoke 01a21464-411f-73e5-bd07-1020eecbc9d9
    """
    with writing(as_user=False) as store:
        now = store.engine.maker.clock.now()
        revoked = store.keys.revoke(key_id, by=whoever_types())
        show(Listing(columns=_columns(now), rows=[revoked], document=revoked))
