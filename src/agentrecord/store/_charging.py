"""What a call costs, decided inside its transaction: the user's own prices, then the built-in table.

The price that charged a call is a row of `ar_prices`, so that the call keeps which one it was. Own prices are read
again after two seconds, so that a price set by another process counts soon; `reprice` mends what came between.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast
from uuid import UUID

import msgspec
from sqlalchemy import select

from agentrecord.codec import values
from agentrecord.engine import Connection
from agentrecord.ids import NIL, ProjectId, derived_id
from agentrecord.pricing import builtin
from agentrecord.pricing.choose import choose
from agentrecord.pricing.cost import cost_nanos
from agentrecord.records.llm_call import CostSource
from agentrecord.records.price import Price, Quote, Rates, Tier
from agentrecord.records.tokens import TokenCounts
from agentrecord.schema import hosts, models, prices
from agentrecord.store._serials import next_serial
from agentrecord.store._sql import insert_or_skip

OWN_PRICES = "own prices"
_STALE_AFTER = timedelta(seconds=2)
_ADD_HOST = insert_or_skip(hosts)
_ADD_MODEL = insert_or_skip(models)
_ADD_PRICE = insert_or_skip(prices)

UNKNOWN = ""
"""The name of a model or host that the source did not tell."""


@dataclass(frozen=True, slots=True)
class Charge:
    """What a call costs, and by which price."""

    cost_nanos: int | None
    cost_source: CostSource
    price_uuid: UUID | None


def model_uuid(conn: Connection, model: str | None, host: str | None) -> UUID:
    """Return the row of a model at a host, both made when first named."""
    host_name, model_name = host or UNKNOWN, model or UNKNOWN
    key = ("model", host_name, model_name)
    known = conn.recall(key)
    if known is not None:
        return cast(UUID, known)
    if host_name:
        values.name("host", host_name)
    if model_name:
        values.name("model", model_name)
    host_id, model_id = derived_id(0, "host", host_name), derived_id(0, *key)
    if conn.first(select(hosts.c.id).where(hosts.c.id == host_id)) is None:
        serial = next_serial(conn, ProjectId(NIL), "hosts")
        conn.run(
            _ADD_HOST,
            {"id": host_id, "serial": serial, "name": host_name, "base_url": None, "created_at": conn.now},
        )
    if conn.first(select(models.c.id).where(models.c.id == model_id)) is None:
        serial = next_serial(conn, ProjectId(NIL), "models")
        conn.run(
            _ADD_MODEL,
            {"id": model_id, "serial": serial, "name": model_name, "host_uuid": host_id, "created_at": conn.now},
        )
    conn.remember(key, model_id)
    return model_id


def own_prices(conn: Connection) -> tuple[Price, ...]:
    """Return the prices that users set, in force or in the past."""
    kept = cast("tuple[datetime, tuple[Price, ...]] | None", conn.recall(OWN_PRICES))
    if kept is not None and conn.now - kept[0] < _STALE_AFTER:
        return kept[1]
    return own_prices_now(conn)


def own_prices_now(conn: Connection) -> tuple[Price, ...]:
    """Return the prices that users set as this transaction sees them, its own included."""
    rows = conn.maps(select(prices).where(prices.c.source == "user", prices.c.retired_at.is_(None)))
    found = tuple(price_of(row) for row in rows)
    conn.remember(OWN_PRICES, (conn.now, found))
    return found


def price_of(row: dict[str, object]) -> Price:
    """Return a row of `ar_prices` as a record."""
    return Price(
        id=cast(UUID, row["id"]),
        model_uuid=None,
        model=cast(str, row["model"]),
        host=cast("str | None", row["host"]),
        rates=msgspec.json.decode(cast(str, row["rates"]), type=Rates),
        tiers=msgspec.json.decode(cast(str, row["tiers"]), type=tuple[Tier, ...]),
        effective_from=cast("datetime | None", row["effective_from"]),
        project_id=cast("ProjectId | None", row["price_project_id"]),
        source=cast(str, row["source"]),
        created_at=cast(datetime, row["created_at"]),
    )


def price_row(price: Quote | Price, price_id: UUID, now: datetime, project: ProjectId | None) -> dict[str, object]:
    """Return a price as a row of `ar_prices`."""
    return {
        "id": price_id,
        "price_project_id": project,
        "model": price.model,
        "host": price.host,
        "rates": msgspec.json.encode(price.rates).decode(),
        "tiers": msgspec.json.encode(price.tiers).decode(),
        "input_rate": price.rates.input,
        "output_rate": price.rates.output,
        "effective_from": price.effective_from,
        "source": price.source,
        "created_at": now,
        "retired_at": None,
    }


def load_table(*_: object, **__: object) -> None:
    """Load the built-in price table before the transaction that asks it: all writers wait for whoever loads inside."""
    builtin.load()


def load_table_for(*_: object, calls: Sequence[object] = (), **__: object) -> None:
    """Load the built-in price table if there are `calls` to price."""
    if calls:
        load_table()


def charge(
    conn: Connection,
    project: ProjectId,
    *,
    model: str | None,
    host: str | None,
    tokens: TokenCounts,
    at: datetime,
) -> Charge:
    """Return what the tables say a call costs; without a price its cost is unknown, not zero."""
    found = choose(own_prices(conn), model, host=host, at=at, project=project) if model else None
    if found is None:
        return Charge(None, CostSource.NONE, None)
    nanos = cost_nanos(tokens, found.rates, found.tiers)
    if nanos is None:
        return Charge(None, CostSource.NONE, None)
    return Charge(nanos, CostSource.PRICE, stored(conn, found))


def stored(conn: Connection, price: Price | Quote) -> UUID:
    """Return the row of a price; a built-in one is stored when it first charges a call."""
    if isinstance(price, Price):
        return price.id
    # By identity, since the built-in table hands out the same quotes: hashing one costs more than finding its price.
    key = ("price", id(price))
    known = cast("tuple[Quote, UUID] | None", conn.recall(key))
    if known is None or known[0] is not price:
        known = (price, derived_id(0, "price", price))
        conn.run(_ADD_PRICE, price_row(price, known[1], conn.now, None))
        conn.remember(key, known)
    return known[1]
