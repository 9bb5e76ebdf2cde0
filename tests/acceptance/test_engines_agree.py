"""The engines agree step by step: the same operations give the same answers and the same errors everywhere."""

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, multiple, rule, run_state_machine_as_test

from agentrecord.exceptions import AgentRecordError
from agentrecord.ids import derived_id
from agentrecord.records.error import NewError
from agentrecord.records.event import NewEvent
from agentrecord.records.llm_call import CallStatus, NewLLMCall
from agentrecord.records.message import MessageRole, NewMessage
from agentrecord.records.price import NewPrice, Rates
from agentrecord.records.run import NewRun
from agentrecord.records.session import NewSession, SessionChanges, SessionFilter, SessionStatus
from agentrecord.records.tokens import TokenCounts
from agentrecord.records.tool_call import NewToolCall
from agentrecord.records.usage import UsageBy
from agentrecord.store import Store
from counts import count, is_long
from databases import ENGINES, Databases

AT = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = st.sampled_from(["a", "b", "Ä", "z z", "_%"])
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20) | st.sampled_from(
    ["Hello wörld", "hello there", "x\r\ny", "\0", "\ud800", "e\u0301 É"]
)
TOKENS = st.none() | st.integers(-1, 10**6)
HOURS = st.integers(0, 80)
KEYS = st.none() | st.sampled_from(["k1", "k2"])
Act = Callable[[Store], Any]


class Steady:
    """Gives every store the same times and the same ids."""

    def __init__(self) -> None:
        self.reads = 0
        self.made = 0

    def now(self) -> datetime:
        """Return the present instant."""
        self.reads += 1
        return AT + timedelta(hours=1, milliseconds=self.reads // 3)

    def new_id(self) -> UUID:
        """Return a fresh id."""
        self.made += 1
        return derived_id(AT + timedelta(milliseconds=self.made), "id", self.made)


def plain(answer: Any) -> Any:
    """Return an answer without what may differ: scores and excerpts of a search."""
    if dataclasses.is_dataclass(answer) and not isinstance(answer, type):
        return {
            f.name: plain(getattr(answer, f.name))
            for f in dataclasses.fields(answer)
            if f.name not in ("score", "excerpt")
        }
    if isinstance(answer, (list, tuple)):
        return [plain(item) for item in answer]
    return answer


class Engines(RuleBasedStateMachine):
    """One step is done on every engine, and the answers are compared."""

    databases: ClassVar[Databases]
    sessions: Bundle[UUID] = Bundle("sessions")
    messages: Bundle[UUID] = Bundle("messages")
    runs: Bundle[UUID] = Bundle("runs")
    tools: Bundle[UUID] = Bundle("tools")

    @initialize()
    def open(self) -> None:
        self.urls = [self.databases.create(engine) for engine in ENGINES]
        self.clocks = [Steady() for _ in ENGINES]
        self.stores = [
            Store(url, clock=clock, make_id=clock.new_id) for url, clock in zip(self.urls, self.clocks, strict=True)
        ]

    def same(self, act: Act) -> Any:
        """Do it on every engine; return the first answer, None for an error."""
        made = max(clock.made for clock in self.clocks)
        answers = []
        reads = max(clock.reads for clock in self.clocks)
        for store, clock in zip(self.stores, self.clocks, strict=True):
            # One engine may have tried more often than another; every step starts at one time and one id.
            clock.made, clock.reads = made, reads
            try:
                answers.append((plain(found := act(store)), found))
            except AgentRecordError as error:
                answers.append(((type(error).__name__, getattr(error, "field", None)), None))
        for engine, answer in zip(ENGINES[1:], answers[1:], strict=True):
            assert answer[0] == answers[0][0], f"{engine} differs from memory"
        return answers[0][1]

    @rule(target=sessions, name=NAMES, title=st.none() | TEXTS, hours=HOURS, user=st.none() | NAMES)
    def create(self, name: str, title: str | None, hours: int, user: str | None) -> Any:
        new = NewSession(session_id=name, title=title, created_at=AT + timedelta(hours=hours), agent_id="bot")
        found = self.same(lambda s: s.sessions.create(new, user=user))
        return multiple() if found is None else found.id

    @rule(target=sessions, name=NAMES, parent=sessions)
    def create_below(self, name: str, parent: UUID) -> Any:
        found = self.same(lambda s: s.sessions.create(NewSession(session_id=name, parent_uuid=parent)))
        return multiple() if found is None else found.id

    @rule(session=sessions, title=st.none() | TEXTS, status=st.sampled_from(SessionStatus))
    def update(self, session: UUID, title: str | None, status: SessionStatus) -> None:
        self.same(lambda s: s.sessions.update(session, SessionChanges(title=title, status=status)))

    @rule(session=sessions)
    def delete(self, session: UUID) -> None:
        self.same(lambda s: s.sessions.delete(session))

    @rule(target=messages, session=sessions, content=TEXTS, output=TOKENS, key=KEYS, hours=HOURS, latency=TOKENS)
    def append(
        self, session: UUID, content: str, output: int | None, key: str | None, hours: int, latency: int | None
    ) -> Any:
        call = NewLLMCall(model="m", host="h", tokens=TokenCounts(input=1, output=output), dedup_key=key,
                          timestamp=AT + timedelta(hours=hours), latency_ms=latency)  # fmt: skip
        new = [NewMessage(role=MessageRole.USER, content=content), NewMessage(role=MessageRole.ASSISTANT, content="ok")]
        turn = self.same(lambda s: s.messages.append(session, new, calls=[call]))
        return multiple(*([] if turn is None else [m.id for m in turn.messages]))

    @rule(message=messages, content=TEXTS, seen=st.none() | st.integers(1, 2))
    def edit(self, message: UUID, content: str, seen: int | None) -> None:
        self.same(lambda s: s.messages.edit(message, content, seen_revision=seen))
        self.same(lambda s: s.messages.revisions(message))

    @rule(message=messages)
    def remove(self, message: UUID) -> None:
        self.same(lambda s: s.messages.delete(message))

    @rule(target=runs, name=NAMES, session=sessions, pending=st.booleans(), version=st.sampled_from([None, "1", "2"]))
    def start(self, name: str, session: UUID, pending: bool, version: str | None) -> Any:
        made = None if version is None else self.same(lambda s: s.agents.create_version("bot", version)).id
        new = NewRun(run_id=name, session_uuid=session, agent_version_uuid=made)
        found = self.same(lambda s: s.runs.create(new) if pending else s.runs.start(new))
        return multiple() if found is None else found.id

    @rule(name=NAMES)
    def forget(self, name: str) -> None:
        self.same(lambda s: s.runs.delete(name))

    @rule(run=runs, how=st.sampled_from(["finish", "fail", "cancel", "heartbeat"]), text=TEXTS)
    def step(self, run: UUID, how: str, text: str) -> None:
        acts: dict[str, Act] = {
            "finish": lambda s: s.runs.finish(run, output=text), "fail": lambda s: s.runs.fail(run, text),
            "cancel": lambda s: s.runs.cancel(run, reason=text), "heartbeat": lambda s: s.runs.heartbeat(run),
        }  # fmt: skip
        self.same(acts[how])

    @rule(target=tools, run=runs, name=NAMES, hours=HOURS)
    def use(self, run: UUID, name: str, hours: int) -> Any:
        new = NewToolCall(tool_name=name, run_uuid=run, started_at=AT + timedelta(hours=hours))
        found = self.same(lambda s: s.tool_calls.record(new))
        return multiple() if found is None else found.id

    @rule(session=sessions, name=NAMES, hours=HOURS)
    def use_outside(self, session: UUID, name: str, hours: int) -> None:
        new = NewToolCall(tool_name=name, session_uuid=session, started_at=AT + timedelta(hours=hours))
        self.same(lambda s: s.tool_calls.record(new))

    @rule(run=runs, hours=HOURS, cost=TOKENS)
    def call_in(self, run: UUID, hours: int, cost: int | None) -> None:
        new = NewLLMCall(model="m", run_uuid=run, timestamp=AT + timedelta(hours=hours), cost_nanos=cost)
        self.same(lambda s: s.llm_calls.record(new))

    @rule(name=NAMES, session=sessions, hours=HOURS)
    def call_early(self, name: str, session: UUID, hours: int) -> None:
        new = NewLLMCall(model="m", run_ref=name, session_uuid=session, timestamp=AT + timedelta(hours=hours))
        self.same(lambda s: s.llm_calls.record(new))

    @rule(tool=tools, failed=st.booleans(), text=TEXTS)
    def end(self, tool: UUID, failed: bool, text: str) -> None:
        given = {"error_message": text} if failed else {"result": text}
        self.same(lambda s: s.tool_calls.finish(tool, **given))

    @rule(session=sessions, text=TEXTS)
    def tell(self, session: UUID, text: str) -> None:
        self.same(lambda s: s.errors.record(NewError(error_type="E", error_message=text, session_uuid=session)))
        self.same(lambda s: s.events.record(NewEvent(event_type="e", session_uuid=session)))

    @rule(output=TOKENS, key=KEYS, cost=TOKENS, failed=st.booleans(), run=st.none() | NAMES, sub=st.booleans())
    def call(
        self, output: int | None, key: str | None, cost: int | None, failed: bool, run: str | None, sub: bool
    ) -> None:
        status = CallStatus.ERROR if failed else CallStatus.SUCCESS
        new = NewLLMCall(model="m", tokens=TokenCounts(input=2, output=output), dedup_key=key, cost_nanos=cost,
                         timestamp=AT, status=status, run_ref=run, is_subagent=sub)  # fmt: skip
        self.same(lambda s: s.llm_calls.record(new))

    @rule(rate=st.integers(-1, 10**9))
    def price(self, rate: int) -> None:
        self.same(lambda s: s.prices.set(NewPrice(model="m", rates=Rates(input=rate, output=rate))))
        self.same(lambda s: s.prices.reprice(apply=True))

    @rule(words=TEXTS)
    def look(self, words: str) -> None:
        self.same(lambda s: sorted(str(hit.message_uuid) for hit in s.messages.search(words)))
        self.same(lambda s: s.sessions.list(SessionFilter(words=words), sort="session_id"))

    @rule(sort=st.sampled_from(["title", "-title", "session_id", "-cost", "messages", "last_activity_at"]))
    def read(self, sort: str) -> None:
        first = self.same(lambda s: s.sessions.list(sort=sort, limit=2))
        if first is not None and first.next_cursor:
            self.same(lambda s: s.sessions.list(sort=sort, limit=2, cursor=first.next_cursor))
        for by in UsageBy:
            self.same(lambda s, by=by: s.usage.report(by))  # type: ignore[misc]
        self.same(lambda s: s.usage.report(UsageBy.VERSION, split=UsageBy.MODEL, include_subagents=False))
        self.same(lambda s: s.usage.report(UsageBy.SESSION, include_subagents=False))
        self.same(lambda s: (s.usage.report(UsageBy.TOOL, split=UsageBy.USER), s.usage.series(UsageBy.TOOL)))
        self.same(lambda s: (s.usage.daily(), s.usage.performance(), s.usage.blocks()))
        self.same(lambda s: (s.errors.groups(), s.tool_calls.figures(), s.prices.uses(), s.runs.list()))

    def teardown(self) -> None:
        for store, url in zip(getattr(self, "stores", ()), getattr(self, "urls", ()), strict=True):
            recounted = store.usage.recount()
            store.close()
            self.databases.drop(url)
            assert recounted == ()


def test_a_place_in_a_list_is_written_alike_on_every_engine(databases: Databases) -> None:
    told = []
    for engine in ENGINES:
        clock = Steady()
        with Store(databases.create(engine), clock=clock, make_id=clock.new_id) as store:
            for name in ("a", "b", "c"):
                store.sessions.create(NewSession(session_id=name, title=f"about {name}"))
            wanted = SessionFilter(query="about user:*", since=AT)
            told.append([store.sessions.list(wanted, sort=sort, limit=1).next_cursor for sort in ("title", "-cost")])
    assert told[0] == told[1] == told[2]
    assert None not in told[0]


@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")
def test_every_engine_answers_alike(databases: Databases) -> None:
    Engines.databases = databases
    run_state_machine_as_test(
        Engines,
        settings=settings(
            max_examples=count(6, 300), stateful_step_count=count(20, 50), deadline=None, database=None,
            suppress_health_check=list(HealthCheck), phases=(Phase.generate, *((Phase.shrink,) if is_long() else ())),
        ),
    )  # fmt: skip
