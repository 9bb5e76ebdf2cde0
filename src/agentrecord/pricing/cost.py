"""What a call costs: whole numbers from the token counts to the nano-dollar, rounded once."""

from agentrecord.records.call_detail import Charge
from agentrecord.records.price import Rates, Tier
from agentrecord.records.tokens import TokenCounts

PER = 1_000_000


def cost_nanos(tokens: TokenCounts, rates: Rates, tiers: tuple[Tier, ...] = ()) -> int | None:
    """Return what `tokens` cost in nano-dollars, rounded half to even; None where that cannot be known.

    The context rule: the highest tier whose `above_input_tokens` is smaller than all input tokens, cache reads
    and writes included, gives the rates of the WHOLE call, not only of the tokens above the threshold. That is
    the rule of `TieredPrices` in genai-prices, after the providers' price lists for long contexts (Anthropic:
    a request with more than 200k input tokens is charged at the long-context rates for all its tokens).

    A class without a rate of its own is charged as the class it is a part of, as genai-prices does: one-hour
    cache writes as cache writes, cache reads and writes as input. Nothing is derived from a multiple of another
    rate. Reasoning is charged as the output it is contained in.

    The cost is unknown if neither input nor output is known, if there are `unclassified` tokens, and if
    there are tokens of a class that has no rate to fall back on.
    """
    if tokens.unclassified or (tokens.input is None and tokens.output is None):
        return None
    rates = _applicable(rates, tiers, tokens.total_input)
    total = (rates.per_request or 0) * PER
    for _, count, rate in _charged(tokens, rates):
        if count:
            if rate is None:
                return None
            total += count * rate
    return _rounded(total)


def charges(tokens: TokenCounts, rates: Rates, tiers: tuple[Tier, ...] = ()) -> tuple[Charge, ...]:
    """Return what each class of tokens costs, by the rules of `cost_nanos`; classes without tokens are left out."""
    rates = _applicable(rates, tiers, tokens.total_input)
    found = [
        Charge(token_class=name, tokens=count, rate=rate, cost_nanos=_rounded(count * rate))
        for name, count, rate in _charged(tokens, rates)
        if count and rate is not None
    ]
    if rates.per_request:
        found.append(Charge(token_class="request", tokens=0, rate=rates.per_request, cost_nanos=rates.per_request))
    return tuple(found)


def _charged(tokens: TokenCounts, rates: Rates) -> tuple[tuple[str, int | None, int | None], ...]:
    """Return each class of tokens, how many there are, and the rate that they are charged at."""
    write_rate = rates.input if rates.cache_write_5m is None else rates.cache_write_5m
    return (
        ("input", tokens.input, rates.input),
        ("cache_read", tokens.cache_read, rates.input if rates.cache_read is None else rates.cache_read),
        ("cache_write_5m", tokens.cache_write_5m, write_rate),
        ("cache_write_1h", tokens.cache_write_1h, write_rate if rates.cache_write_1h is None else rates.cache_write_1h),
        ("output", tokens.output, rates.output),
    )


def most_nanos(
    input_tokens: int, max_output_tokens: int | None, rates: Rates, tiers: tuple[Tier, ...] = ()
) -> int | None:
    """Return the most that a call of at most so many tokens can cost, in nano-dollars; None where that is unknown.

    Every input token counts as of the dearest class (a cache write often costs more than plain input), and of the
    tiers within reach the dearest counts, since fewer tokens than asked for may fall under another. Output without a
    bound has a known cost only where it is free.
    """
    reachable = [rates, *(tier.rates for tier in tiers if input_tokens > tier.above_input_tokens)]
    found = [_most(input_tokens, max_output_tokens, one) for one in reachable]
    known = [nanos for nanos in found if nanos is not None]
    return max(known) if len(known) == len(found) else None


def _most(input_tokens: int, max_output_tokens: int | None, rates: Rates) -> int | None:
    if max_output_tokens is None:
        if rates.output != 0:
            return None
        max_output_tokens = 0
    if (input_tokens and rates.input is None) or (max_output_tokens and rates.output is None):
        return None
    classes = (rates.input, rates.cache_read, rates.cache_write_5m, rates.cache_write_1h)
    dearest = max(rate or 0 for rate in classes)
    return _rounded((rates.per_request or 0) * PER + input_tokens * dearest + max_output_tokens * (rates.output or 0))


def _applicable(rates: Rates, tiers: tuple[Tier, ...], input_tokens: int) -> Rates:
    exceeded = [tier for tier in tiers if input_tokens > tier.above_input_tokens]
    return max(exceeded, key=lambda tier: tier.above_input_tokens).rates if exceeded else rates


def _rounded(total: int) -> int:
    whole, rest = divmod(total, PER)
    return whole + (2 * rest > PER or (2 * rest == PER and whole % 2 == 1))
