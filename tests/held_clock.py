"""A clock that the test holds."""

from datetime import UTC, datetime, timedelta


class HeldClock:
    """Tells a time that only moves when it is read (by a millisecond) or told to."""

    def __init__(self) -> None:
        self.at = datetime(2026, 3, 4, 10, 0, tzinfo=UTC)

    def now(self) -> datetime:
        """Return the present instant."""
        self.at += timedelta(milliseconds=1)
        return self.at

    def advance(self, **by: float) -> None:
        """Move on."""
        self.at += timedelta(**by)
