"""`agentrecord reprice`: past calls by today's prices, first as a difference, then for good."""

from collections.abc import Sequence
from decimal import Decimal

import click

from agentrecord.cli import words
from agentrecord.cli.moments import bounds, since_option, until_option
from agentrecord.cli.opening import writing
from agentrecord.cli.output import Column, Listing, output_options, show
from agentrecord.cli.terminal import hint
from agentrecord.cli.waiting import working
from agentrecord.records.price import RepriceRow
from agentrecord.records.usage import dollars


def _cost(nanos: int, unpriced: int, calls: int) -> Decimal | None:
    return None if calls and unpriced == calls else dollars(nanos)


def _signed(amount: Decimal) -> str:
    if not amount:
        return words.NONE
    return ("+" if amount > 0 else "-") + words.money(abs(amount))


_COLUMNS: list[Column[RepriceRow]] = [
    Column(name="day", value=lambda row: row.day),
    Column(name="model", value=lambda row: row.model),
    Column(name="calls", value=lambda row: row.calls, text=lambda row: words.count(row.calls), right=True, priority=3),
    Column(name="changed_calls", title="changed", value=lambda row: row.changed_calls,
           text=lambda row: words.count(row.changed_calls), right=True, priority=1),
    Column(name="old_usd", title="old", value=lambda row: _cost(row.old_nanos, row.old_unpriced, row.calls),
           text=lambda row: words.money(_cost(row.old_nanos, row.old_unpriced, row.calls)), right=True),
    Column(name="new_usd", title="new", value=lambda row: _cost(row.new_nanos, row.new_unpriced, row.calls),
           text=lambda row: words.money(_cost(row.new_nanos, row.new_unpriced, row.calls)), right=True),
    Column(name="change_usd", title="change", value=lambda row: dollars(row.new_nanos - row.old_nanos),
           text=lambda row: _signed(dollars(row.new_nanos - row.old_nanos)), right=True),
    Column(name="old_unpriced", title="unpriced before", value=lambda row: row.old_unpriced, right=True, priority=4,
           text=lambda row: words.count(row.old_unpriced)),
    Column(name="new_unpriced", title="unpriced after", value=lambda row: row.new_unpriced, right=True, priority=4,
           text=lambda row: words.count(row.new_unpriced)),
]  # fmt: skip


def _listing(rows: Sequence[RepriceRow], *, applied: bool) -> Listing[RepriceRow]:
    changed = [row for row in rows if row.changed_calls]
    old, new = sum(row.old_nanos for row in changed), sum(row.new_nanos for row in changed)
    return Listing(
        columns=_COLUMNS,
        rows=changed,
        footer={
            "day": "total",
            "calls": words.count(sum(row.calls for row in changed)),
            "changed_calls": words.count(sum(row.changed_calls for row in changed)),
            "old_usd": words.money(dollars(old)),
            "new_usd": words.money(dollars(new)),
            "change_usd": _signed(dollars(new - old)),
        },
        document={
            "applied": applied,
            "rows": list(changed),
            "checked_calls": sum(row.calls for row in rows),
            "changed_calls": sum(row.changed_calls for row in changed),
            "change_usd": dollars(new - old),
        },
        empty=f"No change: {words.plural(sum(row.calls for row in rows), 'call')} cost what today's prices say.",
    )


@click.command("reprice")
@since_option("Calls since")
@until_option()
@click.option("--model", metavar="NAME", help="Calls to one model only.")
@click.option("--apply", "applies", is_flag=True, help="Change the costs; without it nothing is written.")
@output_options
def command(since: str | None, until: str | None, model: str | None, applies: bool) -> None:
    """Show what today's prices would change in past calls, by day and model; --apply changes it.

    Costs that the provider itself named stay as they are.

    \b
    Examples:
      agentrecord reprice
      agentrecord reprice --model my-model --since 30d --apply
    """
    with writing() as store:
        start, end = bounds(since, until, now=store.engine.maker.clock.now())
        with working("charging calls anew" if applies else "comparing prices"):
            rows = store.prices.reprice(since=start, until=end, model=model, apply=applies)
    show(_listing(rows, applied=applies))
    changed = sum(row.changed_calls for row in rows)
    if changed:
        told = words.plural(changed, "call")
        hint(f"{told} repriced" if applies else f"{told} would change; --apply writes it")
