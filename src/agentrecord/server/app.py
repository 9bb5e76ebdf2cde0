"""The application: every route over one record, behind the checks that hold for all of them."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any  # `Any`: OpenAPI is JSON

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware

from agentrecord.agents.conversation import Conversations, Limits
from agentrecord.agents.echo import EchoRunner
from agentrecord.agents.runner import AgentRunner
from agentrecord.dashboard.assets import FOLDER
from agentrecord.dashboard.views import COMMAND
from agentrecord.server.assets import Assets
from agentrecord.server.auth import PER_MINUTE, Authentication, is_open
from agentrecord.server.desk import Desk
from agentrecord.server.examples import add_answers
from agentrecord.server.gate import Gate
from agentrecord.server.live import Hub
from agentrecord.server.metrics import Metrics
from agentrecord.server.middleware import BodyLimit, KnownHosts, SecurityHeaders
from agentrecord.server.otlp_wire import Admission, OtlpErrors
from agentrecord.server.problems import REFERENCE, CatchAll, Problem, handle_problems
from agentrecord.server.provider import Provider, ProviderSettings
from agentrecord.server.routes import (
    accounts,
    activity,
    agent_sessions,
    agents,
    auth,
    budgets,
    calls,
    chat,
    conversation,
    error_groups,
    export,
    exports,
    exports_people,
    figures,
    finding,
    keys,
    lists,
    live,
    otlp,
    pages,
    pages_lists,
    pages_money,
    pages_people,
    pages_run,
    pages_shell,
    people,
    prices,
    projects,
    queries,
    run_trees,
    runs,
    sessions,
    traces,
    users,
)
from agentrecord.server.trail import Trail
from agentrecord.server.wire import model_of
from agentrecord.store import AsyncStore

API_ROUTES = (
    auth,
    accounts,
    keys,
    conversation,
    agent_sessions,
    lists,
    sessions,
    run_trees,
    runs,
    calls,
    error_groups,
    agents,
    users,
    figures,
    activity,
    prices,
    budgets,
    projects,
    traces,
    export,
    otlp,
    live,
    finding,
    queries,
)
PAGE_ROUTES = (
    people, exports, exports_people, chat, pages_run, pages_people, pages_shell, pages_money, pages_lists, pages
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentitySettings:
    """Who may come in, and how often they may ask; `public_hosts` are names beside this computer's own."""

    sign_up_is_open: bool = False
    provider: ProviderSettings | None = None
    public_hosts: tuple[str, ...] = ()
    requests_per_minute: int = PER_MINUTE


def build_app(
    store: AsyncStore,
    *,
    secret: bytes,
    sign_in_token: str | None = None,
    identity: IdentitySettings | None = None,
    runner: AgentRunner | None = None,
    limits: Limits | None = None,
    on_close: Callable[[], None] | None = None,
    command: str = COMMAND,
) -> FastAPI:
    """Return the server over `store`: the REST API under `/api`, the dashboard at `/`.

    `secret`, at least 32 bytes, signs cookies and access tokens; `/sign-in?token=<sign_in_token>` lets a browser in
    with the store's own role. Without that token accounts, API keys and the identity provider open the record.
    `runner` answers conversations, the echo if there is none, within `limits`. `on_close` is called last.
    `command` is how a command on this record begins, in what pages tell administrators to type.
    """
    settings = identity or IdentitySettings()
    provider = None if settings.provider is None else Provider(settings.provider)
    gate = Gate(store, secret=secret, sign_in_token=sign_in_token, provider=provider)
    trail = Trail(gate.whole)
    desk = Desk(gate, trail, is_open=settings.sign_up_is_open)
    conversations = Conversations(store, runner or EchoRunner(), limits)
    hub, metrics = Hub(store), Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await conversations.start()
        yield
        await hub.close()
        await conversations.close()
        desk.close()
        if on_close is not None:
            on_close()

    app = FastAPI(
        title="agentrecord",
        description="The system of record for AI agents: sessions, runs, calls, costs. Any address takes `project`, the"
        " name of a project: for who runs the server any, for everybody else their own. What is called like a word of"
        " an address (`sums`, `facets`, `values`, or as in `x/compare`) is asked for by its row id, which its list"
        " tells.",
        version="1",
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        middleware=_middleware(gate, trail, settings, metrics),
    )
    app.state.gate, app.state.trail, app.state.desk, app.state.command = gate, trail, desk, command
    app.state.conversations, app.state.methods = conversations, _methods()
    app.state.otlp, app.state.hub, app.state.metrics = Admission(), hub, metrics
    handle_problems(app)
    for module in (*API_ROUTES, *PAGE_ROUTES):
        # As they are: `include_router` would make each of them once more, and look through two lists for each request.
        app.router.routes.extend(module.router.routes)
    app.mount(FOLDER.removesuffix("/"), Assets(), name="static")
    app.openapi = _described(app)  # type: ignore[method-assign]
    return app


def _middleware(gate: Gate, trail: Trail, settings: IdentitySettings, metrics: Metrics) -> list[Middleware]:
    """Return the checks that hold for every route, the outermost first."""
    return [
        Middleware(SecurityHeaders, metrics=metrics),
        Middleware(GZipMiddleware, minimum_size=1000),
        Middleware(OtlpErrors),
        Middleware(CatchAll),
        Middleware(KnownHosts, public=settings.public_hosts),
        Middleware(BodyLimit),
        Middleware(Authentication, gate=gate, trail=trail, per_minute=settings.requests_per_minute),
    ]


def _methods() -> dict[str, frozenset[str]]:
    """Return what may be asked of each path, whichever of its routes a request meets first."""
    found: dict[str, frozenset[str]] = {}
    for module in (*API_ROUTES, *PAGE_ROUTES):
        for route in module.router.routes:
            if isinstance(route, APIRoute):
                found[route.path] = found.get(route.path, frozenset()) | frozenset(route.methods or ())
    return found


def _described(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """Return what describes the API: as FastAPI does, but problems under their own media type, and how to get in."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            for path, operations in schema["paths"].items():
                for operation in operations.values():
                    if is_open(path):
                        operation["security"] = []
            components = schema.setdefault("components", {})
            components["schemas"] = {**components.get("schemas", {}), **_shared()}
            components["securitySchemes"] = {
                "key": {"type": "http", "scheme": "bearer", "description": "An API key, `arec_…`, or an access token."}
            }
            schema["security"] = [{"key": []}]
            add_answers(schema)
            app.openapi_schema = schema
        return app.openapi_schema

    return openapi


def _shared() -> dict[str, Any]:
    """Return the schemas of what every route may answer with."""
    found = model_of(Problem).model_json_schema(ref_template=REFERENCE, mode="serialization")
    return {**found.pop("$defs", {}), "Problem": found}
