"""The tokens that the `llm` tool logs, whose meaning is that of each provider."""

from agentrecord.ingest.fields import Row, table_of, tokens_of, uncached
from agentrecord.records.tokens import TokenCounts

# The tool names no provider: these prefixes of model names belong to one alone.
PREFIXES = {
    "gpt-": "OpenAI",
    "chatgpt": "OpenAI",
    "o1": "OpenAI",
    "o3": "OpenAI",
    "o4": "OpenAI",
    "openai/": "OpenAI",
    "claude": "Anthropic",
    "anthropic/": "Anthropic",
    "gemini": "Google",
}


def host_of_model(model: str | None) -> str | None:
    """Return the host that serves a model of this name, if its name tells."""
    return next((host for prefix, host in PREFIXES.items() if model and model.startswith(prefix)), None)


def tokens_of_usage(row: Row, details: Row) -> TokenCounts:
    """Return the tokens of a response in disjoint classes; raise `ValueError` if they cannot be right."""
    written = tokens_of(details, "cache_creation_input_tokens")
    read = tokens_of(details, "cache_read_input_tokens")
    total = tokens_of(row, "input_tokens")
    if written is not None or read is not None:
        # Anthropic alone counts what was cached beside the input, not within it.
        fresh = total
    else:
        read = _first(details, ("prompt_tokens_details", "input_tokens_details"), "cached_tokens")
        read = tokens_of(details, "cachedContentTokenCount") if read is None else read
        fresh = uncached(total, read)
    reasoning = _first(details, ("completion_tokens_details", "output_tokens_details"), "reasoning_tokens")
    return TokenCounts(
        input=fresh,
        cache_read=read,
        cache_write_5m=written,
        output=tokens_of(row, "output_tokens"),
        reasoning=tokens_of(details, "thoughtsTokenCount") if reasoning is None else reasoning,
    )


def _first(details: Row, groups: tuple[str, ...], name: str) -> int | None:
    found = (tokens_of(table_of(details, group), name) for group in groups)
    return next((count for count in found if count is not None), None)
