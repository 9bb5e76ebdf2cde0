"""`agentrecord accounts`: who can sign in, and as what."""

import sys
from datetime import datetime

import click

from agentrecord.cli import words
from agentrecord.cli.identity import loaded, whoever_types
from agentrecord.cli.opening import reading, writing
from agentrecord.cli.output import Column, Listing, output_options, show
from agentrecord.cli.paging import collect, page_document, page_options, tell_rest
from agentrecord.cli.terminal import hint
from agentrecord.exceptions import NotFound
from agentrecord.records.account import Account
from agentrecord.records.scope import Role
from agentrecord.store import Store

ROLES = click.Choice([role.value for role in (Role.READ, Role.WRITE, Role.ADMIN)])
FROM_STDIN = click.option("--password-stdin", "from_stdin", is_flag=True, help="Read the password from standard input.")


def _columns(now: datetime) -> list[Column[Account]]:
    return [
        Column(name="email", value=lambda a: a.email, flexible=True, least=40),
        Column(name="name", value=lambda a: a.name, priority=3),
        Column(name="role", value=lambda a: a.role),
        Column(name="disabled_at", title="state", value=lambda a: a.disabled_at, priority=1,
               text=lambda a: "disabled" if a.disabled_at else "active"),
        Column(name="created_at", title="since", value=lambda a: a.created_at, priority=2,
               text=lambda a: words.ago(a.created_at, now)),
        Column(name="id", value=lambda a: a.id, priority=4),
    ]  # fmt: skip


def _show(store: Store, account: Account) -> None:
    show(Listing(columns=_columns(store.engine.maker.clock.now()), rows=[account], document=account))


def _found(store: Store, email: str) -> Account:
    account = store.accounts.find(email)
    if account is None:
        raise NotFound("account", email)
    return account


def _password_hash(*, from_stdin: bool) -> str:
    passwords = loaded("agentrecord.server.passwords")
    if from_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = click.prompt("Password (12 characters or more)", hide_input=True, confirmation_prompt=True, err=True)
    found: str = passwords.hashed(password)
    return found


@click.group("accounts", invoke_without_command=True)
@click.option("--match", "text", metavar="WORDS", help="Only those whose e-mail holds this.")
@page_options
@output_options
@click.pass_context
def command(context: click.Context, text: str | None, limit: int, cursor: str | None, everything: bool) -> None:
    """List the accounts that are members of the project; make and change them.

    \b
    Examples:
      agentrecord accounts
      agentrecord accounts create ana@example.org --role admin
      agentrecord accounts disable ana@example.org
    """
    if context.invoked_subcommand is not None:
        return
    with reading() as store:
        page = collect(
            lambda size, place: store.accounts.list(words=text, limit=size, cursor=place),
            limit=limit, cursor=cursor, everything=everything,
        )  # fmt: skip
        show(Listing(columns=_columns(store.engine.maker.clock.now()), rows=page.items, document=page_document(page),
                     empty="No accounts; agentrecord accounts create EMAIL makes one."))  # fmt: skip
        tell_rest(page)


@command.command("create", short_help="Make an account.")
@click.argument("email")
@click.option("--role", type=ROLES, default=Role.WRITE.value, show_default=True,
              help="read and write see their own rows, admin sees everybody's.")  # fmt: skip
@click.option("--name", metavar="NAME", help="What the person is called.")
@FROM_STDIN
@output_options
def create(email: str, role: str, name: str | None, from_stdin: bool) -> None:
    """Make an account for EMAIL, as a member of the project; asks for its password.

    \b
    Example:
      agentrecord accounts create ana@example.org --role admin
    """
    password_hash = _password_hash(from_stdin=from_stdin)
    with writing(as_user=False) as store:
        made = store.accounts.create(
            email, role=Role(role), name=name, password_hash=password_hash, by=whoever_types()
        )  # fmt: skip
        _show(store, made)


@command.command("disable", short_help="Let an account sign in no more.")
@click.argument("email")
@output_options
def disable(email: str) -> None:
    """Let an account sign in no more, and sign it out everywhere.

    \b
    Example:
      agentrecord accounts disable ana@example.org
    """
    with writing(as_user=False) as store:
        _show(store, store.accounts.disable(_found(store, email).id, by=whoever_types()))


@command.command("enable", short_help="Let a disabled account sign in again.")
@click.argument("email")
@output_options
def enable(email: str) -> None:
    """Let a disabled account sign in again.

    \b
    Example:
      agentrecord accounts enable ana@example.org
    """
    with writing(as_user=False) as store:
        _show(store, store.accounts.enable(_found(store, email).id, by=whoever_types()))


@command.command("role", short_help="Change what an account may do.")
@click.argument("email")
@click.argument("role", type=ROLES)
@output_options
def set_role(email: str, role: str) -> None:
    """Make an account a reader (read), a member (write) or an administrator (admin); it counts at once.

    \b
    Example:
      agentrecord accounts role ana@example.org admin
    """
    with writing(as_user=False) as store:
        _show(store, store.accounts.set_role(_found(store, email).id, Role(role), by=whoever_types()))


@command.command("password", short_help="Give an account another password.")
@click.argument("email")
@FROM_STDIN
def set_password(email: str, from_stdin: bool) -> None:
    """Give an account another password, and sign it out everywhere; asks for the password.

    \b
    Example:
      agentrecord accounts password ana@example.org
    """
    password_hash = _password_hash(from_stdin=from_stdin)
    with writing(as_user=False) as store:
        store.accounts.set_password(_found(store, email).id, password_hash, by=whoever_types())
    hint("changed; the account is signed out everywhere")
