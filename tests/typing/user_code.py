"""What users write, which mypy and basedpyright must both accept; and what they must refuse, marked as such."""

from decimal import Decimal
from uuid import UUID

from agents import Session as AgentsSession

from agentrecord import AsyncStore, Store
from agentrecord.adapters.openai_agents import AgentRecordSession
from agentrecord.engine import Connection
from agentrecord.records.message import Message, MessageRole, NewMessage
from agentrecord.records.page import Page
from agentrecord.records.relation import RelationKind
from agentrecord.records.run import NewRun, Run
from agentrecord.records.scope import Scope
from agentrecord.records.session import NewSession, Session
from agentrecord.records.usage import UsageBy, UsageReport
from agentrecord.store import relations, runs


def blocking(store: Store) -> Decimal | None:
    session: Session = store.sessions.create(NewSession(session_id="a"))
    turn = store.messages.append(session.id, [NewMessage(role=MessageRole.USER, content="hello")])
    first: Message = turn.messages[0]
    found: Session | None = store.sessions.find(first.session_uuid)
    listed: Page[Session] = store.sessions.list(limit=10)
    report: UsageReport = store.usage.report(UsageBy.MODEL)
    del found, listed
    return report.total.cost_usd


async def awaited(store: AsyncStore) -> Run:
    session = await store.sessions.create(NewSession(session_id="a"))
    run = await store.runs.start(NewRun(run_id="r", session_uuid=session.id))
    return await store.runs.finish(run.id, output="done")


def hand_over(conn: Connection, scope: Scope, old: UUID, new: NewRun) -> Run:
    runs.finish(conn, scope, old)
    started = runs.start(conn, scope, new)
    relations.relate(conn, scope, RelationKind.CONTINUES, "run", started.id, to_kind="run", to_uuid=old)
    return started


async def own_transaction(store: AsyncStore, blocking_store: Store, old: UUID) -> tuple[Run, Run]:
    one: Run = blocking_store.run(hand_over, old, NewRun(run_id="r2"))
    two: Run = await store.run(hand_over, old, NewRun(run_id="r3"))
    return one, two


def sessions_of_the_sdk(store: Store, waited_for: AsyncStore) -> list[AgentsSession]:
    return [AgentRecordSession("a", store), AgentRecordSession("a", waited_for), AgentRecordSession("a", "record.db")]


def refused(store: Store) -> None:
    store.sessions.get(1)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    store.sessions.create("a")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    store.runs.finish("r", 3)  # type: ignore # pyright: ignore
