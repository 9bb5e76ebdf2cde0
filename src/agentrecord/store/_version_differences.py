"""What two versions of an agent did differently: instructions, tools, errors, costs, and ends on the same input."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any  # `Any`: rows hold whatever their columns hold
from uuid import UUID

import msgspec
from sqlalchemy import Subquery, func, select

from agentrecord.engine import Connection
from agentrecord.records.comparison import CostSpread, NamedUse, RunPair
from agentrecord.records.llm_call import PromptPart
from agentrecord.records.scope import Scope
from agentrecord.schema import llm_calls, runs, tool_calls
from agentrecord.store import prompts
from agentrecord.store import runs as run_store
from agentrecord.store._error_rows import without_numbers
from agentrecord.store._sql import within
from agentrecord.store.run_figures import interpolated

MAX_PAIRED = 1_000
"""Among how many of the latest runs of each version the same input is looked for."""

PROMPTED_AMONG = 100
"""Among how many of the latest runs of a version its instructions are looked for."""

MOST_PAIRS = 10
MOST_NAMES = 20
BUCKETS = 12
HIGH_SHARE = 0.98
"""The last bucket begins below this share of the runs, so that a few dear ones do not press all others together."""

DIFFERENT_SHARE = 0.1
_ERROR_CHARS = 200
_INSTRUCTING = ("system", "developer")
Row = Mapping[str, Any]


def prompt_of(conn: Connection, scope: Scope, latest: Subquery) -> str | None:
    """Return the instructions that the latest call of some runs was given; None where none was kept."""
    prompt = conn.value(
        select(llm_calls.c.prompt_uuid)
        .where(
            *within(scope, llm_calls),
            llm_calls.c.run_uuid.in_(select(latest.c.id)),
            llm_calls.c.prompt_uuid.is_not(None),
        )
        .order_by(llm_calls.c.timestamp.desc(), llm_calls.c.id.desc())
        .limit(1)
    )
    return None if prompt is None else _instructions(prompts.parts(conn, scope, prompt))


def _instructions(parts: Iterable[PromptPart]) -> str | None:
    told = [text for part in parts for role, text in _messages(part) if role in _INSTRUCTING]
    return "\n\n".join(told) or None


def _messages(part: PromptPart) -> list[tuple[str | None, str]]:
    """Return who says what in a part; a text that is a JSON array of messages is these."""
    content = part.content or ""
    if part.role is not None or not content.lstrip().startswith("["):
        return [(part.role, content)]
    try:
        found = msgspec.json.decode(content)
    except msgspec.DecodeError:
        return []
    listed = [one for one in found if isinstance(one, dict)]
    return [(one.get("role"), one["content"]) for one in listed if isinstance(one.get("content"), str)]


def tools_of(conn: Connection, scope: Scope, latest: Subquery) -> dict[str, int]:
    """Return how often each tool was used in some runs."""
    rows = conn.rows(
        select(tool_calls.c.tool_name, func.count())
        .where(*within(scope, tool_calls), tool_calls.c.run_uuid.in_(select(latest.c.id)))
        .group_by(tool_calls.c.tool_name)
    )
    return {row[0]: row[1] for row in rows}


def errors_of(conn: Connection, scope: Scope, latest: Subquery) -> dict[str, int]:
    """Return how many runs ended with each error message, but for its numbers and ids."""
    rows = conn.rows(
        select(func.substr(runs.c.error_message, 1, _ERROR_CHARS))
        .where(*within(scope, runs), runs.c.id.in_(select(latest.c.id)), runs.c.error_message.is_not(None))
    )  # fmt: skip
    return Counter(without_numbers(row[0]) for row in rows)


def named(a: Mapping[str, int], b: Mapping[str, int]) -> tuple[NamedUse, ...]:
    """Return the counts of both sides by name, those that differ most first."""
    found = [NamedUse(name=name, count_a=a.get(name, 0), count_b=b.get(name, 0)) for name in {*a, *b}]
    return tuple(sorted(found, key=lambda one: (-abs(one.count_b - one.count_a), one.name))[:MOST_NAMES])


def spread(a: Sequence[int], b: Sequence[int]) -> CostSpread:
    """Return how the costs of runs, in nano-dollars, are spread."""
    top = interpolated(sorted(map(float, [*a, *b])), HIGH_SHARE)
    if not top:
        return CostSpread()
    width = max(1, _round(top / (BUCKETS - 1)))

    def counts(costs: Sequence[int]) -> tuple[int, ...]:
        found = Counter(min(cost // width, BUCKETS - 1) for cost in costs)
        return tuple(found[place] for place in range(BUCKETS))

    return CostSpread(
        edges_nanos=tuple(width * place for place in range(BUCKETS)), counts_a=counts(a), counts_b=counts(b)
    )


def _round(width: float) -> int:
    """Return the next number up that begins with 1, 2, 2.5 or 5."""
    power = 10 ** (len(str(int(width))) - 1)
    return next(int(power * factor) for factor in (1, 2, 2.5, 5, 10) if power * factor >= width)


def pairs(conn: Connection, scope: Scope, a: Subquery, b: Subquery) -> tuple[tuple[RunPair, ...], int]:
    """Return the inputs that runs of both sides met with different ends or costs, and how many both met at all."""
    known_a, known_b = (_by_objective(conn, scope, side) for side in (a, b))
    both = [(known_a[objective], known_b[objective]) for objective in known_a if objective in known_b]
    differing = sorted((pair for pair in both if _differ(*pair)), key=lambda pair: _order(*pair))[:MOST_PAIRS]
    wanted = [row["id"] for pair in differing for row in pair]
    rows = conn.maps(run_store.SELECT_RUN.where(*within(scope, runs), runs.c.id.in_(wanted))) if wanted else []
    by_id = {row["id"]: run_store.run_of(row) for row in rows}
    found = [RunPair(objective=one["objective"], a=by_id[one["id"]], b=by_id[other["id"]]) for one, other in differing]
    return tuple(found), len(both)


def _by_objective(conn: Connection, scope: Scope, latest: Subquery) -> dict[str, Row]:
    """Return the latest run on each input."""
    names = ("id", "objective", "status", "calls", "unpriced_calls", "cost_nanos")
    newest = select(latest.c.id).order_by(latest.c.created_at.desc(), latest.c.id.desc()).limit(MAX_PAIRED)
    rows = conn.maps(
        select(*[runs.c[name] for name in names])
        .where(*within(scope, runs), runs.c.id.in_(newest), runs.c.objective.is_not(None))
        .order_by(runs.c.created_at, runs.c.id)
    )
    return {row["objective"]: row for row in rows}


def _cost(row: Row) -> int | None:
    return row["cost_nanos"] if row["calls"] and not row["unpriced_calls"] else None


def _change(a: Row, b: Row) -> int:
    one, other = _cost(a), _cost(b)
    return 0 if one is None or other is None else abs(other - one)


def _differ(a: Row, b: Row) -> bool:
    change = _change(a, b)
    return a["status"] != b["status"] or change > DIFFERENT_SHARE * max(1, min(_cost(a) or 0, _cost(b) or 0))


def _order(a: Row, b: Row) -> tuple[bool, int, UUID]:
    return a["status"] == b["status"], -_change(a, b), a["id"]
