"""Records of calls for the tests of money: written through the store, summed independently of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import strategies as st

from agentrecord.records.llm_call import CallStatus, LLMCall, NewLLMCall
from agentrecord.records.run import NewRun
from agentrecord.records.session import NewSession
from agentrecord.records.tokens import TokenCounts
from agentrecord.records.tool_call import NewToolCall
from agentrecord.store import Store

START = datetime(2026, 3, 2, 22, 15, tzinfo=UTC)  # a Monday
NOW = START + timedelta(days=3)
UNPRICED = "acme-local-70b"
MODELS = ("claude-opus-4-5", "claude-haiku-4-5", UNPRICED, "named-its-price")
SESSIONS = {"one": ("ana", "bot", None), "below": ("ana", "scout", "one"), "two": ("ben", "bot", None)}
"""The user, the agent and the session above of each session."""


@dataclass(frozen=True)
class Made:
    """A call to be made; `session` None is a call outside any."""

    model: str
    session: str | None
    hours: int
    tokens: TokenCounts
    failed: bool = False
    elsewhere: bool = False
    tools: tuple[str, ...] = ()

    def new(self, record: "Record") -> NewLLMCall:
        """Return the call as it is recorded."""
        session = None if self.session is None else record.sessions[self.session]
        return NewLLMCall(
            model=self.model,
            host="Anthropic" if self.model.startswith("claude") else "local",
            tokens=self.tokens,
            timestamp=START + timedelta(hours=self.hours),
            session_uuid=session,
            run_uuid=None if self.session is None else record.runs[self.session],
            is_subagent=self.session == "below",
            status=CallStatus.ERROR if self.failed else CallStatus.SUCCESS,
            cost_nanos=12_345 if self.model == "named-its-price" else None,
            latency_ms=10 + self.hours,
        )


@dataclass
class Record:
    """A record and the calls in it; those of another project are in no sum."""

    store: Store
    sessions: dict[str, UUID] = field(default_factory=dict)
    runs: dict[str, UUID] = field(default_factory=dict)
    calls: list[tuple[str | None, str, LLMCall]] = field(default_factory=list)
    uses: list[tuple[LLMCall, str]] = field(default_factory=list)

    def make(self, made: Made) -> None:
        """Record a call."""
        if made.elsewhere:
            other = self.store.scoped(project="elsewhere")
            session = other.sessions.find("one") or other.sessions.create(NewSession(session_id="one"), user="ana")
            other.llm_calls.record(
                NewLLMCall(model=made.model, tokens=made.tokens, session_uuid=session.id, cost_nanos=10**12)
            )
            return
        user = "ben" if made.session is None else None
        store = self.store if user is None else self.store.scoped(user=user)
        call = store.llm_calls.record(made.new(self))
        self.calls.append((made.session, made.model, call))
        # Outside any run and session nothing says which call a tool was used for.
        for name in made.tools if made.session is not None else ():
            new = NewToolCall(
                tool_name=name, run_uuid=call.run_uuid, session_uuid=call.session_uuid, started_at=call.timestamp
            )
            self.store.tool_calls.record(new)
            self.uses.append((call, name))

    def of(self, wanted: Callable[[str | None, str, LLMCall], bool]) -> "Sums":
        """Return the sums over the calls that are wanted, added up one by one."""
        return Sums([call for session, model, call in self.calls if wanted(session, model, call)])

    def whole(self) -> "Sums":
        """Return the sums over all calls."""
        return Sums([call for _, _, call in self.calls])

    def by_tool(self) -> dict[str, int]:
        """Return what was spent by tool, as told: a use is of the last call before it in its run."""
        asked: dict[UUID, set[str]] = {}
        calls = [call for _, _, call in self.calls]
        for of, name in self.uses:
            before = [c for c in calls if c.run_uuid == of.run_uuid and c.timestamp <= of.timestamp]
            last = max(before, key=lambda c: (c.timestamp, c.id))
            asked.setdefault(last.id, set()).add(name)
        spent: dict[str, int] = {}
        for call in calls:
            names = sorted(asked.get(call.id, ())) or ["no tool"]
            each, rest = divmod(call.cost_nanos or 0, len(names))
            for place, name in enumerate(names):
                spent[name] = spent.get(name, 0) + each + (place < rest)
        return spent

    def user_of(self, session: str | None) -> str:
        """Return whose a session's calls are."""
        return "ben" if session is None else SESSIONS[session][0]


class Sums:
    """Sums over calls, added up one by one."""

    def __init__(self, calls: Sequence[LLMCall]) -> None:
        self.calls = len(calls)
        self.unpriced = sum(call.cost_nanos is None for call in calls)
        self.nanos = sum(call.cost_nanos or 0 for call in calls)
        self.failed_nanos = sum(call.cost_nanos or 0 for call in calls if call.status is CallStatus.ERROR)
        self.tokens = sum(call.tokens.total for call in calls)
        self.input = sum(call.tokens.input or 0 for call in calls)
        self.output = sum(call.tokens.output or 0 for call in calls)

    @property
    def told(self) -> tuple[int, int, int]:
        """Return what every total tells: calls, calls without a price, and the cost of the others."""
        return self.calls, self.unpriced, self.nanos


def fresh(store: Store) -> Record:
    """Return a record with the sessions and runs that calls are made in."""
    record = Record(store)
    for name, (user, agent, above) in SESSIONS.items():
        parent = None if above is None else record.sessions[above]
        session = store.sessions.create(
            NewSession(session_id=name, agent_id=agent, parent_uuid=parent, created_at=START), user=user
        )
        record.sessions[name] = session.id
        version = store.agents.create_version(agent, "1.0").id
        run = store.runs.start(
            NewRun(
                run_id=f"run-{name}", session_uuid=session.id, agent_id=agent, started_at=START,
                agent_version_uuid=version if name == "two" else None,
                parent_uuid=None if above is None else record.runs[above],
            ),
            user=user,
        )  # fmt: skip
        record.runs[name] = run.id
    return record


_COUNTS = st.integers(min_value=0, max_value=400_000)
TOKENS = st.builds(
    TokenCounts, input=_COUNTS, output=_COUNTS, cache_read=st.none() | _COUNTS, cache_write_5m=st.none() | _COUNTS,
    cache_write_1h=st.none() | _COUNTS,
)  # fmt: skip
CALLS = st.builds(
    Made,
    model=st.sampled_from(MODELS),
    session=st.sampled_from([*SESSIONS, None]),
    hours=st.integers(min_value=0, max_value=60),
    tokens=TOKENS,
    failed=st.booleans(),
    elsewhere=st.sampled_from([False, False, False, True]),
    tools=st.sampled_from([(), ("Read",), ("Read", "Bash", "Read"), ("Bash", "Read", "Write")]),
)
