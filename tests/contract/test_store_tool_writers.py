"""Whoever uses a tool does not wait for who replaces the call before it, and the figures stay exact."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from agentrecord.records.llm_call import NewLLMCall
from agentrecord.records.price import NewPrice, Rates
from agentrecord.records.session import NewSession
from agentrecord.records.tokens import TokenCounts
from agentrecord.records.tool_call import NewToolCall
from agentrecord.records.usage import UsageBy
from agentrecord.store import repricing
from databases import Databases
from faces import Facing

AT = datetime(2026, 3, 3, tzinfo=UTC)
PATIENCE_S = 30


def test_a_use_of_a_tool_does_not_wait_for_who_has_the_call_before_it_locked(
    open_store: Callable[[str, str], Facing], databases: Databases
) -> None:
    # Who replaces a call locks it before its session: to wait here, with the session locked, is a deadlock.
    store = open_store("postgresql", "sync")
    session = store.sessions.create(NewSession(session_id="s")).id
    call = store.llm_calls.record(NewLLMCall(model="m", cost_nanos=7, timestamp=AT, session_uuid=session)).id
    for name in ("Bash", "Read"):
        store.tool_calls.record(NewToolCall(tool_name=name, started_at=AT + timedelta(hours=2), session_uuid=session))
    late = NewLLMCall(model="m", cost_nanos=9, timestamp=AT + timedelta(hours=1), session_uuid=session)
    use = NewToolCall(tool_name="Write", started_at=AT, session_uuid=session)
    (name,) = store.engine.read(lambda conn: conn.text("SELECT current_database()"))[0]
    with ThreadPoolExecutor() as threads, psycopg.connect(databases.postgres.server.get_uri(name)) as other:
        other.execute("SELECT FROM agentrecord.ar_llm_calls WHERE id = %s FOR UPDATE", [call])
        try:
            threads.submit(store.tool_calls.record, use).result(PATIENCE_S)
            threads.submit(store.llm_calls.record, late).result(PATIENCE_S)
        finally:
            other.rollback()
    assert {row.key: row.totals.cost_nanos for row in store.usage.report(UsageBy.TOOL).rows} == {
        "Write": 7, "Bash": 5, "Read": 4
    }  # fmt: skip
    assert store.usage.recount() == ()


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_more_calls_than_are_held_at_once_are_charged_anew_by_tool(
    open_store: Callable[[str, str], Facing], engine: str
) -> None:
    store = open_store(engine, "sync")
    placed = [store.sessions.create(NewSession(session_id=name)).id for name in ("s", "t")]
    store.llm_calls.record_numbered(
        [NewLLMCall(model="mine", tokens=TokenCounts(input=1, output=1), timestamp=AT, session_uuid=placed[number % 2])
         for number in range(repricing.REPRICE_BATCH + 2)]
    )  # fmt: skip
    for session in placed:
        store.tool_calls.record(NewToolCall(tool_name="Bash", started_at=AT, session_uuid=session))
    store.prices.set(NewPrice(model="mine", rates=Rates(input=10**9, output=10**9)))
    store.prices.reprice(apply=True)
    charged = {row.key: (row.totals.calls, row.totals.cost_nanos) for row in store.usage.report(UsageBy.TOOL).rows}
    assert charged == {"Bash": (2, 4000), "no tool": (repricing.REPRICE_BATCH, 2000 * repricing.REPRICE_BATCH)}
    assert store.usage.recount() == ()
