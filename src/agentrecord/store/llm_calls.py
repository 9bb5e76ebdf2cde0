"""LLM calls: record them once, price them, read them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast  # `Any`: rows hold whatever their columns hold
from uuid import UUID

from sqlalchemy import select, update

from agentrecord.codec import values
from agentrecord.engine import Connection
from agentrecord.exceptions import Conflict, NotFound
from agentrecord.ids import UserId
from agentrecord.records.llm_call import LLMCall, NewLLMCall
from agentrecord.records.page import Page
from agentrecord.records.price import Price
from agentrecord.records.scope import Scope
from agentrecord.schema import hosts, llm_calls, models, prices
from agentrecord.store import agents, owners, prompts, reserving
from agentrecord.store._charging import UNKNOWN, price_of
from agentrecord.store._figures import Figures
from agentrecord.store._page import page
from agentrecord.store._rows import TOKEN_COLUMNS, call_of, call_row, tokens_of
from agentrecord.store._sql import within
from agentrecord.store._turns import ADD_CALL

SELECT_CALL = select(llm_calls, models.c.name.label("model"), hosts.c.name.label("host")).select_from(
    llm_calls.join(models, models.c.id == llm_calls.c.model_uuid).join(hosts, hosts.c.id == models.c.host_uuid)
)
_REPLACED = (*TOKEN_COLUMNS, "usage_metrics", "status", "error_message", "latency_ms", "cost_nanos", "cost_source",
             "price_uuid", "response_content", "response_length")  # fmt: skip
_SAME = (*TOKEN_COLUMNS, "model_uuid", "status", "session_uuid", "run_uuid")
SORTS = {"timestamp": llm_calls.c.timestamp, "cost": llm_calls.c.cost_nanos, "latency_ms": llm_calls.c.latency_ms}


def record(conn: Connection, scope: Scope, new: NewLLMCall, *, user: str | None = None) -> LLMCall:
    """Record a call and return it with its cost.

    The same `id` or `dedup_key` again is the same call: with the same content it is returned as stored, with more
    tokens under the same key it replaces the smaller one, and another content under the same id raises `Conflict`.
    A call that was reserved is charged to whom it was reserved for, unless it names a session, a run or a `user`.
    """
    owner, agent = _owner(conn, scope, new, user)
    figures = Figures(scope.project, conn.now)
    rows = record_rows(conn, scope, [new], figures, user=owner, agent=agent)
    figures.apply(conn)
    return record_of(conn, rows[0])


def _owner(conn: Connection, scope: Scope, new: NewLLMCall, user: str | None) -> reserving.Owner:
    if new.id is not None and new.session_uuid is None and new.run_uuid is None and user is None:
        reserved_for = reserving.owner_of(conn, scope, new.id)
        if reserved_for is not None:
            return reserved_for
    return owners.of(conn, scope, session=new.session_uuid, run=new.run_uuid, user=user)


def record_rows(
    conn: Connection,
    scope: Scope,
    new_calls: Sequence[NewLLMCall],
    figures: Figures,
    *,
    user: UserId,
    agent: UUID | None,
    session: UUID | None = None,
    message: UUID | None = None,
) -> list[dict[str, Any]]:
    """Store calls in the caller's transaction, add them to `figures`, and return their rows.

    A call that names no session or message belongs to those given. What was reserved under a call's `id` is settled,
    and its agent is the call's where nothing else names one.
    """
    found: list[dict[str, Any]] = []
    fresh: list[dict[str, Any]] = []
    given = [new.id for new in new_calls if new.id is not None]
    reserved = reserving.settle(conn, scope, given) if given else {}
    for new in new_calls:
        own_agent = agents.agent_uuid(conn, scope, new.agent_id) if new.agent_id else agent
        if own_agent is None and new.id is not None and new.id in reserved:
            own_agent = reserved[new.id][1]
        row = call_row(
            conn, scope, new, call=new.id or conn.new_id(), user=user, agent=own_agent, session=session, message=message
        )
        stored = _stored(conn, scope, row, by_id=new.id is not None)
        if stored is not None:
            found.append(merge(conn, scope, stored, row, figures))
            continue
        twin = next(
            (old for old in fresh if row["dedup_key"] is not None and old["dedup_key"] == row["dedup_key"]), None
        )
        if twin is not None:
            _take_larger(twin, row, figures)
            continue
        if new.prompt is not None:
            row["prompt_uuid"], row["prompt_length"] = prompts.remember(conn, scope, user, new)
        figures.call(row)
        fresh.append(row)
        found.append(row)
    conn.many(ADD_CALL, fresh)
    return found


def _take_larger(kept: dict[str, Any], row: dict[str, Any], figures: Figures) -> None:
    """Merge two reports of one call that come in one turn."""
    if tokens_of(row).total > tokens_of(kept).total:
        figures.call(kept, -1)
        kept.update({name: row[name] for name in _REPLACED})
        figures.call(kept)


def is_plain(new: NewLLMCall) -> bool:
    """Whether a call is new whatever is stored, and all that is known of it is in its row."""
    return new.id is None and new.dedup_key is None and new.prompt is None and new.agent_id is None


def _stored(conn: Connection, scope: Scope, row: dict[str, Any], *, by_id: bool) -> dict[str, Any] | None:
    if row["dedup_key"] is not None:
        condition = llm_calls.c.dedup_key == row["dedup_key"]
    elif by_id:
        condition = llm_calls.c.id == row["id"]
    else:
        return None
    # Locked, so that two reports that both grow the call at once are not both taken off the same old figures.
    with conn.across_users():
        taken = conn.value(
            select(llm_calls.c.id).where(llm_calls.c.project_id == scope.project, condition).with_for_update()
        )
    if taken is None:
        return None
    found = conn.first_map(select(llm_calls).where(*within(scope, llm_calls), llm_calls.c.id == taken))
    if found is None:
        raise Conflict("LLM call", row["dedup_key"] or row["id"])
    return found


def merge(
    conn: Connection, scope: Scope, stored: dict[str, Any], row: dict[str, Any], figures: Figures
) -> dict[str, Any]:
    """Keep the larger of two reports of one call, its figures exact; return the row as it is then."""
    if row["dedup_key"] is None:
        if any(stored[name] != row[name] for name in _SAME):
            raise Conflict("LLM call", stored["id"])
        return stored
    if tokens_of(row).total <= tokens_of(stored).total:
        return stored
    merged = {**stored, **{name: row[name] for name in _REPLACED}}
    conn.run(
        update(llm_calls)
        .where(llm_calls.c.project_id == scope.project, llm_calls.c.id == stored["id"])
        .values(**{name: row[name] for name in _REPLACED})
    )
    figures.call(stored, -1)
    figures.call(merged)
    return merged


def record_of(conn: Connection, row: dict[str, Any]) -> LLMCall:
    """Return a call's row as a record, with its model's and host's names."""
    known = conn.recall(("model names", row["model_uuid"]))
    if known is None:
        found = conn.first(
            select(models.c.name, hosts.c.name)
            .select_from(models.join(hosts, hosts.c.id == models.c.host_uuid))
            .where(models.c.id == row["model_uuid"])
        )
        known = found or (UNKNOWN, UNKNOWN)
        conn.remember(("model names", row["model_uuid"]), known)
    model, host = cast(tuple[str, str], known)
    return call_of(row, model, host)


def get(conn: Connection, scope: Scope, call: UUID) -> LLMCall:
    """Return a call; raise `NotFound` if it is not there."""
    row = conn.first_map(SELECT_CALL.where(*within(scope, llm_calls), llm_calls.c.id == call))
    if row is None:
        raise NotFound("LLM call", call)
    return call_of(row, row["model"], row["host"])


def list_(
    conn: Connection,
    scope: Scope,
    *,
    session: UUID | None = None,
    run: UUID | None = None,
    model: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    only_unpriced: bool = False,
    sort: str = "-timestamp",
    limit: int = 50,
    cursor: str | None = None,
) -> Page[LLMCall]:
    """Return calls, the newest first; `since` and `until` bound their timestamp."""
    conditions = within(scope, llm_calls)
    wanted = {llm_calls.c.session_uuid: session, llm_calls.c.run_uuid: run, models.c.name: model}
    conditions.extend(column == value for column, value in wanted.items() if value is not None)
    if since is not None:
        conditions.append(llm_calls.c.timestamp >= values.moment("since", since))
    if until is not None:
        conditions.append(llm_calls.c.timestamp < values.moment("until", until))
    if only_unpriced:
        conditions.append(llm_calls.c.cost_nanos.is_(None))
    return page(
        conn, SELECT_CALL.where(*conditions), lambda row: call_of(dict(row), row["model"], row["host"]),
        sorts=SORTS, sort=sort, row_id=llm_calls.c.id, limit=limit, cursor=cursor,
    )  # fmt: skip


def price(conn: Connection, scope: Scope, call: UUID) -> Price | None:
    """Return the price that charged a call, with its date and source; None if no price did."""
    found = get(conn, scope, call)
    if found.price_uuid is None:
        return None
    row = conn.first_map(select(prices).where(prices.c.id == found.price_uuid))
    return None if row is None else price_of(row)


def prompt(conn: Connection, scope: Scope, call: UUID) -> str | None:
    """Return a call's prompt as text, byte for byte as it was given; None if none was kept."""
    found = get(conn, scope, call)
    return None if found.prompt_uuid is None else prompts.text(conn, scope, found.prompt_uuid)
