"""Hosts, models and prices: what a token costs, since when, and who says so."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from agentrecord.ids import ProjectId
from agentrecord.records.usage import UsageRow, UsageTotals


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """Who serves a model."""

    id: UUID
    name: str
    base_url: str | None = None
    serial: int | None = None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model at a host."""

    id: UUID
    name: str
    host_uuid: UUID
    host: str
    serial: int | None = None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Nano-dollars per million tokens, by class; None means that the class has no price of its own.

    A missing cache price is charged at the input price, a missing 1-hour write at the 5-minute one. `per_request` is
    in nano-dollars per call.
    """

    input: int | None = None
    cache_read: int | None = None
    cache_write_5m: int | None = None
    cache_write_1h: int | None = None
    output: int | None = None
    per_request: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """Rates that hold for the whole call once its input tokens (cache included) exceed `above_input_tokens`."""

    above_input_tokens: int
    rates: Rates


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPrice:
    """A price to set: the user's own, which wins over the built-in table."""

    model: str
    host: str | None = None
    rates: Rates
    tiers: tuple[Tier, ...] = ()
    effective_from: datetime | None = None
    project_id: ProjectId | None = None
    source: str = "user"


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What a model costs from an instant on; `source` says where the figure comes from."""

    id: UUID
    model_uuid: UUID | None
    model: str
    host: str | None
    rates: Rates
    tiers: tuple[Tier, ...] = ()
    effective_from: datetime | None = None
    project_id: ProjectId | None = None
    source: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """A price found for a model at an instant, not yet stored: what `pricing` answers with."""

    model: str
    host: str | None
    rates: Rates
    tiers: tuple[Tier, ...] = field(default=())
    effective_from: datetime | None = None
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RepriceRow:
    """What repricing would change for one model on one UTC day."""

    day: str
    model: str
    calls: int
    changed_calls: int
    old_nanos: int
    new_nanos: int
    old_unpriced: int
    new_unpriced: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Repricing:
    """What repricing changes, or would change: by model and UTC day, and in all; `applied` says which."""

    applied: bool
    rows: tuple[RepriceRow, ...] = ()

    @property
    def calls(self) -> int:
        """How many calls were looked at."""
        return sum(row.calls for row in self.rows)

    @property
    def changed_calls(self) -> int:
        """How many of them cost something else, or have a price for the first time."""
        return sum(row.changed_calls for row in self.rows)

    @property
    def priced_calls(self) -> int:
        """How many more of them have a price than before; less than 0 where prices went."""
        return sum(row.old_unpriced - row.new_unpriced for row in self.rows)

    @property
    def change_nanos(self) -> int:
        """By how much all of them together cost more, in nano-dollars; less than 0 where they cost less."""
        return sum(row.new_nanos - row.old_nanos for row in self.rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceChange:
    """A price that was set, and what it changed in past calls."""

    price: Price
    repricing: Repricing


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelUse:
    """A model that was called: its figures, and the price that charges it at its last call."""

    model: str
    host: str | None
    totals: UsageTotals
    first_at: datetime
    last_at: datetime
    rates: Rates | None = None
    source: str | None = None
    effective_from: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """What models cost: for each period, and each with the price that charges it.

    `rows` have the period as their `key` and the model as their `split`.
    """

    rows: tuple[UsageRow, ...]
    uses: tuple[ModelUse, ...]
