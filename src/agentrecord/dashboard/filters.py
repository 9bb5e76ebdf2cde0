"""What a page's address asks for: filters, an order, how to be seen; what cannot be understood is refused."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from urllib.parse import quote_plus, unquote
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from agentrecord.exceptions import InvalidFilter

DAYS = {"7d": 7, "30d": 30, "90d": 90}
RANGES = ("24h", *DAYS, "all")
THEMES = ("auto", "light", "dark")
THEME_COOKIE = "agentrecord-theme"
ZONE_COOKIE = "agentrecord-zone"
PREFERENCES = ("theme", "text", "tz")
"""What any address may say of how its page is to look; it is kept in cookies, and is no part of what is asked."""

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


def whole_number(asked: Asked, name: str, default: int) -> int:
    """Return a parameter that must be a number from 1 up."""
    text = asked.get(name, str(default))
    if not (text.isascii() and text.isdigit() and 0 < int(text[:12]) < 2**31):
        raise InvalidFilter(name, text, "must be a whole number from 1 up")
    return int(text)


_quoted = lru_cache(maxsize=1024)(quote_plus)
"""A page has hundreds of links, nearly all of the same days and names."""


def with_changes(asked: Asked, **changes: object) -> str:
    """Return a query of the same parameters but for `changes`, where None takes one away."""
    found = {**asked, **changes}
    return "?" + "&".join(
        [f"{_quoted(name)}={_quoted(str(value))}" for name, value in found.items() if value is not None]
    )


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
