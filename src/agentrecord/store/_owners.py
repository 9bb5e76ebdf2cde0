"""Lists of those who have daily figures, agents and users: their rows, the sums over them, their facets.

Each kind says what is its own (`Owners`); the rest is the same for both.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar  # `Any`: SQLAlchemy columns are generic over values they do not know
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Table, case, distinct, func, select

from agentrecord.engine import Connection
from agentrecord.ids import NIL
from agentrecord.records.facet import Facets, FigureSums
from agentrecord.records.page import COUNT_LIMIT, Page
from agentrecord.records.scope import Scope
from agentrecord.schema import models, tool_days, usage_days
from agentrecord.schema.tables import USAGE_COUNTERS
from agentrecord.store._days import Days, last_seen
from agentrecord.store._facets import Observed, facets_of, observed, pairs, tally
from agentrecord.store._owner_words import flags_of, words_of
from agentrecord.store._page import page
from agentrecord.store._price_sources import of_days
from agentrecord.store._sql import total, usage_totals
from agentrecord.store._words import Rule, Words, matching, text_word, tokens_of
from agentrecord.store.usage_sums import sums as usage_sums

F = TypeVar("F")

COUNTED = {
    "sessions": "session_count", "messages": "message_count", "runs": "run_count", "completed_runs": "completed_runs",
    "failed_runs": "failed_runs", "tool_calls": "tool_calls", "tool_errors": "tool_errors", "errors": "error_count",
}  # fmt: skip
"""What figures are called, and the counter of activity that each is."""

FIGURE_SORTS = (
    "sessions", "messages", "runs", "failed_runs", "tool_calls", "tool_errors", "errors", "cost", "tokens", "calls"
)  # fmt: skip
"""The orders that every such list has, besides the name and when somebody was last seen."""


_FLAG = "has_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Other:
    """Whom an owner has to do with: the users of an agent, the agents of a user.

    `by` is their column in daily figures, `name` what they are known by in their `table`.
    """

    word: str
    help: str
    example: str
    by: str
    name: ColumnElement[Any]
    table: Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """What a list is read by over some days: a row for each owner, the orders, the words, and what each must `has`."""

    statement: Select[*tuple[Any, ...]]
    sorts: Mapping[str, ColumnElement[Any]]
    words: Words
    flags: Mapping[str, ColumnElement[bool]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Owners(Generic[F]):
    """One kind of owner: its rows are in `table`, and daily figures name it in their column `by`.

    `known` is what people know it by, `sorts` the names of the orders by that and by when it was last seen. `rules`
    makes its own words from that instant, `build` a record from a row, and `details` adds what only the rows of a page
    need. `facets` are the columns of its own that are counted by, `observed` where values for completion are.
    """

    table: Table
    by: str
    columns: Sequence[ColumnElement[Any]]
    known: ColumnElement[Any]
    sorts: tuple[str, str]
    rules: Callable[[ColumnElement[Any]], Sequence[Rule]]
    free: Sequence[ColumnElement[Any]]
    build: Callable[[Mapping[str, Any]], F]
    details: Callable[[Connection, Days, Sequence[F]], list[F]]
    other: Other
    facets: Mapping[str, ColumnElement[Any]]
    observed: Mapping[str, Observed]

    @property
    def words(self) -> Words:
        """The words that the list is filtered by, to offer or describe them."""
        return self.listed(Days(scope=Scope(), by=self.by)).words

    def listed(self, days: Days) -> Listed:
        """Return what the list is read by over some days."""
        active, spent = days.active(), days.spent(usage_sums(usage_days))
        (known, seen), owner = self.sorts, self.table.c.id
        sorts: dict[str, Any] = {
            known: self.known,
            seen: last_seen(active, spent),
            **{name: active.c[COUNTED[name]] for name in FIGURE_SORTS if name in COUNTED},
            "cost": spent.c.cost_nanos,
            "tokens": tokens_of(spent),
            "calls": spent.c.calls,
        }
        statement = (
            select(
                *self.columns,
                sorts[seen].label("seen_at"),
                *[func.coalesce(active.c[name], 0).label(f"active_{name}") for name in COUNTED.values()],
                *[func.coalesce(spent.c[name], 0).label(name) for name in USAGE_COUNTERS],
            )
            .select_from(self.table.outerjoin(active, active.c.owner == owner).outerjoin(spent, spent.c.owner == owner))
            .where(self.table.c.project_id == days.scope.project)
        )
        own = (*self.rules(sorts[seen]), *self._met(days))
        return Listed(
            statement=statement, sorts=sorts, words=words_of(active, spent, *own, free=self.free),
            flags=flags_of(active, spent),
        )  # fmt: skip

    def _met(self, days: Days) -> list[Rule]:
        """Return the words for the others, the models and the tools that an owner had to do with."""
        found, other = self.table.c.id, self.other
        places = {
            other.word: (other.help, other.example, self._with_others(days), other.name),
            "model": ("A model that was called", "model:claude-*", self._called(days), models.c.name),
            "tool": ("A tool that was used", "tool:Bash", self._used(days), tool_days.c.tool_name),
        }

        def rule(word: str) -> Rule:
            help_, example, owners, name = places[word]
            return text_word(word, help_, example, lambda _, values: found.in_(owners.where(matching(name, values))))

        return [rule(word) for word in places]

    def _with_others(self, days: Days) -> Select[Any]:
        met, table = days.met(self.other.by), self.other.table
        return (
            select(met.c.owner).join(table, table.c.id == met.c.other).where(table.c.project_id == days.scope.project)
        )

    def _called(self, days: Days) -> Select[Any]:
        return (
            select(usage_days.c[self.by].label("owner"))
            .join(models, models.c.id == usage_days.c.model_uuid)
            .where(*days.of(usage_days, "bucket"), usage_days.c.calls > 0)
        )

    def _used(self, days: Days) -> Select[Any]:
        return select(tool_days.c[self.by].label("owner")).where(*days.of(tool_days, "day"), tool_days.c.calls > 0)

    def _seen_by(self, days: Days) -> list[ColumnElement[bool]]:
        """Return what makes a row one of the list: it did something, where a range or a user's work is asked for."""
        if days.scope.user is not None and self.by == "user_uuid":
            return [self.table.c.id == days.scope.user]
        if days.since is not None or days.until is not None or days.scope.user is not None:
            return [days.acted(self.table.c.id)]
        return []

    def page(
        self, conn: Connection, days: Days, query: str | None, *, sort: str, limit: int, cursor: str | None
    ) -> Page[F]:
        """Return a page of the owners that a filter finds."""
        listed, seen = self.listed(days), self._seen_by(days)
        asked = listed.words.conditions(days.scope, query)
        found = page(
            conn, listed.statement.where(*seen, *asked), self.build, sorts=listed.sorts, sort=sort,
            row_id=self.table.c.id, limit=limit, cursor=cursor, counted=bool(asked),
        )  # fmt: skip
        found = replace(found, items=self.details(conn, days, found.items))
        return found if asked else self._counted(conn, found, days.scope, seen)

    def _counted(self, conn: Connection, found: Page[F], scope: Scope, seen: Sequence[ColumnElement[bool]]) -> Page[F]:
        """Return a page with how many rows there are: without the sums, which cost more than all else."""
        statement = select(func.count()).select_from(self.table)
        count = int(conn.value(statement.where(self.table.c.project_id == scope.project, *seen)))
        return replace(found, total=min(count, COUNT_LIMIT), total_is_exact=count <= COUNT_LIMIT)

    def summed(self, conn: Connection, days: Days, query: str | None) -> FigureSums:
        """Return the sums over all owners that a filter finds."""
        listed = self.listed(days)
        found = listed.statement.where(*self._seen_by(days), *listed.words.conditions(days.scope, query)).subquery()
        row = conn.maps(
            select(
                func.count().label("found"),
                *[total(found.c[f"active_{name}"]).label(field) for field, name in COUNTED.items()],
                *[total(found.c[name]).label(name) for name in USAGE_COUNTERS],
            ).select_from(found)
        )[0]
        charged = of_days(conn, days) if row["calls"] else None
        counts = {field: row[field] for field in COUNTED}
        return FigureSums(found=row["found"], totals=usage_totals(row), prices=charged, **counts)

    def faceted(self, conn: Connection, days: Days, query: str | None, *, top: int) -> Facets:
        """Return the most frequent values of each main word among the owners that a filter finds."""
        rows = conn.maps(self._flagged(days) if query is None else self._flagged_by(days, query))
        # Without a filter they are all that did something: nobody need be looked for.
        ids = None if query is None and len(rows) <= COUNT_LIMIT else [row["id"] for row in rows]
        flags = [name.removeprefix(_FLAG) for name in rows[0] if name.startswith(_FLAG)] if rows else []
        return facets_of(
            {
                **{word: tally(row[word] for row in rows) for word in self.facets},
                "has": {name: count for name in flags if (count := sum(row[_FLAG + name] for row in rows))},
                self.other.word: self._others(conn, days, ids),
                "model": self._models(conn, days, ids),
                "tool": self._tools(conn, days, ids),
            },
            rows=len(rows),
            top=top,
        )

    def _flagged(self, days: Days) -> Select[*tuple[Any, ...]]:
        """Return what facets count of each owner: what it has, and no more sums than that takes."""
        active = days.active(("run_count", "failed_runs", "tool_errors", "error_count"))
        spent = days.spent([total(usage_days.c[name]).label(name) for name in ("calls", "unpriced_calls")])
        owner = self.table.c.id
        joined = self.table.outerjoin(active, active.c.owner == owner).outerjoin(spent, spent.c.owner == owner)
        statement = select(*self._told(flags_of(active, spent))).select_from(joined)
        return self._latest(
            statement.where(self.table.c.project_id == days.scope.project, *self._seen_by(days)),
            last_seen(active, spent),
        )

    def _flagged_by(self, days: Days, query: str) -> Select[*tuple[Any, ...]]:
        """Return the same of the owners that a filter finds."""
        listed = self.listed(days)
        found = listed.statement.where(*self._seen_by(days), *listed.words.conditions(days.scope, query))
        told = found.with_only_columns(*self._told(listed.flags), maintain_column_froms=True)
        return self._latest(told, listed.sorts[self.sorts[1]])

    def _told(self, flags: Mapping[str, ColumnElement[bool]]) -> list[ColumnElement[Any]]:
        return [
            self.table.c.id,
            *[column.label(word) for word, column in self.facets.items()],
            *[case((flag, 1), else_=0).label(_FLAG + name) for name, flag in flags.items()],
        ]

    def _latest(self, statement: Select[*tuple[Any, ...]], seen: ColumnElement[Any]) -> Select[*tuple[Any, ...]]:
        return statement.order_by(seen.desc().nulls_last(), self.table.c.id.desc()).limit(COUNT_LIMIT + 1)

    def _others(self, conn: Connection, days: Days, ids: Sequence[UUID] | None) -> Mapping[str, int]:
        met, table = days.met(self.other.by), self.other.table
        named = select(self.other.name.label("name"), met.c.owner).join(table, table.c.id == met.c.other)
        return _counted(conn, named.where(table.c.project_id == days.scope.project, *_among(met.c.owner, ids)))

    def _models(self, conn: Connection, days: Days, ids: Sequence[UUID] | None) -> Mapping[str, int]:
        owner = usage_days.c[self.by]
        called = (
            select(owner.label("owner"), usage_days.c.model_uuid)
            .where(*days.of(usage_days, "bucket"), usage_days.c.calls > 0, *_among(owner, ids))
            .distinct()
            .subquery("called")
        )
        return _counted(conn, select(models.c.name, called.c.owner).join(models, models.c.id == called.c.model_uuid))

    def _tools(self, conn: Connection, days: Days, ids: Sequence[UUID] | None) -> Mapping[str, int]:
        owner = tool_days.c[self.by]
        used = select(tool_days.c.tool_name.label("name"), owner.label("owner"))
        return _counted(conn, used.where(*days.of(tool_days, "day"), tool_days.c.calls > 0, *_among(owner, ids)))

    def values(self, conn: Connection, scope: Scope, word: str, prefix: str, limit: int) -> tuple[str, ...]:
        """Return values that a word can have, those that begin with `prefix`."""
        return observed(conn, scope, self.words, word, prefix, limit, own=self.observed)


def _among(owner: ColumnElement[Any], ids: Sequence[UUID] | None) -> list[ColumnElement[bool]]:
    """Return the condition that an owner is one of some, or with None anybody: the nil id stands for nobody."""
    return [owner != NIL] if ids is None else [owner.in_(ids)]


def _counted(conn: Connection, named: Select[*tuple[Any, ...]]) -> Mapping[str, int]:
    """Return how many owners there are of each name."""
    found = named.subquery("named")
    return pairs(conn.rows(select(found.c.name, func.count(distinct(found.c.owner))).group_by(found.c.name)))
