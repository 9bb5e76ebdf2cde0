"""The range of time of a list: relative (`since=36h`) or fixed (`from`, `to`), panned, and made fixed for a link."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from agentrecord.dashboard.filters import Asked, Range, with_changes
from agentrecord.exceptions import InvalidFilter
from agentrecord.records.lengths import DAY, HOUR, ceiling, floor, last_whole

LIST_RANGES = ("15m", "1h", "24h", "7d", "30d", "90d", "all")
DEFAULT = "7d"
_TYPED = re.compile(r"([1-9]\d{0,4})([mhdw])", re.ASCII)
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST = datetime.min.replace(tzinfo=UTC)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moves:
    """Addresses of the ranges around one, and of the same one fixed; None where there is none."""

    earlier: str | None
    later: str | None
    fixed: str | None
    start: str
    end: str


def stretch_of(asked: Asked, now: datetime, *, default: str = DEFAULT, whole: timedelta | None = None) -> Range:
    """Return the stretch of time that an address asks for: `since` counts back from now, `from` and `to` are UTC.

    With `whole`, both ends are moved outward to whole hours or days, and what counts back ends with the present one;
    days and weeks are whole days then. Raises `InvalidFilter` for what is no range.
    """
    if "from" in asked or "to" in asked:
        start = _instant("from", asked["from"]) if "from" in asked else None
        end = _instant("to", asked["to"], is_end=True) if "to" in asked else None
        if start is not None and end is not None and end <= start:
            raise InvalidFilter("to", asked["to"], "is before `from`")
        if whole is not None:
            start = None if start is None else floor(start, whole)
            end = None if end is None else ceiling(end, whole)
        return Range(name="custom", since=start, until=end)
    name = asked.get("since", default)
    if name == "all":
        return Range(name="all")
    found = _TYPED.fullmatch(name)
    if found is None:
        raise InvalidFilter("since", name, f"is no range; use {', '.join(LIST_RANGES)}, or as in 45m, 36h, 5d or 2w")
    length = timedelta(**{_UNITS[found[2]]: int(found[1])})
    if length > now - _FIRST:
        raise InvalidFilter("since", name, "reaches back to before 1970")
    if whole is not None:
        since, until = last_whole(length, now, whole if found[2] in "mh" else DAY)
        return Range(name=name, since=since, until=until)
    return Range(name=name, since=now - length)


def range_of(asked: Asked, now: datetime, *, default: str = "all") -> Range:
    """Return the stretch of time that an address of a page of figures asks for, in whole hours, or in whole UTC days.

    So every figure of a range counts the same calls.
    """
    return stretch_of(asked, now, default=default, whole=HOUR)


def moves_of(asked: Asked, stretch: Range, now: datetime) -> Moves:
    """Return where a range can be moved: back and forth by its own length."""
    end = stretch.until or now
    if stretch.since is None:
        return Moves(earlier=None, later=None, fixed=None, start="", end=written(stretch.until))
    length = end - stretch.since
    # There is no time before the year 1.
    has_earlier = stretch.since - _EARLIEST >= length
    return Moves(
        earlier=between(asked, stretch.since - length, stretch.since) if has_earlier else None,
        later=None if end >= now else between(asked, end, end + length),
        fixed=between(asked, stretch.since, end),
        start=written(stretch.since),
        end=written(stretch.until),
    )


def between(asked: Asked, start: datetime, end: datetime) -> str:
    """Return the address of the same list between two instants."""
    return with_changes(asked, since=None, after=None, **{"from": written(start), "to": written(end)})


def written(at: datetime | None) -> str:
    """Return an instant as an address and a form have it: to the second, UTC."""
    return "" if at is None else at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _instant(name: str, text: str, *, is_end: bool = False) -> datetime:
    try:
        at = datetime.fromisoformat(text)
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
        return at + timedelta(days=1) if is_end and _DATE.fullmatch(text) else at
    except (ValueError, OverflowError):
        raise InvalidFilter(name, text, "is no time; write 2026-01-31 or 2026-01-31T14:30 (UTC)") from None
