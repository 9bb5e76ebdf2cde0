"""F19: whatever is delivered twice, or in another order, leaves the same record."""

import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from faults_record import differences, dump

from agentrecord.exceptions import InvalidTransition
from agentrecord.ids import derived_id
from agentrecord.ingest.batches import Batcher
from agentrecord.records.error import NewError
from agentrecord.records.event import NewEvent
from agentrecord.records.llm_call import NewLLMCall
from agentrecord.records.message import MessageRole, NewMessage
from agentrecord.records.run import NewRun, RunStatus
from agentrecord.records.session import NewSession
from agentrecord.records.tokens import TokenCounts
from agentrecord.records.tool_call import NewToolCall
from agentrecord.records.transcript import (
    CallFact,
    EventFact,
    Fact,
    MessageFact,
    RunFact,
    SessionFact,
    ToolCallFact,
    ToolResultFact,
    Unreadable,
)
from agentrecord.store import Store
from counts import count
from databases import Databases

START = datetime(2026, 5, 6, 8, 0, tzinfo=UTC)
Delivery = Callable[[Store], object]
IN_ORDER_OF_ARRIVAL = frozenset({"sequence", "session_sequence", "run_sequence", "serial"})


class SetClock:
    """Tells the time that the test sets."""

    def __init__(self) -> None:
        self.at = START

    def now(self) -> datetime:
        """Return the present instant."""
        return self.at


def _at(seconds: int) -> datetime:
    return START + timedelta(seconds=seconds)


def _id(*parts: object) -> UUID:
    return derived_id(START, *parts)


def _sessions() -> list[Delivery]:
    made = [NewSession(session_id=f"s{n}", id=_id("session", n), created_at=_at(n), agent_id="bot") for n in range(3)]
    started = [NewRun(run_id=f"r{n}", id=_id("run", n), session_uuid=_id("session", n)) for n in range(3)]
    return [
        *[lambda store, new=new: store.sessions.create(new, user="alice") for new in made],
        *[lambda store, new=new: store.runs.start(new) for new in started],
    ]


def _turns() -> list[Delivery]:
    """Return appends whose call was reported twice while it grew."""
    found: list[Delivery] = []
    for number in range(12):
        at, session = _at(100 + number), _id("session", number % 3)
        said = [
            NewMessage(id=_id("q", number), role=MessageRole.USER, content=f"Question {number}", created_at=at),
            NewMessage(id=_id("a", number), role=MessageRole.ASSISTANT, content=f"Answer {number}", created_at=at),
        ]
        call = NewLLMCall(
            dedup_key=f"request-{number}", id=_id("call", number), timestamp=at, model="claude-opus-4-5",
            host="Anthropic", tokens=TokenCounts(input=900, output=5), message_uuid=_id("a", number),
        )  # fmt: skip
        full = replace(call, session_uuid=session, tokens=TokenCounts(input=900, output=70 + number))
        found.append(lambda store, s=session, m=said, c=call: store.messages.append(s, m, calls=[c]))
        found.append(lambda store, full=full: store.llm_calls.record(full))
    return found


def _work() -> list[Delivery]:
    """Return events, errors, calls without a key, and tool calls with their ends."""
    found: list[Delivery] = []
    for number in range(9):
        at, place = _at(200 + number), {"session_uuid": _id("session", number % 3), "run_uuid": _id("run", number % 3)}
        event = NewEvent(
            event_type="checkpoint", id=_id("event", number), timestamp=at, data=f'{{"n":{number}}}', **place
        )
        error = NewError(
            error_type="Timeout", error_message="no answer in time", id=_id("error", number), created_at=at, **place
        )
        call = NewLLMCall(
            id=_id("lone", number), timestamp=at, model="gpt-5", host="OpenAI",
            tokens=TokenCounts(input=10, output=number), **place,
        )  # fmt: skip
        tool = NewToolCall(tool_name="bash", id=_id("tool", number), arguments="{}", started_at=at, **place)
        found += [
            lambda store, new=event: store.events.record(new),
            lambda store, new=error: store.errors.record(new),
            lambda store, new=call: store.llm_calls.record(new),
            lambda store, new=tool, at=at: _tool_call(store, new, at),
        ]
    return found


def _tool_call(store: Store, new: NewToolCall, at: datetime) -> None:
    made = store.tool_calls.record(new)
    # What has ended before says so: the second end changes nothing.
    with suppress(InvalidTransition):
        store.tool_calls.finish(made.id, result="done", finished_at=at + timedelta(milliseconds=250))


def _imports() -> list[Delivery]:
    found: list[Delivery] = []
    for number in range(3):
        batcher = Batcher("claude-code", f"/transcripts/{number}.jsonl", None)
        for part in (0, 1):
            batch = batcher.batch(_facts(f"imported-{number}", part))
            found.append(lambda store, batch=batch: store.imports.load(batch))
    return found


def _facts(session: str, part: int) -> list[Fact]:
    at, run = _at(300 + part * 50), f"{session}-run"
    facts: list[Fact] = [
        SessionFact(session_id=session, created_at=_at(300), tool_name="Claude Code", title="Mend the import"),
        RunFact(session_id=session, run_id=run, started_at=_at(300), status=RunStatus.COMPLETED, finished_at=_at(400)),
        Unreadable(line=7 + part, reason="is not JSON: mend or remove it"),
    ]
    for n in range(4):
        key = f"{part}-{n}"
        facts += [
            MessageFact(session_id=session, key=key, role=MessageRole.USER, content=f"Step {key}", created_at=at),
            CallFact(
                session_id=session, run_id=run, dedup_key=f"{session}-{key}", timestamp=at, model="claude-opus-4-5",
                host="Anthropic", tokens=TokenCounts(input=5, output=n), message_key=key,
            ),
            ToolCallFact(
                session_id=session, run_id=run, call_ref=key, tool_name="Bash", started_at=at, message_key=key
            ),
            ToolResultFact(session_id=session, call_ref=key, finished_at=at, is_error=n == 3, result="done"),
            EventFact(session_id=session, key=key, event_type="hook", timestamp=at, run_id=run),
        ]  # fmt: skip
    return facts


def _deliver(store: Store, clock: SetClock, deliveries: Sequence[Delivery], *, since: int = 1000) -> None:
    for place, delivery in enumerate(deliveries):
        clock.at = _at(since + place)
        delivery(store)


EVERYTHING = [*_sessions(), *_turns(), *_work(), *_imports()]


@pytest.mark.parametrize("engine", ["memory", "sqlite", "postgresql"])
def test_everything_delivered_again_later_and_shuffled_changes_nothing(engine: str, databases: Databases) -> None:
    clock, chance = SetClock(), random.Random(19)
    url = databases.create(engine)
    with Store(url, clock=clock) as store:
        _deliver(store, clock, EVERYTHING)
        once = dump(store, without=())
        assert sum(map(len, once.values())) > 250
        for round_ in range(count(2, 20)):
            again = list(EVERYTHING)
            chance.shuffle(again)
            _deliver(store, clock, again, since=100_000 * (round_ + 1))
            assert differences(once, dump(store, without=())) == []
        assert store.usage.recount() == ()
    databases.drop(url)


@pytest.mark.parametrize("engine", ["memory", "sqlite", "postgresql"])
def test_another_order_makes_the_same_record_but_for_the_order_itself(engine: str, databases: Databases) -> None:
    chance, dumps = random.Random(91), []
    for round_ in range(count(3, 20)):
        clock, url = SetClock(), databases.create(engine)
        rest = [*_turns(), *_work(), *_imports()]
        if round_:
            rest += chance.sample(rest, len(rest) // 2)
            chance.shuffle(rest)
        with Store(url, clock=clock) as store:
            _deliver(store, clock, _sessions())
            for delivery in rest:
                delivery(store)
            dumps.append(dump(store, without=IN_ORDER_OF_ARRIVAL))
            assert store.usage.recount() == ()
        databases.drop(url)
    for other in dumps[1:]:
        assert differences(dumps[0], other) == []
