"""Sums over the rollups of calls, by what calls are told apart by: statements that are built and compiled once.

A rollup's rows are added up first by the keys that it holds, then by the names of these: so that names are looked up
once for each sum instead of once for each row, and models, whose rows lie together, are added up without being sorted.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any  # `Any`: SQLAlchemy columns are generic over values they do not know

from sqlalchemy import ColumnElement, Select, Subquery, Table, bindparam, case, exists, func, literal_column, select

from agentrecord.codec import values
from agentrecord.engine import Prepared
from agentrecord.engine.moments import DAY_MICROS, HOUR_MICROS, to_micros
from agentrecord.records.scope import Scope
from agentrecord.records.usage import UsageBy, UsageTotals
from agentrecord.schema import agents, hosts, models, projects, usage_days, usage_hours, users
from agentrecord.schema.tables import USAGE_COUNTERS
from agentrecord.schema.types import Id, Whole, Words
from agentrecord.store._sql import total, within

NO_NAME = "unknown"
TIME = (UsageBy.HOUR, UsageBy.DAY, UsageBy.WEEK, UsageBy.MONTH)
NAMES = (UsageBy.MODEL, UsageBy.HOST, UsageBy.USER, UsageBy.AGENT, UsageBy.VERSION, UsageBy.TOOL, UsageBy.PROJECT)

_DAYS_TO_MONDAY = 3
"""Weeks of days since 1970-01-01, a Thursday, start so many days before it."""


def sums(table: Any) -> list[ColumnElement[Any]]:
    """Return the sum of every usage counter of a table."""
    return [total(table.c[name]).label(name) for name in USAGE_COUNTERS]


def times(table: Any) -> list[ColumnElement[Any]]:
    """Return when the first call of a table's rows was made, and the last."""
    return [func.min(table.c.first_at).label("first_at"), func.max(table.c.last_at).label("last_at")]


def totals_of(counts: Sequence[int]) -> UsageTotals:
    """Return sums, in the order of `USAGE_COUNTERS`, as a record."""
    return UsageTotals(**dict(zip(USAGE_COUNTERS, counts, strict=True)))


def period(start: datetime, by: UsageBy) -> str:
    """Return the name of the hour, day, week or month that holds an instant."""
    match by:
        case UsageBy.HOUR:
            return start.strftime("%Y-%m-%d %H:00")
        case UsageBy.WEEK:
            return (start - timedelta(days=start.weekday())).strftime("%Y-%m-%d")
        case UsageBy.MONTH:
            return start.strftime("%Y-%m")
        case _:
            return start.strftime("%Y-%m-%d")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """What statements over the same rollup differ by, but for their values."""

    is_hourly: bool
    has_first: bool
    has_end: bool
    has_user: bool
    with_subagents: bool

    @property
    def table(self) -> Table:
        return usage_hours if self.is_hourly else usage_days

    def conditions(self) -> list[ColumnElement[bool]]:
        rollup = self.table.c
        found: list[ColumnElement[bool]] = [rollup.project_id == bindparam("scope_project")]
        if self.has_user:
            found.append(rollup.user_uuid == bindparam("scope_user"))
        if self.has_first:
            found.append(rollup.bucket >= bindparam("first"))
        if self.has_end:
            found.append(rollup.bucket < bindparam("end"))
        if not self.with_subagents:
            found.append(~rollup.is_subagent)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Summed:
    """Whose calls of which time are summed: days where whole UTC days are asked for, else hours."""

    shape: _Shape
    params: Mapping[str, object]

    @property
    def bucket_micros(self) -> int:
        """How many microseconds a bucket is long."""
        return HOUR_MICROS if self.shape.is_hourly else DAY_MICROS


def summed(
    scope: Scope,
    since: datetime | None,
    until: datetime | None,
    *,
    hourly: bool = False,
    include_subagents: bool = True,
) -> Summed:
    """Return the calls of `scope` from `since` up to `until`; the edges are whole hours."""
    given = {"since": since, "until": until}
    first, end = [None if at is None else to_micros(values.moment(name, at)) for name, at in given.items()]
    is_hourly = hourly or any(edge is not None and edge % DAY_MICROS for edge in (first, end))
    size = HOUR_MICROS if is_hourly else DAY_MICROS
    return Summed(
        shape=_Shape(
            is_hourly=is_hourly, has_first=first is not None, has_end=end is not None, has_user=scope.user is not None,
            with_subagents=include_subagents,
        ),
        params={
            "scope_project": scope.project,
            "scope_user": scope.user,
            "first": None if first is None else first // size,
            "end": None if end is None else -(-end // size),
        },
    )  # fmt: skip


KEYS = {
    UsageBy.MODEL: "model_uuid",
    UsageBy.HOST: "model_uuid",
    UsageBy.USER: "user_uuid",
    UsageBy.AGENT: "agent_uuid",
    UsageBy.VERSION: "agent_version_uuid",
}
_LYING = ("project_id", "bucket", "model_uuid", "user_uuid", "agent_uuid", "agent_version_uuid")


def _inner(shape: _Shape, bys: Sequence[UsageBy], *, with_times: bool) -> Subquery:
    """Return the sums by the keys of a rollup that `bys` need, in the order in which the rollup lies."""
    names = {KEYS.get(by, "bucket" if by in TIME else "project_id") for by in bys}
    if names == {"model_uuid"}:
        # The order of the rows: nothing has to be sorted, and there are few of them to add up again.
        names.add("bucket")
    rollup = shape.table.c
    keys = [rollup[name] for name in _LYING if name in names]
    return (
        select(*keys, *sums(shape.table), *(times(shape.table) if with_times else ()))
        .where(*shape.conditions())
        .group_by(*keys)
        .subquery("summed")
    )


def with_names(of: Subquery, bys: Sequence[UsageBy]) -> Any:
    """Return sums joined with the tables that name their keys, each table once."""
    joined: Any = of
    if UsageBy.MODEL in bys or UsageBy.HOST in bys:
        joined = joined.join(models, models.c.id == of.c.model_uuid)
    if UsageBy.HOST in bys:
        joined = joined.join(hosts, hosts.c.id == models.c.host_uuid)
    if UsageBy.USER in bys:
        is_user = (users.c.project_id == bindparam("scope_project")) & (users.c.id == of.c.user_uuid)
        joined = joined.join(users, is_user)
    if UsageBy.AGENT in bys:
        # Calls without an agent have the nil one, which no row names.
        is_agent = (agents.c.project_id == bindparam("scope_project")) & (agents.c.id == of.c.agent_uuid)
        joined = joined.outerjoin(agents, is_agent)
    if UsageBy.PROJECT in bys:
        joined = joined.join(projects, projects.c.id == bindparam("scope_project"))
    return joined


_NAME_COLUMNS = {
    UsageBy.MODEL: models.c.name,
    UsageBy.HOST: hosts.c.name,
    UsageBy.USER: users.c.external_id,
    UsageBy.AGENT: agents.c.agent_id,
    UsageBy.PROJECT: projects.c.name,
}


def told_apart(of: Subquery, by: UsageBy, *, is_hourly: bool) -> ColumnElement[Any]:
    """Return what sums are told apart by: a name, or the bucket in which an hour, day or week begins.

    Months, whose lengths differ, are told by their days; versions, whose names are two, by their rows.
    """
    if by is UsageBy.VERSION:
        version: ColumnElement[Any] = of.c.agent_version_uuid
        return version
    if by not in TIME:
        return _NAME_COLUMNS[by]
    day = 24 if is_hourly else 1
    length, shift = {UsageBy.HOUR: (1, 0), UsageBy.WEEK: (7 * day, _DAYS_TO_MONDAY * day)}.get(by, (day, 0))
    bucket: ColumnElement[Any] = of.c.bucket
    if length == 1:
        return bucket
    return bucket - (bucket + literal_column(str(shift), Whole())) % literal_column(str(length), Whole())


@cache
def by_names(shape: _Shape, bys: tuple[UsageBy, ...], *, with_times: bool = True) -> Prepared:
    """Return the statement whose rows are what `bys` tell calls apart by, every sum, and the first and last call.

    What has no calls, because those that it had are counted elsewhere by now, is left out.
    """
    inner = _inner(shape, bys, with_times=with_times)
    columns = [told_apart(inner, by, is_hourly=shape.is_hourly) for by in bys]
    return Prepared(
        select(
            *[column.label(f"key_{place}") for place, column in enumerate(columns)],
            *sums(inner),
            *(times(inner) if with_times else ()),
        )
        .select_from(with_names(inner, bys))
        .group_by(*columns)
        .having(func.sum(inner.c.calls) > 0)
        .order_by(*columns)
    )


@cache
def by_few_names(shape: _Shape, bys: tuple[UsageBy, UsageBy], few: int) -> Prepared:
    """Return the statement whose rows are what `bys` tell calls apart by, and every sum.

    The latter tells apart only as many names as are `few`, which `few_names` binds; all else of it has none.
    """
    inner = _inner(shape, bys, with_times=False)
    first, second = [told_apart(inner, by, is_hourly=shape.is_hourly) for by in bys]
    is_text = bys[1] is not UsageBy.VERSION
    name = func.coalesce(func.nullif(second, ""), NO_NAME) if is_text else second
    kind = Words() if is_text else Id()
    told = case((name.in_([bindparam(f"few_{place}", type_=kind) for place in range(few)]), name))
    named = (
        select(first.label("key_0"), told.label("key_1"), *[inner.c[counter] for counter in USAGE_COUNTERS])
        .select_from(with_names(inner, bys))
        .subquery("named")
    )
    return Prepared(
        select(named.c.key_0, named.c.key_1, *sums(named))
        .group_by(named.c.key_0, named.c.key_1)
        .having(func.sum(named.c.calls) > 0)
    )


def few_names(names: Collection[object]) -> dict[str, object]:
    """Return what the names, or the rows of versions, are bound with that `by_few_names` tells apart."""
    return {f"few_{place}": name for place, name in enumerate(names)}


@cache
def whole(shape: _Shape) -> Prepared:
    """Return the statement whose one row is every sum over all calls, and the first and last call."""
    return Prepared(select(*sums(shape.table), *times(shape.table)).where(*shape.conditions()))


@cache
def ends(shape: _Shape) -> Prepared:
    """Return the statement whose one row is when the first call was, and the last: at the ends of the index of time."""
    bucket = shape.table.c.bucket
    ends = [select(bucket).where(*shape.conditions()).order_by(order).limit(1) for order in (bucket, bucket.desc())]
    edges = zip((func.min(shape.table.c.first_at), func.max(shape.table.c.last_at)), ends, strict=True)
    return Prepared(
        select(
            *[
                select(edge).where(*shape.conditions(), bucket == end.scalar_subquery()).scalar_subquery().label(name)
                for name, (edge, end) in zip(("first_at", "last_at"), edges, strict=True)
            ]
        )
    )


@cache
def unpriced(shape: _Shape) -> Prepared:
    """Return the statement whose rows are the names of the models of which calls have no price."""
    rollup = shape.table.c
    found = (
        select(rollup.model_uuid).where(*shape.conditions(), rollup.unpriced_calls > 0).distinct().subquery("unpriced")
    )
    return Prepared(
        select(models.c.name)
        .select_from(found.join(models, models.c.id == found.c.model_uuid))
        .group_by(models.c.name)
        .order_by(models.c.name)
    )


def _first_stored(table: Table) -> list[ColumnElement[Any]]:
    # The id of a model tells nothing about when it came; of those that one transaction stored, its number does.
    return [table.c.created_at, func.coalesce(table.c.serial, 0), table.c.id]


def known(scope: Scope, of: UsageBy) -> Select[Any]:
    """Return the statement whose rows are the names of one of `NAMES`, in the order in which they were first stored.

    Those of versions, which are two, are told by `usage_by_version.stored`.
    """
    called = exists().where(*within(scope, usage_days), usage_days.c.model_uuid == models.c.id)
    match of:
        case UsageBy.MODEL:
            return select(models.c.name).where(called).order_by(*_first_stored(models))
        case UsageBy.HOST:
            of_host = exists().where(models.c.host_uuid == hosts.c.id, called)
            return select(hosts.c.name).where(of_host).order_by(*_first_stored(hosts))
        case UsageBy.USER:
            seen = [users.c.project_id == scope.project, *([] if scope.user is None else [users.c.id == scope.user])]
            return select(users.c.external_id).where(*seen).order_by(*_first_stored(users))
        case UsageBy.AGENT:
            return select(agents.c.agent_id).where(*within(scope, agents)).order_by(*_first_stored(agents))
        case _:
            return select(projects.c.name).where(projects.c.id == scope.project)
