"""Writers at once: what calls asked for, and every figure by tool, is exact whoever was quicker."""

import random
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agentrecord.records.llm_call import NewLLMCall
from agentrecord.records.message import MessageRole, NewMessage
from agentrecord.records.price import NewPrice, Rates
from agentrecord.records.run import NewRun
from agentrecord.records.session import NewSession
from agentrecord.records.tokens import TokenCounts
from agentrecord.records.tool_call import NewToolCall
from agentrecord.store import Store
from databases import Databases

AT = datetime(2026, 1, 1, tzinfo=UTC)
WRITERS, ROUNDS = 3, 24


@pytest.fixture(params=("sqlite", "postgresql"))
def url(request: pytest.FixtureRequest, databases: Databases) -> Iterator[str]:
    """Return the address of a record that several stores are opened on."""
    found = databases.create(request.param)
    yield found
    databases.drop(found)


def _write(store: Store, chance: random.Random, places: list[dict[str, Any]]) -> None:
    """Record a call or a use of a tool among all that others record there, or charge all calls anew."""
    placed, at = chance.choice(places), AT + timedelta(seconds=chance.randrange(60))
    call = NewLLMCall(model="mine", tokens=TokenCounts(input=chance.randrange(99), output=3), timestamp=at, **placed)
    match chance.randrange(8):
        case 0 | 1:
            store.llm_calls.record(call)
        case 2:
            new = NewMessage(role=MessageRole.ASSISTANT, content="ok")
            store.messages.append(placed["session_uuid"], [new], calls=[call])
        case 3:
            store.prices.set(NewPrice(model="mine", rates=Rates(input=chance.randrange(10**6), output=10**6)))
            store.prices.reprice(apply=True)
        case _:
            store.tool_calls.record(NewToolCall(tool_name=chance.choice("ABC"), started_at=at, **placed))


def test_calls_uses_and_prices_that_come_at_once_leave_exact_figures(url: str) -> None:
    with Store(url) as store:
        session = store.sessions.create(NewSession(session_id="s")).id
        run = store.runs.start(NewRun(run_id="r", session_uuid=session)).id
        places: list[dict[str, Any]] = [{"session_uuid": session}, {"session_uuid": session, "run_uuid": run}]
        failed: list[Exception] = []
        together = threading.Barrier(WRITERS)

        def write(number: int) -> None:
            chance = random.Random(number)
            try:
                with Store(url) as own:
                    together.wait(timeout=60)
                    for _ in range(ROUNDS):
                        _write(own, chance, places)
            except Exception as error:  # noqa: BLE001  (whatever it is, the test that waits is told)
                failed.append(error)

        writers = [threading.Thread(target=write, args=(number,)) for number in range(WRITERS)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join(timeout=120)
        assert failed == []
        assert store.usage.recount() == ()
