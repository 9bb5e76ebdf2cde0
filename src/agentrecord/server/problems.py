"""Errors as answers: problem+json (RFC 9457) under `/api`, a page of the same content elsewhere."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from http import HTTPStatus
from typing import Any  # `Any`: OpenAPI is JSON
from uuid import uuid4

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agentrecord import exceptions
from agentrecord.codec.jsonable import to_json
from agentrecord.dashboard.filters import theme_of
from agentrecord.dashboard.views import problem_page, sign_in_page
from agentrecord.records.usage import dollars

logger = logging.getLogger("agentrecord.server")

PROBLEM_JSON = "application/problem+json"
REFERENCE = "#/components/schemas/{model}"
"""How the API's description names a shape."""

TYPES = "urn:agentrecord:problem:"
"""What names of problem types begin with."""

_STATUS: tuple[tuple[type[exceptions.AgentRecordError], int], ...] = (
    (exceptions.NotFound, 404),
    (exceptions.Conflict, 409),
    (exceptions.InvalidTransition, 409),
    (exceptions.InvalidValue, 422),
    (exceptions.InvalidFilter, 422),
    (exceptions.Forbidden, 403),
    (exceptions.WrongCredentials, 401),
    (exceptions.TooManyRequests, 429),
    (exceptions.OverBudget, 402),
    (exceptions.TurnOverBudget, 402),
    (exceptions.TurnTimedOut, 504),
    (exceptions.TurnCancelled, 409),
    (exceptions.TurnInterrupted, 503),
    (exceptions.TurnFailed, 502),
    (exceptions.StorageFull, 507),
    (exceptions.StoreUnavailable, 503),
)
RETRY_AFTER_S = 5
MAX_ERRORS = 20
"""How many refused fields an answer names: who sends a million of them gets no answer of that size."""

MAX_FIELD_CHARS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Invalid:
    """A field that was refused, and why."""

    field: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What went wrong, as RFC 9457 writes it; `instance` is the id under which the log tells more."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    errors: tuple[Invalid, ...] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetProblem(Problem):
    """Which budget a call would have crossed, how it stands, and when it starts anew; null for what is not known."""

    budget: str
    period: str
    limit_nanos: int
    spent_nanos: int
    reserved_nanos: int
    asked_nanos: int | None
    resets_at: datetime | None

    @property
    def limit_usd(self) -> Decimal:
        """The limit in dollars."""
        return dollars(self.limit_nanos)

    @property
    def spent_usd(self) -> Decimal:
        """What is spent in the present period, in dollars."""
        return dollars(self.spent_nanos)

    @property
    def reserved_usd(self) -> Decimal:
        """What is reserved for calls that are under way, in dollars."""
        return dollars(self.reserved_nanos)

    @property
    def asked_usd(self) -> Decimal | None:
        """The most that the refused call could have cost, in dollars."""
        return None if self.asked_nanos is None else dollars(self.asked_nanos)


def is_api(path: str) -> bool:
    """Say whether answers at `path` are for programs."""
    return path in ("/healthz", "/metrics", "/api") or path.startswith("/api/") or is_otlp(path)


def is_otlp(path: str) -> bool:
    """Say whether answers at `path` are for OpenTelemetry's exporters."""
    return path.startswith("/v1/")


def problem(
    status: int, detail: str, *, name: str = "about:blank", title: str | None = None, errors: tuple[Invalid, ...] = ()
) -> Problem:
    """Return a problem with a fresh id."""
    return Problem(
        type=name if name == "about:blank" else TYPES + name,
        title=title or HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        instance=f"urn:uuid:{uuid4()}",
        errors=errors,
    )


def answer(
    path: str, found: Problem, headers: Mapping[str, str] | None = None, *, next_path: str | None = None,
    theme: str = "auto",
) -> Response:  # fmt: skip
    """Return a problem as the answer to a request for `path`; with `next_path`, as the page to sign in on.

    A page is in the colours of the `theme`.
    """
    if is_api(path):
        return Response(to_json(found), found.status, headers, PROBLEM_JSON)
    if next_path is not None:
        return Response(
            sign_in_page(said=found.detail, next_path=next_path, theme=theme), found.status, headers, "text/html"
        )
    fields = tuple((invalid.field, invalid.reason) for invalid in found.errors)
    page = problem_page(
        status=found.status, title=found.title, detail=found.detail, instance=found.instance, fields=fields, theme=theme
    )
    return Response(page, found.status, headers, "text/html")


def of_error(error: exceptions.AgentRecordError) -> tuple[Problem, dict[str, str]]:
    """Return the problem that one of our own errors is, and the headers that go with it."""
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
    headers: dict[str, str] = {}
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = str(RETRY_AFTER_S)
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, exceptions.TooManyRequests):
        headers["Retry-After"] = str(error.wait_s)
    errors: tuple[Invalid, ...] = ()
    if isinstance(error, exceptions.InvalidValue | exceptions.InvalidFilter | exceptions.OverBudget):
        errors = (Invalid(field=error.field, reason=error.reason),)
    found = problem(status, str(error) or error.title(), name=type(error).__name__, title=error.title(), errors=errors)
    if isinstance(error, exceptions.OverBudget):
        found = _with_budget(found, error)
    return found, headers


def _with_budget(found: Problem, error: exceptions.OverBudget) -> BudgetProblem:
    told = {name: getattr(found, name) for name in ("type", "title", "status", "detail", "instance", "errors")}
    return BudgetProblem(
        **told,
        budget=error.budget,
        period=error.period,
        limit_nanos=error.limit_nanos,
        spent_nanos=error.spent_nanos,
        reserved_nanos=error.reserved_nanos,
        asked_nanos=error.asked_nanos,
        resets_at=error.resets_at,
    )


def of_validation(error: RequestValidationError) -> Problem:
    """Return the problem that a request of the wrong shape is, with the first fields and their reasons."""
    found = error.errors()
    errors = tuple(Invalid(field=_field(told["loc"]), reason=str(told["msg"])) for told in found[:MAX_ERRORS])
    detail = "; ".join(f"{invalid.field}: {invalid.reason}" for invalid in errors)
    if len(found) > MAX_ERRORS:
        detail += f"; and {len(found) - MAX_ERRORS:,} more"
    return problem(422, detail, name="InvalidValue", title="A value is refused", errors=errors)


def _field(place: Sequence[object]) -> str:
    """Return where a value stands in a request; names that the caller chose are cut."""
    named = ".".join(str(part)[:MAX_FIELD_CHARS] for part in place[1:]) or str(place[0])
    return named if len(named) <= MAX_FIELD_CHARS else named[: MAX_FIELD_CHARS - 1] + "…"


async def _on_error(request: Request, error: Exception) -> Response:
    theme = theme_of(request.query_params, request.cookies)
    if isinstance(error, exceptions.AgentRecordError):
        found, headers = of_error(error)
        if found.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            logger.error("%s %s: %s", found.instance, request.url.path, error, exc_info=error)
        return answer(request.url.path, found, headers, theme=theme)
    if isinstance(error, RequestValidationError):
        return answer(request.url.path, of_validation(error), theme=theme)
    status = error.status_code if isinstance(error, HTTPException) else HTTPStatus.INTERNAL_SERVER_ERROR
    detail = str(error.detail) if isinstance(error, HTTPException) else ""
    if status == HTTPStatus.NOT_FOUND:
        detail = "There is no such page."
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        path = getattr(request.scope.get("route"), "path", None)
        # The framework names the methods of the first route that it met; a path has one for each method.
        headers["Allow"] = ", ".join(sorted(request.app.state.methods.get(path, headers.get("Allow", "").split(", "))))
    return answer(request.url.path, problem(status, detail), headers, theme=theme)


def handle_problems(app: FastAPI) -> None:
    """Make every expected error of `app` a problem."""
    for kind in (exceptions.AgentRecordError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, _on_error)


class CatchAll:
    """Answers 500 with an id, and logs what happened under it, where nothing else did."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        started = False

        async def note(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, note)
        except Exception as error:
            found = problem(500, "Something unexpected happened; the log tells more under this id.")
            logger.error("%s %s", found.instance, scope.get("path"), exc_info=error)
            if not started:
                await answer(scope.get("path", "/"), found)(scope, receive, send)


def described_problem(description: str) -> dict[str, Any]:
    """Return what the API's description says about a problem; the shape that all share is described once, in the end.

    Not by its model: hundreds of answers would each have it looked at when the server starts.
    """
    shape = {"$ref": REFERENCE.format(model="Problem")}
    return {"description": description, "content": {PROBLEM_JSON: {"schema": shape}}}
