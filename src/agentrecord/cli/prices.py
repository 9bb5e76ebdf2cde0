"""`agentrecord prices`: what models cost, whose figure that is, and one's own prices."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import TypedDict, Unpack
from uuid import UUID

import click

from agentrecord.cli import words
from agentrecord.cli.moments import Moment, parse_moment
from agentrecord.cli.opening import reading, writing
from agentrecord.cli.output import Column, Listing, output_options, show
from agentrecord.cli.terminal import hint
from agentrecord.cli.usage import Dollars, warn_of_unpriced
from agentrecord.records.price import ModelUse, NewPrice, Price, Quote, Rates, Tier
from agentrecord.records.usage import NANOS_PER_DOLLAR, UsageTotals, dollars

_RATES = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "per_request")


class GivenRates(TypedDict):
    """Rates in dollars, as options give them."""

    input: Decimal | None
    output: Decimal | None
    cache_read: Decimal | None
    cache_write_5m: Decimal | None
    cache_write_1h: Decimal | None
    per_request: Decimal | None


def nanos(name: str, amount: Decimal | None) -> int | None:
    """Return dollars as whole nano-dollars; raise a usage error where they are finer than that."""
    if amount is None:
        return None
    found = amount * NANOS_PER_DOLLAR
    if found != found.to_integral_value():
        raise click.UsageError(f"{name}: ${amount} is finer than a billionth of a dollar")
    return int(found)


class TierType(click.ParamType[Tier]):
    """A tier of a price: `200000:input=6,output=22.5`."""

    name = "tier"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Tier:
        """Return the tier."""
        if isinstance(value, Tier):
            return value
        limit, colon, rest = str(value).partition(":")
        pairs = [pair.partition("=") for pair in rest.split(",") if pair]
        given: dict[str, str] = {name: amount for name, _, amount in pairs}
        unknown = given.keys() - set(_RATES)
        if not colon or not limit.isdigit() or not given or unknown:
            self.fail(
                f"{value!r} is no tier: write TOKENS:input=USD,output=USD, as in 200000:input=6,output=22.5", param, ctx
            )
        amounts = {name: nanos(name, Dollars().convert(text, param, ctx)) for name, text in given.items()}
        return Tier(above_input_tokens=int(limit), rates=Rates(**amounts))


def _per_million(rates: Rates | None, name: str) -> Decimal | None:
    value = None if rates is None else getattr(rates, name)
    return None if value is None else dollars(value)


def _rate_text(amount: Decimal | None) -> str:
    return words.NONE if amount is None else f"{amount.normalize():f}"


def _rate_column(name: str, title: str, priority: int) -> Column[ModelUse]:
    return Column(
        name=f"{name}_usd_per_million", title=title, right=True, priority=priority,
        value=lambda use: _per_million(use.rates, name), text=lambda use: _rate_text(_per_million(use.rates, name)),
    )  # fmt: skip


def _from(at: datetime | None) -> str:
    return words.NONE if at is None else f"{at:%Y-%m-%d}"


_USES: list[Column[ModelUse]] = [
    Column(name="model", value=lambda use: use.model),
    Column(name="host", value=lambda use: use.host, priority=5),
    Column(name="calls", value=lambda use: use.totals.calls, text=lambda use: words.count(use.totals.calls),
           right=True, priority=3),
    Column(name="unpriced_calls", title="unpriced", value=lambda use: use.totals.unpriced_calls, right=True,
           text=lambda use: words.count(use.totals.unpriced_calls) if use.totals.unpriced_calls else "", priority=2,
           look=lambda use: {"fg": "yellow"}),
    _rate_column("input", "input", 1),
    _rate_column("cache_read", "cache read", 6),
    _rate_column("cache_write_5m", "write 5m", 7),
    _rate_column("cache_write_1h", "write 1h", 8),
    _rate_column("output", "output", 1),
    Column(name="effective_from", title="from", value=lambda use: use.effective_from,
           text=lambda use: _from(use.effective_from), priority=9),
    Column(name="source", value=lambda use: use.source, text=lambda use: use.source or "no price", priority=4),
    Column(name="cost_usd", title="cost", value=lambda use: use.totals.cost_usd,
           text=lambda use: words.money(use.totals.cost_usd), right=True),
]  # fmt: skip


def _price_columns() -> list[Column[Price | Quote]]:
    def rate(name: str, title: str, priority: int) -> Column[Price | Quote]:
        return Column(
            name=f"{name}_usd_per_million", title=title, value=lambda price: _per_million(price.rates, name),
            text=lambda price: _rate_text(_per_million(price.rates, name)), right=True, priority=priority,
        )  # fmt: skip

    return [
        Column(name="model", value=lambda price: price.model),
        Column(name="host", value=lambda price: price.host or "", priority=3),
        rate("input", "input", 1),
        rate("cache_read", "cache read", 5),
        rate("cache_write_5m", "write 5m", 6),
        rate("cache_write_1h", "write 1h", 7),
        rate("output", "output", 1),
        Column(name="tiers", value=lambda price: " ".join(map(_tier_text, price.tiers)), priority=5),
        Column(name="effective_from", title="from", value=lambda price: price.effective_from,
               text=lambda price: _from(price.effective_from), priority=4),
        Column(name="source", value=lambda price: price.source, priority=1),
        Column(name="id", value=lambda price: price.id if isinstance(price, Price) else None),
    ]  # fmt: skip


def _tier_text(tier: Tier) -> str:
    given = [(name, _per_million(tier.rates, name)) for name in _RATES]
    told = ",".join(f"{name}={_rate_text(amount)}" for name, amount in given if amount is not None)
    return f"{tier.above_input_tokens}:{told}"


def _show_prices(found: Sequence[Price | Quote], empty: str) -> None:
    show(Listing(columns=_price_columns(), rows=found, empty=empty))


@click.group("prices", invoke_without_command=True)
@click.option("--own", is_flag=True, help="One's own prices, and the built-in ones that charged a call, with ids.")
@output_options
@click.pass_context
def command(context: click.Context, own: bool) -> None:
    """List the models that were called, and the price that charges each, per million tokens; unpriced ones first.

    \b
    Examples:
      agentrecord prices
      agentrecord prices set my-model --input 1 --output 5 --from 2026-01-01
      agentrecord prices check claude-opus-4-5 --at 2026-01-05
      agentrecord reprice                    what the prices would change
    """
    if context.invoked_subcommand is not None:
        return
    with reading() as store:
        if own:
            _show_prices(store.prices.list(), "No price was set or used yet.")
            return
        uses = store.prices.uses()
        show(Listing(columns=_USES, rows=uses, empty="No model was called yet."))
        models: dict[str, UsageTotals] = {}
        for use in uses:
            models[use.model] = models.get(use.model, UsageTotals()) + use.totals
        warn_of_unpriced(models)


@command.command("set", short_help="Set a price of one's own.")
@click.argument("model")
@click.option("--host", metavar="NAME", help="At this host only.")
@click.option("--input", type=Dollars(), metavar="USD", help="Per million input tokens.")
@click.option("--output", type=Dollars(), metavar="USD", help="Per million output tokens.")
@click.option("--cache-read", type=Dollars(), metavar="USD", help="Per million tokens read from the cache.")
@click.option("--cache-write-5m", type=Dollars(), metavar="USD", help="Per million tokens written for 5 minutes.")
@click.option("--cache-write-1h", type=Dollars(), metavar="USD", help="Per million tokens written for an hour.")
@click.option("--per-request", type=Dollars(), metavar="USD", help="Per call.")
@click.option("--tier", "tiers", type=TierType(), multiple=True, metavar="TOKENS:RATES",
              help="Rates above so many input tokens: 200000:input=6,output=22.5; may be repeated.")  # fmt: skip
@click.option("--from", "start", type=Moment(), metavar="DATE", help="In force from then on; from ever without it.")
@output_options
def set_price(
    model: str, host: str | None, tiers: tuple[Tier, ...], start: str | None, **given: Unpack[GivenRates]
) -> None:
    """Set a price of one's own for MODEL (a * at an end stands for anything); it wins over the built-in table.

    A missing cache price is charged as input. Calls made before are charged anew by `agentrecord reprice`.

    \b
    Examples:
      agentrecord prices set my-model --input 3 --output 15
      agentrecord prices set my-model --input 3 --output 15 \\
        --tier 200000:input=6,output=22.5
    """
    rates = Rates(**{name: nanos(f"--{name}", amount) for name, amount in given.items()})  # type: ignore[arg-type]
    with writing() as store:
        at = None if start is None else parse_moment(start, now=store.engine.maker.clock.now())
        price = store.prices.set(NewPrice(model=model, host=host, rates=rates, tiers=tiers, effective_from=at))
    _show_prices([price], "")
    hint("calls made before: `agentrecord reprice` shows what this changes, --apply changes it")


@command.command("check", short_help="Show which price would charge.")
@click.argument("model")
@click.option("--host", metavar="NAME", help="At this host.")
@click.option("--at", "at", type=Moment(), metavar="DATE", help="For a call made then; now without it.")
@output_options
def check_price(model: str, host: str | None, at: str | None) -> None:
    """Show which price would charge a call to MODEL, and where it comes from; exit 1 if there is none.

    \b
    Example:
      agentrecord prices check claude-opus-4-5 --at 2025-11-25
    """
    with reading() as store:
        moment = None if at is None else parse_moment(at, now=store.engine.maker.clock.now())
        found: Price | Quote | None = store.prices.find(model, host=host, at=moment)
    _show_prices([found] if found else [], f"no price for {model}; agentrecord prices set {model} --input 1 --output 5")
    if found is None:
        raise click.exceptions.Exit(1)


@command.command("retire", short_help="Take a price out of force.")
@click.argument("price_id", metavar="ID", type=click.UUID)
def retire_price(price_id: UUID) -> None:
    """Take one of one's own prices out of force; `agentrecord prices --own` tells its ID.

    \b
    Example:
      agentrecord prices retire 01a21464-411f-73e5-bd07-1020eecbc9d9
    """
    with writing() as store:
        store.prices.retire(price_id)
    hint("retired; calls that it charged keep it until `agentrecord reprice --apply`")
