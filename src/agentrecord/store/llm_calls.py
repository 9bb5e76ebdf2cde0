"""LLM calls: record them once, price them, read them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, cast  # `Any`: rows hold whatever their columns hold
from uuid import UUID

from sqlalchemy import or_, select, update

from agentrecord.codec import values
from agentrecord.engine import Connection
from agentrecord.exceptions import Conflict, InvalidFilter, NotFound
from agentrecord.ids import UserId
from agentrecord.records.change import ChangeKind
from agentrecord.records.llm_call import LLMCall, NamedCall, NewLLMCall
from agentrecord.records.page import Page
from agentrecord.records.price import Price
from agentrecord.records.scope import Scope
from agentrecord.schema import agents as agent_rows
from agentrecord.schema import contents, hosts, llm_calls, models, prices, runs
from agentrecord.schema import prompts as prompt_rows
from agentrecord.store import _refs as refs
from agentrecord.store import agents, owners, prompts, reserving
from agentrecord.store._arrivals import note
from agentrecord.store._charging import UNKNOWN, charge, price_of
from agentrecord.store._figures import Figures
from agentrecord.store._page import page
from agentrecord.store._rows import TOKEN_COLUMNS, call_of, call_row, tokens_of
from agentrecord.store._serials import next_serial
from agentrecord.store._sql import by_value, within
from agentrecord.store._turns import ADD_CALL

SELECT_CALL = select(llm_calls, models.c.name.label("model"), hosts.c.name.label("host")).select_from(
    llm_calls.join(models, models.c.id == llm_calls.c.model_uuid).join(hosts, hosts.c.id == models.c.host_uuid)
)
_SELECT_NAMED = (
    SELECT_CALL.add_columns(
        agent_rows.c.agent_id.label("agent_id"),
        runs.c.run_id.label("run_id"),
        contents.c.content.label("only_part"),
    )
    .outerjoin(
        agent_rows, (agent_rows.c.project_id == llm_calls.c.project_id) & (agent_rows.c.id == llm_calls.c.agent_uuid)
    )
    .outerjoin(runs, (runs.c.project_id == llm_calls.c.project_id) & (runs.c.id == llm_calls.c.run_uuid))
    .outerjoin(
        prompt_rows,
        (prompt_rows.c.project_id == llm_calls.c.project_id)
        & (prompt_rows.c.id == llm_calls.c.prompt_uuid)
        & (prompt_rows.c.depth == 1)
        & prompt_rows.c.role.is_(None),
    )
    .outerjoin(
        contents, (contents.c.project_id == prompt_rows.c.project_id) & (contents.c.id == prompt_rows.c.content_uuid)
    )
)
MAX_CALLS = 2**31 - 1
_REPLACED = (*TOKEN_COLUMNS, "usage_metrics", "status", "error_message", "latency_ms", "cost_nanos", "cost_source",
             "price_uuid", "response_content", "response_length")  # fmt: skip
_SAME = (*TOKEN_COLUMNS, "model_uuid", "status", "session_uuid", "run_uuid")
SORTS = {"timestamp": llm_calls.c.timestamp, "cost": llm_calls.c.cost_nanos, "latency_ms": llm_calls.c.latency_ms}
_SORTS_OF_FEW = {name: by_value(column) for name, column in SORTS.items()}


def record(conn: Connection, scope: Scope, new: NewLLMCall, *, user: str | None = None) -> LLMCall:
    """Record a call and return it with its cost.

    The same `id` or `dedup_key` again is the same call: with the same content it is returned as stored, with more
    tokens under the same key it replaces the smaller one, and another content under the same id raises `Conflict`.
    A call that was reserved is charged to whom it was reserved for, unless it names a session, a run or a `user`.
    """
    new = _placed(conn, scope, new)
    owner, agent, version = _owner(conn, scope, new, user)
    figures = Figures(scope.project, conn.now)
    of_run = {new.run_uuid: (agent, version)}
    rows = record_rows(conn, scope, [new], figures, user=owner, agent=agent, of_runs=of_run)
    figures.apply(conn)
    return record_of(conn, rows[0])


def record_numbered(conn: Connection, scope: Scope, new_calls: Sequence[NewLLMCall]) -> tuple[LLMCall, ...]:
    """Record many calls, each with an integer id; a call belongs to the agent that it names itself or to none."""
    placed = [_placed(conn, scope, new) for new in new_calls]
    found_owners = [owners.of_call(conn, scope, session=new.session_uuid, run=new.run_uuid) for new in placed]
    users = [owner for owner, _, _ in found_owners]
    versions = zip(placed, found_owners, strict=True)
    of_runs: dict[UUID | None, owners.OfRun] = {new.run_uuid: (None, version) for new, (_, _, version) in versions}
    figures = Figures(scope.project, conn.now)
    rows: dict[int, dict[str, Any]] = {}
    for user in dict.fromkeys(users):
        places = [place for place, owner in enumerate(users) if owner == user]
        # Reports of one call are told apart from what is stored, so each of them has to be before the next.
        batches = [[place] for place in places] if any(new.dedup_key for new in placed) else [places]
        for batch in batches:
            mine = [placed[place] for place in batch]
            found = record_rows(conn, scope, mine, figures, user=user, agent=None, of_runs=of_runs, numbered=True)
            rows.update(zip(batch, found, strict=True))
    figures.apply(conn)
    return tuple(record_of(conn, rows[place]) for place in range(len(placed)))


def _placed(conn: Connection, scope: Scope, new: NewLLMCall) -> NewLLMCall:
    """Return a call with the run that it names, if that is known."""
    if new.run_ref is None or new.run_uuid is not None:
        return new
    named = refs.run_named(conn, scope, refs.ref(new.run_ref))
    return new if named is None else replace(new, run_uuid=named)


def _owner(
    conn: Connection, scope: Scope, new: NewLLMCall, user: str | None
) -> tuple[UserId, UUID | None, UUID | None]:
    if new.id is not None and new.session_uuid is None and new.run_uuid is None and user is None:
        reserved_for = reserving.owner_of(conn, scope, new.id)
        if reserved_for is not None:
            return *reserved_for, None
    return owners.of_call(conn, scope, session=new.session_uuid, run=new.run_uuid, user=user)


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
    of_runs: Mapping[UUID | None, owners.OfRun] = MappingProxyType({}),
    numbered: bool = False,
) -> list[dict[str, Any]]:
    """Store calls in the caller's transaction, add them to `figures`, and return their rows.

    A call that names no session or message belongs to those given, and to its run's agent and version where `of_runs`
    knows them, else to `agent`. What was reserved under a call's `id` is settled, or held if the call's cost is
    unknown; its agent and its model's price are the call's where nothing else names one. New ones get integer ids if
    `numbered`.
    """
    found: list[dict[str, Any]] = []
    fresh: list[dict[str, Any]] = []
    given = [new.id for new in new_calls if new.id is not None]
    reserved = reserving.settle(conn, scope, given) if given else {}
    settlements: list[tuple[dict[str, Any] | None, dict[str, Any]]] = []
    for new in new_calls:
        settled = None if new.id is None else reserved.get(new.id)
        own, version = of_runs.get(new.run_uuid, owners.OF_NO_RUN)
        row = _row_of(
            conn, scope, new, settled,
            user=user, agent=own or agent, version=version, session=session, message=message,
        )  # fmt: skip
        stored = _stored(conn, scope, row, by_id=new.id is not None)
        if stored is not None:
            found.append(merge(conn, scope, stored, row, figures))
            settlements.append((settled, found[-1]))
            continue
        twin = next(
            (old for old in fresh if row["dedup_key"] is not None and old["dedup_key"] == row["dedup_key"]), None
        )
        if twin is not None:
            _take_larger(twin, row, figures)
            settlements.append((settled, twin))
            continue
        if new.prompt is not None:
            row["prompt_uuid"], row["prompt_length"] = prompts.remember(conn, scope, user, new)
        figures.call(row)
        fresh.append(row)
        found.append(row)
        settlements.append((settled, row))
    if numbered and fresh:
        first = next_serial(conn, scope.project, "llm_calls", count=len(fresh))
        for serial, row in enumerate(fresh, first):
            row["serial"] = serial
    conn.many(ADD_CALL, fresh)
    for settled, row in settlements:
        if settled is not None and row["cost_nanos"] is None:
            reserving.hold(conn, settled, row["id"])
    return found


def _row_of(
    conn: Connection,
    scope: Scope,
    new: NewLLMCall,
    settled: Mapping[str, Any] | None,
    *,
    user: UserId,
    agent: UUID | None,
    version: UUID | None,
    session: UUID | None,
    message: UUID | None,
) -> dict[str, Any]:
    """Return a new call as a row, with what its reservation, if it had one, says of its agent and its price."""
    own_agent = agents.agent_uuid(conn, scope, new.agent_id) if new.agent_id else agent
    if own_agent is None and settled is not None:
        own_agent = settled["agent_uuid"]
    row = call_row(
        conn, scope, new, call=new.id or conn.new_id(),
        user=user, agent=own_agent, version=version, session=session, message=message,
    )  # fmt: skip
    if settled is not None and row["cost_nanos"] is None:
        # The model that answered goes by another name than the one that was asked, and only that one has a price.
        found = charge(
            conn, scope.project, model=settled["model"], host=settled["host"], tokens=new.tokens, at=row["timestamp"]
        )
        row.update(cost_nanos=found.cost_nanos, cost_source=found.cost_source, price_uuid=found.price_uuid)
    return row


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
    note(conn, scope.project, ChangeKind.LLM_CALL, stored["id"], stored["user_uuid"])
    figures.call(stored, -1)
    figures.call(merged)
    if stored["cost_nanos"] is None and merged["cost_nanos"] is not None:
        reserving.lift(conn, scope, stored["id"])
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
        sorts=SORTS if session is None and run is None else _SORTS_OF_FEW, sort=sort, row_id=llm_calls.c.id,
        limit=limit, cursor=cursor,
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


def named(
    conn: Connection, scope: Scope, *, agent_id: str | None = None, run_id: str | None = None, limit: int = 100
) -> tuple[NamedCall, ...]:
    """Return calls with their prompts and the names of their agents and runs, the newest first.

    `run_id` may name a run that is not known; `limit` may be of any size.
    """
    if not 0 <= limit <= MAX_CALLS:
        raise InvalidFilter("limit", limit, f"must be from 0 to {MAX_CALLS}")
    conditions = within(scope, llm_calls)
    if agent_id is not None:
        conditions.append(llm_calls.c.agent_uuid == agents.row_id(scope, agent_id))
    if run_id is not None:
        known = refs.run_named(conn, scope, run_id)
        by_name = llm_calls.c.run_ref == run_id
        conditions.append(by_name if known is None else or_(llm_calls.c.run_uuid == known, by_name))
    rows = conn.maps(
        _SELECT_NAMED.where(*conditions).order_by(llm_calls.c.timestamp.desc(), llm_calls.c.id.desc()).limit(limit)
    )
    return tuple(_named(conn, scope, row) for row in rows)


def _named(conn: Connection, scope: Scope, row: dict[str, Any]) -> NamedCall:
    prompt = row["only_part"]
    if prompt is None and row["prompt_uuid"] is not None:
        prompt = prompts.text(conn, scope, row["prompt_uuid"])
    return NamedCall(
        call=call_of(row, row["model"], row["host"]),
        agent_id=row["agent_id"],
        run_id=row["run_id"] if row["run_ref"] is None else row["run_ref"],
        prompt=prompt,
    )
