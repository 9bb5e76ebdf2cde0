"""Every error this package raises on purpose.

AgentRecordError
├── InvalidValue            a field holds something no engine may store
├── NotFound                no such row in this scope (also: it is somebody else's)
├── Conflict                the identity is taken by other content
│   ├── StaleRevision       the row changed since it was read
│   └── SessionBusy         the session is being answered right now
├── InvalidTransition       the state machine does not allow this step
├── Forbidden               the role may not do this
├── WrongCredentials        the e-mail, password or token is wrong
├── TooManyRequests         wait before asking again
├── OverBudget              a limit would be crossed
├── TurnFailed              the agent did not answer
│   ├── TurnTimedOut        it took too long
│   ├── TurnCancelled       it was told to stop
│   ├── TurnInterrupted     the server stopped in the middle
│   └── TurnOverBudget      a budget stopped it
├── InvalidFilter           a filter, cursor or range cannot be understood
└── StoreUnavailable        the database cannot be reached or used now
    ├── TooBusy             too much is asked for at this moment
    ├── ProviderUnavailable the identity provider's keys cannot be read now
    ├── StorageFull         no space is left for a write
    ├── SchemaMismatch      the file or server holds another schema
    └── OutcomeUnknown      the connection was lost during COMMIT
"""

from datetime import datetime
from decimal import Decimal


class AgentRecordError(Exception):
    """Something in agentrecord went wrong."""

    @classmethod
    def title(cls) -> str:
        """Return the class's one-line meaning, the first line of its docstring."""
        return (cls.__doc__ or cls.__name__).splitlines()[0].rstrip(".")


class InvalidValue(AgentRecordError):
    """A value cannot be stored."""

    def __init__(self, field: str, value: object, reason: str) -> None:
        """Name the `field`, show the start of the `value`, say the `reason` and the mend."""
        shown = repr(value)
        if len(shown) > 240:
            shown = shown[:237] + "..."
        super().__init__(f"{field}: {reason} (got {shown})")
        self.field = field
        self.reason = reason


class NotFound(AgentRecordError):
    """No such row in this scope."""

    def __init__(self, kind: str, key: object) -> None:
        """Name the `kind` of row and the `key` that was looked for."""
        super().__init__(f"no {kind} {str(key)!r} here")
        self.kind = kind
        self.key = key


class Conflict(AgentRecordError):
    """The identity is taken by other content."""

    def __init__(self, kind: str, key: object, reason: str = "exists already with other content") -> None:
        """Name the `kind` of row and the `key` that is taken."""
        super().__init__(f"{kind} {str(key)!r} {reason}")
        self.kind = kind
        self.key = key


class StaleRevision(Conflict):
    """The row changed since it was read."""


class SessionBusy(Conflict):
    """The session is being answered right now."""

    def __init__(self, session_id: str, turn: object) -> None:
        """Name the session and the `turn` that is being answered."""
        super().__init__("session", session_id, f"is being answered (turn {turn}); wait for it, or cancel that turn")
        self.turn = turn


class InvalidTransition(AgentRecordError):
    """The state machine does not allow this step."""

    def __init__(self, kind: str, key: object, current: str, wanted: str) -> None:
        """Name the row, its `current` state and the `wanted` one."""
        super().__init__(f"{kind} {str(key)!r} is {current} and cannot become {wanted}")
        self.kind = kind
        self.key = key
        self.current = current
        self.wanted = wanted


class Forbidden(AgentRecordError):
    """The role may not do this."""


class WrongCredentials(AgentRecordError):
    """The e-mail, password or token is wrong."""


class TooManyRequests(AgentRecordError):
    """There were too many requests."""

    def __init__(self, wait_s: int, reason: str = "there were too many requests") -> None:
        """Say the `reason`, and in how many seconds to try again."""
        super().__init__(f"{reason}: try again in {wait_s} s")
        self.wait_s = wait_s


class OverBudget(AgentRecordError):
    """A limit would be crossed."""

    def __init__(
        self,
        reason: str,
        *,
        field: str = "budget",
        budget: str,
        period: str,
        limit_nanos: int,
        spent_nanos: int,
        reserved_nanos: int,
        asked_nanos: int | None,
        resets_at: datetime | None,
    ) -> None:
        """Name the `budget`, its figures in nano-dollars, and the `reason`, which says the mend.

        `field` is what was refused; `asked_nanos` is None where it is not known what the call may cost, `resets_at`
        where the budget never starts anew.
        """
        asked = "an unknown amount" if asked_nanos is None else _usd(asked_nanos)
        limit = f"{_usd(limit_nanos)} {'in' if period == 'total' else 'a'} {period}"
        super().__init__(
            f"budget {budget!r} ({limit}): {_usd(spent_nanos)} spent, {_usd(reserved_nanos)} reserved, {asked} asked; "
            f"{reason}"
        )
        self.reason = reason
        self.field = field
        self.budget = budget
        self.period = period
        self.limit_nanos = limit_nanos
        self.spent_nanos = spent_nanos
        self.reserved_nanos = reserved_nanos
        self.asked_nanos = asked_nanos
        self.resets_at = resets_at


class TurnFailed(AgentRecordError):
    """The agent did not answer."""


class TurnTimedOut(TurnFailed):
    """The agent took too long."""


class TurnCancelled(TurnFailed):
    """The agent was told to stop."""


class TurnInterrupted(TurnFailed):
    """The server stopped before the agent had answered."""


class TurnOverBudget(TurnFailed):
    """A budget stopped the turn before a call was made."""


class InvalidFilter(AgentRecordError):
    """A filter, cursor or range cannot be understood."""

    def __init__(self, field: str, value: object, reason: str) -> None:
        """Name the `field`, the `value` and the `reason`, which says the mend."""
        super().__init__(f"{field}={str(value)[:80]!r}: {reason}")
        self.field = field
        self.reason = reason


class StoreUnavailable(AgentRecordError):
    """The database cannot be reached or used now."""


class TooBusy(StoreUnavailable):
    """Too much is asked for at this moment."""


class ProviderUnavailable(StoreUnavailable):
    """The identity provider's keys cannot be read now."""


class StorageFull(StoreUnavailable):
    """No space is left for a write."""


class SchemaMismatch(StoreUnavailable):
    """The file or server holds another schema."""


class OutcomeUnknown(StoreUnavailable):
    """The connection was lost during COMMIT: the write may or may not be there."""


def _usd(nanos: int) -> str:
    """Return nano-dollars as dollars with every digit, two decimals at least."""
    exact = (Decimal(nanos) / 1_000_000_000).normalize()
    decimals = max(2, -int(exact.as_tuple().exponent))
    return f"${exact:,.{decimals}f}"
