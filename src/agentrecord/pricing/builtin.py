"""The built-in price table: the genai-prices package as installed, dated and time-of-day prices included.

The package carries its prices with it; its updater, which would fetch newer ones, is never started. What the
table prices beside tokens (searches, pages, seconds) is left out; audio and image input is charged as text input,
for the record does not tell them apart.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, time
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from importlib.metadata import version

from genai_prices.types import (
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    TieredPrices,
    TimeOfDateConstraint,
)

from agentrecord.pricing.names import locate
from agentrecord.records.price import Quote, Rates, Tier

Constraint = StartDateConstraint | TimeOfDateConstraint | None
Window = tuple[Constraint, Quote | None]

SOURCE = f"genai-prices {version('genai-prices')}"
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


def find(model: str, host: str | None, at: datetime) -> Quote | None:
    """Return the built-in price of `model` at `host` at the instant `at`; None where the table has none.

    The quote's `host` is the provider whose price list it is, also where `host` was None and had to be guessed.
    There is no quote for a price that whole nano-dollars cannot hold exactly or that depends on classes of
    tokens which the record does not tell apart (a separate price for reasoning, or for images that a model draws):
    unknown is not nearly right.
    """
    windows = _windows(model, host)
    for constraint, quote in windows:
        if constraint is None or constraint.active(at):
            return quote
    # Where no condition holds, genai-prices takes the first price of its list, which stands last here.
    return windows[-1][1] if windows else None


@lru_cache(maxsize=4096)
def _windows(model: str, host: str | None) -> tuple[Window, ...]:
    entry = locate(model, host)
    if entry is None:
        return ()
    provider, found = entry
    return tuple(
        (conditional.constraint, _quote(conditional, model, provider, found)) for conditional in _latest_first(found)
    )


def _latest_first(found: ModelInfo) -> Iterable[ConditionalPrice]:
    if isinstance(found.prices, ModelPrice):
        return (ConditionalPrice(prices=found.prices),)
    return reversed(found.prices)


def _quote(conditional: ConditionalPrice, model: str, provider: Provider, found: ModelInfo) -> Quote | None:
    prices = {key: value for key, value in vars(conditional.prices).items() if value is not None}
    if any(map(_is_finer, prices)):
        return None
    rates = _rates(prices, 0)
    tiers = tuple(Tier(above_input_tokens=start, rates=_rates(prices, start)) for start in _thresholds(prices))
    if not prices and found.id.endswith(":free"):
        rates = FREE
    if rates == Rates():
        return None
    return Quote(
        model=model,
        host=provider.name,
        rates=rates,
        tiers=tiers,
        effective_from=_start(conditional.constraint),
        source=SOURCE,
    )


def _is_finer(key: str) -> bool:
    # Whether output was text, image, sound or reasoning is not recorded; where that sets the price, none is right.
    is_output = key.startswith("output_") and key != "output_mtok"
    return key.endswith("_mtok") and (is_output or "_text_" in key or "_tool_" in key)


def _start(constraint: Constraint) -> datetime | None:
    if isinstance(constraint, StartDateConstraint):
        return datetime.combine(constraint.start_date, time(), UTC)
    return None


def _thresholds(prices: dict[str, Decimal | TieredPrices]) -> list[int]:
    used = {key for keys in RATE_KEYS.values() for key in keys} | {REQUESTS_KEY}
    tiered = [value for key, value in prices.items() if key in used and isinstance(value, TieredPrices)]
    return sorted({tier.start for value in tiered for tier in value.tiers})


def _rates(prices: dict[str, Decimal | TieredPrices], threshold: int) -> Rates:
    rates: dict[str, int] = {}
    for name, keys in RATE_KEYS.items():
        key = next((key for key in keys if key in prices), None)
        if key is not None:
            rates[name] = _whole(_beyond(prices[key], threshold) * NANOS_PER_DOLLAR)
    if REQUESTS_KEY in prices:
        rates["per_request"] = _whole(_beyond(prices[REQUESTS_KEY], threshold) * NANOS_PER_DOLLAR / 1000)
    return Rates(**rates)


def _beyond(price: Decimal | TieredPrices, threshold: int) -> Decimal:
    if isinstance(price, Decimal):
        return price
    reached = [tier for tier in price.tiers if tier.start <= threshold]
    return reached[-1].price if reached else price.base


def _whole(nanos: Decimal) -> int:
    # A few listed prices are periodic fractions; the nearest nano-dollar per million tokens is off by less than one
    # nano-dollar in two million tokens, and a price that is known must not count as unknown.
    return int(nanos.to_integral_value(ROUND_HALF_EVEN))
