"""What the built-in price table asks for a call: dated and time-of-day prices included."""

from datetime import UTC, datetime, time
from functools import lru_cache

from agentrecord.pricing.names import locate
from agentrecord.pricing.table import Entry, Provider, current
from agentrecord.records.price import Quote


def find(model: str, host: str | None, at: datetime) -> Quote | None:
    """Return the built-in price of `model` at `host` at the instant `at`; None where the table has none.

    The quote's `host` is the provider whose price list it is, also where `host` was None and had to be guessed.
    There is no quote for a price that whole nano-dollars cannot hold exactly or that depends on classes of
    tokens which the record does not tell apart (a separate price for reasoning, or for images that a model draws):
    unknown is not nearly right.
    """
    quotes = _quotes(model, host)
    for entry, quote in quotes:
        if entry.holds(at):
            return quote
    # Where no condition holds, genai-prices takes the first price of its list, which stands last here.
    return quotes[-1][1] if quotes else None


def load() -> None:
    """Read the table now rather than when it is first asked."""
    current()


@lru_cache(maxsize=4096)
def _quotes(model: str, host: str | None) -> tuple[tuple[Entry, Quote | None], ...]:
    found = locate(model, host)
    if found is None:
        return ()
    provider, entry = found
    return tuple((price, _quote(model, provider, price)) for price in entry.prices)


def _quote(model: str, provider: Provider, price: Entry) -> Quote | None:
    if price.rates is None:
        return None
    return Quote(
        model=model,
        host=provider.name,
        rates=price.rates,
        tiers=price.tiers,
        effective_from=None if price.since is None else datetime.combine(price.since, time(), UTC),
        source=current().source,
    )
