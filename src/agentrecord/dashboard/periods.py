"""The periods of a chart over time by their names: which there are, and the days that each is of."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from agentrecord.dashboard.filters import Range, with_changes
from agentrecord.records.usage import UsageBy
from agentrecord.store.usage_sums import period

_HOUR = "%Y-%m-%dT%H:%M"
MOST_MONTHS = 120
"""How many months a chart shows without a gap."""


def days_query(label: str, by: UsageBy) -> str:
    """Return the query of the days that a period is of."""
    return with_changes(days_of(label, by))


def days_of(label: str, by: UsageBy) -> dict[str, str]:
    """Return the first and the last day that a period is of: those of its week or month, or the day of its hour."""
    if by is UsageBy.MONTH:
        first = date.fromisoformat(f"{label}-01")
        last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    else:
        first = date.fromisoformat(label[:10])
        last = first + timedelta(days=6 if by is UsageBy.WEEK else 0)
    return {"from": first.isoformat(), "to": last.isoformat()}


def span_of(label: str, by: UsageBy) -> tuple[str, str]:
    """Return the `from` and `to` that ask for a period alone: days as they are written, hours by their instants."""
    if by is UsageBy.HOUR:
        start = datetime.fromisoformat(label)
        return start.strftime(_HOUR), (start + timedelta(hours=1)).strftime(_HOUR)
    days = days_of(label, by)
    return days["from"], days["to"]


def ends_of(stretch: Range, by: UsageBy, now: datetime) -> tuple[str, str] | None:
    """Return the names of the first and last period of a stretch of time up to now; None for one that has no start."""
    if stretch.since is None:
        return None
    # What ends at midnight has nothing of the day that begins there.
    last = max(stretch.since, min(stretch.until or now, now) - timedelta(microseconds=1))
    return period(stretch.since.astimezone(UTC), by), period(last.astimezone(UTC), by)


def filled(labels: Sequence[str], by: UsageBy, ends: tuple[str, str] | None = None) -> Sequence[str]:
    """Return the names of all periods from the first to the last, those of the `ends` included if something is there.

    Of months more than ten years apart those given are returned.
    """
    if not labels:
        return labels
    if ends is not None:
        labels = [min(ends[0], labels[0]), max(ends[1], labels[-1])]
    if by is UsageBy.MONTH:
        start_month, end_month = (12 * int(label[:4]) + int(label[5:7]) - 1 for label in (labels[0], labels[-1]))
        months = [f"{month // 12:04}-{month % 12 + 1:02}" for month in range(start_month, end_month + 1)]
        return months if len(months) <= MOST_MONTHS else labels
    if by is UsageBy.HOUR:
        start, end = (datetime.fromisoformat(label) for label in (labels[0], labels[-1]))
        hours = int((end - start).total_seconds() // 3600)
        return [(start + timedelta(hours=n)).strftime("%Y-%m-%d %H:%M") for n in range(hours + 1)]
    step = 7 if by is UsageBy.WEEK else 1
    first, last = date.fromisoformat(labels[0]), date.fromisoformat(labels[-1])
    return [(first + timedelta(days=n)).isoformat() for n in range(0, (last - first).days + 1, step)]
