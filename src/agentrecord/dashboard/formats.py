"""How figures, times and texts are written on pages; what is not known is a dash."""

import json
from datetime import UTC, datetime, time, tzinfo
from urllib.parse import quote

from markupsafe import Markup, escape

from agentrecord.records import lengths
from agentrecord.records.lengths import DAY_S, HOUR_S, MINUTE_S
from agentrecord.records.usage import NANOS_PER_DOLLAR, UsageTotals

UNKNOWN = "–"
WHOLE_DOLLARS = 5
"""From how many dollars up whole ones are written without cents on a scale."""

_GIST_KEYS = ("command", "file_path", "path", "pattern", "query", "url", "description", "prompt", "skill", "name")


def money(nanos: int | None) -> str:
    """Return nano-dollars as dollars: cents from a dollar up, four decimals below."""
    if nanos is None:
        return UNKNOWN
    if nanos < 0:
        return f"−{money(-nanos)}"
    value = nanos / NANOS_PER_DOLLAR
    if nanos == 0:
        return "$0"
    if value >= 1:
        return f"${value:,.2f}"
    return f"${value:.4f}" if value >= 0.0001 else "<$0.0001"


def round_money(nanos: int) -> str:
    """Return an amount at which a line of a scale stands, exactly: $0.000025, $0.25, $1.00, $7.50, $10."""
    dollars, rest = divmod(nanos, NANOS_PER_DOLLAR)
    if not rest and (dollars >= WHOLE_DOLLARS or not dollars):
        return f"${dollars:,}"
    return f"${dollars:,}.{f'{rest:09}'.rstrip('0'):0<2}"


def signed_money(nanos: int) -> str:
    """Return a difference in nano-dollars as dollars with its sign."""
    return f"{'+' if nanos > 0 else ''}{money(nanos)}"


def cost(totals: UsageTotals | None) -> str:
    """Return what calls cost; "no price" where none of them has one, a dash without calls."""
    if totals is None or not totals.calls:
        return UNKNOWN
    if totals.unpriced_calls == totals.calls:
        return "no price"
    return money(totals.cost_nanos)


def rate(nanos_per_million: int | None) -> str:
    """Return a price per million tokens, with as many decimals as it has."""
    if nanos_per_million is None:
        return UNKNOWN
    text = f"{nanos_per_million / NANOS_PER_DOLLAR:,.6f}".rstrip("0")
    whole, _, decimals = text.partition(".")
    return f"${whole}.{decimals.ljust(2, '0')}"


def number(value: int | None) -> str:
    """Return a whole number with separators."""
    return UNKNOWN if value is None else f"{value:,}"


def tokens(value: int, totals: UsageTotals) -> str:
    """Return a count of tokens of some calls; a dash where none of them told any."""
    return UNKNOWN if not value and totals.uncounted_calls == totals.calls else number(value)


def short_tokens(totals: UsageTotals | None) -> str:
    """Return how many tokens calls took, as a tile has room for it; a dash without calls or where none told any."""
    is_told = totals is not None and (totals.total_tokens or totals.uncounted_calls < totals.calls)
    return short(totals.total_tokens) if totals is not None and is_told else UNKNOWN


def counted(value: int, noun: str) -> str:
    """Return how many there are of something: 1 call, 2 calls."""
    return f"{value:,} {noun}" if value == 1 else f"{value:,} {noun}s"


def short(value: int | None) -> str:
    """Return a number as a tile has room for: 12.3K, 1.2M."""
    if value is None:
        return UNKNOWN
    for size, letter in ((1_000_000_000, "B"), (1_000_000, "M"), (1_000, "K")):
        if value >= size:
            return f"{value / size:.1f}{letter}"
    return str(value)


def percent(part: float | None, whole: float | None = 1.0) -> str:
    """Return a share in percent; a dash where there is nothing to divide by."""
    if part is None or not whole:
        return UNKNOWN
    share = 100 * part / whole
    return "<0.1 %" if 0 < share < 0.1 else f"{share:.1f} %" if share < 9.95 else f"{share:.0f} %"


def delta(change: float) -> str:
    """Return by what share a figure changed, with its direction; how many times as high it is, from ten times on."""
    if change >= 9:
        return f"▲ × {change + 1:,.0f}"
    return f"{'▲' if change >= 0 else '▼'} {percent(abs(change))}"


def duration(milliseconds: float | None) -> str:
    """Return a length of time: 57 ms, 4.02 s, 3 m 12 s, 2 h 05 m, 3 d 4 h."""
    return UNKNOWN if milliseconds is None else lengths.duration(milliseconds)


def coarse(milliseconds: float) -> str:
    """Return a length of time as an axis has room for: 250 ms, 4.2 s, 12 m, 3 h."""
    seconds = milliseconds / 1000
    if seconds < 1:
        return f"{milliseconds:.0f} ms"
    for size, unit, limit in ((1, "s", 2 * MINUTE_S), (MINUTE_S, "m", 2 * HOUR_S), (HOUR_S, "h", 2 * DAY_S)):
        if seconds < limit:
            return f"{seconds / size:.1f} {unit}" if seconds < 10 * size else f"{seconds / size:.0f} {unit}"
    return f"{seconds / DAY_S:.0f} d"


def between(start: datetime | None, end: datetime | None) -> float | None:
    """Return the milliseconds from one instant to another; None where either is not known."""
    return None if start is None or end is None else (end - start).total_seconds() * 1000


def instant(at: datetime, zone: tzinfo = UTC) -> str:
    """Return an instant in full, in a time zone."""
    return at.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S %Z")


def when(at: datetime | None, now: datetime) -> Markup:
    """Return an instant as people read it: how long ago, or the date if that is more than a week.

    Dates and times are in the zone of `now`; what programs read in it is UTC.
    """
    if at is None:
        return Markup(UNKNOWN)
    past = (now - at).total_seconds()
    if 0 <= past < MINUTE_S:
        text = "just now"
    elif 0 <= past < HOUR_S:
        text = f"{int(past // MINUTE_S)} min ago"
    elif 0 <= past < DAY_S:
        text = f"{int(past // HOUR_S)} h ago"
    elif 0 <= past < 7 * DAY_S:
        text = f"{int(past // DAY_S)} d ago"
    else:
        text = at.astimezone(now.tzinfo).strftime("%Y-%m-%d %H:%M")
    told = instant(at, now.tzinfo or UTC)
    return Markup(f'<time datetime="{at.astimezone(UTC).isoformat()}" title="{escape(told)}">{text}</time>')


def seen(at: datetime | None, now: datetime) -> Markup:
    """Return when something last happened, as `when` does: a midnight stands for some time on that UTC day."""
    if at is None or at.timetz() != time(tzinfo=UTC):
        return when(at, now)
    text = "today" if at.date() == now.astimezone(UTC).date() else f"{at:%Y-%m-%d}"
    return Markup('<time datetime="{}" title="on this UTC day">{}</time>').format(at.date().isoformat(), text)


def one_line(text: str | None, length: int = 100) -> str:
    """Return a text as one line of at most `length` characters."""
    if not text:
        return ""
    line = " ".join(text[: length * 4].split())
    return line if len(line) <= length else line[: length - 1] + "…"


def pretty_json(text: str | None) -> str:
    """Return JSON text indented; what is not JSON stays as it is."""
    if not text:
        return ""
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text


def gist(arguments: str | None) -> str:
    """Return what a tool call is about, in one line: its command, its file, its words."""
    try:
        given = json.loads(arguments or "")
    except (ValueError, RecursionError):
        return one_line(arguments)
    if not isinstance(given, dict):
        return one_line(arguments)
    for key in _GIST_KEYS:
        if isinstance(given.get(key), str):
            return one_line(given[key])
    return one_line(next((value for value in given.values() if isinstance(value, str)), ""))


def segment(text: object) -> str:
    """Return a text as one segment of a path."""
    return quote(str(text), safe="")
