"""What a run or a session cost with all below it: the sum over the calls of its subtree, in lists too."""

import random
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from sqlalchemy import update

from agentrecord.records.llm_call import LLMCall, NewLLMCall
from agentrecord.records.run import NewRun, RunFilter
from agentrecord.records.session import NewSession, SessionFilter
from agentrecord.records.tokens import TokenCounts
from agentrecord.records.usage import UsageTotals
from agentrecord.schema import runs as run_rows
from faces import Facing, covers

Parents = dict[UUID, UUID | None]


def calls_in(store: Facing, **where: UUID) -> list[LLMCall]:
    return list(store.llm_calls.list(**where, limit=200).items)


def subtree(parents: Parents, top: UUID) -> Iterator[UUID]:
    """Yield a row and all that have it above them, found from below: not as the store does."""
    for one in parents:
        at: UUID | None = one
        for _ in parents:
            if at is None or at == top:
                break
            at = parents[at]
        if at == top:
            yield one


def told(totals: UsageTotals) -> tuple[int, int, int, int]:
    return totals.calls, totals.unpriced_calls, totals.total_tokens, totals.cost_nanos


def added(calls: list[LLMCall]) -> tuple[int, int, int, int]:
    unpriced = sum(call.cost_nanos is None for call in calls)
    return len(calls), unpriced, sum(c.tokens.total for c in calls), sum(c.cost_nanos or 0 for c in calls)


def call(store: Facing, chance: random.Random, **where: Any) -> None:
    cost = chance.choice([None, 1, 20, 300, 4_000])
    tokens = TokenCounts(input=chance.randrange(50), output=chance.randrange(9))
    store.llm_calls.record(NewLLMCall(model="m", tokens=tokens, cost_nanos=cost, **where))


@covers("runs.list", "sessions.list")
def test_a_row_of_a_list_has_the_sums_over_the_calls_of_all_below_it(store: Facing) -> None:
    chance = random.Random(17)
    runs: Parents = {}
    sessions: Parents = {}
    for number in range(24):
        for parents in (sessions, runs):
            above = chance.choice([None, *parents])
            if parents is sessions:
                new = NewSession(session_id=f"s{number}", parent_uuid=above)
                row = store.sessions.create(new).id
            else:
                new = NewRun(run_id=f"r{number}", parent_uuid=above, session_uuid=row)
                row = store.runs.start(new).id
            parents[row] = above
        for _ in range(chance.randrange(3)):
            call(store, chance, run_uuid=row, session_uuid=chance.choice(list(sessions)))
    listed = [
        (runs, store.runs.list(limit=100).items, "run"),
        (sessions, store.sessions.list(SessionFilter(include_children=True), limit=100).items, "session"),
    ]
    for parents, rows, word in listed:
        assert len(rows) == 24
        for row in rows:
            below = list(subtree(parents, row.id))
            assert (row.subtree is None) == (len(below) == 1 and not row.child_count)
            whole = [made for one in below for made in calls_in(store, **{word: one})]
            assert told(row.subtree or row.usage) == added(whole), row
            assert told(row.usage) == added(calls_in(store, **{word: row.id}))
    # The sums over a filter count each call once, however its run is nested.
    assert told(store.runs.sums().totals) == added(calls_in(store))


@covers("runs.list", "runs.alike")
def test_runs_in_a_circle_are_added_up_once_each_and_those_alike_have_their_sums(store: Facing) -> None:
    chance = random.Random(5)
    first = store.runs.start(NewRun(run_id="first", agent_id="bot")).id
    above = first
    for name in ("second", "third"):
        above = store.runs.start(NewRun(run_id=name, parent_uuid=above, agent_id="bot")).id
        call(store, chance, run_uuid=above)

    def turn(conn: Any, scope: Any) -> None:
        mine = (run_rows.c.project_id == scope.project, run_rows.c.id == first)
        conn.run(update(run_rows).where(*mine).values(parent_uuid=above))

    store.run(turn)
    found = {run.run_id: run for run in store.runs.list().items}
    assert told(found["first"].subtree) == told(found["second"].subtree) == added(calls_in(store))
    alike = {run.run_id: run.subtree for run in store.runs.alike(found["third"].id)}
    assert alike == {"first": found["first"].subtree, "second": found["second"].subtree}
    assert [run.run_id for run in store.runs.list(RunFilter(parent_uuid=first)).items] == ["second"]
