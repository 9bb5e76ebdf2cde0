"""Fields of foreign rows, whose shapes nobody promised: each is read as what it should be, or as absent."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from agentrecord.ingest.source import checked_tokens, parse_time

# A row is whatever a tool wrote: no type can be promised for what is in it.
Row = dict[str, Any]

EXCERPT_CHARACTERS = 160
REPLACEMENT = "\ufffd"
HOSTS = {"anthropic": "Anthropic", "openai": "OpenAI", "google": "Google", "ollama": "Ollama"}

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LEAST_MILLISECONDS = 100_000_000_000
_NANOS = Decimal(1_000_000_000)
_UNFIT = re.compile("[\0\ud800-\udfff]")


def text_of(row: Mapping[str, Any], *names: str) -> str | None:
    """Return the first of these fields that holds text which is not empty."""
    for name in names:
        value = row.get(name)
        if isinstance(value, str) and value:
            return value
    return None


def table_of(row: Mapping[str, Any], name: str) -> Row:
    """Return a field that is an object; an empty one if it is anything else."""
    value = row.get(name)
    return value if isinstance(value, dict) else {}


def tables_of(row: Mapping[str, Any], name: str) -> list[Row]:
    """Return the objects in a field that is a list."""
    value = row.get(name)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def whole_of(row: Mapping[str, Any], name: str) -> int | None:
    """Return a field that is a whole number (a fraction is rounded), if it is a sensible one."""
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 2**63:
        return None
    return round(value)


def tokens_of(row: Mapping[str, Any], name: str) -> int | None:
    """Return a field that counts tokens, None if it is absent; raise `ValueError` if it cannot be a count."""
    value = row.get(name)
    return None if value is None else checked_tokens(name, value)


def uncached(total: int | None, *parts: int | None) -> int | None:
    """Return what is left of an input total without its cached parts; raise `ValueError` if these exceed it."""
    if total is None:
        return None
    rest = total - sum(part or 0 for part in parts)
    if rest < 0:
        raise ValueError(f"of {total} input tokens {total - rest} are said to be cached; the usage was left out")
    return rest


def time_of(row: Mapping[str, Any], *names: str, latest: datetime) -> datetime | None:
    """Return the first of these fields as a time (text, or a number of seconds or milliseconds since 1970).

    Raises `ValueError` if it is no time, or later than `latest`.
    """
    for name in names:
        value = row.get(name)
        if value is not None and value != "":
            return _time(name, value, latest)
    return None


def _time(name: str, value: object, latest: datetime) -> datetime:
    if isinstance(value, str):
        at = parse_time(value)
    elif isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 10**14:
        seconds = value / 1000 if value >= _LEAST_MILLISECONDS else value
        at = _EPOCH + timedelta(seconds=seconds)
    else:
        raise ValueError(f"{name} {str(value)[:40]!r} is not a time; write it as ISO 8601")
    if at > latest:
        raise ValueError(f"{name} {value} lies in the future; set the clock of the machine that wrote it, or the row")
    return at


def nanos_of(row: Mapping[str, Any], name: str) -> int | None:
    """Return a field that is a sum of dollars, in nano-dollars; raise `ValueError` if it cannot be one."""
    value = row.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1_000_000:
        raise ValueError(f"{name} {str(value)[:40]} is not a cost in dollars")
    return int((Decimal(str(value)) * _NANOS).to_integral_value())


def flat_text(value: object) -> str:
    """Return the text of what may be text, a block with text, or a list of either."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return text_of(value, "text", "content", "output") or ""
    if isinstance(value, list):
        return "\n".join(filter(None, map(flat_text, value)))
    return ""


def json_text(value: object) -> str:
    """Return `value` as compact JSON text."""
    return msgspec.json.encode(value).decode()


def json_or_text(value: object) -> str | None:
    """Return text as it is, anything else as JSON text, nothing for None."""
    return value if value is None or isinstance(value, str) else json_text(value)


def json_object(text: str) -> Row:
    """Return the JSON object that `text` holds; an empty one if it holds none."""
    if not text.lstrip().startswith("{"):
        return {}
    try:
        found = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def excerpt(value: object) -> str:
    """Return the start of a row, for a report."""
    return json_text(value)[:EXCERPT_CHARACTERS]


def digest(*parts: object) -> str:
    """Return a short text that is equal for equal parts only."""
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:24]


def stem(path: Path) -> str:
    """Return a file's name without its suffixes of format and compression."""
    return Path(path.name.removesuffix(".gz")).stem


def host_of(provider: str | None) -> str | None:
    """Return the host that a tool's word for a provider means."""
    return HOSTS.get(provider.lower(), provider) if provider else None


def first_text(values: Iterable[str | None]) -> str | None:
    """Return the first text that is not empty."""
    return next(filter(None, values), None)


def cleaned(row: Row) -> tuple[Row, bool]:
    """Return a row without the characters that no database stores, and whether it had any."""
    clean = fit(row)
    return (clean, True) if isinstance(clean, dict) and clean != row else (row, False)


def fit(value: object) -> object:
    """Return a value of JSON without the characters that no database stores, at any depth."""
    if isinstance(value, str):
        return _UNFIT.sub(REPLACEMENT, value)
    if isinstance(value, dict):
        return {str(fit(name)): fit(item) for name, item in value.items()}
    return [fit(item) for item in value] if isinstance(value, list) else value
