"""What the lists of agents and of users share: options, rows, and the sums of the whole filter below them."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypedDict, TypeVar  # `Any`: decorators keep whatever they decorate

import click

from agentrecord.cli import words
from agentrecord.cli.filtering import tell_excluded, tell_prices, words_argument
from agentrecord.cli.moments import bounds, since_option, until_option
from agentrecord.cli.opening import reading
from agentrecord.cli.output import Column, Form, Listing, chosen_form, output_options, show
from agentrecord.cli.paging import collect, page_document, page_options, tell_rest
from agentrecord.records.facet import FigureSums
from agentrecord.records.lengths import DAY
from agentrecord.records.page import Page
from agentrecord.records.query import joined
from agentrecord.records.usage import UsageTotals
from agentrecord.store import Store

FIGURE_SORTS = (
    "sessions", "messages", "runs", "failed_runs", "tool_calls", "tool_errors", "errors", "cost", "tokens", "calls"
)  # fmt: skip
"""The orders that both lists have; kept here, so that help needs no database's code."""

R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])


class Wanted(TypedDict):
    """The options of a list."""

    since: str | None
    until: str | None
    sort: str
    limit: int
    cursor: str | None
    everything: bool


def share(value: float | None) -> str:
    """Return a share in percent; a dash where it is not known."""
    return words.NONE if value is None else f"{100 * value:.1f}%"


def cost(totals: UsageTotals) -> str:
    """Return what calls cost; a dash without calls."""
    return words.money(totals.cost_usd) if totals.calls else words.NONE


def list_options(sorts: Sequence[str], default: str) -> Callable[[F], F]:
    """Return what gives a command the words and options of a list that is ordered by one of `sorts`."""

    def decorate(command: F) -> F:
        told = f"One of {', '.join(sorts)}; - before it for descending."
        sort = click.option("--sort", default=default, show_default=True, metavar="FIELD", help=told)
        for option in (output_options, page_options, sort, until_option(), since_option("Over the days since")):
            command = option(command)
        found: F = words_argument(command)
        return found

    return decorate


def work_columns() -> list[Column[Any]]:
    """Return the columns of runs and of those that failed."""
    return [
        Column(name="runs", value=lambda f: f.runs, text=lambda f: words.count(f.runs), right=True, priority=1),
        Column(name="failed_runs", title="failed", value=lambda f: f.failed_runs, right=True, priority=4,
               text=lambda f: words.count(f.failed_runs)),
        Column(name="error_rate", title="error rate", value=lambda f: f.error_rate, right=True, priority=3,
               text=lambda f: share(f.error_rate)),
    ]  # fmt: skip


def spent_columns() -> list[Column[Any]]:
    """Return the columns of tokens and of cost."""
    return [
        Column(name="total_tokens", title="tokens", value=lambda f: f.usage.total_tokens, right=True, priority=5,
               text=lambda f: words.tokens(f.usage)),
        Column(name="cost_usd", title="cost", value=lambda f: f.usage.cost_usd if f.usage.calls else None, right=True,
               text=lambda f: cost(f.usage)),
    ]  # fmt: skip


def show_list(
    text: tuple[str, ...],
    wanted: Wanted,
    operations: Callable[[Store], tuple[Callable[..., Page[R]], Callable[..., FigureSums]]],
    columns: Callable[[datetime], list[Column[R]]],
    *,
    empty: str,
) -> None:
    """Print what a filter finds, by the `operations` for rows and for sums.

    Below a table stand the sums over the whole filter, whatever part of it is printed.
    """
    with reading() as store:
        now, (report, summed) = store.engine.maker.clock.now(), operations(store)
        since, until = bounds(wanted["since"], wanted["until"], now=now, whole=DAY)
        where = {"query": joined(text), "since": since, "until": until}
        page = collect(
            lambda size, place: report(**where, sort=wanted["sort"], limit=size, cursor=place),
            limit=wanted["limit"], cursor=wanted["cursor"], everything=wanted["everything"],
        )  # fmt: skip
        sums = summed(**where) if chosen_form() is Form.TABLE else FigureSums()
    shown = columns(now)
    show(Listing(
        columns=shown, rows=page.items, footer=_footer(shown[0].name, page, sums), document=page_document(page),
        empty=empty,
    ))  # fmt: skip
    tell_excluded(sums.totals)
    tell_prices(sums.prices)
    tell_rest(page)


def _footer(first: str, page: Page[R], sums: FigureSums) -> dict[str, str]:
    return {
        first: f"{len(page):,} of {sums.found:,}",
        "sessions": words.count(sums.sessions),
        "runs": words.count(sums.runs),
        "failed_runs": words.count(sums.failed_runs),
        "tool_errors": words.count(sums.tool_errors),
        "errors": words.count(sums.errors),
        "calls": words.count(sums.totals.calls),
        "total_tokens": words.tokens(sums.totals),
        "cost_usd": cost(sums.totals),
    }
