"""Budgets: limits on what calls may cost, and what was reserved for calls before they are made."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from agentrecord.ids import ProjectId, UserId
from agentrecord.records.unset import UNSET, UnsetType
from agentrecord.records.usage import dollars

NEAR = (4, 5)
"""The share of a limit from which a budget counts as nearly used up: four fifths, exactly."""


class BudgetPeriod(StrEnum):
    """How long a budget's limit lasts before it starts anew, in UTC; weeks start on Monday."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    TOTAL = "total"

    def bounds(self, at: datetime) -> tuple[datetime | None, datetime | None]:
        """Return the start and the end of the period that holds the instant `at`; None for a total's, which has none.

        The start belongs to the period, the end to the next one.
        """
        day = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        match self:
            case BudgetPeriod.DAY:
                return day, day + timedelta(days=1)
            case BudgetPeriod.WEEK:
                monday = day - timedelta(days=day.weekday())
                return monday, monday + timedelta(weeks=1)
            case BudgetPeriod.MONTH:
                first = day.replace(day=1)
                return first, (first + timedelta(days=31)).replace(day=1)
            case BudgetPeriod.TOTAL:
                return None, None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBudget:
    """A budget to make: of one user, of one agent, of both together, or with neither of the whole project.

    `limit_nanos` is in nano-dollars. `allow_unpriced` lets calls through that have no price or no bound on their
    output, without reserving anything for them.
    """

    name: str
    period: BudgetPeriod
    limit_nanos: int
    user: str | None = None
    agent_id: str | None = None
    allow_unpriced: bool = False
    is_active: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetChanges:
    """What to change of a budget; what is `UNSET` stays."""

    name: str | UnsetType = UNSET
    period: BudgetPeriod | UnsetType = UNSET
    limit_nanos: int | UnsetType = UNSET
    allow_unpriced: bool | UnsetType = UNSET
    is_active: bool | UnsetType = UNSET


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """A limit on what calls may cost in each period; inactive ones limit nothing."""

    id: UUID
    name: str
    project_id: ProjectId
    user_uuid: UserId | None = None
    user: str | None = None
    agent_uuid: UUID | None = None
    agent_id: str | None = None
    period: BudgetPeriod
    limit_nanos: int
    allow_unpriced: bool = False
    is_active: bool = True
    created_at: datetime
    updated_at: datetime

    @property
    def limit_usd(self) -> Decimal:
        """The limit in dollars."""
        return dollars(self.limit_nanos)


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetStatus:
    """A budget and how it stands: spent in the present period, and reserved for calls that are not recorded yet.

    `spent_nanos` leaves out the `unpriced_calls`, whose price is not known. A total's period has no start and no end.
    """

    budget: Budget
    start_at: datetime | None
    end_at: datetime | None
    spent_nanos: int
    reserved_nanos: int
    open_calls: int
    unpriced_calls: int

    @property
    def remaining_nanos(self) -> int:
        """What may still be reserved, in nano-dollars; 0 once all is spent or reserved."""
        return max(0, self.budget.limit_nanos - self.spent_nanos - self.reserved_nanos)

    @property
    def spent_usd(self) -> Decimal:
        """What was spent, in dollars."""
        return dollars(self.spent_nanos)

    @property
    def reserved_usd(self) -> Decimal:
        """What is reserved, in dollars."""
        return dollars(self.reserved_nanos)

    @property
    def remaining_usd(self) -> Decimal:
        """What may still be reserved, in dollars."""
        return dollars(self.remaining_nanos)

    @property
    def share(self) -> float:
        """What was spent as a share of the limit; of a limit of nothing, 1."""
        return self.spent_nanos / self.budget.limit_nanos if self.budget.limit_nanos else 1.0

    @property
    def is_near(self) -> bool:
        """Say whether the limit is nearly reached, or is."""
        part, whole = NEAR
        return self.spent_nanos * whole >= self.budget.limit_nanos * part

    @property
    def is_used_up(self) -> bool:
        """Say whether the limit is reached."""
        return self.spent_nanos >= self.budget.limit_nanos

    @property
    def is_over(self) -> bool:
        """Say whether more was spent than the limit: by calls that were imported, or made without a reservation."""
        return self.spent_nanos > self.budget.limit_nanos


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """What was set aside for a call before it is made; `id` is what the call is to be recorded with.

    `amount_nanos` is the most that the call can cost, None if that is not known and the budgets allow it.
    """

    id: UUID
    model: str
    host: str | None = None
    user_uuid: UserId
    agent_uuid: UUID | None = None
    run_uuid: UUID | None = None
    session_uuid: UUID | None = None
    amount_nanos: int | None = None
    input_tokens: int
    max_output_tokens: int | None = None
    created_at: datetime

    @property
    def amount_usd(self) -> Decimal | None:
        """The most that the call can cost, in dollars; None if that is not known."""
        return None if self.amount_nanos is None else dollars(self.amount_nanos)
