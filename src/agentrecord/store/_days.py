"""Figures of whole UTC days by whoever they belong to, an agent or a user: sums over a range, and day by day."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any  # `Any`: SQLAlchemy columns are generic over values they do not know
from uuid import UUID

from sqlalchemy import ColumnElement, Subquery, Table, case, func, literal_column, or_, select, type_coerce, union

from agentrecord.codec import values
from agentrecord.engine import Connection
from agentrecord.engine.moments import DAY_MICROS, to_micros
from agentrecord.records.scope import Scope
from agentrecord.records.tool_call import ToolFigures
from agentrecord.records.usage import DayCount, UsageRow, UsageTotals
from agentrecord.schema import activity_days, models, tool_days, usage_days
from agentrecord.schema.types import Micros
from agentrecord.schema.usage import ACTIVITY_COUNTERS
from agentrecord.store._figures import date_of, day_of
from agentrecord.store._sql import total, usage_totals, within
from agentrecord.store.usage_sums import NO_NAME

DRAWN_DAYS = 90
"""As many of a range's last days are told one by one."""

_TOOL_SUMS = ("calls", "errors", "duration_ms_sum", "duration_count")


def touched(day: ColumnElement[int], since: datetime | None, until: datetime | None) -> list[ColumnElement[bool]]:
    """Return the conditions that a column of UTC days is in a range: a day that the range only touches is."""
    found: list[ColumnElement[bool]] = []
    if since is not None:
        found.append(day >= day_of(values.moment("since", since)))
    if until is not None:
        found.append(day < -(-to_micros(values.moment("until", until)) // DAY_MICROS))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Days:
    """Whose days to read: the rows of `scope`, kept apart by the column `by`, on the UTC days of a range.

    A day that the range only touches counts whole. With an `owner`, only that one's.
    """

    scope: Scope
    by: str
    owner: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None

    def of(self, table: Table, day: str) -> list[ColumnElement[bool]]:
        """Return the conditions on one of the tables of daily figures, whose column `day` is the day."""
        found = within(self.scope, table)
        if self.owner is not None:
            found.append(table.c[self.by] == self.owner)
        return [*found, *touched(table.c[day], self.since, self.until)]

    def active(self, counters: Sequence[str] = ACTIVITY_COUNTERS) -> Subquery:
        """Return what each did, as a subquery: `owner`, `counters` of activity, and the last day of any."""
        return (
            select(
                activity_days.c[self.by].label("owner"),
                *[total(activity_days.c[name]).label(name) for name in counters],
                func.max(activity_days.c.day).label("last_day"),
            )
            .where(*self.of(activity_days, "day"))
            .group_by(activity_days.c[self.by])
            .subquery("active")
        )

    def spent(self, sums: Sequence[ColumnElement[Any]]) -> Subquery:
        """Return what each spent, as a subquery: `owner`, the `sums` over calls, and when the last call was."""
        return (
            select(usage_days.c[self.by].label("owner"), *sums, func.max(usage_days.c.last_at).label("last_at"))
            .where(*self.of(usage_days, "bucket"))
            .group_by(usage_days.c[self.by])
            .subquery("spent")
        )

    def acted(self, owner: ColumnElement[Any]) -> ColumnElement[bool]:
        """Return the condition that anything was counted for `owner`, a column of another table."""
        return or_(
            *[
                select(table.c.project_id).where(*self.of(table, day), table.c[self.by] == owner).exists()
                for table, day in ((activity_days, "day"), (usage_days, "bucket"))
            ]
        )

    def met(self, other: str) -> Subquery:
        """Return who had to do with whom, as a subquery: `owner`, and the value of the column `other`."""
        return union(
            *[
                select(table.c[self.by].label("owner"), table.c[other].label("other")).where(*self.of(table, day))
                for table, day in ((activity_days, "day"), (usage_days, "bucket"))
            ]
        ).subquery("met_on")

    def by_day(self, conn: Connection, owners: Sequence[UUID]) -> Mapping[UUID, tuple[DayCount, ...]]:
        """Return how many calls each of `owners` made on each day on which any was made, in the last `DRAWN_DAYS`."""
        if not owners:
            return {}
        drawn = usage_days.c.bucket > day_of(self.until or conn.now) - DRAWN_DAYS
        found: defaultdict[UUID, list[DayCount]] = defaultdict(list)
        rows = conn.rows(
            select(usage_days.c[self.by], usage_days.c.bucket, total(usage_days.c.calls))
            .where(*self.of(usage_days, "bucket"), drawn, usage_days.c[self.by].in_(list(owners)))
            .group_by(usage_days.c[self.by], usage_days.c.bucket)
            .order_by(usage_days.c.bucket)
        )
        for owner, day, calls in rows:
            found[owner].append(DayCount(date=date_of(day), count=calls))
        return {owner: tuple(days) for owner, days in found.items()}

    def is_known(self, conn: Connection) -> bool:
        """Say whether anything was ever counted for the owner, whatever the range."""
        ever = replace(self, since=None, until=None)
        return any(
            conn.first(select(table.c.project_id).where(*ever.of(table, day)).limit(1)) is not None
            for table, day in ((activity_days, "day"), (usage_days, "bucket"))
        )

    def by_day_and_model(self, conn: Connection, sums: Sequence[ColumnElement[Any]]) -> tuple[UsageRow, ...]:
        """Return the sums over calls by day (`key`) and model (`split`), the oldest first."""
        rows = conn.maps(
            select(usage_days.c.bucket.label("bucket"), models.c.name.label("model"), *sums)
            .select_from(usage_days.join(models, models.c.id == usage_days.c.model_uuid))
            .where(*self.of(usage_days, "bucket"))
            .group_by(usage_days.c.bucket, models.c.name)
            .order_by(usage_days.c.bucket, models.c.name)
        )
        found = []
        for row in rows:
            day = date_of(row["bucket"]).isoformat()
            found.append(UsageRow(key=day, label=day, split=row["model"] or NO_NAME, totals=usage_totals(row)))
        return tuple(found)

    def by_tool(self, conn: Connection) -> tuple[ToolFigures, ...]:
        """Return how often tools were used and failed, the most used first."""
        rows = conn.maps(
            select(tool_days.c.tool_name, *[total(tool_days.c[name]).label(name) for name in _TOOL_SUMS])
            .where(*self.of(tool_days, "day"))
            .group_by(tool_days.c.tool_name)
            .having(func.sum(tool_days.c.calls) > 0)
            .order_by(func.sum(tool_days.c.calls).desc(), tool_days.c.tool_name)
        )
        return tuple(ToolFigures(**row) for row in rows)


def by_model(days: Sequence[UsageRow]) -> tuple[UsageRow, ...]:
    """Return the sums by model of those `by_day_and_model`, the costliest first."""
    sums: defaultdict[str, UsageTotals] = defaultdict(UsageTotals)
    for row in days:
        sums[row.split or NO_NAME] += row.totals
    found = [UsageRow(key=name, label=name, totals=totals) for name, totals in sums.items() if totals.calls]
    return tuple(sorted(found, key=lambda row: (-row.totals.cost_nanos, -row.totals.total_tokens, row.key)))


def last_seen(active: Subquery, spent: Subquery) -> ColumnElement[datetime]:
    """Return when something last happened: the last call, or the beginning of a later day on which more happened."""
    day = type_coerce(active.c.last_day * literal_column(str(DAY_MICROS)), Micros())
    return case(
        (spent.c.last_at.is_(None), day),
        (active.c.last_day.is_(None), spent.c.last_at),
        (spent.c.last_at < day, day),
        else_=spent.c.last_at,
    )
