"""Instants as microseconds since 1970, UTC: how every engine stores them."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HOUR_MICROS = 3_600_000_000
DAY_MICROS = 24 * HOUR_MICROS


# A transaction binds the same instant many times.
@lru_cache(maxsize=1024)
def to_micros(moment: datetime) -> int:
    """Return an aware datetime as microseconds since 1970."""
    delta = moment - EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def from_micros(micros: int) -> datetime:
    """Return microseconds since 1970 as an aware datetime."""
    return EPOCH + timedelta(microseconds=micros)
