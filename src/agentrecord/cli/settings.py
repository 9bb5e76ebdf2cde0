"""What holds for every command: which record, which project and user, how to print."""

import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any  # `Any`: click passes option values untyped

import click
from platformdirs import user_data_path

APP = "agentrecord"
EPILOG = "--db, --project, --user, --no-color and --traceback may stand here too: see agentrecord --help."


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The options that every command takes."""

    url: str
    project: str | None = None
    user: str | None = None
    no_color: bool = False
    traceback: bool = False

    @property
    def shown_url(self) -> str:
        """Return the record's address without a password."""
        head, at, tail = self.url.rpartition("@")
        scheme, separator, credentials = head.partition("://")
        return f"{scheme}{separator}{credentials.split(':')[0]}{at}{tail}" if separator and at else self.url

    @property
    def command(self) -> str:
        """Return how a command on this record begins, for who types it elsewhere: with its file, if it is another's."""
        usual = Path(resolve_url(None)) if "AGENTRECORD_URL" not in os.environ else None
        path = self.path
        return APP if path is None or path == usual else f"{APP} --db {shlex.quote(str(path.absolute()))}"

    @property
    def path(self) -> Path | None:
        """Return the record's file; None if it is no file."""
        if self.url in ("memory:", ":memory:", "sqlite://", "sqlite:///:memory:"):
            return None
        if self.url.startswith("sqlite:///"):
            return Path(self.url.removeprefix("sqlite:///"))
        return None if "://" in self.url else Path(self.url).expanduser()


def resolve_url(given: str | None) -> str:
    """Return the record to use: the one given, or AGENTRECORD_URL, or the file in the user's data folder."""
    return given or os.environ.get("AGENTRECORD_URL") or str(user_data_path(APP) / "record.db")


def current() -> Settings:
    """Return the settings of the command that runs."""
    found = click.get_current_context().find_root().obj
    if not isinstance(found, Settings):
        found = Settings(url=resolve_url(None))
        click.get_current_context().find_root().obj = found
    return found


def _setter(field: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def set_field(context: click.Context, parameter: click.Parameter, value: Any) -> None:
        root = context.find_root()
        known = root.obj if isinstance(root.obj, Settings) else Settings(url=resolve_url(None))
        root.obj = known if value in (None, False) else replace(known, **{field: value})

    return set_field


def shared_options(*, hidden: bool) -> list[click.Option]:
    """Return the options that may stand before or after a command's name."""
    told: tuple[tuple[str, str, str | None, str], ...] = (
        ("--db", "url", "URL", "The record: a path, sqlite:///PATH or postgresql://… (or AGENTRECORD_URL)."),
        ("--project", "project", "NAME", "The project to work in."),
        ("--user", "user", "NAME", "The user whose rows to see, or to write for."),
        ("--no-color", "no_color", None, "Print without colour (NO_COLOR and FORCE_COLOR count too)."),
        ("--traceback", "traceback", None, "Show where an unexpected error came from."),
    )
    return [
        click.Option(
            [flag], metavar=metavar, is_flag=metavar is None, expose_value=False, hidden=hidden,
            callback=_setter(field), help=text,
        )
        for flag, field, metavar, text in told
    ]  # fmt: skip


def accept_shared_options(command: click.Command) -> click.Command:
    """Let a command, and the commands below it, take the shared options after its name too."""
    taken = {flag for parameter in command.params for flag in parameter.opts}
    command.params.extend(option for option in shared_options(hidden=True) if not taken & set(option.opts))
    command.epilog = command.epilog or EPILOG
    if isinstance(command, click.Group):
        for below in command.commands.values():
            accept_shared_options(below)
    return command
