"""Lengths of time, everywhere alike: how they are written for people, and which whole hours or days they reach back."""

from datetime import UTC, datetime, timedelta

MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86_400
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)


def duration(milliseconds: float) -> str:
    """Return a length of time: 57 ms, 4.02 s, 3 m 12 s, 2 h 05 m, 3 d 4 h."""
    seconds = milliseconds / 1000
    if seconds < 1:
        return f"{milliseconds:.0f} ms"
    if seconds < MINUTE_S:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"
    whole = int(seconds)
    if whole < HOUR_S:
        return f"{whole // MINUTE_S} m {whole % MINUTE_S:02d} s"
    if whole < DAY_S:
        return f"{whole // HOUR_S} h {whole % HOUR_S // MINUTE_S:02d} m"
    return f"{whole // DAY_S} d {whole % DAY_S // HOUR_S} h"


def floor(at: datetime, step: timedelta) -> datetime:
    """Return the last whole `step` since 1970 that is not after an instant: the beginning of its hour or UTC day."""
    return _FIRST + (at - _FIRST) // step * step


def ceiling(at: datetime, step: timedelta) -> datetime:
    """Return the first whole `step` since 1970 that is not before an instant."""
    return _FIRST - (_FIRST - at) // step * step


def last_whole(length: timedelta, now: datetime, step: timedelta) -> tuple[datetime, datetime]:
    """Return the beginning and the end of the last whole hours or days, the present one included.

    There are as many of them as it takes to be `length` long.
    """
    until = floor(now, step) + step
    return until + length // -step * step, until
