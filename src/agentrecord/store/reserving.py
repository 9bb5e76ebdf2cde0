"""Reservations: leave to make an LLM call, asked for before it is made, given only where no budget can be crossed.

A call's reservation is deleted in the transaction that records the call, so that what is spent and what is reserved
together are always all that a budget may still have to pay. Where nobody knows what the call cost, the reservation
stays as a hold, which counts in the period in which the call was recorded until the cost is known.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, NoReturn, cast  # `Any`: rows hold whatever their columns hold
from uuid import UUID

from sqlalchemy import ColumnElement, bindparam, delete, or_, select

from agentrecord.codec import values
from agentrecord.engine import Connection, Prepared
from agentrecord.exceptions import Conflict, OverBudget
from agentrecord.ids import UserId
from agentrecord.pricing.choose import choose
from agentrecord.pricing.cost import most_nanos
from agentrecord.records.budget import Reservation
from agentrecord.records.scope import Scope
from agentrecord.schema import budgets, call_reservations, llm_calls
from agentrecord.schema.types import Id
from agentrecord.store import agents, owners
from agentrecord.store._charging import own_prices
from agentrecord.store._figures import day_of
from agentrecord.store._sql import bound_within, insert_into, insert_or_skip, scope_params, within
from agentrecord.store.budgets import RESERVED, SPENT, period_params

Owner = tuple[UserId, UUID | None]
"""The user and the agent that a call is charged to."""

_ADD = insert_into(call_reservations)


def _applicable() -> list[ColumnElement[bool]]:
    user, agent = (bindparam(name, type_=Id()) for name in ("user", "agent"))
    return [
        budgets.c.project_id == bindparam("project"),
        budgets.c.is_active,
        or_(budgets.c.user_uuid.is_(None), budgets.c.user_uuid == user),
        or_(budgets.c.agent_uuid.is_(None), budgets.c.agent_uuid == agent),
    ]


_LOCK = Prepared(select(budgets.c.id).where(*_applicable()).order_by(budgets.c.id).with_for_update())
_STANDING = Prepared(
    select(
        *[budgets.c[name] for name in ("name", "period", "limit_nanos", "allow_unpriced")],
        SPENT.label("spent_nanos"),
        RESERVED.label("reserved_nanos"),
    )
    .where(*_applicable())
    .order_by(budgets.c.id)
)
_HOLD = insert_or_skip(call_reservations)
_IS_OPEN = call_reservations.c.held_day.is_(None)
_FIELDS = tuple(field.name for field in fields(Reservation))
_OPEN = (
    select(*[call_reservations.c[name] for name in _FIELDS])
    .where(_IS_OPEN)
    .order_by(call_reservations.c.created_at, call_reservations.c.id)
)
_OPEN_OF_RUN = Prepared(_OPEN.where(*bound_within(call_reservations), call_reservations.c.run_uuid == bindparam("run")))
_SETTLE = Prepared(
    delete(call_reservations)
    .where(call_reservations.c.project_id == bindparam("project"), call_reservations.c.id == bindparam("call"))
    .returning(*call_reservations.c)
)


def reserve(
    conn: Connection,
    scope: Scope,
    *,
    model: str,
    host: str | None = None,
    input_tokens: int,
    max_output_tokens: int | None,
    call: UUID | None = None,
    agent_id: str | None = None,
    run: UUID | None = None,
    session: UUID | None = None,
    user: str | None = None,
) -> UUID:
    """Set aside the most that a call can cost, and return the id that the call must then be recorded with.

    `input_tokens` is an upper bound. Every active budget of the project, the user and the agent must hold what is
    spent in its present period, what is reserved for calls that are not recorded yet, and this call at its dearest;
    else `OverBudget` is raised and nothing is stored. A call without a price or without a bound on its output is
    refused likewise, unless all of those budgets allow it. The same `call` again is the same reservation; raises
    `Conflict` if that id has another content or is recorded already.
    """
    owner, agent = owners.of(conn, scope, session=session, run=run, user=user)
    most = None if max_output_tokens is None else values.tokens("max_output_tokens", max_output_tokens)
    row: dict[str, Any] = {
        "project_id": scope.project,
        "id": call or conn.new_id(),
        "model": values.name("model", model),
        "host": None if host is None else values.name("host", host),
        "user_uuid": owner,
        "agent_uuid": agent if agent_id is None else agents.agent_uuid(conn, scope, agent_id),
        "run_uuid": run,
        "session_uuid": session,
        "input_tokens": values.tokens("input_tokens", input_tokens),
        "max_output_tokens": most,
        "created_at": conn.now,
        "held_day": None,
    }
    return call if call is not None and _is_reserved(conn, scope, row) else _reserve(conn, scope, row)


def _reserve(conn: Connection, scope: Scope, row: dict[str, Any]) -> UUID:
    price = choose(own_prices(conn), row["model"], host=row["host"], at=conn.now, project=scope.project)
    amount = None
    if price is not None:
        amount = most_nanos(row["input_tokens"], row["max_output_tokens"], price.rates, price.tiers)
    with conn.across_users():
        # A budget of the whole project counts what everybody spends, whoever asks.
        standings = _locked(conn, scope, row)
    for standing in standings:
        if amount is None and not standing["allow_unpriced"]:
            _refuse_unknown(conn, standing, row, has_price=price is not None)
        # What has a price but no bound costs something: it does not pass where nothing is left. What is free does.
        least = int(price is not None) if amount is None else amount
        if least and standing["spent_nanos"] + standing["reserved_nanos"] + least > standing["limit_nanos"]:
            end = standing["period"].bounds(conn.now)[1]
            wait = "" if end is None else f", or wait until {end:%Y-%m-%d %H:%M} UTC"
            raise _over(conn, standing, amount, "budget", f"ask for fewer tokens, raise the limit{wait}")
    conn.run(_ADD, {**row, "amount_nanos": amount})
    return cast(UUID, row["id"])


def _is_reserved(conn: Connection, scope: Scope, row: dict[str, Any]) -> bool:
    """Say whether the very same is reserved already; raise `Conflict` if another call has the id."""
    same_id = (call_reservations.c.project_id == scope.project, call_reservations.c.id == row["id"])
    recorded = select(llm_calls.c.id).where(llm_calls.c.project_id == scope.project, llm_calls.c.id == row["id"])
    with conn.across_users():
        found = conn.first_map(select(call_reservations).where(*same_id))
        is_recorded = conn.first(recorded) is not None
    if found is not None and not is_recorded:
        if any(found[name] != value for name, value in row.items() if name != "created_at"):
            raise Conflict("reservation", row["id"])
        return True
    if is_recorded:
        raise Conflict("LLM call", row["id"], "is recorded already; reserve each call under an id of its own")
    return False


def _locked(conn: Connection, scope: Scope, row: dict[str, Any]) -> Sequence[dict[str, Any]]:
    """Return the budgets that apply, as they stand while nobody else can reserve against them."""
    params = {"project": scope.project, "user": row["user_uuid"], "agent": row["agent_uuid"]}
    # The lock is a statement of its own, because PostgreSQL reads what a statement reads as of its start: only the
    # next one sees what those reserved who held the lock before.
    if not conn.rows(_LOCK, params):
        return ()
    return conn.maps(_STANDING, {**params, **period_params(conn.now)})


def _refuse_unknown(conn: Connection, standing: dict[str, Any], row: dict[str, Any], *, has_price: bool) -> NoReturn:
    mend = "or let the budget allow calls whose cost is not known"
    if has_price and row["max_output_tokens"] is None:
        told = "nothing bounds the call's output, and so what it may cost; give max_output_tokens"
        raise _over(conn, standing, None, "max_output_tokens", f"{told}, {mend}")
    lacks = "has no price for all of its tokens" if has_price else "has no price"
    raise _over(conn, standing, None, "model", f"{row['model']} {lacks}; set one of your own, {mend}")


def _over(conn: Connection, standing: dict[str, Any], asked: int | None, field: str, reason: str) -> OverBudget:
    return OverBudget(
        reason,
        field=field,
        budget=standing["name"],
        period=standing["period"],
        limit_nanos=standing["limit_nanos"],
        spent_nanos=standing["spent_nanos"],
        reserved_nanos=standing["reserved_nanos"],
        asked_nanos=asked,
        resets_at=standing["period"].bounds(conn.now)[1],
    )


def owner_of(conn: Connection, scope: Scope, call: UUID) -> Owner | None:
    """Return whom a call was reserved for; None if it is not reserved, or by another user."""
    found = conn.first(
        select(call_reservations.c.user_uuid, call_reservations.c.agent_uuid).where(
            *within(scope, call_reservations), call_reservations.c.id == call
        )
    )
    return cast("Owner | None", found)


def settle(conn: Connection, scope: Scope, calls: Sequence[UUID]) -> dict[UUID, dict[str, Any]]:
    """Delete the reservations and holds of calls that this transaction records, and return their rows.

    Calls that were not reserved are no matter. Raises `Conflict` if another user has reserved one of the ids.
    """
    found: dict[UUID, dict[str, Any]] = {}
    for call in calls:
        with conn.across_users():
            deleted = conn.first_map(_SETTLE, {"project": scope.project, "call": call})
        if deleted is None:
            continue
        if scope.user not in (None, deleted["user_uuid"]):
            raise Conflict("LLM call", call)
        found[call] = deleted
    return found


def hold(conn: Connection, settled: Mapping[str, Any], call: UUID) -> None:
    """Keep what was set aside for a call that is recorded as `call`, since nobody knows what it cost."""
    if settled["amount_nanos"] is not None:
        day = day_of(conn.now) if settled["held_day"] is None else settled["held_day"]
        conn.run(_HOLD, {**settled, "id": call, "held_day": day})


def lift(conn: Connection, scope: Scope, call: UUID) -> None:
    """Delete the hold of a recorded call whose cost is known now; without one, nothing happens."""
    settle(conn, scope, [call])


def release(conn: Connection, scope: Scope, call: UUID) -> None:
    """Give a reservation back: the call was not made. What is released or recorded already is left as it is."""
    mine = (*within(scope, call_reservations), call_reservations.c.id == call, _IS_OPEN)
    conn.run(delete(call_reservations).where(*mine))


def open_reservations(conn: Connection, scope: Scope, *, run: UUID | None = None) -> tuple[Reservation, ...]:
    """Return the reservations of calls that are not recorded yet, of one run if it is named, the oldest first."""
    if run is not None:
        rows = conn.maps(_OPEN_OF_RUN, {**scope_params(scope), "run": run})
    else:
        rows = conn.maps(_OPEN.where(*within(scope, call_reservations)))
    return tuple(Reservation(**row) for row in rows)
