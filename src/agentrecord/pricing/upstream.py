"""The table of the genai-prices package that is installed, converted to our form.

Its updater, which would fetch newer prices, is never started. What it prices beside tokens (searches, pages, seconds)
is left out; audio and image input is charged as text input, for the record does not tell them apart.
"""

from datetime import UTC, date, datetime, time
from decimal import ROUND_HALF_EVEN, Decimal
from importlib.metadata import version

from genai_prices import types as theirs
from genai_prices.data import providers

from agentrecord.pricing.table import Clause, Entry, Model, Provider, Table
from agentrecord.records.price import Rates, Tier

NANOS_PER_DOLLAR = 1_000_000_000
REQUESTS_KEY = "requests_kcount"
RATE_KEYS: dict[str, tuple[str, ...]] = {
    "input": ("input_mtok",),
    "cache_read": ("cache_read_mtok",),
    "cache_write_5m": ("cache_write_5m_mtok", "cache_write_mtok"),
    "cache_write_1h": ("cache_write_1h_mtok", "cache_write_mtok"),
    "output": ("output_mtok",),
}
FREE = Rates(input=0, cache_read=0, cache_write_5m=0, cache_write_1h=0, output=0)

Prices = dict[str, Decimal | theirs.TieredPrices]


def table() -> Table:
    """Return what the installed genai-prices says; raise `TypeError` for a rule of a kind that is not known."""
    return Table(version=version("genai-prices"), providers=tuple(map(_provider, providers)))


def _provider(provider: theirs.Provider) -> Provider:
    return Provider(
        id=provider.id,
        name=provider.name,
        api_pattern=provider.api_pattern,
        model_match=None if provider.model_match is None else _clause(provider.model_match),
        provider_match=None if provider.provider_match is None else _clause(provider.provider_match),
        fallbacks=tuple(provider.fallback_model_providers or ()),
        models=tuple(map(model_of, provider.models)),
    )


def model_of(model: theirs.ModelInfo) -> Model:
    """Return a model of genai-prices in our form: the price that is asked first comes first."""
    if isinstance(model.prices, theirs.ModelPrice):
        return Model(id=model.id, match=_clause(model.match), prices=(_entry(model.id, None, model.prices),))
    prices = tuple(_entry(model.id, one.constraint, one.prices) for one in reversed(model.prices))
    return Model(id=model.id, match=_clause(model.match), prices=prices)


def _clause(clause: theirs.MatchLogic) -> Clause:
    match clause:
        case theirs.ClauseEquals(equals=text):
            return Clause("is", text.lower())
        case theirs.ClauseStartsWith(starts_with=text):
            return Clause("starts", text.lower())
        case theirs.ClauseEndsWith(ends_with=text):
            return Clause("ends", text.lower())
        case theirs.ClauseContains(contains=text):
            return Clause("has", text.lower())
        case theirs.ClauseRegex(regex=text):
            return Clause("regex", text)
        case theirs.ClauseOr(or_=parts):
            return Clause("any", parts=tuple(map(_clause, parts)))
        case theirs.ClauseAnd(and_=parts):
            return Clause("all", parts=tuple(map(_clause, parts)))
        case _:
            raise TypeError(f"a rule for names of the unknown kind {type(clause).__name__}")


def _entry(
    model: str, constraint: theirs.StartDateConstraint | theirs.TimeOfDateConstraint | None, price: theirs.ModelPrice
) -> Entry:
    rates, tiers = _charged(model, {key: value for key, value in vars(price).items() if value is not None})
    match constraint:
        case None:
            return Entry(rates=rates, tiers=tiers)
        case theirs.StartDateConstraint(start_date=since):
            return Entry(since=since, rates=rates, tiers=tiers)
        case theirs.TimeOfDateConstraint(start_time=start, end_time=end):
            return Entry(start=_utc(start), end=_utc(end), rates=rates, tiers=tiers)
        case _:
            raise TypeError(f"a condition of the unknown kind {type(constraint).__name__}")


def _utc(at: time) -> time:
    """Return a time of day in UTC, which one without a zone is in already."""
    if at.tzinfo is None:
        return at
    return datetime.combine(date(1970, 1, 1), at).astimezone(UTC).time()


def _charged(model: str, prices: Prices) -> tuple[Rates | None, tuple[Tier, ...]]:
    """Return the rates and tiers of a price; none where the record's classes of tokens do not decide it."""
    if any(map(_is_finer, prices)):
        return None, ()
    rates = FREE if not prices and model.endswith(":free") else _rates(prices, 0)
    if rates == Rates():
        return None, ()
    return rates, tuple(Tier(above_input_tokens=start, rates=_rates(prices, start)) for start in _thresholds(prices))


def _is_finer(key: str) -> bool:
    # Whether output was text, image, sound or reasoning is not recorded; where that sets the price, none is right.
    is_output = key.startswith("output_") and key != "output_mtok"
    return key.endswith("_mtok") and (is_output or "_text_" in key or "_tool_" in key)


def _thresholds(prices: Prices) -> list[int]:
    used = {key for keys in RATE_KEYS.values() for key in keys} | {REQUESTS_KEY}
    tiered = [value for key, value in prices.items() if key in used and isinstance(value, theirs.TieredPrices)]
    return sorted({tier.start for value in tiered for tier in value.tiers})


def _rates(prices: Prices, threshold: int) -> Rates:
    rates: dict[str, int] = {}
    for name, keys in RATE_KEYS.items():
        key = next((key for key in keys if key in prices), None)
        if key is not None:
            rates[name] = _whole(_beyond(prices[key], threshold) * NANOS_PER_DOLLAR)
    if REQUESTS_KEY in prices:
        rates["per_request"] = _whole(_beyond(prices[REQUESTS_KEY], threshold) * NANOS_PER_DOLLAR / 1000)
    return Rates(**rates)


def _beyond(price: Decimal | theirs.TieredPrices, threshold: int) -> Decimal:
    if isinstance(price, Decimal):
        return price
    reached = [tier for tier in price.tiers if tier.start <= threshold]
    return reached[-1].price if reached else price.base


def _whole(nanos: Decimal) -> int:
    # A few listed prices are periodic fractions; the nearest nano-dollar per million tokens is off by less than one
    # nano-dollar in two million tokens, and a price that is known must not count as unknown.
    return int(nanos.to_integral_value(ROUND_HALF_EVEN))
