"""The only reader of time."""

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What tells the time: aware UTC, in microseconds."""

    def now(self) -> datetime:
        """Return the present instant."""
        ...


class SystemClock:
    """The computer's own clock."""

    def now(self) -> datetime:
        """Return the present instant in UTC."""
        return datetime.now(UTC)
