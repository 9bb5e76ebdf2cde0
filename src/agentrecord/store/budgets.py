"""Budgets: set limits, and see how each stands, by the same figures that reports are made of."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any  # `Any`: rows hold whatever their columns hold
from uuid import UUID

from sqlalchemy import ColumnElement, Table, and_, bindparam, case, delete, false, func, or_, select, update

from agentrecord.codec import values
from agentrecord.engine import Connection
from agentrecord.exceptions import Conflict, InvalidValue, NotFound
from agentrecord.records.budget import NEAR, Budget, BudgetChanges, BudgetPeriod, BudgetStatus, NewBudget
from agentrecord.records.page import Page
from agentrecord.records.scope import Scope
from agentrecord.records.unset import UNSET
from agentrecord.schema import agents, budgets, call_reservations, usage_days, users
from agentrecord.schema.types import Whole
from agentrecord.store import agents as agent_store
from agentrecord.store import people
from agentrecord.store._figures import day_of
from agentrecord.store._page import checked_limit, page
from agentrecord.store._sql import insert_into, total, within

MAX_LIMIT = 10**18
_LAST_DAY = 2**40
_ADD = insert_into(budgets)
_NAMES = (users.c.external_id.label("user"), agents.c.agent_id.label("agent_id"))
_JOINED = budgets.outerjoin(
    users, (users.c.project_id == budgets.c.project_id) & (users.c.id == budgets.c.user_uuid)
).outerjoin(agents, (agents.c.project_id == budgets.c.project_id) & (agents.c.id == budgets.c.agent_uuid))
_SELECT = select(*budgets.c, *_NAMES).select_from(_JOINED)


def _counted(table: Table) -> ColumnElement[bool]:
    """Return the condition that a row of `table` counts for a budget's row."""
    return and_(
        table.c.project_id == budgets.c.project_id,
        or_(budgets.c.user_uuid.is_(None), table.c.user_uuid == budgets.c.user_uuid),
        or_(budgets.c.agent_uuid.is_(None), table.c.agent_uuid == budgets.c.agent_uuid),
    )


def _edge(name: str) -> ColumnElement[int]:
    """Return the first day of a budget's period (`name` is start) or the first one after it (end)."""
    days = {period: bindparam(f"{period}_{name}", type_=Whole()) for period in BudgetPeriod}
    return case(days, value=budgets.c.period)


# Periods are whole UTC days, so that sums over days are exact. What is spent and what is reserved are read by one
# statement, for one snapshot: between two, a call could be recorded, and be in neither sum.
_IN_PERIOD = and_(_counted(usage_days), usage_days.c.bucket >= _edge("start"), usage_days.c.bucket < _edge("end"))
SPENT, _UNPRICED = (
    select(total(usage_days.c[name])).where(_IN_PERIOD).correlate(budgets).scalar_subquery()
    for name in ("cost_nanos", "unpriced_calls")
)
# Whatever their age: a call that is still open is charged to the period in which it is recorded. One that is recorded,
# though nobody knows what it cost, stays charged to that period with the most that it can have cost.
_IS_OPEN = call_reservations.c.held_day.is_(None)
_HELD_IN_PERIOD = and_(call_reservations.c.held_day >= _edge("start"), call_reservations.c.held_day < _edge("end"))
RESERVED, _OPEN = (
    select(figure)
    .select_from(call_reservations)
    .where(_counted(call_reservations), counts)
    .correlate(budgets)
    .scalar_subquery()
    for figure, counts in (
        (total(call_reservations.c.amount_nanos), or_(_IS_OPEN, _HELD_IN_PERIOD)),
        (func.count(), _IS_OPEN),
    )
)
_STANDING = select(
    *budgets.c,
    *_NAMES,
    SPENT.label("spent_nanos"),
    RESERVED.label("reserved_nanos"),
    _OPEN.label("open_calls"),
    _UNPRICED.label("unpriced_calls"),
).select_from(_JOINED)
_FIGURES = ("spent_nanos", "reserved_nanos", "open_calls", "unpriced_calls")


def period_params(now: datetime) -> dict[str, object]:
    """Return what `SPENT` and `RESERVED` are bound with: the days of each kind of period that holds `now`."""
    found: dict[str, object] = {}
    for period in BudgetPeriod:
        start, end = period.bounds(now)
        found[f"{period}_start"] = 0 if start is None else day_of(start)
        found[f"{period}_end"] = _LAST_DAY if end is None else day_of(end)
    return found


def _budget(row: Mapping[str, Any]) -> Budget:
    left_out = ("page_key", *_FIGURES)
    return Budget(**{name: value for name, value in row.items() if name not in left_out})


def _status(row: Mapping[str, Any], now: datetime) -> BudgetStatus:
    """Return a row of `_STANDING` as a record."""
    budget = _budget(row)
    start, end = budget.period.bounds(now)
    return BudgetStatus(budget=budget, start_at=start, end_at=end, **{name: row[name] for name in _FIGURES})


def _visible(scope: Scope) -> list[ColumnElement[bool]]:
    """Return the conditions for the budgets that apply to somebody in `scope`: a user's are those of all users too."""
    conditions = [budgets.c.project_id == scope.project]
    if scope.user is not None:
        conditions.append(or_(budgets.c.user_uuid.is_(None), budgets.c.user_uuid == scope.user))
    return conditions


def _check_limit(limit_nanos: int) -> int:
    return values.integer("limit_nanos", limit_nanos, minimum=0, maximum=MAX_LIMIT)


def _check_period(period: object) -> BudgetPeriod:
    if period not in set(BudgetPeriod):
        raise InvalidValue("period", period, f"must be one of {', '.join(BudgetPeriod)}")
    return BudgetPeriod(str(period))


def _refuse_taken(conn: Connection, scope: Scope, name: str, *, but: UUID | None = None) -> None:
    statement = select(budgets.c.id).where(
        budgets.c.project_id == scope.project, budgets.c.name == values.name("name", name)
    )
    with conn.across_users():
        taken = conn.value(statement)
    if taken is not None and taken != but:
        raise Conflict("budget", name, "exists already; choose another name, or change that one")


def create(conn: Connection, scope: Scope, new: NewBudget) -> Budget:
    """Make a budget and return it; the user and the agent that it names are made if they are not there.

    In a scope of one user it is that user's. Raises `Conflict` if the project has one of that name, `InvalidValue`
    for a limit below zero.
    """
    _refuse_taken(conn, scope, new.name)
    _check_limit(new.limit_nanos)
    period = _check_period(new.period)
    people.ensure_scope_project(conn, scope)
    is_of_one = new.user is not None or scope.user is not None
    budget = conn.new_id()
    row = {
        "project_id": scope.project,
        "id": budget,
        "name": new.name,
        "user_uuid": people.user_uuid(conn, scope, new.user) if is_of_one else None,
        "agent_uuid": agent_store.agent_uuid(conn, scope, new.agent_id),
        "period": period,
        "limit_nanos": new.limit_nanos,
        "allow_unpriced": new.allow_unpriced,
        "is_active": new.is_active,
        "created_at": conn.now,
        "updated_at": conn.now,
    }
    conn.run(_ADD, row)
    return get(conn, scope, budget)


def find(conn: Connection, scope: Scope, name: str) -> Budget | None:
    """Return the budget called `name`; None if there is none, or it applies to others only."""
    row = conn.first_map(_SELECT.where(*_visible(scope), budgets.c.name == values.text("name", name)))
    return None if row is None else _budget(row)


def get(conn: Connection, scope: Scope, budget: UUID) -> Budget:
    """Return a budget; raise `NotFound` if it is not there, or applies to others only."""
    row = conn.first_map(_SELECT.where(*_visible(scope), budgets.c.id == budget))
    if row is None:
        raise NotFound("budget", budget)
    return _budget(row)


def list_(conn: Connection, scope: Scope, *, limit: int = 50, cursor: str | None = None) -> Page[Budget]:
    """Return the budgets by name: in a scope of one user, those that apply to that user."""
    return page(
        conn, _SELECT.where(*_visible(scope)), _budget, sorts={"name": budgets.c.name}, sort="name",
        row_id=budgets.c.id, limit=limit, cursor=cursor,
    )  # fmt: skip


def update_(conn: Connection, scope: Scope, budget: UUID, changes: BudgetChanges) -> Budget:
    """Change a budget and return it; calls that are under way keep what was reserved for them.

    Raises `NotFound` if it is not there or is not the scope's own, `Conflict` if its new name is taken.
    """
    changed: dict[str, Any] = {
        name: value
        for name in ("name", "period", "limit_nanos", "allow_unpriced", "is_active")
        if (value := getattr(changes, name)) is not UNSET
    }
    if "name" in changed:
        _refuse_taken(conn, scope, changed["name"], but=budget)
    if "limit_nanos" in changed:
        _check_limit(changed["limit_nanos"])
    if "period" in changed:
        changed["period"] = _check_period(changed["period"])
    row = conn.first(
        update(budgets)
        .where(*within(scope, budgets), budgets.c.id == budget)
        .values(updated_at=conn.now, **changed)
        .returning(budgets.c.id)
    )
    if row is None:
        raise NotFound("budget", budget)
    return get(conn, scope, budget)


def delete_(conn: Connection, scope: Scope, budget: UUID) -> None:
    """Delete a budget; raise `NotFound` if it is not there or is not the scope's own."""
    row = conn.first(delete(budgets).where(*within(scope, budgets), budgets.c.id == budget).returning(budgets.c.id))
    if row is None:
        raise NotFound("budget", budget)


def status(conn: Connection, scope: Scope, budget: UUID) -> BudgetStatus:
    """Return a budget with what is spent and reserved in its present period; raise `NotFound` as `get` does."""
    with conn.across_users():
        row = conn.first_map(_STANDING.where(*_visible(scope), budgets.c.id == budget), period_params(conn.now))
    if row is None:
        raise NotFound("budget", budget)
    return _status(row, conn.now)


def statuses(conn: Connection, scope: Scope, *, limit: int = 50, cursor: str | None = None) -> Page[BudgetStatus]:
    """Return the budgets by name, each with what is spent and reserved in its present period."""
    found = list_(conn, scope, limit=limit, cursor=cursor)
    # One by one: a statement whose periods are bound when it runs cannot have a list that is bound before.
    shown_here = or_(false(), *[budgets.c.id == budget.id for budget in found.items])
    with conn.across_users():
        rows = conn.maps(_STANDING.where(budgets.c.project_id == scope.project, shown_here), period_params(conn.now))
    standing = {row["id"]: _status(row, conn.now) for row in rows}
    shown = [standing[budget.id] for budget in found.items]
    return Page(shown, found.limit, found.next_cursor, found.total, found.total_is_exact)


def near(conn: Connection, scope: Scope, *, limit: int = 10) -> tuple[BudgetStatus, ...]:
    """Return the active budgets of whose limit four fifths or more are spent, those first that have least left."""
    part, whole = NEAR
    statement = (
        _STANDING.where(*_visible(scope), budgets.c.is_active, SPENT * whole >= budgets.c.limit_nanos * part)
        .order_by(budgets.c.limit_nanos - SPENT, budgets.c.id)
        .limit(checked_limit(limit))
    )
    with conn.across_users():
        rows = conn.maps(statement, period_params(conn.now))
    return tuple(_status(row, conn.now) for row in rows)
