"""Filters on the command line: the same words as in the dashboard, those that begin with `-` too."""

import re
from typing import Any  # `Any`: click passes arguments untyped

import click

from agentrecord.cli import words
from agentrecord.cli.terminal import hint
from agentrecord.records.usage import UsageTotals

_NEGATED = re.compile(r"-[A-Za-z][A-Za-z0-9_.-]*:.+", re.DOTALL)


class Filtering(click.Command):
    """A command whose arguments are a filter: `-env:staging` is a word of it and no option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put negated words where click takes nothing for an option."""
        negated = [arg for arg in args if _NEGATED.fullmatch(arg)]
        rest = [arg for arg in args if not _NEGATED.fullmatch(arg)]
        if negated:
            rest.extend(negated if "--" in rest else ["--", *negated])
        return super().parse_args(ctx, rest)


def words_argument(command: Any) -> Any:
    """Give a command the words of a filter as its arguments."""
    return click.argument("text", nargs=-1, metavar="[WORDS]...")(command)


def tell_excluded(totals: UsageTotals) -> None:
    """Say on standard error which calls the total cost leaves out."""
    if totals.unpriced_calls:
        told = words.plural(totals.unpriced_calls, "call")
        hint(f"the total cost excludes {told} without a price; `agentrecord prices` shows them")
