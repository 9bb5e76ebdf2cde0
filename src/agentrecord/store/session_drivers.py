"""What makes sessions cost what they do: for a page of a list, from the calls of those sessions alone."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any  # `Any`: rows hold whatever their columns hold
from uuid import UUID

from sqlalchemy import case, func, select

from agentrecord.engine import Connection
from agentrecord.exceptions import InvalidFilter
from agentrecord.records.page import MAX_PAGE
from agentrecord.records.people import SessionDrivers
from agentrecord.records.scope import Scope
from agentrecord.schema import llm_calls, models, sessions
from agentrecord.store._sql import total, within

_ROOT = func.coalesce(sessions.c.root_uuid, sessions.c.id)
_CALLS = llm_calls.join(
    sessions, (sessions.c.project_id == llm_calls.c.project_id) & (sessions.c.id == llm_calls.c.session_uuid)
).join(models, models.c.id == llm_calls.c.model_uuid)


def drivers(conn: Connection, scope: Scope, session_ids: Sequence[UUID]) -> Mapping[UUID, SessionDrivers]:
    """Return, for each top session that has calls, what made it and all below it cost what they did."""
    if len(session_ids) > MAX_PAGE:
        raise InvalidFilter("session_ids", len(session_ids), f"may be {MAX_PAGE} sessions; ask for fewer")
    if not session_ids:
        return {}
    in_trees = [
        *within(scope, llm_calls),
        sessions.c.id.in_(
            select(sessions.c.id)
            .where(*within(scope, sessions), sessions.c.id.in_(list(session_ids)))
            .union_all(
                select(sessions.c.id).where(*within(scope, sessions), sessions.c.root_uuid.in_(list(session_ids)))
            )
        ),
    ]
    by_model: defaultdict[UUID, list[dict[str, Any]]] = defaultdict(list)
    for row in conn.maps(
        select(
            _ROOT.label("root"),
            models.c.name.label("model"),
            total(llm_calls.c.cost_nanos).label("nanos"),
            total(case((llm_calls.c.cost_nanos.is_(None), 1), else_=0)).label("unpriced"),
            func.count().label("calls"),
        )
        .select_from(_CALLS)
        .where(*in_trees)
        .group_by(_ROOT, models.c.name)
    ):
        by_model[row["root"]].append(row)
    rank = func.row_number().over(
        partition_by=_ROOT, order_by=(func.coalesce(llm_calls.c.cost_nanos, 0).desc(), llm_calls.c.id)
    )
    ranked = (
        select(
            _ROOT.label("root"), llm_calls.c.id, llm_calls.c.run_uuid, models.c.name.label("model"),
            llm_calls.c.cost_nanos, rank.label("rank"),
        )
        .select_from(_CALLS)
        .where(*in_trees, llm_calls.c.cost_nanos > 0)
        .subquery()
    )  # fmt: skip
    costliest = {row["root"]: row for row in conn.maps(select(ranked).where(ranked.c.rank == 1))}
    return {root: _drivers(rows, costliest.get(root)) for root, rows in by_model.items()}


def _drivers(rows: Sequence[dict[str, Any]], call: dict[str, Any] | None) -> SessionDrivers:
    first = max(rows, key=lambda row: (row["nanos"], row["calls"]))
    return SessionDrivers(
        cost_nanos=sum(row["nanos"] for row in rows),
        calls=sum(row["calls"] for row in rows),
        unpriced_calls=sum(row["unpriced"] for row in rows),
        model=first["model"] or "unknown",
        model_nanos=first["nanos"],
        models=len(rows),
        call=call["id"] if call else None,
        call_nanos=call["cost_nanos"] if call else 0,
        call_model=call["model"] if call else None,
        run_uuid=call["run_uuid"] if call else None,
    )
