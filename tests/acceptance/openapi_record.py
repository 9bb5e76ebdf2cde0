"""A record with rows of everything that a path can name, for the tests of the API's description."""

from dataclasses import dataclass

from agentrecord.ingest.otlp_facts import derive
from agentrecord.records.budget import BudgetPeriod, NewBudget
from agentrecord.records.error import NewError
from agentrecord.records.event import NewEvent
from agentrecord.records.llm_call import NewLLMCall
from agentrecord.records.message import MessageRole, NewMessage
from agentrecord.records.price import NewPrice, Rates
from agentrecord.records.run import NewRun
from agentrecord.records.scope import Role
from agentrecord.records.session import NewSession
from agentrecord.records.tokens import TokenCounts
from agentrecord.records.tool_call import NewToolCall
from agentrecord.records.transcript import ImportBatch, Unreadable
from agentrecord.records.turn import NewTurn, TurnEnd, TurnStatus
from agentrecord.server.passwords import hashed
from agentrecord.store import Store
from otlp_requests import chat, received, said

PASSWORD = "correct horse battery"
BEA, ROOT = "bea@example.org", "root@example.org"


@dataclass(frozen=True)
class Filled:
    """What the record holds: a row's id for each name in a path, and a key for each role."""

    ids: dict[str, str]
    keys: dict[str, str]


def fill(store: Store) -> Filled:
    """Store rows of everything, all of it bea's."""
    password_hash = hashed(PASSWORD)
    account = store.accounts.create(BEA, role=Role.WRITE, password_hash=password_hash)
    store.accounts.create(ROOT, role=Role.ADMIN, password_hash=password_hash)
    own = store.scoped(user=BEA)
    session = own.sessions.create(NewSession(session_id="bea's", agent_id="claude-code"))
    own.sessions.create(NewSession(session_id="child", parent_uuid=session.id))
    before = store.agents.create_version("claude-code", "1.3.0")
    version = store.agents.create_version("claude-code", "1.4.0")
    asked = "Why is there no commit?"
    run = own.runs.start(
        NewRun(run_id="bea's run", objective=asked, session_uuid=session.id, agent_version_uuid=version.id)
    )
    for compared in ("r-1", "r-2"):
        own.runs.start(NewRun(run_id=compared, agent_id="claude-code", objective=asked, agent_version_uuid=before.id))
    own.runs.finish(own.runs.get("r-1").id, output="It was never made.")
    own.runs.fail(own.runs.get("r-2").id, "the model did not answer in 30 s")
    call = NewLLMCall(model="gpt-4o-mini", host="OpenAI", tokens=TokenCounts(input=9, output=3), run_uuid=run.id)
    turn = own.messages.append(
        session.id,
        [
            NewMessage(role=MessageRole.USER, content="unable to read the commit", run_uuid=run.id),
            NewMessage(role=MessageRole.ASSISTANT, content="It is there."),
        ],
        calls=[call, NewLLMCall(model="my-model", host="Anthropic", tokens=TokenCounts(input=900, output=30))],
    )
    used = own.tool_calls.record(
        NewToolCall(tool_name="Bash", arguments='{"command":"git log"}', session_uuid=session.id, run_uuid=run.id)
    )
    own.tool_calls.finish(used.id, result="fatal: no commits yet", error_message="exit status 128")
    error = own.errors.record(NewError(error_type="TimeoutError", error_message="30 s", session_uuid=session.id))
    own.events.record(NewEvent(event_type="compaction", session_uuid=session.id, run_uuid=run.id))
    _import(store)
    said = NewMessage(role=MessageRole.USER, content="hello")
    begun = own.turns.begin(
        NewTurn(session_id="talk", messages=(said,), lease_owner="test", lease_s=60, request_hash="0")
    )
    own.turns.finish(
        begun.turn.id, TurnEnd(status=TurnStatus.CANCELLED, error_type="TurnCancelled"), lease_owner="test"
    )
    budget = store.budgets.create(NewBudget(name="bea's", period=BudgetPeriod.TOTAL, limit_nanos=10**12, user=BEA))
    price = store.prices.set(NewPrice(model="bea's", rates=Rates(input=1, output=1), project_id=store.scope.project))
    ids = {
        "session_id": session.id, "run_id": run.id, "message_id": turn.messages[0].id, "call_id": turn.calls[0].id,
        "budget_id": budget.id, "account_id": account.id, "key_id": store.keys.create("spare").key.id,
        "turn_id": begun.turn.id, "user_id": session.user_uuid, "agent_id": session.agent_uuid,
        "fingerprint": error.fingerprint, "price_id": price.id,
    }  # fmt: skip
    return Filled(
        ids={name: str(value) for name, value in ids.items()},
        keys={
            "user": store.keys.create("user", role=Role.WRITE, user=BEA).secret,
            "admin": store.keys.create("admin", role=Role.ADMIN).secret,
        },
    )


def _import(store: Store) -> None:
    """Store a trace, and a line of a transcript that nobody can read."""
    spans = chat(1, [said("user", "Is it sunny?")], said("assistant", "It is."),
                 more={"session.id": "weather", "user.id": BEA})  # fmt: skip
    store.traces.record(received(spans), derive)
    line = Unreadable(line=7, reason="is no JSON: the line was cut off", excerpt='{"type":"assist')
    store.imports.load(ImportBatch(source="claude-code", path="projects/tui/7.jsonl", user=BEA, unreadable=(line,)))
