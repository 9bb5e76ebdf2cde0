"""Hosts, models and prices: set one's own, and list what is used and what it costs."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any  # `Any`: rows hold whatever their columns hold
from uuid import UUID

from sqlalchemy import select, update

from agentrecord.codec import values
from agentrecord.engine import Connection
from agentrecord.engine.moments import from_micros
from agentrecord.exceptions import Forbidden, InvalidFilter, InvalidValue, NotFound
from agentrecord.ids import UserId
from agentrecord.pricing.choose import choose
from agentrecord.records.audit import SYSTEM, Actor
from agentrecord.records.page import Page
from agentrecord.records.price import Host, Model, ModelUse, NewPrice, Price, Rates, Spending
from agentrecord.records.price_sources import PriceSources
from agentrecord.records.scope import Role, Scope
from agentrecord.records.usage import UsageBy, UsageRow, UsageTotals
from agentrecord.schema import hosts, models, prices
from agentrecord.store import audit
from agentrecord.store._charging import OWN_PRICES, model_uuid, own_prices, price_of, price_row
from agentrecord.store._days import Days
from agentrecord.store._page import page
from agentrecord.store._price_sources import of_days
from agentrecord.store._sql import insert_or_skip
from agentrecord.store.usage_sums import NO_NAME, TIME, by_names, period, summed, totals_of

_ADD = insert_or_skip(prices)
_MAX_RATE = 10**15


def set_(conn: Connection, scope: Scope, new: NewPrice, *, by: Actor = SYSTEM) -> Price:
    """Set a price of one's own, from an instant on (or from ever); an older one from the same instant is retired.

    Calls made before are charged anew by `reprice`. Raises `InvalidValue` for a rate below zero, and `Forbidden` where
    anybody but an operator sets a price of another project or of all. The audit trail names who it was `by`.
    """
    check(scope, new)
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
    price = price_to_be(conn, new)
    conn.run(_ADD, price_row(price, price.id, conn.now, new.project_id))
    # Forget what was read, so that the next call sees this price.
    conn.remember(OWN_PRICES, None)
    audit.record_by(conn, scope, by, "price.set", "price", str(price.id), {"model": new.model})
    return price


def price_to_be(conn: Connection, new: NewPrice) -> Price:
    """Return a price as it will be once it is set."""
    return Price(
        id=conn.new_id(), model_uuid=None, model=new.model, host=new.host, rates=new.rates, tiers=new.tiers,
        effective_from=new.effective_from, project_id=new.project_id, source="user", created_at=conn.now,
    )  # fmt: skip


def check(scope: Scope, new: NewPrice) -> None:
    """Raise what `set_` raises for a price that cannot be set."""
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


def _check_rates(where: str, rates: Rates) -> None:
    for name in ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "per_request"):
        value = getattr(rates, name)
        if value is not None:
            values.integer(f"{where}.{name}", value, minimum=0, maximum=_MAX_RATE)
    if rates.input is None and rates.output is None and rates.per_request is None:
        raise InvalidValue(where, rates, "name at least what input and output cost")


def retire(conn: Connection, scope: Scope, price: UUID, *, by: Actor = SYSTEM) -> None:
    """Take one of one's own prices out of force; calls that it charged keep it until they are priced anew."""
    mine = [prices.c.id == price, prices.c.source == "user", prices.c.retired_at.is_(None)]
    if scope.role is not Role.OPERATOR:
        mine.append(prices.c.price_project_id == scope.project)
    row = conn.first(update(prices).where(*mine).values(retired_at=conn.now).returning(prices.c.id))
    if row is None:
        raise NotFound("price", price)
    conn.remember(OWN_PRICES, None)
    audit.record_by(conn, scope, by, "price.retire", "price", str(price))


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


def uses(
    conn: Connection,
    scope: Scope,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    include_subagents: bool = True,
) -> tuple[ModelUse, ...]:
    """Return every model that was called, its figures and its present price, the unpriced ones first.

    With `since` and `until`, in whole hours, what was called from the one up to the other.
    """
    calls = summed(scope, since, until, include_subagents=include_subagents)
    rows = conn.rows(by_names(calls.shape, (UsageBy.MODEL, UsageBy.HOST)), calls.params)
    return _unpriced_first(
        _use(conn, scope, model, host or None, totals_of(counts), (first_at, last_at))
        for model, host, *counts, first_at, last_at in rows
    )


def behind(
    conn: Connection,
    scope: Scope,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    user: UserId | None = None,
    agent: UUID | None = None,
) -> PriceSources | None:
    """Return which prices are behind what was spent on the UTC days from `since` up to `until`; None without any.

    They are those that charge each model that was called, at the end of its last day there: of all, of one `user`, or
    of one `agent`, by their row ids.
    """
    by, owner = ("agent_uuid", agent) if user is None else ("user_uuid", user)
    return of_days(conn, Days(scope=scope, by=by, owner=owner, since=since, until=until))


def spending(
    conn: Connection,
    scope: Scope,
    by: UsageBy = UsageBy.DAY,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    include_subagents: bool = True,
) -> Spending:
    """Return what each model cost in each hour, day, week or month, and what `uses` tells of each: in one reading."""
    if by not in TIME:
        raise InvalidFilter("by", by, f"must be one of {', '.join(TIME)}")
    calls = summed(scope, since, until, hourly=by is UsageBy.HOUR, include_subagents=include_subagents)
    rows: dict[tuple[str, str], UsageTotals] = {}
    used: dict[tuple[str, str | None], tuple[UsageTotals, datetime, datetime]] = {}
    found = conn.rows(by_names(calls.shape, (by, UsageBy.MODEL, UsageBy.HOST)), calls.params)
    for bucket, model, host, *counts, first_at, last_at in found:
        totals = totals_of(counts)
        place = period(from_micros(bucket * calls.bucket_micros), by), model or NO_NAME
        rows[place] = rows[place] + totals if place in rows else totals
        known, first, last = used.get((model, host), (UsageTotals(), first_at, last_at))
        used[model, host] = known + totals, min(first, first_at), max(last, last_at)
    uses_found = [
        _use(conn, scope, model, host or None, totals, (first, last))
        for (model, host), (totals, first, last) in used.items()
    ]
    return Spending(
        rows=tuple(
            UsageRow(key=key, label=key, split=model, split_label=model, totals=totals)
            for (key, model), totals in rows.items()
        ),
        uses=_unpriced_first(uses_found),
    )


def _unpriced_first(found: Iterable[ModelUse]) -> tuple[ModelUse, ...]:
    return tuple(sorted(found, key=lambda use: (-use.totals.unpriced_calls, -use.totals.cost_nanos, use.model)))


def _use(
    conn: Connection,
    scope: Scope,
    model: str,
    host: str | None,
    totals: UsageTotals,
    times: Sequence[datetime],
) -> ModelUse:
    first_at, last_at = times
    price = find(conn, scope, model, host=host, at=last_at) if model else None
    return ModelUse(
        model=model or NO_NAME,
        host=host,
        totals=totals,
        first_at=first_at,
        last_at=last_at,
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
