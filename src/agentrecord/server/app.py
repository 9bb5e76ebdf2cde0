"""The application: every route over one record, behind the checks that hold for all of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any  # `Any`: OpenAPI is JSON

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.staticfiles import StaticFiles

from agentrecord import dashboard
from agentrecord.server.auth import Authentication
from agentrecord.server.middleware import BodyLimit, LocalHostOnly, SecurityHeaders
from agentrecord.server.otlp_wire import Admission, OtlpErrors
from agentrecord.server.problems import PROBLEM_JSON, CatchAll, handle_problems
from agentrecord.server.routes import calls, exports, figures, otlp, pages, prices, projects, runs, sessions, traces
from agentrecord.store import AsyncStore

STATIC = Path(dashboard.__file__).parent / "static"
API_ROUTES = (sessions, runs, calls, figures, prices, projects, traces, otlp)
PAGE_ROUTES = (exports, pages)


def build_app(store: AsyncStore, *, secret: bytes, sign_in_token: str | None = None) -> FastAPI:
    """Return the server over `store`: the REST API under `/api`, the dashboard at `/`.

    `secret` signs the cookies of browsers that were let in by `/sign-in?token=<sign_in_token>`; without a token only
    API keys open the record.
    """
    app = FastAPI(
        title="agentrecord",
        description="The system of record for AI agents: sessions, runs, calls, costs.",
        version="1",
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        middleware=[
            Middleware(SecurityHeaders),
            Middleware(GZipMiddleware, minimum_size=1000),
            Middleware(OtlpErrors),
            Middleware(CatchAll),
            Middleware(LocalHostOnly),
            Middleware(BodyLimit),
            Middleware(Authentication, store=store, secret=secret, sign_in_token=sign_in_token),
        ],
    )
    app.state.otlp = Admission()
    handle_problems(app)
    for module in (*API_ROUTES, *PAGE_ROUTES):
        app.include_router(module.router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.openapi = _described(app)  # type: ignore[method-assign]
    return app


def _described(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """Return what describes the API: as FastAPI does, but problems under their own media type, and how to get in."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            for operations in schema["paths"].values():
                for operation in operations.values():
                    _name_problems(operation["responses"])
            schema.setdefault("components", {})["securitySchemes"] = {
                "key": {"type": "http", "scheme": "bearer", "description": "An API key, `arec_…`."}
            }
            schema["security"] = [{"key": []}]
            app.openapi_schema = schema
        return app.openapi_schema

    return openapi


def _name_problems(responses: dict[str, Any]) -> None:
    for status, response in responses.items():
        content = response.get("content", {})
        if status.startswith(("4", "5")) and "application/json" in content:
            content[PROBLEM_JSON] = content.pop("application/json")
