"""Figures, money and times in the words that people read."""

from datetime import UTC, datetime, time, timedelta
from decimal import Decimal

from agentrecord.codec import sizes
from agentrecord.records import lengths
from agentrecord.records.usage import UsageTotals

NONE = "–"
NO_DOLLARS = Decimal(0)


def money(dollars: Decimal | None) -> str:
    """Return dollars: two decimals from $1, four below, "no price" where there is none."""
    if dollars is None:
        return "no price"
    much = abs(dollars)
    if much >= 1 or much == 0:
        return f"${dollars:,.2f}"
    return "<$0.0001" if much < Decimal("0.0001") else f"${dollars:.4f}"


size = sizes.size


def count(number: int | None) -> str:
    """Return a whole number with separators."""
    return NONE if number is None else f"{number:,}"


def short(number: int) -> str:
    """Return a whole number in three or four characters: 940, 12.3k, 1.2M."""
    for size, unit in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if number >= size:
            return f"{number / size:.1f}{unit}"
    return str(number)


def tokens(totals: UsageTotals) -> str:
    """Return how many tokens calls took; a dash without calls, and where none of them told any."""
    is_told = totals.total_tokens or totals.uncounted_calls < totals.calls
    return count(totals.total_tokens) if is_told else NONE


def duration(milliseconds: float | None) -> str:
    """Return a duration as 57 ms, 4.02 s, 3 m 12 s, 5 h 07 m or 3 d 4 h."""
    return NONE if milliseconds is None else lengths.duration(milliseconds)


def moment(at: datetime | None) -> str:
    """Return an instant in UTC to the second."""
    return NONE if at is None else at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def ago(at: datetime, now: datetime) -> str:
    """Return how long ago an instant was; a date once it is more than 60 days."""
    past = now - at
    if past < timedelta(0) or past > timedelta(days=60):
        return at.astimezone(UTC).strftime("%Y-%m-%d")
    seconds = int(past.total_seconds())
    for length, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= length:
            return f"{seconds // length}{unit} ago"
    return f"{seconds}s ago"


def seen(at: datetime | None, now: datetime) -> str:
    """Return when something last happened, as `ago` does: a midnight stands for some time on that UTC day."""
    if at is None:
        return NONE
    if at.timetz() != time(tzinfo=UTC):
        return ago(at, now)
    return "today" if at.date() == now.astimezone(UTC).date() else f"{at:%Y-%m-%d}"


def plural(number: int, noun: str) -> str:
    """Return a number with its noun: 1 call, 2 calls."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
