"""What a call costs, and what the built-in table asks for it."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any

import pytest
from genai_prices import Usage, calc_price
from hypothesis import given
from hypothesis import strategies as st

from agentrecord.pricing.builtin import find
from agentrecord.pricing.cost import cost_nanos, most_nanos
from agentrecord.pricing.names import locate, provider_of
from agentrecord.records.price import Rates, Tier
from agentrecord.records.tokens import TokenCounts

EXCERPT = Path(__file__).parents[1] / "data" / "prices" / "genai-prices-usages-excerpt.json"
CASES: list[dict[str, Any]] = json.loads(EXCERPT.read_text())
NOON = datetime(2026, 2, 1, 12, tzinfo=UTC)
DOLLAR = 1_000_000_000

RATES = Rates(
    input=3 * DOLLAR,
    cache_read=300_000_000,
    cache_write_5m=3_750_000_000,
    cache_write_1h=6 * DOLLAR,
    output=15 * DOLLAR,
)
LONG = Rates(
    input=6 * DOLLAR,
    cache_read=600_000_000,
    cache_write_5m=7_500_000_000,
    cache_write_1h=12 * DOLLAR,
    output=22_500_000_000,
)
TIERS = (Tier(above_input_tokens=200_000, rates=LONG),)

MODELS = (
    ("claude-opus-4-5-20251101", "anthropic"),
    ("claude-sonnet-4-5-20250929", "anthropic"),
    ("claude-opus-4-6", "anthropic"),
    ("claude-3-haiku-20240307", "anthropic"),
    ("claude-haiku-5-5", "anthropic"),
    ("gpt-5-codex", "openai"),
    ("gpt-4o", "openai"),
    ("gpt-5.6-sol", "openai"),
    ("gemini-2.5-pro", "google"),
    ("gemini-2.5-flash", "google"),
    ("gemini-3-pro-preview", "google"),
    ("deepseek-v4-pro", "deepseek"),
    ("sonar-pro", "perplexity"),
)
COUNTS = st.one_of(st.integers(0, 5_000), st.sampled_from([0, 1, 199_999, 200_000, 200_001]), st.integers(0, 1_000_000))
INSTANTS = st.datetimes(datetime(2025, 1, 1), datetime(2026, 12, 31), timezones=st.just(UTC))


def their_nanos(model: str, provider: str, usage: dict[str, int], at: datetime) -> int:
    """Return what genai-prices itself charges, in nano-dollars, rounded once."""
    total = calc_price(Usage(**usage), model, provider_id=provider, genai_request_timestamp=at).total_price
    return int((total * DOLLAR).to_integral_value(ROUND_HALF_EVEN))


def counts_of(usage: dict[str, int]) -> TokenCounts:
    """Return a usage of genai-prices, whose totals include their parts, as disjoint classes."""
    read, write, hour = (usage.get(f"cache_{kind}_tokens", 0) for kind in ("read", "write", "write_1h"))
    return TokenCounts(
        input=usage["input_tokens"] - read - write,
        cache_read=read,
        cache_write_5m=write - hour,
        cache_write_1h=hour,
        output=usage["output_tokens"],
        reasoning=usage.get("output_reasoning_tokens"),
    )


def test_each_class_is_charged_at_its_own_rate() -> None:
    tokens = TokenCounts(input=1_000, cache_read=10_000, cache_write_5m=2_000, cache_write_1h=3_000, output=500)
    assert cost_nanos(tokens, RATES) == 3_000_000 + 3_000_000 + 7_500_000 + 18_000_000 + 7_500_000


def test_reasoning_is_charged_once_as_the_output_it_is_part_of() -> None:
    with_reasoning = TokenCounts(input=1, output=100, reasoning=90)
    assert cost_nanos(with_reasoning, RATES) == cost_nanos(TokenCounts(input=1, output=100), RATES)


@pytest.mark.parametrize(
    ("total_input", "rate"), [(199_999, 3_000), (200_000, 3_000), (200_001, 6_000), (900_000, 6_000)]
)
def test_the_long_context_rate_begins_above_the_threshold_and_holds_for_the_whole_call(
    total_input: int, rate: int
) -> None:
    assert cost_nanos(TokenCounts(input=total_input, output=0), RATES, TIERS) == total_input * rate


def test_cached_tokens_count_toward_the_threshold() -> None:
    below = TokenCounts(input=1, cache_read=100_000, cache_write_5m=50_000, cache_write_1h=49_999, output=1_000)
    above = TokenCounts(input=2, cache_read=100_000, cache_write_5m=50_000, cache_write_1h=49_999, output=1_000)
    assert cost_nanos(below, RATES, TIERS) == cost_nanos(below, RATES)
    assert cost_nanos(above, RATES, TIERS) == cost_nanos(above, LONG)


def test_output_does_not_count_toward_the_threshold() -> None:
    tokens = TokenCounts(input=150_000, output=100_000)
    assert cost_nanos(tokens, RATES, TIERS) == cost_nanos(tokens, RATES)


def test_the_highest_exceeded_tier_wins_in_any_order() -> None:
    highest = Tier(above_input_tokens=500_000, rates=Rates(input=9 * DOLLAR, output=0))
    tokens = TokenCounts(input=600_000, output=0)
    assert cost_nanos(tokens, RATES, (highest, *TIERS)) == cost_nanos(tokens, RATES, (*TIERS, highest)) == 5_400_000_000


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        (Rates(input=10, output=0), 30),
        (Rates(input=10, output=0, cache_write_5m=20), 50),
        (Rates(input=10, output=0, cache_write_1h=40), 60),
        (Rates(input=10, output=0, cache_read=1), 21),
    ],
)
def test_a_class_without_a_rate_is_charged_as_the_class_it_is_part_of(rates: Rates, expected: int) -> None:
    million = 1_000_000
    tokens = TokenCounts(input=0, cache_read=million, cache_write_5m=million, cache_write_1h=million, output=0)
    assert cost_nanos(tokens, rates) == expected


@pytest.mark.parametrize(("half_nanos", "expected"), [(1, 0), (2, 1), (3, 2), (5, 2), (7, 4), (9, 4)])
def test_halves_are_rounded_to_even(half_nanos: int, expected: int) -> None:
    assert cost_nanos(TokenCounts(input=half_nanos, output=0), Rates(input=500_000)) == expected


def test_the_sum_is_rounded_once_not_each_class() -> None:
    rates = Rates(input=400_000, cache_read=400_000, output=400_000)
    assert cost_nanos(TokenCounts(input=1, cache_read=1, output=1), rates) == 1


def test_a_price_per_request_is_added_to_each_call() -> None:
    assert cost_nanos(TokenCounts(input=1_000_000, output=0), Rates(input=7, per_request=14_000_000)) == 14_000_007


@pytest.mark.parametrize(
    ("tokens", "rates"),
    [
        (TokenCounts(), RATES),
        (TokenCounts(cache_read=5), RATES),
        (TokenCounts(unclassified=5), RATES),
        (TokenCounts(input=5, output=5, unclassified=5), RATES),
        (TokenCounts(input=5, output=5), Rates(input=1)),
        (TokenCounts(input=5, output=5), Rates(output=1)),
        (TokenCounts(input=0, cache_read=5, output=0), Rates(output=1)),
    ],
)
def test_what_cannot_be_known_is_none_and_not_zero(tokens: TokenCounts, rates: Rates) -> None:
    assert cost_nanos(tokens, rates) is None


def test_a_missing_rate_does_not_matter_where_there_are_no_tokens_of_its_class() -> None:
    assert cost_nanos(TokenCounts(input=1_000_000, output=None, unclassified=0), Rates(input=5)) == 5
    assert cost_nanos(TokenCounts(input=0, output=0), Rates()) == 0


@given(
    model=st.sampled_from(MODELS),
    at=INSTANTS,
    uncached=COUNTS,
    read=COUNTS,
    write=COUNTS,
    hour=COUNTS,
    output=COUNTS,
)
def test_costs_equal_those_of_genai_prices_to_the_nano(
    model: tuple[str, str], at: datetime, uncached: int, read: int, write: int, hour: int, output: int
) -> None:
    name, provider = model
    quote = find(name, provider, at)
    assert quote is not None
    tokens = TokenCounts(input=uncached, cache_read=read, cache_write_5m=write, cache_write_1h=hour, output=output)
    usage = {
        "input_tokens": tokens.total_input,
        "cache_read_tokens": read,
        "cache_write_tokens": write + hour,
        "cache_write_5m_tokens": write,
        "cache_write_1h_tokens": hour,
        "output_tokens": output,
    }
    assert cost_nanos(tokens, quote.rates, quote.tiers) == their_nanos(name, provider, usage, at)


@given(model=st.sampled_from(MODELS), at=INSTANTS, threshold=st.sampled_from([100_000, 200_000, 272_000]))
def test_costs_equal_those_of_genai_prices_around_each_threshold(
    model: tuple[str, str], at: datetime, threshold: int
) -> None:
    name, provider = model
    quote = find(name, provider, at)
    assert quote is not None
    for total in (threshold - 1, threshold, threshold + 1):
        tokens = TokenCounts(input=total - 7, cache_read=7, output=11)
        usage = {"input_tokens": total, "cache_read_tokens": 7, "output_tokens": 11}
        assert cost_nanos(tokens, quote.rates, quote.tiers) == their_nanos(name, provider, usage, at)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['provider_id']}-{case['model']}")
def test_published_cases_cost_what_they_are_expected_to(case: dict[str, Any]) -> None:
    quote = find(case["model"], case["provider_id"], NOON)
    assert quote is not None
    expected = (Decimal(case["input_price"]) + Decimal(case["output_price"])) * DOLLAR
    assert cost_nanos(counts_of(case["usage"]), quote.rates, quote.tiers) == expected


def test_the_published_cases_cover_many_providers_and_every_kind_of_token() -> None:
    assert len(CASES) >= 30
    assert {"anthropic", "aws", "azure", "google", "groq", "mistral", "openai"} <= {
        case["provider_id"] for case in CASES
    }
    keys = {key for case in CASES for key in case["usage"]}
    assert {"cache_read_tokens", "cache_write_tokens", "output_reasoning_tokens"} <= keys
    assert any(case["usage"]["input_tokens"] > 200_000 for case in CASES)


def test_one_hour_cache_writes_have_their_own_price_at_anthropic() -> None:
    quote = find("claude-opus-4-5-20251101", "Anthropic", NOON)
    assert quote is not None
    assert quote.rates.cache_write_5m == 6_250_000_000
    assert quote.rates.cache_write_1h == 10 * DOLLAR


def test_a_quote_says_whose_price_it_is_and_since_when() -> None:
    before = find("claude-opus-4-6", None, datetime(2026, 3, 12, 23, 59, tzinfo=UTC))
    after = find("claude-opus-4-6", None, datetime(2026, 3, 13, tzinfo=UTC))
    assert before is not None
    assert after is not None
    assert (before.host, before.effective_from, len(before.tiers)) == ("Anthropic", None, 1)
    assert (after.host, after.effective_from, after.tiers) == ("Anthropic", datetime(2026, 3, 13, tzinfo=UTC), ())
    assert after.source.startswith("genai-prices ")
    assert after.model == "claude-opus-4-6"


@pytest.mark.parametrize(("hour", "expected"), [(0, 135), (1, 270), (16, 270), (17, 135)])
def test_prices_by_time_of_day_hold_in_their_hours(hour: int, expected: int) -> None:
    at = datetime(2026, 2, 1, hour, tzinfo=UTC)
    for zoned in (at, at.astimezone(datetime.strptime("+0900", "%z").tzinfo)):
        quote = find("deepseek-chat", "Deepseek", zoned)
        assert quote is not None
        assert quote.rates.input == expected * 1_000_000


@pytest.mark.parametrize(
    ("model", "host", "provider", "entry"),
    [
        ("claude-opus-4-5-20251101", "Anthropic", "anthropic", "claude-opus-4-5"),
        ("Claude-Opus-4-5-20251101", None, "anthropic", "claude-opus-4-5"),
        ("claude-sonnet-4-5-20250929[1m]", "Anthropic", "anthropic", "claude-sonnet-4-5"),
        ("anthropic/claude-sonnet-4-5", "Anthropic", "anthropic", "claude-sonnet-4-5"),
        ("anthropic/claude-opus-4.5", None, "anthropic", "claude-opus-4-5"),
        ("anthropic/claude-opus-4.5", "OpenRouter", "openrouter", "anthropic/claude-opus-4.5"),
        ("openrouter/anthropic/claude-sonnet-4.5", None, "openrouter", "anthropic/claude-sonnet-4.5"),
        (
            "global.anthropic.claude-sonnet-4-5-20250929-v1:0",
            None,
            "aws",
            "global.anthropic.claude-sonnet-4-5-20250929-v1:0",
        ),
        (
            "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            None,
            "aws",
            "regional.anthropic.claude-sonnet-4-5-20250929-v1:0",
        ),
        (
            "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            "Anthropic",
            "aws",
            "regional.anthropic.claude-sonnet-4-5-20250929-v1:0",
        ),
        ("vertex_ai/claude-sonnet-4-5", None, "google", "claude-sonnet-4-5"),
        ("projects/p/locations/us/publishers/google/models/gemini-2.5-pro", None, "google", "gemini-2.5-pro"),
        ("gpt-5-codex", "OpenAI", "openai", "gpt-5"),
        ("openai/gpt-5", None, "openai", "gpt-5"),
        ("gpt-5", "Azure", "azure", "gpt-5"),
        ("gemini-2.5-pro", "Google", "google", "gemini-2.5-pro"),
        ("models/gemini-2.5-pro", None, "google", "gemini-2.5-pro"),
        ("models/gemini-2.5-pro", "https://generativelanguage.googleapis.com/v1beta", "google", "gemini-2.5-pro"),
        ("anthropic/claude-sonnet-4-5", "litellm", "anthropic", "claude-sonnet-4-5"),
    ],
)
def test_the_names_that_transcripts_use_are_understood(model: str, host: str | None, provider: str, entry: str) -> None:
    found = locate(model, host)
    assert found is not None
    assert (found[0].id, found[1].id) == (provider, entry)


@pytest.mark.parametrize(
    ("model", "host"),
    [
        ("no-such-model", None),
        ("no-such-model", "Anthropic"),
        ("<synthetic>", "Anthropic"),
        ("", None),
        ("[pi] claude-sonnet-4-5", None),
        ("[pi]claude-sonnet-4-5", "Google"),
        ("gpt-5", "Anthropic"),
        ("gpt-oss-120b", "Ollama"),
        ("gpt-oss-120b", "llama.cpp"),
        ("gpt-oss-120b", "vLLM"),
        ("gpt-oss-120b", "http://localhost:8000/v1"),
        ("gpt-oss-120b", "https://openai.example.org/v1"),
        ("gpt-4o", "openai-compatible"),
        ("deepseek-r1:14b", None),
        ("deepseek-r1-7b.gguf", None),
    ],
)
def test_local_and_unknown_models_have_no_price(model: str, host: str | None) -> None:
    assert find(model, host, NOON) is None


@pytest.mark.parametrize(
    "host", ["Anthropic", "anthropic", " ANTHROPIC ", "https://api.anthropic.com/v1/messages", "api.anthropic.com"]
)
def test_a_host_may_be_a_name_an_id_or_an_address(host: str) -> None:
    provider = provider_of(host)
    assert provider is not None
    assert provider.id == "anthropic"


@pytest.mark.parametrize(
    ("model", "host"),
    [
        ("sonar-deep-research", "Perplexity"),
        ("gemini-2.5-flash-image", "Google"),
        ("gpt-4.1", "GitHub Copilot"),
    ],
)
def test_prices_that_the_token_classes_cannot_tell_apart_are_not_guessed(model: str, host: str) -> None:
    assert locate(model, host) is not None
    assert find(model, host, datetime(2026, 11, 1, tzinfo=UTC)) is None


def test_a_price_with_endless_digits_is_held_to_the_nearest_nano_dollar() -> None:
    quote = find("google/gemini-2.5-flash", "OpenRouter", datetime(2026, 11, 1, tzinfo=UTC))
    assert quote is not None
    assert quote.rates.cache_write_5m is not None
    assert abs(quote.rates.cache_write_5m - 10**9 / 12) < 1


def test_a_free_variant_costs_nothing() -> None:
    quote = find("openai/gpt-oss-20b:free", "OpenRouter", NOON)
    assert quote is not None
    assert cost_nanos(TokenCounts(input=10, cache_read=10, output=10), quote.rates, quote.tiers) == 0


@given(tokens=COUNTS, shift=st.integers(1, 300_000))
def test_more_tokens_never_cost_less(tokens: int, shift: int) -> None:
    fewer = cost_nanos(TokenCounts(input=tokens, output=1), RATES, TIERS)
    more = cost_nanos(TokenCounts(input=tokens + shift, output=1), RATES, TIERS)
    assert fewer is not None
    assert more is not None
    assert fewer <= more


def test_computing_a_cost_needs_no_price_table() -> None:
    check = "import sys, agentrecord.pricing.cost; sys.exit(bool({'genai_prices', 'msgspec'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


@given(
    counts=st.tuples(COUNTS, COUNTS, COUNTS, COUNTS, COUNTS),
    spare=st.integers(0, 500_000),
    threshold=st.sampled_from([0, 1000, 200_000]),
    rates=st.sampled_from([(RATES, LONG), (LONG, RATES), (Rates(input=7, output=1), RATES)]),
)
def test_no_call_costs_more_than_the_most_that_one_of_its_size_can(
    counts: tuple[int, int, int, int, int], spare: int, threshold: int, rates: tuple[Rates, Rates]
) -> None:
    uncached, read, write, hour, output = counts
    tokens = TokenCounts(input=uncached, cache_read=read, cache_write_5m=write, cache_write_1h=hour, output=output)
    tiers = (Tier(above_input_tokens=threshold, rates=rates[1]),)
    cost = cost_nanos(tokens, rates[0], tiers)
    most = most_nanos(tokens.total_input + spare, output + spare, rates[0], tiers)
    assert cost is not None
    assert most is not None
    assert cost <= most


def test_the_most_that_a_call_can_cost_is_unknown_where_something_has_no_price_or_no_bound() -> None:
    assert most_nanos(1, 1, Rates(output=5)) is None
    assert most_nanos(1, 1, Rates(input=5)) is None
    assert most_nanos(1, None, RATES) is None
    assert most_nanos(300_000, 1, RATES, (Tier(above_input_tokens=200_000, rates=Rates(output=1)),)) is None
    assert most_nanos(0, 10**6, Rates(output=5)) == 5
    assert most_nanos(10**6, 0, Rates(input=5, per_request=2)) == 7
    assert most_nanos(10**6, None, Rates(input=5, output=0)) == 5
