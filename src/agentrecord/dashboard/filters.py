"""What a page's address asks for: a range of time, filters, an order; what cannot be understood is refused."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from urllib.parse import unquote, urlencode
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from agentrecord.exceptions import InvalidFilter

DAYS = {"7d": 7, "30d": 30, "90d": 90}
RANGES = ("24h", *DAYS, "all")
THEMES = ("auto", "light", "dark")
THEME_COOKIE = "agentrecord-theme"
ZONE_COOKIE = "agentrecord-zone"
PREFERENCES = ("theme", "text", "tz")
"""What any address may say of how its page is to look; it is kept in cookies, and is no part of what is asked."""

_TYPED = re.compile(r"([1-9]\d{0,4})([hd])")
Asked = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """A stretch of time; `name` is how the address has it, None on either side is open."""

    name: str
    since: datetime | None = None
    until: datetime | None = None

    @property
    def before(self) -> str:
        """Say what the stretch of the same length just before this one is called."""
        if self.name != "custom" or self.since is None or self.until is None:
            return f"previous {self.name}"
        days = (self.until - self.since).days
        return "the day before" if days == 1 else f"the {days:,} days before"

    def previous(self) -> "Range | None":
        """Return the stretch of the same length just before; None if this one has no start or a set end."""
        if self.since is None or self.until is None:
            return None
        return Range(name="previous", since=self.since - (self.until - self.since), until=self.since)


def checked(asked: Asked, known: tuple[str, ...]) -> Asked:
    """Return the parameters that were given a value; raise `InvalidFilter` for one that the page does not know."""
    for name in asked:
        if name not in known and name not in PREFERENCES:
            raise InvalidFilter(name, asked[name], f"is no filter here; there are {', '.join(known) or 'none'}")
    return {name: value.strip() for name, value in asked.items() if value.strip() and name not in PREFERENCES}


def range_of(asked: Asked, now: datetime, *, default: str = "all") -> Range:
    """Return the stretch of time that `since`, or `from` and `to`, ask for.

    Days are UTC days and hours whole hours, so that every figure of a range counts the same calls.
    """
    if "from" in asked or "to" in asked:
        start = _day("from", asked["from"]) if "from" in asked else None
        end = _day("to", asked["to"]) + timedelta(days=1) if "to" in asked else None
        if start is not None and end is not None and end <= start:
            raise InvalidFilter("to", asked["to"], "is before `from`")
        return Range(name="custom", since=start, until=end)
    name = asked.get("since", default)
    if name == "all":
        return Range(name="all")
    found = _TYPED.fullmatch(name)
    if found is None:
        raise InvalidFilter("since", name, f"is no range; use {', '.join(RANGES)}, or hours and days as in 36h or 5d")
    count, unit = int(found[1]), found[2]
    hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    try:
        if unit == "h":
            return Range(name=name, since=hour - timedelta(hours=count - 1), until=hour + timedelta(hours=1))
        day = hour.replace(hour=0)
        return Range(name=name, since=day - timedelta(days=count - 1), until=day + timedelta(days=1))
    except OverflowError:
        raise InvalidFilter("since", name, "reaches back too far") from None


def _day(name: str, text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise InvalidFilter(name, text, "is no date; write it as in 2026-01-31") from None


def whole_number(asked: Asked, name: str, default: int) -> int:
    """Return a parameter that must be a number from 1 up."""
    text = asked.get(name, str(default))
    if not (text.isascii() and text.isdigit() and 0 < int(text[:12]) < 2**31):
        raise InvalidFilter(name, text, "must be a whole number from 1 up")
    return int(text)


def with_changes(asked: Asked, **changes: object) -> str:
    """Return a query of the same parameters but for `changes`, where None takes one away."""
    found = {**asked, **changes}
    return "?" + urlencode({name: str(value) for name, value in found.items() if value is not None})


def theme_of(asked: Asked, cookies: Mapping[str, str]) -> str:
    """Return the colours that were asked for, now or before: light, dark or the system's."""
    wanted = asked.get("theme") or cookies.get(THEME_COOKIE, "auto")
    return wanted if wanted in THEMES else "auto"


def zone_of(asked: Asked, cookies: Mapping[str, str]) -> tuple[tzinfo, str]:
    """Return the time zone that was asked for, now or before, and the name of one that is not known.

    Times are in UTC then, as they are where none was asked for.
    """
    wanted = asked.get("tz", "").strip() or unquote(cookies.get(ZONE_COOKIE, ""))
    if not wanted or wanted == "UTC":
        return UTC, ""
    try:
        return ZoneInfo(wanted[:100]), ""
    # A name may lead out of the folder of zones, to a folder in it, or to what is no zone.
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC, wanted[:100]
