"""What is compared in a filter: `>0.05`, `10k`, `<=2m`, `2026-01-31`, `1..5`, as whole numbers of the smallest unit.

Money is counted in nano-dollars, durations and instants in microseconds. A date is its whole UTC day.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from agentrecord.exceptions import InvalidFilter

HIGHEST = 2**62
_NUMBER = re.compile(r"(\d{1,18}(?:\.\d{1,9})?)\s*([A-Za-zµ]*)", re.ASCII)
_COMPARED = re.compile(r"(>=|<=|>|<)?(.*)", re.DOTALL)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_DAY = timedelta(days=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SIZES = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9}
_LENGTHS = {
    "us": 1,
    "ms": 10**3,
    "s": 10**6,
    "m": 60 * 10**6,
    "min": 60 * 10**6,
    "h": 3600 * 10**6,
    "d": 86_400 * 10**6,
}


class WordKind(StrEnum):
    """What the values of a word are."""

    TEXT = "text"
    CHOICE = "choice"
    COUNT = "count"
    MONEY = "money"
    DURATION = "duration"
    MOMENT = "moment"

    @property
    def is_measured(self) -> bool:
        """Say whether values are compared, rather than matched."""
        return self not in (WordKind.TEXT, WordKind.CHOICE)


@dataclass(frozen=True, slots=True)
class Bounds:
    """The lowest and the highest number that is meant, both included; None where there is no bound."""

    low: int | None
    high: int | None


def bounds_of(field: str, kind: WordKind, text: str) -> Bounds:
    """Return what a measured value means; raise `InvalidFilter` for what cannot be understood, with the mend."""
    read = _READERS[kind]
    if ".." in text:
        first, _, last = text.partition("..")
        low = read(field, first)[0] if first else None
        high = read(field, last)[1] if last else None
        if low is None and high is None:
            raise InvalidFilter(field, text, "has no bounds; write 1..5, 1.. or ..5")
        if low is not None and high is not None and low > high:
            raise InvalidFilter(field, text, "ends before it begins")
        return Bounds(low, high)
    found = _COMPARED.fullmatch(text)
    sign, number = (found[1], found[2]) if found else (None, text)
    low, high = read(field, number)
    match sign:
        case ">":
            return Bounds(high + 1, None)
        case ">=":
            return Bounds(low, None)
        case "<":
            return Bounds(None, low - 1)
        case "<=":
            return Bounds(None, high)
        case _:
            return Bounds(low, high)


def _count(field: str, text: str) -> tuple[int, int]:
    return _measured(field, text, _SIZES, 1, "is no number; write 200, 10k or 1.5M, with > or < before it")


def _money(field: str, text: str) -> tuple[int, int]:
    dollars = text.removeprefix("$")
    return _measured(field, dollars, _SIZES, 10**9, "is no sum; write dollars as in 0.05, with > or < before it")


def _duration(field: str, text: str) -> tuple[int, int]:
    return _measured(field, text, _LENGTHS, 1, "is no length of time; write 500ms, 2.5s, 2m, 1h or 3d")


def _measured(field: str, text: str, units: dict[str, int], smallest: int, mend: str) -> tuple[int, int]:
    found = _NUMBER.fullmatch(text.strip())
    unit = None if found is None else units.get(found[2].lower())
    if found is None or unit is None:
        raise InvalidFilter(field, text, mend)
    exact = Decimal(found[1]) * unit * smallest
    if exact > HIGHEST:
        raise InvalidFilter(field, text, "is more than anything here can be")
    return math.ceil(exact), math.floor(exact)


def _moment(field: str, text: str) -> tuple[int, int]:
    try:
        at = datetime.fromisoformat(text.strip())
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
        low = (at - _EPOCH) // timedelta(microseconds=1)
    except (ValueError, OverflowError):
        raise InvalidFilter(field, text, "is no time; write 2026-01-31 or 2026-01-31T12:00Z (UTC)") from None
    return (low, low + _DAY // timedelta(microseconds=1) - 1) if _DATE.fullmatch(text.strip()) else (low, low)


_READERS: dict[WordKind, Callable[[str, str], tuple[int, int]]] = {
    WordKind.COUNT: _count,
    WordKind.MONEY: _money,
    WordKind.DURATION: _duration,
    WordKind.MOMENT: _moment,
}
