"""Which entry of the built-in price table a model name and a host name mean."""

import re
from datetime import date
from functools import lru_cache

from agentrecord.pricing.table import Model, Provider, current

Found = tuple[Provider, Model]

PATH_WORDS = frozenset({"models", "publishers"})
ROUTERS = frozenset({"litellm"})
BEDROCK_ID = re.compile(r"(?:[a-z-]+\.)?[a-z0-9]+\.[a-z0-9.-]+-v\d+:\d+(?::\d+k)?$")
VERTEX_PATH = re.compile(r"^projects/[^/]+/locations/[^/]+/")
COMPACT_DATE = re.compile(r"-(20\d\d)(\d\d)(\d\d)(?=-|:|$)")


def locate(model: str, host: str | None) -> Found | None:
    """Return the provider and model that these names mean; None if the table does not know them.

    Without a host (or with one that only routes), the provider is the one that the model's name points to.
    A name in the form of Bedrock's ids is Bedrock's even where the tool that wrote it says Anthropic.
    """
    name = VERTEX_PATH.sub("google/", model.strip().lower())
    if not name or name.startswith("[") or " " in name:
        return None
    is_bedrock_id = BEDROCK_ID.match(name.rpartition("/")[2]) is not None
    if host is None or host.strip().lower() in ROUTERS:
        return _at(_bedrock(), name) if is_bedrock_id else _guess(name)
    provider = provider_of(host)
    if provider is not None and provider.id == "anthropic" and is_bedrock_id:
        provider = _bedrock()
    return None if provider is None else _at(provider, name)


@lru_cache(maxsize=1024)
def provider_of(host: str) -> Provider | None:
    """Return the provider that a host's name, id or address means; None for a local or unknown host."""
    text = host.strip().lower()
    if known := _by_spelling().get(_letters(text)):
        return known
    providers = current().providers
    if "://" in text or "." in text:
        url = text if "://" in text else f"https://{text}"
        return next((provider for provider in providers if re.match(provider.api_pattern, url)), None)
    if "compatible" in text or "local" in text:
        return None
    return next((one for one in providers if one.provider_match and one.provider_match.matches(text)), None)


@lru_cache(maxsize=1)
def _by_spelling() -> dict[str, Provider]:
    spellings: dict[str, Provider] = {}
    for provider in current().providers:
        spellings.setdefault(_letters(provider.id), provider)
        spellings.setdefault(_letters(provider.name), provider)
    return spellings


def _letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def _by_id(provider: str) -> Provider | None:
    return next((one for one in current().providers if one.id == provider), None)


def _bedrock() -> Provider:
    return next(provider for provider in current().providers if provider.id == "aws")


def model_at(provider: Provider, name: str) -> Model | None:
    """Return the model that a name in lower case means at a provider, by the rules of genai-prices.

    A model that the provider does not list is looked for at those whose models it serves. LiteLLM and OpenRouter
    write `gpt-5.2-20251211` for what others call `gpt-5.2-2025-12-11`; that is tried second.
    """
    return _listed(provider, name) or _listed(provider, COMPACT_DATE.sub(_dashed, name))


def _listed(provider: Provider, name: str) -> Model | None:
    for place in (provider, *filter(None, map(_by_id, provider.fallbacks))):
        for model in place.models:
            if model.match.matches(name):
                return model
    return None


def _dashed(found: re.Match[str]) -> str:
    year, month, day = map(int, found.groups())
    try:
        return f"-{date(year, month, day).isoformat()}"
    except ValueError:
        return found[0]


def _at(provider: Provider, name: str) -> Found | None:
    while True:
        if model := model_at(provider, name):
            return provider, model
        prefix, slash, name = name.partition("/")
        if not slash or (prefix not in PATH_WORDS and provider_of(prefix) is not provider):
            return None


def _guess(name: str) -> Found | None:
    # `name:tag` without a vendor and `.gguf` are how local servers name models whose hosted namesakes cost money.
    if (":" in name and "/" not in name) or name.endswith(".gguf"):
        return None
    for provider in current().providers:
        if provider.model_match is not None and provider.model_match.matches(name):
            if model := model_at(provider, name):
                return provider, model
            break
    prefix, slash, rest = name.partition("/")
    if not slash:
        return None
    if prefix in PATH_WORDS:
        return _guess(rest)
    named = provider_of(prefix)
    return None if named is None else _at(named, rest)
