"""The two faces of one record: `Store` blocks, `AsyncStore` is awaited; both run the same operations."""

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Concatenate, ParamSpec, Self, TypeVar, cast
from uuid import UUID

from agentrecord.clock import Clock, SystemClock
from agentrecord.engine import Connection, Engine, Maker
from agentrecord.engine.opening import open_engine
from agentrecord.exceptions import Forbidden
from agentrecord.ids import new_id
from agentrecord.migrations import check_readable, migrate
from agentrecord.records.scope import Role, Scope
from agentrecord.store import groups, people
from agentrecord.store._faces import Bound, work_in

if TYPE_CHECKING:
    from agentrecord.recorder import AsyncRecorder, Recorder

P = ParamSpec("P")
R = TypeVar("R")


def _as(scope: Scope, role: Role) -> Scope:
    """Return `scope` with a role that may do no more than its own; raise `Forbidden` for one that may."""
    if not scope.role.includes(role):
        raise Forbidden(f"the role {scope.role} cannot become {role}")
    return replace(scope, role=role)


def opened(
    url: str,
    *,
    clock: Clock | None = None,
    make_id: Callable[[], UUID] = new_id,
    read_only: bool = False,
    migrated: bool = True,
    pool: tuple[int, int] | None = None,
) -> Engine:
    """Open the record at `url` and bring its schema up to date; `pool` bounds a server's connections.

    Raises `InvalidValue` for an address of an unknown kind, `SchemaMismatch` for a file that is not ours or is newer
    than this program, `StoreUnavailable` where nothing answers.
    """
    maker = Maker(clock or SystemClock(), make_id)
    engine = open_engine(url, maker, read_only=read_only, pool=pool)
    if migrated:
        try:
            if read_only:
                check_readable(engine)
            else:
                migrate(engine, at=maker.clock.now())
        except BaseException:
            engine.close()
            raise
    return engine


class Store:
    """The record, blocking: `store.sessions.create(…)`, `store.messages.append(…)`, `store.usage.report(…)`.

    `url` is a path, `sqlite:///…`, `postgresql://…` or `memory:`. A returned call means committed.
    """

    def __init__(
        self,
        url: str = "memory:",
        *,
        clock: Clock | None = None,
        make_id: Callable[[], UUID] = new_id,
        read_only: bool = False,
        scope: Scope | None = None,
        engine: Engine | None = None,
    ) -> None:
        """Open the record at `url`, or on an `engine` that is open already."""
        self.engine = engine or opened(url, clock=clock, make_id=make_id, read_only=read_only)
        self.scope = scope or Scope()
        bound = Bound(self.engine, self.scope)
        self.projects = groups.Projects(bound)
        self.users = groups.Users(bound)
        self.settings = groups.Settings(bound)
        self.accounts = groups.Accounts(bound)
        self.sign_ins = groups.SignIns(bound)
        self.keys = groups.Keys(bound)
        self.agents = groups.Agents(bound)
        self.sessions = groups.Sessions(bound)
        self.messages = groups.Messages(bound)
        self.turns = groups.Turns(bound)
        self.runs = groups.Runs(bound)
        self.events = groups.Events(bound)
        self.llm_calls = groups.LLMCalls(bound)
        self.tool_calls = groups.ToolCalls(bound)
        self.errors = groups.Errors(bound)
        self.usage = groups.Usage(bound)
        self.prices = groups.Prices(bound)
        self.budgets = groups.Budgets(bound)
        self.relations = groups.Relations(bound)
        self.audit = groups.Audit(bound)
        self.imports = groups.Imports(bound)
        self.traces = groups.Traces(bound)
        self.exchange = groups.Exchange(bound)
        self.feed = groups.Feed(bound)
        self.pages = groups.Pages(bound)
        self.queries = groups.Queries(bound)

    def scoped(self, *, project: str | None = None, user: str | None = None, role: Role | None = None) -> "Store":
        """Return the same record, seen from one project, by one user, with one role.

        The project and the user are made if they are not there. A narrower store never widens again.
        """
        scope = self.scope
        if project is not None:
            scope = replace(scope, project=self.projects.ensure(project).id)
        if user is not None:
            scope = replace(scope, user=self.engine.write(work_in(scope, people.user_uuid, user)))
        if role is not None:
            scope = _as(scope, role)
        return Store(engine=self.engine, scope=scope)

    def run(self, operation: Callable[Concatenate[Connection, Scope, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run an operation of one's own in a transaction: all that it does is stored, or nothing."""
        return self.engine.write(work_in(self.scope, operation, *args, **kwargs))

    @cached_property
    def recorder(self) -> "Recorder":
        """What agents are written with as they go: `with store.recorder.run(agent_id="coder") as run: …`."""
        # By name, because it stands on the store.
        return cast("Recorder", import_module("agentrecord.recorder").Recorder(self.engine, self.scope))

    def close(self) -> None:
        """Finish what waits and close the record."""
        self.engine.close()

    def __enter__(self) -> Self:
        """Return the store."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the record."""
        self.close()


class AsyncStore:
    """The record, awaited: `await store.sessions.create(…)`; callers that wait at once share one commit."""

    def __init__(
        self,
        url: str = "memory:",
        *,
        clock: Clock | None = None,
        make_id: Callable[[], UUID] = new_id,
        read_only: bool = False,
        scope: Scope | None = None,
        engine: Engine | None = None,
    ) -> None:
        """Open the record at `url`, or on an `engine` that is open already."""
        self.engine = engine or opened(url, clock=clock, make_id=make_id, read_only=read_only)
        self.scope = scope or Scope()
        bound = Bound(self.engine, self.scope)
        self.projects = groups.AsyncProjects(bound)
        self.users = groups.AsyncUsers(bound)
        self.settings = groups.AsyncSettings(bound)
        self.accounts = groups.AsyncAccounts(bound)
        self.sign_ins = groups.AsyncSignIns(bound)
        self.keys = groups.AsyncKeys(bound)
        self.agents = groups.AsyncAgents(bound)
        self.sessions = groups.AsyncSessions(bound)
        self.messages = groups.AsyncMessages(bound)
        self.turns = groups.AsyncTurns(bound)
        self.runs = groups.AsyncRuns(bound)
        self.events = groups.AsyncEvents(bound)
        self.llm_calls = groups.AsyncLLMCalls(bound)
        self.tool_calls = groups.AsyncToolCalls(bound)
        self.errors = groups.AsyncErrors(bound)
        self.usage = groups.AsyncUsage(bound)
        self.prices = groups.AsyncPrices(bound)
        self.budgets = groups.AsyncBudgets(bound)
        self.relations = groups.AsyncRelations(bound)
        self.audit = groups.AsyncAudit(bound)
        self.imports = groups.AsyncImports(bound)
        self.traces = groups.AsyncTraces(bound)
        self.exchange = groups.AsyncExchange(bound)
        self.feed = groups.AsyncFeed(bound)
        self.pages = groups.AsyncPages(bound)
        self.queries = groups.AsyncQueries(bound)

    async def scoped(
        self, *, project: str | None = None, user: str | None = None, role: Role | None = None
    ) -> "AsyncStore":
        """Return the same record, seen from one project, by one user, with one role."""
        scope = self.scope
        if project is not None:
            scope = replace(scope, project=(await self.projects.ensure(project)).id)
        if user is not None:
            scope = replace(scope, user=await self.engine.awrite(work_in(scope, people.user_uuid, user)))
        if role is not None:
            scope = _as(scope, role)
        return AsyncStore(engine=self.engine, scope=scope)

    async def run(
        self, operation: Callable[Concatenate[Connection, Scope, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Run an operation of one's own in a transaction: all that it does is stored, or nothing."""
        return await self.engine.awrite(work_in(self.scope, operation, *args, **kwargs))

    @cached_property
    def recorder(self) -> "AsyncRecorder":
        """What agents are written with as they go: `async with store.recorder.run(agent_id="coder") as run: …`."""
        # By name, because it stands on the store.
        return cast("AsyncRecorder", import_module("agentrecord.recorder").AsyncRecorder(self.engine, self.scope))

    def close(self) -> None:
        """Finish what waits and close the record."""
        self.engine.close()

    async def __aenter__(self) -> Self:
        """Return the store."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the record."""
        self.close()
