"""Filters on the command line: the same words as in the dashboard, those that begin with `-` too."""

import re
from typing import Any  # `Any`: click passes arguments untyped

import click

from agentrecord.cli import words
from agentrecord.cli.terminal import hint
from agentrecord.records.price_sources import PriceSources
from agentrecord.records.usage import UsageTotals

_NEGATED = re.compile(r"-[A-Za-z][A-Za-z0-9_.-]*:.+", re.DOTALL)
_BELOW = "agentrecord.command_below"


def _separated(args: list[str]) -> list[str]:
    """Return arguments with the negated words where click takes nothing for an option."""
    negated = [arg for arg in args if _NEGATED.fullmatch(arg)]
    rest = [arg for arg in args if not _NEGATED.fullmatch(arg)]
    if negated:
        rest.extend(negated if "--" in rest else ["--", *negated])
    return rest


class Filtering(click.Command):
    """A command whose arguments are a filter: `-env:staging` is a word of it and no option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put negated words where click takes nothing for an option."""
        return super().parse_args(ctx, _separated(args))


class FilteringGroup(click.Group):
    """A command whose arguments are a filter, unless one of them names a command below it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Look for a command first: without one, all that is no option is the filter."""
        if any(arg in self.commands for arg in args):
            ctx.meta[_BELOW] = self
            return super().parse_args(ctx, args)
        ctx.allow_interspersed_args = True
        return super().parse_args(ctx, _separated(args))

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the parameters: what comes before a command below are options alone."""
        found = super().get_params(ctx)
        if ctx.meta.get(_BELOW) is not self:
            return found
        return [one for one in found if not isinstance(one, click.Argument)]


def words_argument(command: Any) -> Any:
    """Give a command the words of a filter as its arguments."""
    return click.argument("text", nargs=-1, metavar="[WORDS]...")(command)


def warn_of_unpriced(totals: UsageTotals, what: str = "the cost") -> None:
    """Say on standard error that `what` leaves calls out."""
    if totals.unpriced_calls:
        counted = words.plural(totals.unpriced_calls, "call")
        hint(f"{counted} without a price: {what} leaves them out; `agentrecord prices` tells which", warning=True)


def tell_excluded(totals: UsageTotals) -> None:
    """Say on standard error which calls the total cost leaves out."""
    if totals.unpriced_calls:
        told = words.plural(totals.unpriced_calls, "call")
        hint(f"the total cost excludes {told} without a price; `agentrecord prices` shows them")


def tell_prices(prices: PriceSources | None, what: str = "prices") -> None:
    """Say on standard error which prices are behind a total cost."""
    if prices is not None:
        hint(f"{what}: {prices}; `agentrecord prices` lists them")
