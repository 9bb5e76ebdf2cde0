"""Past calls by today's prices, or by one that is about to be set: first as a difference, then for good."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any  # `Any`: rows hold whatever their columns hold
from uuid import UUID

from sqlalchemy import ColumnElement, false, or_, select, update

from agentrecord.codec import values
from agentrecord.engine import Connection
from agentrecord.pricing.choose import choose, names
from agentrecord.pricing.cost import cost_nanos
from agentrecord.records.audit import SYSTEM, Actor
from agentrecord.records.llm_call import CostSource
from agentrecord.records.price import NewPrice, Price, PriceChange, Quote, RepriceRow, Repricing
from agentrecord.records.scope import Scope
from agentrecord.schema import hosts, llm_calls, models, runs, sessions
from agentrecord.schema import prices as price_table
from agentrecord.store import audit, prices, reserving
from agentrecord.store._charging import own_prices_now, stored
from agentrecord.store._figures import Figures
from agentrecord.store._lookup import rows_by
from agentrecord.store._rows import tokens_of
from agentrecord.store._sql import within

REPRICE_BATCH = 1000
_SELECT = select(llm_calls, models.c.name.label("model"), hosts.c.name.label("host")).select_from(
    llm_calls.join(models, models.c.id == llm_calls.c.model_uuid).join(hosts, hosts.c.id == models.c.host_uuid)
)


@dataclass(slots=True)
class _Sums:
    """What repricing changes in the calls to one model on one day."""

    calls: int = 0
    changed_calls: int = 0
    old_nanos: int = 0
    new_nanos: int = 0
    old_unpriced: int = 0
    new_unpriced: int = 0


@dataclass(slots=True)
class _Found:
    """What repricing changes, by day and model."""

    sums: dict[tuple[str, str], _Sums] = field(default_factory=lambda: defaultdict(_Sums))

    def add(self, row: dict[str, Any], new_nanos: int | None) -> bool:
        """Count a call; say whether its cost changes."""
        old_nanos = row["cost_nanos"]
        sums = self.sums[row["timestamp"].strftime("%Y-%m-%d"), row["model"] or "unknown"]
        sums.calls += 1
        sums.changed_calls += new_nanos != old_nanos
        sums.old_nanos += old_nanos or 0
        sums.new_nanos += new_nanos or 0
        sums.old_unpriced += old_nanos is None
        sums.new_unpriced += new_nanos is None
        return bool(new_nanos != old_nanos)

    def rows(self) -> tuple[RepriceRow, ...]:
        """Return the sums as records, by day and model."""
        return tuple(
            RepriceRow(
                day=day, model=model, calls=sums.calls, changed_calls=sums.changed_calls, old_nanos=sums.old_nanos,
                new_nanos=sums.new_nanos, old_unpriced=sums.old_unpriced, new_unpriced=sums.new_unpriced,
            )
            for (day, model), sums in sorted(self.sums.items())
        )  # fmt: skip


def reprice(
    conn: Connection,
    scope: Scope,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    model: str | None = None,
    apply: bool = False,
    by: Actor = SYSTEM,
) -> tuple[RepriceRow, ...]:
    """Return, by model and UTC day, what today's price tables would change; with `apply`, change it.

    Costs that the provider itself named stay as they are. All sums change in the same transaction, and the audit
    trail says who it was `by`.
    """
    conditions: list[ColumnElement[bool]] = []
    if since is not None:
        conditions.append(llm_calls.c.timestamp >= values.moment("since", since))
    if until is not None:
        conditions.append(llm_calls.c.timestamp < values.moment("until", until))
    if model is not None:
        conditions.append(models.c.name == model)
    return _reprice(conn, scope, conditions, apply=apply, by=by)


def preview(conn: Connection, scope: Scope, new: NewPrice) -> Repricing:
    """Return what `apply` would change in past calls, and write nothing.

    Raises `InvalidValue` and `Forbidden` as `set_` does.
    """
    prices.check(scope, new)
    to_be = prices.price_to_be(conn, new)
    own = [price for price in own_prices_now(conn) if not _is_replaced(price, new)]
    found = _Found()
    for row in _calls(conn, scope, _conditions(conn, new)):
        found.add(row, _anew(conn, scope, row, [*own, to_be])[1])
    return Repricing(applied=False, rows=found.rows())


def apply(conn: Connection, scope: Scope, new: NewPrice, *, by: Actor = SYSTEM) -> PriceChange:
    """Set a price and charge past calls to its models anew, in one transaction; return what changed.

    Raises `InvalidValue` and `Forbidden` as `set_` does.
    """
    price = prices.set_(conn, scope, new, by=by)
    rows = _reprice(conn, scope, _conditions(conn, new), apply=True, by=by)
    return PriceChange(price=price, repricing=Repricing(applied=True, rows=rows))


def _is_replaced(price: Price, new: NewPrice) -> bool:
    def key(one: Price | NewPrice) -> tuple[object, ...]:
        return one.model, one.host, one.project_id, one.effective_from

    return key(price) == key(new)


def _conditions(conn: Connection, new: NewPrice) -> list[ColumnElement[bool]]:
    """Return which calls a price may charge: those to models that it names, whatever their case."""
    rows = conn.rows(select(models.c.id, models.c.name))
    named = [row[0] for row in rows if names(new.model.casefold(), row[1].casefold())]
    found: list[ColumnElement[bool]] = [or_(false(), *[llm_calls.c.model_uuid == row for row in named])]
    if new.effective_from is not None:
        found.append(llm_calls.c.timestamp >= new.effective_from)
    return found


def _calls(
    conn: Connection, scope: Scope, conditions: Sequence[ColumnElement[bool]], *, lock: bool = False
) -> Iterator[dict[str, Any]]:
    """Return calls in turn; with `lock` nobody else charges them anew or takes a larger report for one meanwhile."""
    statement = (
        _SELECT.where(*within(scope, llm_calls), llm_calls.c.cost_source != CostSource.PROVIDER, *conditions)
        .order_by(llm_calls.c.id)
        .limit(REPRICE_BATCH)
    )
    after: list[ColumnElement[bool]] = []
    while rows := conn.maps(statement.where(*after)):
        after = [llm_calls.c.id > rows[-1]["id"]]
        if lock and not conn.is_sqlite:
            # In the order in which all others lock them, who come from a session or a run to its calls.
            for table, name in ((sessions, "session_uuid"), (runs, "run_uuid")):
                wanted = sorted({row[name] for row in rows if row[name] is not None})
                rows_by(conn, scope.project, table, "id", wanted, columns=("id",), lock=True)
            these = llm_calls.c.id.between(rows[0]["id"], rows[-1]["id"])
            rows = conn.maps(statement.where(these).limit(None).with_for_update(of=llm_calls))
        yield from rows


def _reprice(
    conn: Connection, scope: Scope, conditions: Sequence[ColumnElement[bool]], *, apply: bool, by: Actor
) -> tuple[RepriceRow, ...]:
    found, figures, own = _Found(), Figures(scope.project, conn.now), own_prices_now(conn)
    for count, row in enumerate(_calls(conn, scope, conditions, lock=apply), start=1):
        price, nanos = _anew(conn, scope, row, own)
        changed = found.add(row, nanos)
        if apply:
            _charge(conn, scope, row, price, nanos, changed, figures)
            if count % REPRICE_BATCH == 0:
                figures.settle_tools(conn)
    rows = found.rows()
    if apply:
        figures.apply(conn)
        told: dict[str, values.JsonValue] = {
            "changed_calls": sum(row.changed_calls for row in rows),
            "old_nanos": sum(row.old_nanos for row in rows),
            "new_nanos": sum(row.new_nanos for row in rows),
        }
        audit.record_by(conn, scope, by, "price.reprice", "project", str(scope.project), told)
    return rows


def _charge(
    conn: Connection,
    scope: Scope,
    row: dict[str, Any],
    price: Price | Quote | None,
    nanos: int | None,
    changed: bool,
    figures: Figures,
) -> None:
    """Write what a call costs now, and what that changes in every sum."""
    price_uuid: UUID | None = None if price is None or nanos is None else stored(conn, price)
    if not changed and price_uuid == row["price_uuid"]:
        return
    source = CostSource.NONE if nanos is None else CostSource.PRICE
    changes = {"cost_nanos": nanos, "cost_source": source, "price_uuid": price_uuid}
    conn.run(
        update(llm_calls).where(llm_calls.c.project_id == scope.project, llm_calls.c.id == row["id"]).values(**changes)
    )
    figures.call(row, -1)
    figures.call({**row, **changes})
    if row["cost_nanos"] is None:
        reserving.lift(conn, scope, row["id"])


def _anew(
    conn: Connection, scope: Scope, row: dict[str, Any], own: Sequence[Price]
) -> tuple[Price | Quote | None, int | None]:
    """Return which price charges a call and what it costs: by its own model, else by the one whose price charged it."""
    found = _priced(scope, row, own, row["model"] or None, row["host"] or None)
    if found[1] is not None or row["price_uuid"] is None:
        return found
    # A call that was reserved may have been charged as the model that was asked, which answered by another name.
    by = conn.first(select(price_table.c.model, price_table.c.host).where(price_table.c.id == row["price_uuid"]))
    if by is None or "*" in by[0]:
        return found
    return _priced(scope, row, own, by[0], by[1])


def _priced(
    scope: Scope, row: dict[str, Any], own: Sequence[Price], model: str | None, host: str | None
) -> tuple[Price | Quote | None, int | None]:
    price = choose(own, model, host=host, at=row["timestamp"], project=scope.project) if model else None
    return price, None if price is None else cost_nanos(tokens_of(row), price.rates, price.tiers)
