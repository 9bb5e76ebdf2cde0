"""Ranges of time as people type them: 7d, 36h, 2026-01-05, all."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, TypeVar  # `Any`: click passes option values untyped

import click

from agentrecord.records.lengths import DAY, last_whole

F = TypeVar("F", bound=Callable[..., Any])

_SPAN = re.compile(r"(\d{1,6})\s*(m|min|h|d|w)", re.IGNORECASE)
_UNITS = {"m": "minutes", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SHORT = ("m", "min", "h")
_OFFSET = re.compile(r"([+-])(\d{1,2}):?(\d{2})?")
_DATE = re.compile(r"\d{4}-?\d{2}-?\d{2}")


def parse_moment(
    text: str, *, now: datetime, zone: timezone = UTC, is_end: bool = False, whole: timedelta | None = None
) -> datetime | None:
    """Return the instant that `text` names; None for `all`.

    A span (7d, 36h) counts back from `now`. With `whole`, an hour or a day, it is made of whole ones of `zone`, the
    present one the last, and of whole days where days or weeks are asked for: the same as on the pages. A date is its
    first instant in `zone`, or its last if `is_end`. Raises ValueError for anything else.
    """
    wanted = text.strip()
    if wanted.lower() == "all":
        return None
    if wanted.lower() == "now":
        return now
    span = _SPAN.fullmatch(wanted)
    if span:
        length = timedelta(**{_UNITS[span[2].lower()]: int(span[1])})
        if whole is None:
            return now - length
        ahead = zone.utcoffset(None)
        return last_whole(length, now + ahead, whole if span[2].lower() in _SHORT else DAY)[0] - ahead
    found = datetime.fromisoformat(wanted)
    if found.tzinfo is None:
        found = found.replace(tzinfo=zone)
    if is_end and _DATE.fullmatch(wanted):
        found += timedelta(days=1)
    return found.astimezone(UTC)


class Moment(click.ParamType[str]):
    """An option's value that names an instant."""

    name = "moment"

    def __init__(self, *, is_end: bool = False) -> None:
        """Say whether a date means its end."""
        self.is_end = is_end

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check the text; it becomes an instant once the time zone is known."""
        try:
            parse_moment(value, now=datetime(2026, 1, 1, tzinfo=UTC), is_end=self.is_end)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no time: write 7d, 36h, 2026-01-05, 2026-01-05T12:00Z or all", param, ctx)
        return str(value)


class Zone(click.ParamType[int]):
    """An option's value that names a time zone: UTC, local or an offset such as +02:00."""

    name = "zone"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return minutes ahead of UTC."""
        if isinstance(value, int):
            return value
        if value.lower() == "utc":
            return 0
        if value.lower() == "local":
            ahead = datetime.now(UTC).astimezone().utcoffset() or timedelta(0)
            return int(ahead.total_seconds() // 60)
        found = _OFFSET.fullmatch(value)
        if found is None or int(found[2]) > 14 or int(found[3] or 0) > 59:
            self.fail(f"{value!r} is no time zone: write UTC, local or an offset such as +02:00", param, ctx)
        minutes = int(found[2]) * 60 + int(found[3] or 0)
        return -minutes if found[1] == "-" else minutes


def since_option(text: str = "From when on") -> Callable[[F], F]:
    """Return the option `--since`."""
    return click.option("--since", type=Moment(), metavar="WHEN", help=f"{text}: 7d, 36h, 2026-01-05 or all.")


def until_option() -> Callable[[F], F]:
    """Return the option `--until`."""
    return click.option(
        "--until", type=Moment(is_end=True), metavar="WHEN", help="Up to when; a date includes that day."
    )


def bounds(
    since: str | None, until: str | None, *, now: datetime, zone_minutes: int = 0, whole: timedelta | None = None
) -> tuple[datetime | None, datetime | None]:
    """Return the instants that `--since` and `--until` name; raise a usage error if they are the wrong way round."""
    zone = timezone(timedelta(minutes=zone_minutes))
    start = None if since is None else parse_moment(since, now=now, zone=zone, whole=whole)
    end = None if until is None else parse_moment(until, now=now, zone=zone, is_end=True)
    if start is not None and end is not None and start >= end:
        raise click.UsageError(f"--since {since} is not before --until {until}")
    return start, end
