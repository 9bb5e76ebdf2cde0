"""Hosts, models and prices: set one's own, list what is used and what it costs, and price the past anew."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import Any  # `Any`: rows hold whatever their columns hold
from uuid import UUID

from sqlalchemy import func, select, update

from agentrecord.codec import values
from agentrecord.engine import Connection
from agentrecord.exceptions import Forbidden, InvalidValue, NotFound
from agentrecord.pricing.choose import choose
from agentrecord.records.llm_call import CostSource
from agentrecord.records.page import Page
from agentrecord.records.price import Host, Model, ModelUse, NewPrice, Price, Rates, RepriceRow
from agentrecord.records.scope import Role, Scope
from agentrecord.schema import hosts, llm_calls, models, prices, usage_days
from agentrecord.store import reserving
from agentrecord.store._charging import OWN_PRICES, Charge, charge, model_uuid, own_prices, price_of, price_row
from agentrecord.store._figures import Figures
from agentrecord.store._page import page
from agentrecord.store._rows import tokens_of
from agentrecord.store._sql import insert_or_skip, usage_totals, within
from agentrecord.store.usage import sums

_ADD = insert_or_skip(prices)
_MAX_RATE = 10**15
REPRICE_BATCH = 1000


def set_(conn: Connection, scope: Scope, new: NewPrice) -> Price:
    """Set a price of one's own, from an instant on (or from ever); an older one from the same instant is retired.

    Calls made before are charged anew by `reprice`. Raises `InvalidValue` for a rate below zero, and `Forbidden` where
    anybody but an operator sets a price of another project or of all.
    """
    if scope.role is not Role.OPERATOR and new.project_id != scope.project:
        raise Forbidden("only an operator sets a price outside the project; name the project")
    values.name("model", new.model)
    if new.host is not None:
        values.name("host", new.host)
    rates = [("rates", new.rates), *((f"tier above {t.above_input_tokens}", t.rates) for t in new.tiers)]
    for where, one in rates:
        _check_rates(where, one)
    if new.effective_from is not None:
        values.moment("effective_from", new.effective_from)
    conn.run(
        update(prices)
        .where(
            prices.c.source == "user",
            prices.c.model == new.model,
            prices.c.host.is_not_distinct_from(new.host),
            prices.c.price_project_id.is_not_distinct_from(new.project_id),
            prices.c.effective_from.is_not_distinct_from(new.effective_from),
            prices.c.retired_at.is_(None),
        )
        .values(retired_at=conn.now)
    )
    price = Price(
        id=conn.new_id(), model_uuid=None, model=new.model, host=new.host, rates=new.rates, tiers=new.tiers,
        effective_from=new.effective_from, project_id=new.project_id, source="user", created_at=conn.now,
    )  # fmt: skip
    conn.run(_ADD, price_row(price, price.id, conn.now, new.project_id))
    # Forget what was read, so that the next call sees this price.
    conn.remember(OWN_PRICES, None)
    return price


def _check_rates(where: str, rates: Rates) -> None:
    for name in ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "per_request"):
        value = getattr(rates, name)
        if value is not None:
            values.integer(f"{where}.{name}", value, minimum=0, maximum=_MAX_RATE)
    if rates.input is None and rates.output is None and rates.per_request is None:
        raise InvalidValue(where, rates, "name at least what input and output cost")


def retire(conn: Connection, scope: Scope, price: UUID) -> None:
    """Take one of one's own prices out of force; calls that it charged keep it until they are priced anew."""
    mine = [prices.c.id == price, prices.c.source == "user", prices.c.retired_at.is_(None)]
    if scope.role is not Role.OPERATOR:
        mine.append(prices.c.price_project_id == scope.project)
    row = conn.first(update(prices).where(*mine).values(retired_at=conn.now).returning(prices.c.id))
    if row is None:
        raise NotFound("price", price)
    conn.remember(OWN_PRICES, None)


def list_(conn: Connection, scope: Scope) -> tuple[Price, ...]:
    """Return one's own prices in force and the built-in ones that have charged a call, by model."""
    rows = conn.maps(select(prices).where(prices.c.retired_at.is_(None)).order_by(prices.c.model, prices.c.created_at))
    found = (price_of(row) for row in rows)
    return tuple(price for price in found if price.project_id in (None, scope.project))


def find(conn: Connection, scope: Scope, model: str, *, host: str | None = None, at: datetime | None = None) -> Any:
    """Return the price that a call to `model` would be charged by at an instant (now), None if it has none."""
    values.text("model", model)
    moment = conn.now if at is None else values.moment("at", at)
    return choose(own_prices(conn), model, host=host, at=moment, project=scope.project)


def uses(conn: Connection, scope: Scope) -> tuple[ModelUse, ...]:
    """Return every model that was called, its figures and its present price, the unpriced ones first."""
    rows = conn.maps(
        select(
            models.c.name.label("model"),
            hosts.c.name.label("host"),
            *sums(usage_days),
            func.min(usage_days.c.first_at).label("first_at"),
            func.max(usage_days.c.last_at).label("last_at"),
        )
        .select_from(
            usage_days.join(models, models.c.id == usage_days.c.model_uuid).join(
                hosts, hosts.c.id == models.c.host_uuid
            )
        )
        .where(*within(scope, usage_days))
        .group_by(models.c.name, hosts.c.name)
    )
    found = [_use(conn, scope, row) for row in rows]
    return tuple(sorted(found, key=lambda use: (-use.totals.unpriced_calls, -use.totals.cost_nanos, use.model)))


def _use(conn: Connection, scope: Scope, row: Mapping[str, Any]) -> ModelUse:
    host = row["host"] or None
    price = find(conn, scope, row["model"], host=host, at=row["last_at"]) if row["model"] else None
    return ModelUse(
        model=row["model"] or "unknown",
        host=host,
        totals=usage_totals(row),
        first_at=row["first_at"],
        last_at=row["last_at"],
        rates=None if price is None else price.rates,
        source=None if price is None else price.source,
        effective_from=None if price is None else price.effective_from,
    )


def ensure_host(conn: Connection, scope: Scope, name: str, *, base_url: str | None = None) -> Host:
    """Return the host called `name`, made if there is none; a `base_url` given is kept."""
    model_uuid(conn, None, values.name("host", name))
    if base_url is not None:
        conn.run(update(hosts).where(hosts.c.name == name).values(base_url=values.text("base_url", base_url)))
    row = conn.first_map(select(hosts).where(hosts.c.name == name))
    if row is None:
        raise NotFound("host", name)
    return Host(**row)


def list_models(conn: Connection, scope: Scope, *, limit: int = 50, cursor: str | None = None) -> Page[Model]:
    """Return the models that were ever named, by name."""
    statement = select(models, hosts.c.name.label("host")).join(hosts, hosts.c.id == models.c.host_uuid)
    return page(
        conn, statement, lambda row: Model(**{k: v for k, v in row.items() if k != "page_key"}),
        sorts={"name": models.c.name}, sort="name", row_id=models.c.id, limit=limit, cursor=cursor,
    )  # fmt: skip


def reprice(
    conn: Connection,
    scope: Scope,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    model: str | None = None,
    apply: bool = False,
) -> tuple[RepriceRow, ...]:
    """Return, by model and UTC day, what today's price tables would change; with `apply`, change it.

    Costs that the provider itself named stay as they are. All sums change in the same transaction.
    """
    statement = (
        select(llm_calls, models.c.name.label("model"), hosts.c.name.label("host"))
        .select_from(
            llm_calls.join(models, models.c.id == llm_calls.c.model_uuid).join(hosts, hosts.c.id == models.c.host_uuid)
        )
        .where(*within(scope, llm_calls), llm_calls.c.cost_source != CostSource.PROVIDER)
        .order_by(llm_calls.c.id)
        .limit(REPRICE_BATCH)
    )
    if since is not None:
        statement = statement.where(llm_calls.c.timestamp >= values.moment("since", since))
    if until is not None:
        statement = statement.where(llm_calls.c.timestamp < values.moment("until", until))
    if model is not None:
        statement = statement.where(models.c.name == model)
    found: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0] * 6)
    figures = Figures(scope.project, conn.now)
    rows = conn.maps(statement)
    while rows:
        for row in rows:
            _reprice_call(conn, scope, row, found, figures, apply=apply)
        rows = conn.maps(statement.where(llm_calls.c.id > rows[-1]["id"]))
    if apply:
        figures.apply(conn)
    return tuple(
        RepriceRow(
            day=day, model=name, calls=s[0], changed_calls=s[1], old_nanos=s[2], new_nanos=s[3],
            old_unpriced=s[4], new_unpriced=s[5],
        )
        for (day, name), s in sorted(found.items())
    )  # fmt: skip


def _reprice_call(
    conn: Connection,
    scope: Scope,
    row: dict[str, Any],
    found: dict[tuple[str, str], list[int]],
    figures: Figures,
    *,
    apply: bool,
) -> None:
    new = _charge_anew(conn, scope, row)
    old_nanos = row["cost_nanos"]
    changed = new.cost_nanos != old_nanos
    line = found[row["timestamp"].strftime("%Y-%m-%d"), row["model"] or "unknown"]
    added = (1, int(changed), old_nanos or 0, new.cost_nanos or 0, int(old_nanos is None), int(new.cost_nanos is None))
    for place, value in enumerate(added):
        line[place] += value
    if not apply or (not changed and new.price_uuid == row["price_uuid"]):
        return
    changes = {"cost_nanos": new.cost_nanos, "cost_source": new.cost_source, "price_uuid": new.price_uuid}
    conn.run(
        update(llm_calls).where(llm_calls.c.project_id == scope.project, llm_calls.c.id == row["id"]).values(**changes)
    )
    figures.call(row, -1)
    figures.call({**row, **changes})
    if old_nanos is None:
        reserving.lift(conn, scope, row["id"])


def _charge_anew(conn: Connection, scope: Scope, row: dict[str, Any]) -> Charge:
    """Return what today's tables say a call costs: by its own model, else by the one whose price charged it."""
    tokens, at = tokens_of(row), row["timestamp"]
    own = charge(conn, scope.project, model=row["model"] or None, host=row["host"] or None, tokens=tokens, at=at)
    if own.cost_nanos is not None or row["price_uuid"] is None:
        return own
    # A call that was reserved may have been charged as the model that was asked, which answered by another name.
    by = conn.first(select(prices.c.model, prices.c.host).where(prices.c.id == row["price_uuid"]))
    if by is None or "*" in by[0]:
        return own
    return charge(conn, scope.project, model=by[0], host=by[1], tokens=tokens, at=at)
