"""Which prices are behind a sum of costs: by what charged its calls, or by what charges the models that were called."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any  # `Any`: SQLAlchemy columns are generic over values they do not know

from sqlalchemy import ColumnElement, Select, func, select

from agentrecord.engine import Connection
from agentrecord.engine.moments import DAY_MICROS, from_micros
from agentrecord.pricing.choose import choose
from agentrecord.records.llm_call import CostSource
from agentrecord.records.price import Price, Quote
from agentrecord.records.price_sources import OWN, PriceSources
from agentrecord.records.scope import Scope
from agentrecord.schema import hosts, llm_calls, models, prices, usage_days
from agentrecord.store._charging import own_prices
from agentrecord.store._days import Days
from agentrecord.store._sql import by_value, within


def of_calls(conn: Connection, scope: Scope, *conditions: ColumnElement[bool]) -> PriceSources | None:
    """Return the prices that charged calls, each as it was then; None where none of them has a cost."""
    charged = (
        select(llm_calls.c.price_uuid, llm_calls.c.cost_source)
        .where(*within(scope, llm_calls), *conditions, llm_calls.c.cost_nanos.is_not(None))
        .distinct()
        .subquery("charged")
    )
    rows = conn.rows(
        select(charged.c.cost_source, prices.c.id, prices.c.source, prices.c.effective_from).select_from(
            charged.outerjoin(prices, prices.c.id == charged.c.price_uuid)
        )
    )
    by_price = [(key, source, since) for told, key, source, since in rows if told != CostSource.PROVIDER and source]
    by_provider = any(row[0] == CostSource.PROVIDER for row in rows)
    return _sources(by_price, by_provider=by_provider) if rows else None


def of_days(conn: Connection, days: Days) -> PriceSources | None:
    """Return the prices that charge, at its last call, each model that was called on some days; None without any.

    Daily figures tell no more: a cost that a provider named itself counts as charged by its model's price.
    """
    rows = conn.rows(_last_of_some(days) if days.owner or days.scope.user else _last_of_all(days))
    own = own_prices(conn)
    found = [
        choose(own, model, host=host or None, at=_end_of(day), project=days.scope.project)
        for model, host, day in rows
        if model
    ]
    return of_prices([price for price in found if price is not None])


def _last_of_all(days: Days) -> Select[*tuple[Any, ...]]:
    """Return the statement whose rows are each model that was called on some days, its host, and its last day there.

    Each is looked up at the end of its own days, so that it costs the same however many of these there are.
    """
    last = (
        select(func.max(usage_days.c.bucket))
        .where(*days.of(usage_days, "bucket"), usage_days.c.model_uuid == models.c.id)
        .correlate(models)
        .scalar_subquery()
    )
    named = select(models.c.name.label("model"), models.c.host_uuid, last.label("day")).subquery("named")
    return (
        select(named.c.model, hosts.c.name, named.c.day)
        .select_from(named.join(hosts, hosts.c.id == named.c.host_uuid))
        .where(named.c.day.is_not(None))
    )


def _last_of_some(days: Days) -> Select[*tuple[Any, ...]]:
    """Return the same of the days of one user or agent, which are few."""
    model = by_value(usage_days.c.model_uuid).label("model_uuid")
    called = (
        select(model, func.max(usage_days.c.bucket).label("day"))
        # A counter is in no index, so that the one of users, or of agents, is not passed over for the whole key's.
        .where(*days.of(usage_days, "bucket"), usage_days.c.calls > 0)
        .group_by(model)
        .subquery("called")
    )
    return select(models.c.name, hosts.c.name, called.c.day).select_from(
        called.join(models, models.c.id == called.c.model_uuid).join(hosts, hosts.c.id == models.c.host_uuid)
    )


def of_prices(found: Sequence[Price | Quote]) -> PriceSources | None:
    """Return where prices come from; None for none."""
    told = [(price.id if isinstance(price, Price) else None, price.source, price.effective_from) for price in found]
    return _sources(told, by_provider=False) if found else None


def _end_of(day: int) -> datetime:
    return from_micros((day + 1) * DAY_MICROS - 1)


def _sources(found: Iterable[tuple[object, str, datetime | None]], *, by_provider: bool) -> PriceSources:
    rows = list(found)
    return PriceSources(
        tables=tuple(sorted({source for _, source, _ in rows if source != OWN})),
        own=len({key for key, source, _ in rows if source == OWN}),
        by_provider=by_provider,
        latest_from=max((since for *_, since in rows if since is not None), default=None),
    )
