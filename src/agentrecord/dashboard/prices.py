"""The page of prices: what the models that were called cost, and the form that sets a price of one's own."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agentrecord.dashboard.charts import series_slots
from agentrecord.dashboard.filters import Asked
from agentrecord.records.price import ModelUse, NewPrice, Price, PriceChange, Repricing
from agentrecord.records.usage import UsageBy
from agentrecord.store import AsyncStore

RATES = (
    ("input", "Input"),
    ("output", "Output"),
    ("cache_read", "Cache read"),
    ("cache_write_5m", "Write 5 min"),
    ("cache_write_1h", "Write 1 h"),
)
"""The rates of the form, and what people call them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """A price that could be set, and what it would change."""

    new: NewPrice
    repricing: Repricing


MOST_USES, MOST_PRICES = 100, 50
"""So many models, and prices in force, are listed; a record of experiments can hold thousands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PricesPage:
    """The models that were called, what charges them, and the prices in force.

    `uses` are the first `MOST_USES` of `use_count`: those without a price come first. `prices` are the
    first `MOST_PRICES` of `price_count`: one's own come first.
    `given` holds what the form said, `refused` why it was not carried out, `preview` what it would do, `done` what it
    did.
    """

    uses: Sequence[ModelUse]
    use_count: int
    prices: Sequence[Price]
    price_count: int
    slots: Mapping[str, int]
    given: Asked = field(default_factory=dict)
    refused: str = ""
    preview: Preview | None = None
    done: PriceChange | None = None
    rates: tuple[tuple[str, str], ...] = RATES


async def prices(
    store: AsyncStore,
    asked: Asked,
    *,
    refused: str = "",
    preview: Preview | None = None,
    done: PriceChange | None = None,
) -> PricesPage:
    """Return the page of prices; `asked` fills the form."""
    uses, known, names = await asyncio.gather(
        store.prices.uses(), store.prices.list(), store.usage.names(UsageBy.MODEL)
    )
    return PricesPage(
        uses=uses[:MOST_USES], use_count=len(uses), price_count=len(known),
        prices=sorted(known, key=lambda price: price.project_id is None)[:MOST_PRICES],
        slots=series_slots(names), given=asked,
        refused=refused, preview=preview, done=done,
    )  # fmt: skip
